"""Vanishing angles in random ReLU networks: Jakub & Nica 2024 (arXiv 2302.09712), measured and corrected.

deepinit run vanishing_angles --preset smoke     under a minute on two cores
deepinit run vanishing_angles --preset paper     Figure 1: width 256, angle 0.1, 5000 networks, 32 layers
deepinit run vanishing_angles --preset full      widths 16 to 4096, several angles and activations
"""

import dataclasses
from collections.abc import Mapping

import deepinit as di
from deepinit.comparison.compare import NOT_JUDGED, judged_z, largest_z, verdict
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Case, CaseResult, Experiment

ANGLE = di.quantities.log_sin2_angle

# The second-order theory leaves out O(1/width^3) a layer; from this width on it must hold at every layer.
CHECKED_FROM_WIDTH = 64
# hybrid and tapered add an exact small-angle term; hybrid keeps it at large angles, where it does not belong.
SMALL_ANGLE = 0.5


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    widths: tuple[int, ...] = (16, 64, 256)
    """One ReLU case per width, all layers alike."""
    depth: int = 16
    """Hidden layers of every case."""
    angles: tuple[float, ...] = (0.1,)
    """Angles between the inputs, in radians; one network sees them all."""
    unequal: tuple[str, ...] = ()
    """Hidden widths of further ReLU cases, each as 256-64-256."""
    activations: tuple[str, ...] = ("tanh",)
    """Other activations, at activation_width: built-in names; leaky_relu has slope 0.1."""
    activation_width: int = 128
    """Width of the cases with other activations and with images."""
    image_pairs: int = 2
    """Pairs of real MNIST digits; 0 for none."""
    num_seeds: int = 10_000
    """Networks per case."""
    histogram_layers: tuple[int, ...] = ()
    """Layers whose distribution is shown, for the width histogram_width; the first and the last if left out."""
    histogram_width: int = 64
    """Width of the case whose histograms are shown."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(
        widths=(256,),
        depth=32,
        activations=(),
        activation_width=256,
        image_pairs=3,
        num_seeds=5000,
        histogram_layers=(1, 30),
        histogram_width=256,
    ),
    "full": Config(
        widths=(16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
        depth=32,
        angles=(0.1, 0.01, 0.5, 1.5707963267948966),
        unequal=("256-128-64-32-64-128-256", "512-512-32-512-512"),
        activations=("leaky_relu", "tanh", "gelu", "erf"),
        activation_width=256,
        image_pairs=4,
        num_seeds=20_000,
        histogram_layers=(1, 30),
        histogram_width=256,
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """ReLU at every width, unequal widths, other activations, real images."""
    pairs = di.inputs.pairs(config.angles)
    images = di.inputs.image_pairs(config.image_pairs) if config.image_pairs else None
    square = (config.activation_width,) * config.depth
    result = [
        relu_case(config, f"relu-w{width}", (width,) * config.depth, pairs)
        for width in config.widths
    ]
    result += [
        relu_case(config, f"relu-{text}", unequal_widths(text), pairs) for text in config.unequal
    ]
    for name in config.activations:
        activation = di.leaky_relu(0.1) if name == "leaky_relu" else name
        spec = di.MLP(widths=square, activation=activation)
        result.append(
            Case(
                name,
                spec,
                ANGLE,
                pairs,
                config.num_seeds,
                rejected=("infinite_width",),
                key=config.key,
            )
        )
    if images is not None:
        spec = di.MLP(widths=square)
        forms = ("second_order", "paper")
        result.append(
            Case(
                "images",
                spec,
                ANGLE,
                images,
                config.num_seeds,
                forms,
                checked=("second_order",),
                key=config.key,
            )
        )
    return tuple(result)


def relu_case(config: Config, name: str, widths: tuple[int, ...], pairs: di.inputs.Inputs) -> Case:
    """A ReLU network with every form of the theory."""
    spec = di.MLP(widths=widths)  # refuses bad widths before anything is asked of them
    checked = (
        "tapered",
        "second_order",
        *(("hybrid",) if max(config.angles) <= SMALL_ANGLE else ()),
    )
    shown = set(spec.widths) == {config.histogram_width}
    return Case(
        name,
        spec,
        ANGLE,
        pairs,
        config.num_seeds,
        checked=checked if min(spec.widths) >= CHECKED_FROM_WIDTH else (),
        rejected=("infinite_width", "paper", "approximation"),
        sample_layers=histogram_layers(config) if shown else (),
        key=config.key,
    )


def unequal_widths(text: str) -> tuple[int, ...]:
    """`256-64-256` as widths."""
    parts = text.split("-")
    if not all(part.isdigit() for part in parts):
        raise SpecError(
            f"the widths {text!r}", "integers joined by '-'", "Write --config.unequal 256-64-256."
        )
    return tuple(int(part) for part in parts)


def histogram_layers(config: Config) -> tuple[int, ...]:
    """The layers whose distribution is shown."""
    return config.histogram_layers or tuple(sorted({1, config.depth}))


def remarks(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """What the run says of the paper's correction rho(n), in words."""
    from deepinit.theory.angles import rho, small_angle_log_sin2_moments

    sentences = []
    for width in config.widths:
        data = results[f"relu-w{width}"].dataset
        z = {str(name): largest_z(judged_z(data, str(name))) for name in data["route"].values}
        if width < 2:
            continue
        drift = small_angle_log_sin2_moments(width).mean
        facts = (
            f"a layer of width {width} lowers ln sin^2 of a small angle by {-drift:.5g} on average (exact law), "
            f"the paper's rho(n) says {rho(width):.5g}, the plain 2/n {2 / width:.5g}"
        )
        corrected = [
            name for name in ("tapered", "hybrid", "second_order", "first_order") if z[name] < 5
        ]
        if z["paper"] >= 5:
            held = (
                f"in agreement are {', '.join(corrected)}"
                if corrected
                else "no other form agrees either"
            )
            sentences.append(
                f"At width {width} the paper's correction rho(n) is rejected, by {z['paper']:.0f} standard errors; "
                f"{held}: {facts}."
            )
        else:
            found = {"agrees": "not rejected by this many networks"}.get(
                verdict(z["paper"]), NOT_JUDGED
            )
            sentences.append(f"At width {width} the paper's correction rho(n) is {found}: {facts}.")
    main = results.get(f"relu-w{config.histogram_width}")
    if main is not None and main.estimate.samples is not None:
        walks = density_walks(main)
        for index, layer in enumerate(histogram_layers(config)):
            sentences.append(
                f"Distribution at layer {layer}, width {config.histogram_width}, {len(finite_samples(main, index))} "
                f"networks against the predicted densities: {ks_words(main, walks, index, layer)}."
            )
    return sentences


