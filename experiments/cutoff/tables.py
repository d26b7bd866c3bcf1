"""Tables of cutoff: where signals are lost, and how sharply."""

import numpy as np

from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results
from deepinit.theory import cutoff as theory

from .analysis import (
    curve,
    exact_curves,
    half_distance_layer,
    length_shift,
    overlap_shift,
    predicted,
    underflow_curves,
)
from .cases import (
    ANGLE_AT_START,
    METASTABLE_GAIN,
    ONE_INPUT,
    START,
    TWO_INPUTS,
    UNDERFLOW_DEPTHS,
    UNIFORM,
    Config,
    sweep_name,
)

PAPER_T_MIX = {"tanh-w1": 9, "tanh-w2": 11, "swish-w1": 7}  # read off its figure
HALF = "half lost at layer"
RATIO = "window / center"


def tables(config: Config, results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        paper_table(results),
        *(sweep_table(config, results, rounding) for rounding in config.roundings),
        precision_table(config),
        relu_table(config, results),
        underflow_table(config, results),
        gain_table(config, results),
        ordered_table(config, results),
        relaxation_table(config, results),
        training_table(config, results),
    ]


def paper_table(results: Results) -> Table:
    """The paper's three curves."""
    rows = []
    for name, t_mix in PAPER_T_MIX.items():
        shape = theory.summary(curve(results[f"paper-{name}"]))
        rows.append([name, shape.t_mix, t_mix, shape.t50])
    return Table("The paper's curves", ["curve", "t_mix", "t_mix, paper's figure", HALF], rows)


def sweep_table(config: Config, results: Results, rounding: str) -> Table:
    """Position and width of the transition, measured and predicted."""
    rows = []
    for width in config.widths:
        result = results[sweep_name(rounding, width)]
        shape = theory.summary(curve(result))
        row = [width, shape.t50, None, None, shape.window, None, None, shape.ratio]
        if width > 1:
            walks = [theory.summary(predicted(result, name)) for name in ("orbit", "random_walk")]
            row[2:4], row[5:7] = [w.t50 for w in walks], [w.window for w in walks]
        rows.append(row)
    return Table(
        f"The transition by width ({rounding})",
        ["width", HALF, "orbit", "random walk", "window", "orbit: window", "walk: window", RATIO],
        rows,
        "Orbit: infinite-width mean map with the random walk of the length, on the grid. "
        "Random walk: the limit of fine grids.",
    )


def precision_table(config: Config) -> Table:
    """The exact chain of width 1 by grid."""
    shapes = {mesh: theory.summary(exact) for mesh, exact in exact_curves(config).items()}
    rows = [[mesh, shape.t50, shape.ratio] for mesh, shape in shapes.items()]
    return Table("The transition by precision, width 1, exact", ["rho", HALF, RATIO], rows)


def relu_table(config: Config, results: Results) -> Table:
    """ReLU chains by width."""
    shapes = [theory.summary(curve(results[f"relu-w{width}"])) for width in config.relu_widths]
    rows = [
        [width, shape.t50, shape.ratio]
        for width, shape in zip(config.relu_widths, shapes, strict=True)
    ]
    return Table(
        "ReLU by width",
        ["width", HALF, RATIO],
        rows,
        "At widths 1 and 2, those of the paper, signals die by sign.",
    )


def underflow_table(config: Config, results: Results) -> Table:
    """The layer at which a signal underflows."""
    rows = []
    for dtype, depth in UNDERFLOW_DEPTHS.items() if config.underflow_widths else ():
        curves, least = underflow_curves(config, depth, dtype), 2.0**-25
        if dtype == "float32":
            least = 2.0**-126
        for width in config.underflow_widths:
            products = None
            if dtype == "float32":
                products = theory.underflow_layer(width, UNIFORM, least, products=True)
            rows.append(
                [
                    dtype,
                    width,
                    theory.summary(curve(results[f"underflow-{dtype}-w{width}"])).t50,
                    theory.summary(curves[width]).t50,
                    theory.underflow_layer(width, UNIFORM, least),
                    products,
                ]
            )
    return Table(
        "Underflow",
        ["dtype", "width", HALF, "orbit", "short formula", "formula, products underflow too"],
        rows,
        "Half of the signals are exactly 0. bfloat16 has the smallest number of float32.",
    )


def gain_table(config: Config, results: Results) -> Table:
    """Around the critical gain, and chains that rounding to nearest keeps alive."""
    rows = []
    for ratio in config.gains if config.gain_width else ():
        gain = ratio * theory.critical_gain(config.gain_width)
        rows.append([f"gain-{ratio:g}", config.gain_width, "truncate", gain])
    for width in config.metastable_widths:
        rows.append([f"metastable-w{width}", width, "nearest", METASTABLE_GAIN])
    for row in rows:
        survival = curve(results[row[0]])
        row += [len(survival) - 1, theory.summary(survival).t50]
    return Table(
        "Around the critical gain, and metastability",
        ["case", "width", "rounding", "gain", "layers", HALF],
        rows,
        "gain-x has x times the critical gain. No layer: half of the signals reach the last one.",
    )


def ordered_table(config: Config, results: Results) -> Table:
    """Decay of the angle between two inputs in the ordered phase."""
    data = results["ordered"].dataset.isel(component=0, layer=slice(19, None))
    slope = float(np.polyfit(data["layer"].values, data["mean"].values, 1)[0])
    law = theory.ordered_cutoff("tanh", 0.81, config.phase_width, 1.0, bias_var=0.09)
    return Table(
        "Ordered phase: decrease of ln sin^2 per layer",
        ["width", "measured", "first order in 1/width", "infinite width, 1/xi_c"],
        [[config.phase_width, -slope, -2.0 * float(law.drift), 1.0 / float(law.depth_scale)]],
    )


def relaxation_table(config: Config, results: Results) -> Table:
    """Layers at which total variation from the stationary law is 1/2."""
    rows, cosine = [], float(np.cos(ANGLE_AT_START))
    for what, case, shift, variance, start in (
        ("length of one input", "relaxing", length_shift, ONE_INPUT, {"mean_square": START}),
        ("overlap of two inputs", "chaotic", overlap_shift, TWO_INPUTS, {"cosine": cosine}),
    ):
        for width in config.relaxation_widths:
            law = theory.mean_field_cutoff("tanh", variance, width, **start)
            layer = half_distance_layer(shift(results[f"{case}-w{width}"]))
            rows.append([what, variance**0.5, width, layer, float(law.t50), float(law.depth_scale)])
    return Table(
        "Relaxation: layer of total variation 1/2",
        ["quantity", "gain", "width", "measured", "mean-field map", "xi"],
        rows,
        "Four times the width adds xi ln 2 layers; the window stays.",
    )


def training_table(config: Config, results: Results) -> Table:
    """Accuracy on two circles after training, by depth."""
    rows = []
    for start, law, depths in (
        ("", "1 / (3 N)", config.trained_depths),
        ("glorot-", "1 / N", config.glorot_depths),
    ):
        for optimizer in ("sgd", "adam"):
            for depth in depths:
                data = results[f"trained-{start}{optimizer}-{depth}"].dataset
                end = data.isel(step=-1, component=0)
                accuracy = with_error(float(end["mean"]), float(end["standard_error"]))
                rows.append([optimizer, law, depth, accuracy])
    columns = ["optimizer", "weight variance", "depth", "accuracy"]
    return Table("Training on two circles, width N = 32", columns, rows)
