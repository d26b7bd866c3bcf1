"""Small angles and poor training: the training experiment of Jakub & Nica 2024 (arXiv 2302.09712) on real images.

deepinit run trainability --preset smoke     three architectures, a minute on two cores
deepinit run trainability --preset paper     the six architectures of the public notebooks, 10 runs each
deepinit run trainability --preset full      21 architectures, 10 runs each

The set-up is that of the notebooks: ReLU without biases, truncated He initialization, softmax over ten digits, Adam at rate 0.001 with
batches of 100 for 600 steps. They see each of 60 000 images once; here batches are drawn from 4000 images, and 1000 others test.
"""

import dataclasses
import math
from collections.abc import Mapping

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Case, CaseResult, Experiment

ANGLE, ACCURACY = di.quantities.log_sin2_angle, di.quantities.accuracy
PIXELS = 784
# MNIST test accuracies of two runs each, printed in the public notebooks of the paper
NOTEBOOKS = {
    "85x2": (0.957, 0.952),
    "100x10": (0.951, 0.951),
    "30x15": (0.908, 0.919),
    "75x35": (0.908, 0.806),
    "50x50": (0.382, 0.202),
    "15x30": (0.459, 0.195),
}
THEORIES = {
    "tapered": "finite width",
    "paper": "finite width, the paper's rho(n)",
    "infinite_width": "infinite width",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What to train."""

    nets: tuple[str, ...] = ("85x2", "30x15", "15x30")
    """Architectures: width x hidden layers."""
    num_seeds: int = 4
    """Networks that are trained, per architecture."""
    steps: int = 300
    """Steps of Adam."""
    angle_seeds: int = 400
    """Networks whose angles are measured, per architecture."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(nets=tuple(NOTEBOOKS), num_seeds=10, steps=600, angle_seeds=5000),
    "full": Config(
        nets=(
            *NOTEBOOKS,
            *(
                f"{width}x{depth}"
                for width in (15, 30, 60, 120)
                for depth in (5, 10, 20, 40)
                if width != 30
            ),
        ),
        num_seeds=10,
        steps=600,
        angle_seeds=20_000,
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """For every architecture the angle of orthogonal inputs at initialization, and the accuracy in the course of training."""
    images, right = di.targets.digits(5000).inputs, di.targets.digits(5000).targets
    train = di.targets.examples(images[:4000], right[:4000], "4000 MNIST digits")
    test = di.targets.examples(images[4000:], right[4000:], "1000 others")
    records = sorted({0, config.steps // 10, config.steps // 3, config.steps})
    run = di.Training(
        train, records, mode="adam", rate=1e-3, loss="cross_entropy", batch_size=100, test=test
    )
    pair = di.inputs.pair(0.5 * math.pi, dimension=PIXELS)
    found = []
    for net in config.nets:
        spec = architecture(net)
        found.append(
            Case(
                f"angle-{net}",
                spec,
                ANGLE,
                pair,
                config.angle_seeds,
                tuple(THEORIES)[:2],
                key=config.key,
            )
        )
        found.append(Case(f"accuracy-{net}", spec, ACCURACY, run, config.num_seeds, key=config.key))
    return tuple(found)


def architecture(net: str) -> di.MLP:
    """The spec of `30x15`."""
    width, _, depth = net.partition("x")
    if not (width.isdigit() and depth.isdigit()):
        raise SpecError(
            f"the architecture {net!r}", "width x depth", "Write --config.nets 30x15 100x10."
        )
    he = di.truncated_normal(2.0)
    return di.MLP((int(width),) * int(depth), di.relu, he, output_width=10, output_law=he)


def predicted(result: CaseResult) -> dict[str, float]:
    """ln sin^2 at the last hidden layer by every theory."""
    last = result.dataset.isel(layer=-1, pair=0)
    return {name: float(last["predicted"].sel(route=name)) for name in THEORIES}


def tested(result: CaseResult) -> tuple[float, float]:
    """Test accuracy at the end and its standard error."""
    last = result.dataset.isel(step=-1).sel(pair="test set")
    return float(last["mean"]), float(last["standard_error"])


def remarks(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Every architecture in a sentence, and how well each theory ranks them."""
    import scipy.stats

    found, accuracies = [], []
    for net in config.nets:
        angle, (accuracy, error) = results[f"angle-{net}"], tested(results[f"accuracy-{net}"])
        accuracies.append(accuracy)
        theory = predicted(angle)
        measured = float(angle.dataset["mean"].values[-1, 0])
        public = (
            f"; public notebooks, two runs: {NOTEBOOKS[net][0]}, {NOTEBOOKS[net][1]}"
            if net in NOTEBOOKS
            else ""
        )
        found.append(
            f"{net}: test accuracy {accuracy:.3f} +- {error:.3f}{public}; ln sin^2 of the angle at the last layer {measured:.3f} measured, "
            + ", ".join(f"{theory[name]:.3f} {label}" for name, label in THEORIES.items())
            + "."
        )
    if len(config.nets) > 3:
        ranks = {
            label: scipy.stats.spearmanr(
                [predicted(results[f"angle-{net}"])[name] for net in config.nets], accuracies
            ).statistic
            for name, label in THEORIES.items()
        }
        found.append(
            "Rank correlation between the predicted angle and the test accuracy: "
            + ", ".join(f"{label} {rank:.2f}" for label, rank in ranks.items())
            + "."
        )
    return found


def connected(points, **words):
    """Points of several series, each connected by a line."""
    lines = {}
    for name, (x, y, _) in points.items():
        x, y = zip(*sorted(zip(x, y, strict=True)), strict=True)
        lines[name] = (x, y)
    return di.plots.series(points, lines, lines_are="", **words)


def figures(config: Config, results: Mapping[str, CaseResult]) -> list:
    """Accuracy against the predicted angle; the angles; accuracy in the course of training."""
    from deepinit.runs.report import figure_item

    y, errors = zip(*(tested(results[f"accuracy-{net}"]) for net in config.nets), strict=True)
    theory = [predicted(results[f"angle-{net}"]) for net in config.nets]
    against = connected(
        {
            label: ([angles[name] for angles in theory], y, errors)
            for name, label in THEORIES.items()
        },
        x_label=r"predicted $\ln \sin^2 \theta^L$ of orthogonal inputs at initialization",
        y_label="test accuracy after training",
        title="Test accuracy against the angle predicted at initialization",
        note=f"MNIST, {config.num_seeds} networks each, {config.steps} steps of Adam; every network is drawn once per theory",
    )
    width, depth = (int(part) for part in config.nets[-1].split("x"))
    last = results[f"angle-{config.nets[-1]}"]
    curves = {}
    for net in config.nets:
        data = results[f"accuracy-{net}"].dataset.sel(pair="test set")
        curves[net] = (data["step"].values, data["mean"].values, data["standard_error"].values)
    return [
        figure_item(
            "Accuracy against the predicted angle",
            "Each architecture three times: at the angle that the corrected theory, the paper's and the infinite-width limit predict.",
            against,
        ),
        figure_item(
            "The angle in the narrowest network",
            "Angle between two orthogonal inputs at initialization, layer by layer.",
            di.plots.layers(last.dataset, title=f"Width {width}, {depth} layers"),
        ),
        figure_item(
            "Accuracy in the course of training",
            "Mean over networks on images that are not trained on.",
            connected(
                curves,
                x_label="step",
                y_label="test accuracy",
                title="Who learns, and when",
                note=f"width x hidden layers; {config.num_seeds} networks each",
            ),
        ),
    ]


EXPERIMENT = Experiment(
    name="trainability",
    title="Small angles and poor training",
    presets=PRESETS,
    cases=cases,
    figures=figures,
    remarks=remarks,
    question="Does the angle that theory predicts at initialization tell which networks will train?",
    citation="""@article{jakub2024depth,
  title   = {Depth Degeneracy in Neural Networks: Vanishing Angles in Fully Connected ReLU Networks on Initialization},
  author  = {Jakub, Cameron and Nica, Mihai},
  journal = {Journal of Machine Learning Research},
  volume  = {25},
  number  = {239},
  pages   = {1--45},
  year    = {2024},
  note    = {arXiv:2302.09712},
}""",
)