def figures(config: Config, results: Mapping[str, CaseResult]) -> list:
    """Figures of the report, in reading order."""
    from deepinit.runs.report import figure_item

    main = results[
        f"relu-w{config.histogram_width}"
        if config.histogram_width in config.widths
        else next(iter(results))
    ]
    items = [
        figure_item(
            "The angle, layer by layer",
            "Measured mean over networks with its standard error, its spread, and every prediction. "
            "The infinite-width limit drifts away and has no spread.",
            di.plots.layers(main.dataset, title="Angle between two inputs, layer by layer"),
        ),
        figure_item(
            "Which theory holds",
            "Distance of every prediction from the measured mean, in standard errors; outside the gate it is rejected.",
            di.plots.residuals(
                main.dataset, title="Distance of every prediction from the measurement"
            ),
        ),
        figure_item(
            "Spread over networks",
            "Standard deviation over networks, measured and predicted.",
            di.plots.variance_layers(main.dataset, title="Spread over networks, layer by layer"),
        ),
    ]
    if main.estimate.samples is not None:
        items.append(histograms(config, main))
    if len(config.widths) > 2:
        items += [bias_by_width(config, results, pair) for pair in range(len(config.angles))]
    for name in config.activations:
        caption = "The same measurement for another activation, with the first-order theory of the kernel chain."
        drawing = di.plots.layers(results[name].dataset, title=f"Angle between two inputs, {name}")
        items.append(figure_item(f"Activation {name}", caption, drawing))
    for name, result in results.items():
        if name.startswith("relu-") and not name.startswith("relu-w"):
            caption = "Every layer contributes through the width that it produces: the bottleneck dominates."
            drawing = di.plots.layers(
                result.dataset, title=f"Angle between two inputs, widths {name[5:]}"
            )
            items.append(figure_item(f"Unequal widths {name[5:]}", caption, drawing))
    if "images" in results:
        images = results["images"]
        items.append(
            figure_item(
                "Angle between real images, layer by layer",
                "Pairs of MNIST digits through random ReLU networks: different digits become nearly parallel.",
                di.plots.image_pairs(
                    images.case.inputs,
                    images.dataset,
                    title="Angle between real images, layer by layer",
                ),
            )
        )
    checks = {name: result.dataset for name, result in results.items()}
    items.append(
        figure_item(
            "Every comparison of this run",
            "One dot a layer and pair; a cross is outside the gate.",
            di.plots.z_panel(checks),
        )
    )
    return items


