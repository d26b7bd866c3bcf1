"""Deep limits and the cut-off in depth: Avelin & Karlsson 2022 (arXiv 2104.10727), reproduced, sharpened and predicted.

deepinit run experiments/cutoff.py --preset smoke     a minute or two on two cores
deepinit run experiments/cutoff.py --preset paper     the paper's three curves with a million paths each, widths 1 to 128
deepinit run experiments/cutoff.py --preset full      widths 1 to 512, two roundings, more paths

The chain x_t = Q(phi(W_t x_{t-1})) keeps values to multiples of rho; S(t) = P(x_t != 0) is its distance in total variation from the
point mass at 0. The paper does not say that values are truncated (not rounded), that paths start at (1, ..., 1), or that its
third curve has normal weights; these choices reproduce its curves to a thousandth.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

import deepinit as di
from deepinit.experiment import Case, CaseResult, Experiment

SURVIVAL, LOG_NORM, ANGLE = di.quantities.survival, di.quantities.log_norm, di.quantities.log_sin2_angle
UNIFORM, NORMAL = (
    di.uniform(1.0 / 3.0),
    di.normal(1.0 / 3.0),
)  # U(-1, 1) / sqrt(width), and a normal law of its variance
PAPER_T_MIX = {"tanh-w1": 9, "tanh-w2": 11, "swish-w1": 7}


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    rho: float = 1e-3
    """Spacing of the grid to which values are kept."""
    depth: int = 24
    """Layers of the survival curves."""
    widths: tuple[int, ...] = (1, 4, 16, 64)
    """Widths of the sweep with normal weights; roundings below."""
    roundings: tuple[str, ...] = ("truncate",)
    """truncate, nearest: one sweep each."""
    relu_widths: tuple[int, ...] = (1, 64)
    """Widths of the ReLU chains, uniform weights."""
    meshes: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    """Grids of the exact chain at width 1."""
    norm_widths: tuple[int, ...] = (2, 16)
    """Widths at which the random walk of log |x| is measured, at the critical gain and for ReLU."""
    phase_width: int = 64
    """Width of the networks in which two inputs are followed, in the ordered and in the chaotic phase."""
    trained_depths: tuple[int, ...] = ()
    """Depths of tanh networks of width 32 that are trained on two circles, by SGD and by Adam."""
    num_paths: int = 20_000
    """Paths (networks) per case."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(
        widths=(1, 2, 4, 8, 16, 32, 64, 128),
        relu_widths=(1, 2, 8, 64),
        num_paths=1_000_000,
        phase_width=256,
        trained_depths=(4, 6, 8, 10, 12, 16),
    ),
    "full": Config(
        widths=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
        roundings=("truncate", "nearest"),
        relu_widths=(1, 2, 4, 8, 16, 32, 64),
        norm_widths=(1, 2, 4, 16, 64),
        num_paths=1_000_000,
        phase_width=256,
        trained_depths=(4, 6, 8, 10, 12, 16, 24),
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """The paper's curves, the sweep over widths, ReLU, norms, two inputs."""
    truncated = {
        "tanh-w1": ("tanh", 1, UNIFORM),
        "tanh-w2": ("tanh", 2, UNIFORM),
        "swish-w1": ("silu", 1, di.normal(1.0)),
    }
    found = [chain(config, f"paper-{name}", *setting, "truncate") for name, setting in truncated.items()]
    for rounding in config.roundings:
        found += [
            chain(config, sweep_name(rounding, width), "tanh", width, NORMAL, rounding) for width in config.widths
        ]
    found += [chain(config, f"relu-w{width}", "relu", width, UNIFORM, "truncate") for width in config.relu_widths]
    return (*found, *norm_cases(config), *pair_cases(config), *trained_cases(config))


def chain(config: Config, name: str, activation: str, width: int, law: di.Law, rounding: str) -> Case:
    """A survival curve, with the exact law where the width is 1."""
    spec = di.MLP((width,) * config.depth, di.rounded(activation, config.rho, rounding), law)
    start, checked = di.inputs.ones(width), ("exact",) if width == 1 else ()
    return Case(name, spec, SURVIVAL, start, config.num_paths, checked=checked, key=config.key)


def norm_cases(config: Config) -> list[Case]:
    """log |x_t| / |x_0|: ReLU with He weights, and linear networks at the gain without drift."""
    from deepinit.theory.cutoff import critical_gain

    found = []
    for width in config.norm_widths:
        shape, seeds = (width,) * config.depth, min(config.num_paths, 100_000)
        specs = {
            f"norm-relu-w{width}": di.MLP(shape),
            f"norm-critical-w{width}": di.MLP(shape, "linear", di.normal(critical_gain(width) ** 2)),
        }
        found += [
            Case(
                name,
                spec,
                LOG_NORM,
                di.inputs.ones(width),
                seeds,
                checked=("exact",),
                rejected=("infinite_width",),
                key=config.key,
            )
            for name, spec in specs.items()
        ]
    return found


def pair_cases(config: Config) -> list[Case]:
    """Two inputs: in the ordered phase they become one, in the chaotic phase orthogonal, whatever they were."""
    shape, pair = (config.phase_width,) * 40, di.inputs.pair(0.45, config.phase_width)
    specs = {
        "ordered": di.MLP(shape, "tanh", di.normal(0.81), di.normal(0.09, "absolute")),
        "chaotic": di.MLP(shape, "tanh", di.normal(6.25)),
    }
    seeds = min(config.num_paths, 5000)
    return [Case(name, spec, ANGLE, pair, seeds, key=config.key) for name, spec in specs.items()]


def trained_cases(config: Config) -> list[Case]:
    """Accuracy on two circles after 500 full-batch steps: the depth at which training fails, beside that at which signals are lost."""
    if not config.trained_depths:
        return []
    import optax

    circles, found = di.targets.two_circles(), []
    optimizers = {"sgd": optax.sgd(0.5), "adam": optax.adam(3e-3)}
    for depth in config.trained_depths:
        spec = di.MLP((32,) * depth, "tanh", UNIFORM, output_width=2, output_law=UNIFORM)
        for name, optimizer in optimizers.items():
            run = di.Training(circles, (0, 500), optimizer, loss="cross_entropy", name=name)
            found.append(Case(f"trained-{name}-{depth}", spec, di.quantities.accuracy, run, 4, key=config.key))
    return found


def sweep_name(rounding: str, width: int) -> str:
    """Of a case."""
    return f"{rounding}-w{width}"


def curve(result: CaseResult) -> np.ndarray:
    """S(0), S(1), ..., S(depth)."""
    return np.concatenate([[1.0], result.dataset["mean"].values[:, 0]])


def exact_curves(config: Config) -> dict[float, np.ndarray]:
    """The exact chain of the paper's first curve on every grid."""
    from deepinit.theory.cutoff import scalar_survival

    return {mesh: scalar_survival("tanh", UNIFORM, mesh, "truncate", 32).survival for mesh in config.meshes}


def remarks(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Where every curve is cut off, and how sharply."""
    from deepinit.theory.cutoff import summary

    found = []
    for name, t_mix in PAPER_T_MIX.items():
        measured = summary(curve(results[f"paper-{name}"]))
        found.append(
            f"{name}: t_mix {measured.t_mix:g} (the paper's figure: {t_mix}), half of the signals are lost at layer {measured.t50:.2f}."
        )
    for rounding in config.roundings:
        ratios = [summary(curve(results[sweep_name(rounding, width)])) for width in config.widths]
        told = ", ".join(f"{width}: {one.ratio:.3f}" for width, one in zip(config.widths, ratios, strict=True))
        found.append(f"The transition sharpens with the width ({rounding}): window over its centre at width {told}.")
    meshes = ", ".join(f"{mesh:g}: {summary(exact).ratio:.3f}" for mesh, exact in exact_curves(config).items())
    found.append(f"And with the precision, at width 1 (exact): window over its centre at rho {meshes}.")
    relus = {width: summary(curve(results[f"relu-w{width}"])) for width in config.relu_widths}
    told = ", ".join(f"{width}: {one.ratio:.2f}" for width, one in relus.items())
    found.append(
        f"ReLU has a cut-off too, once it is wide (the paper looked at widths 1 and 2, where signals die by sign): window over its centre at width {told}."
    )
    return [*found, *pair_words(config, results), *trained_words(config, results)]


def pair_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """How fast two inputs become one, and how fast they forget each other."""
    from deepinit.theory.cutoff import mean_field, ordered_cutoff

    data = results["ordered"].dataset.isel(pair=0)
    span = slice(19, None)
    slope = float(np.polyfit(data["layer"].values[span], data["mean"].values[span], 1)[0])
    law = ordered_cutoff("tanh", 0.81, config.phase_width, 1.0, bias_var=0.09)
    scale = mean_field("tanh", 6.25).pair_scale
    return [
        f"Ordered phase, width {config.phase_width}: ln sin^2 of the angle falls by {-slope:.4f} a layer; {-2 * law.drift:.4f} to first order in "
        f"1/width, {1 / law.depth_scale:.4f} = 1/xi_c at infinite width.",
        f"Chaotic phase: two inputs forget each other on the depth scale xi_c = {scale:.3f} layers, whatever the width; their correlation can be seen "
        "down to 1/sqrt(width), so that the depth of the cut-off grows with the logarithm of the width.",
    ]


def trained_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Accuracy by depth, for both optimizers."""
    found = []
    for name in ("sgd", "adam") if config.trained_depths else ():
        ends = {
            depth: results[f"trained-{name}-{depth}"].dataset.isel(step=-1, pair=0) for depth in config.trained_depths
        }
        told = ", ".join(f"{depth}: {float(end['mean']):.2f}" for depth, end in ends.items())
        found.append(f"Trained by {name} on two circles, width 32, accuracy at depth {told}.")
    return found


def figures(config: Config, results: Mapping[str, CaseResult]) -> list:
    """Figures of the report, in reading order."""
    from deepinit.report import figure_item

    layers = np.arange(config.depth + 1)

    def curves(names: dict[str, str], **words):
        points = {}
        for label, name in names.items():
            errors = np.concatenate([[0.0], results[name].dataset["standard_error"].values[:, 0]])
            points[label] = (layers, curve(results[name]), errors)
        lines = {label: (x, y) for label, (x, y, _) in points.items()}
        return di.plots.series(points, lines, lines_are="", x_label="layer", y_label="survival", **words)

    note = f"values kept to multiples of {config.rho:g}, {config.num_paths:,} paths"
    one = results["paper-tanh-w1"]
    items = [
        figure_item(
            "The paper's curves",
            "Survival of tanh networks of width 1 and 2 with uniform weights, and of a swish network of width 1 with normal weights.",
            curves(
                {
                    "tanh, width 1": "paper-tanh-w1",
                    "tanh, width 2": "paper-tanh-w2",
                    "swish, width 1": "paper-swish-w1",
                },
                title="The paper's three curves",
                note=note,
            ),
        ),
        figure_item(
            "The exact chain",
            "Width 1 needs no sampling: the law of every layer follows exactly from that of the one before.",
            di.plots.series(
                {
                    "measured": (
                        layers[1:],
                        one.dataset["mean"].values[:, 0],
                        one.dataset["standard_error"].values[:, 0],
                    )
                },
                {"exact": (layers[1:], one.dataset["predicted"].sel(route="exact").values[:, 0])},
                x_label="layer",
                y_label="survival",
                title="Survival at width 1: measured and exact",
                note=note,
            ),
        ),
    ]
    for rounding in config.roundings:
        names = {f"width {width}": sweep_name(rounding, width) for width in config.widths}
        items.append(
            figure_item(
                f"The transition sharpens with the width ({rounding})",
                "The same variance at every width: at large width all signals are lost within one layer of each other.",
                curves(names, title="Sharper with the width", note=note),
            )
        )
    exact = exact_curves(config)
    items += [
        figure_item(
            "The transition sharpens with the precision",
            "Exact survival at width 1 on finer and finer grids, against layers over the layer at which half of the signals are lost.",
            precision_figure(exact),
        ),
        figure_item(
            "ReLU",
            "At width 1 a signal dies with probability one half in every layer; wide ReLU networks have a cut-off.",
            curves(
                {f"width {width}": f"relu-w{width}" for width in config.relu_widths},
                title="ReLU has a cut-off once it is wide",
                note=note,
            ),
        ),
    ]
    last = config.norm_widths[-1]
    for name, title in (
        (f"norm-critical-w{last}", "No drift at the critical gain"),
        (f"norm-relu-w{last}", "He weights: the norm drifts down"),
    ):
        caption = "Mean and spread of the logarithm of the norm, exact at every width; infinite width has another drift and no spread."
        items.append(figure_item(title, caption, di.plots.layers(results[name].dataset, title=title)))
    for name, title in (
        ("ordered", "Ordered phase: two inputs become one"),
        ("chaotic", "Chaotic phase: two inputs forget each other"),
    ):
        caption = "Angle between two inputs, layer by layer, and the infinite-width kernel's."
        items.append(figure_item(title, caption, di.plots.layers(results[name].dataset, title=title)))
    checks = {name: result.dataset for name, result in results.items() if result.case.checked}
    items.append(
        figure_item(
            "Every check of this run", "One dot a layer; a cross is outside the gate.", di.plots.z_panel(checks)
        )
    )
    return items


def precision_figure(exact: Mapping[float, np.ndarray]):
    """Exact curves on a common axis."""
    from deepinit.theory.cutoff import summary

    lines = {}
    for mesh, values in exact.items():
        x = np.arange(len(values)) / summary(values).t50
        lines[f"rho = {mesh:g}"] = (x[x < 2.5], values[x < 2.5])
    return di.plots.series(
        lines,
        lines,
        lines_are="",
        x_label="layer / layer at which half is lost",
        y_label="survival",
        title="Sharper with the precision",
        note="tanh, width 1, uniform weights, exact",
    )


EXPERIMENT = Experiment(
    name="cutoff",
    title="Deep limits and the cut-off in depth",
    presets=PRESETS,
    cases=cases,
    figures=figures,
    remarks=remarks,
    question="At which depth does a network in finite precision lose its signal, how sharply, and what decides it?",
    citation="""@article{avelin2022deep,
  title   = {Deep Limits and a Cut-Off Phenomenon for Neural Networks},
  author  = {Avelin, Benny and Karlsson, Anders},
  journal = {Journal of Machine Learning Research},
  volume  = {23},
  number  = {191},
  pages   = {1--29},
  year    = {2022},
  note    = {arXiv:2104.10727},
}""",
)