def density_walks(result: CaseResult) -> dict:
    """The walks whose densities are compared with the networks: form -> Walk, for the first pair."""
    from deepinit.theory.angles import log_sin2_walk

    theta0, widths = float(result.case.inputs.angles[0]), result.case.spec.widths
    return {form: log_sin2_walk(theta0, widths, form=form) for form in ("second_order", "paper")}


def ks_words(result: CaseResult, walks: dict, index: int, layer: int) -> str:
    """One-sample Kolmogorov-Smirnov distances: `KS distance: second order 0.012, paper 0.021`."""
    import scipy.stats

    values = finite_samples(result, index)
    distances = [
        f"{form.replace('_', ' ')} "
        f"{scipy.stats.kstest(values, distribution(walk.grid, walk.density[layer - 1])).statistic:.3f}"
        for form, walk in walks.items()
    ]
    return f"KS distance {', '.join(distances)}"


def finite_samples(result: CaseResult, index: int):
    """Values of the first pair over the networks that have one."""
    import numpy as np

    values = result.estimate.samples[:, index, 0]
    return values[np.isfinite(values)]


def histograms(config: Config, result: CaseResult):
    """Histograms at the chosen layers with the propagated densities and Kolmogorov-Smirnov distances."""
    from deepinit.runs.report import figure_item

    layers = {
        f"layer {layer}": (index, layer) for index, layer in enumerate(histogram_layers(config))
    }
    walks = density_walks(result)
    drawing = di.plots.histogram(
        {panel: finite_samples(result, index) for panel, (index, _) in layers.items()},
        density={
            panel: {form: (walk.grid, walk.density[layer - 1]) for form, walk in walks.items()}
            for panel, (_, layer) in layers.items()
        },
        label=ANGLE.symbol,
        notes={panel: ks_words(result, walks, *place) for panel, place in layers.items()},
    )
    caption = (
        f"Densities over networks with the predicted ones, angle {config.angles[0]:.3g}; KS is the one-sample "
        "Kolmogorov-Smirnov distance."
    )
    return figure_item("Distribution over networks", caption, drawing)


def distribution(grid, density):
    """The distribution function of a density on a grid."""
    import numpy as np

    steps = np.diff(grid) * 0.5 * (density[1:] + density[:-1])
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return lambda x: np.interp(x, grid, cumulative / cumulative[-1])


def bias_by_width(config: Config, results: Mapping[str, CaseResult], pair: int):
    """|predicted - measured| against width at the last layer, for one of the angles."""
    from deepinit.runs.report import figure_item

    last = [results[f"relu-w{width}"].dataset.isel(layer=-1, pair=pair) for width in config.widths]
    routes = [str(name) for name in last[0]["route"].values]
    drawing = di.plots.widths(
        config.widths,
        [float(data["mean"]) for data in last],
        [float(data["standard_error"]) for data in last],
        {name: [float(data["predicted"].sel(route=name)) for data in last] for name in routes},
        label=ANGLE.symbol,
        note=f"layer {config.depth}, angle {config.angles[pair]:.3g}, {config.num_seeds} networks per width",
    )
    caption = "How far each prediction is from the measured mean; inside the grey band nothing can be resolved."
    return figure_item(
        f"Error of every prediction against width, angle {config.angles[pair]:.3g}",
        caption,
        drawing,
    )


EXPERIMENT = Experiment(
    name="vanishing_angles",
    title="Vanishing angles in random networks at finite width",
    presets=PRESETS,
    cases=cases,
    figures=figures,
    question="How does the angle between two inputs shrink, layer by layer, in networks of finite width, "
    "and which theory says so?",
    remarks=remarks,
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
