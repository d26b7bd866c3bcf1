"""What the results of the experiment on the cut-off say, in words."""

from collections.abc import Mapping

import numpy as np

from deepinit.runs.experiment import CaseResult

from .cases import (
    ANGLE_AT_START,
    ONE_INPUT,
    START,
    TWO_INPUTS,
    UNDERFLOW_DEPTHS,
    UNIFORM,
    Config,
    sweep_name,
)

PAPER_T_MIX = {"tanh-w1": 9, "tanh-w2": 11, "swish-w1": 7}
Results = Mapping[str, CaseResult]


def curve(result: CaseResult) -> np.ndarray:
    """S(0), S(1), ..., S(depth)."""
    return np.concatenate([[1.0], result.dataset["mean"].values[:, 0]])


def predicted(result: CaseResult, route: str) -> np.ndarray:
    """The same, as a route has it."""
    return np.concatenate([[1.0], result.dataset["predicted"].sel(route=route).values[:, 0]])


def exact_curves(config: Config) -> dict[float, np.ndarray]:
    """The exact chain of the paper's first curve on every grid."""
    from deepinit.theory.cutoff import scalar_survival

    return {
        mesh: scalar_survival("tanh", UNIFORM, mesh, "truncate", 32).survival
        for mesh in config.meshes
    }


def underflow_curves(config: Config, depth: int, dtype: str) -> dict[int, np.ndarray]:
    """Predicted survival under underflow, by width."""
    from deepinit.theory.cutoff import rounded_survival

    rho, rounding = {"float32": (2.0**-126, "flush"), "float16": (2.0**-24, "nearest")}[dtype]
    return {
        width: rounded_survival(width, 3.0**-0.5, rho, rounding, depth)
        for width in config.underflow_widths
    }


def remarks(config: Config, results: Results) -> list[str]:
    """Where every curve is cut off, and how sharply."""
    from deepinit.theory.cutoff import summary

    found = []
    for name, t_mix in PAPER_T_MIX.items():
        measured = summary(curve(results[f"paper-{name}"]))
        found.append(
            f"{name}: t_mix {measured.t_mix:g} (the paper's figure: {t_mix}), half of the signals are lost at layer {measured.t50:.2f}."
        )
    for rounding in config.roundings:
        found += sweep_words(config, results, rounding)
    meshes = ", ".join(
        f"{mesh:g}: {summary(exact).ratio:.3f}" for mesh, exact in exact_curves(config).items()
    )
    found.append(
        f"And with the precision, at width 1 (exact): window over its centre at rho {meshes}."
    )
    if config.relu_widths:
        relus = {width: summary(curve(results[f"relu-w{width}"])) for width in config.relu_widths}
        told = ", ".join(f"{width}: {one.ratio:.2f}" for width, one in relus.items())
        found.append(
            f"ReLU has a cut-off too, once it is wide (the paper looked at widths 1 and 2, where signals die by sign): window over its centre at width {told}."
        )
    found += [
        *underflow_words(config, results),
        *gain_words(config, results),
        *ordered_words(config, results),
    ]
    return [*found, *relaxation_words(config, results), *trained_words(config, results)]


def sweep_words(config: Config, results: Results, rounding: str) -> list[str]:
    """How the transition sharpens with the width, measured and predicted."""
    from deepinit.theory.cutoff import summary

    shapes = {
        width: summary(curve(results[sweep_name(rounding, width)])) for width in config.widths
    }
    told = ", ".join(f"{width}: {one.ratio:.3f}" for width, one in shapes.items())
    found = [
        f"The transition sharpens with the width ({rounding}): window over its centre at width {told}."
    ]
    rows = []
    for width, one in shapes.items():
        if width > 1:
            orbit, walk = (
                summary(predicted(results[sweep_name(rounding, width)], route))
                for route in ("orbit", "random_walk")
            )
            rows.append(
                f"{width}: {one.t50:.2f} (orbit {orbit.t50:.2f}, random walk {walk.t50:.2f}), window {one.window:.2f} "
                f"(orbit {orbit.window:.2f}, random walk {walk.window:.2f})"
            )
    if rows:
        found.append(
            f"Half of the signals are lost ({rounding}), by width, at layer {'; '.join(rows)}. The orbit of the mean map with the walk of the length "
            "takes saturation and grid into account; the random walk is the limit of fine grids."
        )
    return found


def underflow_words(config: Config, results: Results) -> list[str]:
    """The layer at which a signal underflows, measured and predicted."""
    from deepinit.theory.cutoff import summary, underflow_layer

    found = []
    for dtype, depth in UNDERFLOW_DEPTHS.items() if config.underflow_widths else ():
        curves, rows = underflow_curves(config, depth, dtype), []
        for width in config.underflow_widths:
            measured = summary(curve(results[f"underflow-{dtype}-w{width}"]))
            least = 2.0**-126 if dtype == "float32" else 2.0**-25
            short = underflow_layer(width, UNIFORM, least)
            row = f"{width}: {measured.t50:.1f} (orbit {summary(curves[width]).t50:.1f}, short formula {short:.1f}"
            if dtype == "float32":
                row += f"; {underflow_layer(width, UNIFORM, least, products=True):.1f} where matrix products underflow too"
            rows.append(row + ")")
        told = (
            "float32, and bfloat16 with the same smallest number" if dtype == "float32" else dtype
        )
        found.append(
            f"Underflow is a cut-off ({told}): half of the signals are exactly 0, by width, at layer {', '.join(rows)}."
        )
    return found


def gain_words(config: Config, results: Results) -> list[str]:
    """Around the critical gain, and what rounding to nearest keeps alive."""
    from deepinit.theory.cutoff import critical_gain, summary

    found = []
    if config.gain_width:
        rows = {ratio: curve(results[f"gain-{ratio:g}"]) for ratio in config.gains}
        told = ", ".join(
            f"{ratio:g}: {half_life(summary(one).t50, len(one))}" for ratio, one in rows.items()
        )
        found.append(
            f"Around the critical gain {critical_gain(config.gain_width):.4f} of width {config.gain_width}, half of the signals are lost, by gain over the "
            f"critical one, at layer {told}: without a drift there is no sharp transition."
        )
    for width in config.metastable_widths:
        one = curve(results[f"metastable-w{width}"])
        found.append(
            f"Rounding to nearest on the grid 1/2 keeps signals of gain 1.15 alive for long at width {width}: half of them are lost at layer "
            f"{half_life(summary(one).t50, len(one))}; the life time grows exponentially with the width."
        )
    return found


def half_life(t50: float, length: int) -> str:
    """A layer, or that it lies beyond the last."""
    return f"beyond {length - 1}" if np.isnan(t50) else f"{t50:.1f}"


def ordered_words(config: Config, results: Results) -> list[str]:
    """How fast two inputs become one."""
    from deepinit.theory.cutoff import ordered_cutoff

    data = results["ordered"].dataset.isel(pair=0)
    span = slice(19, None)
    slope = float(np.polyfit(data["layer"].values[span], data["mean"].values[span], 1)[0])
    law = ordered_cutoff("tanh", 0.81, config.phase_width, 1.0, bias_var=0.09)
    return [
        f"Ordered phase, width {config.phase_width}: ln sin^2 of the angle falls by {-slope:.4f} a layer; {-2 * law.drift:.4f} to first order in "
        f"1/width, {1 / law.depth_scale:.4f} = 1/xi_c at infinite width."
    ]


def relaxation_words(config: Config, results: Results) -> list[str]:
    """How long one input remembers its length, and two inputs each other."""
    from deepinit.theory.cutoff import mean_field_cutoff

    found = []
    one, two = [], []
    for width in config.relaxation_widths:
        law = mean_field_cutoff("tanh", ONE_INPUT, width, mean_square=START)
        one.append(
            f"{width}: {shape_t50(length_shift(results[f'relaxing-w{width}'])):.2f} ({law.t50:.2f})"
        )
        law = mean_field_cutoff("tanh", TWO_INPUTS, width, cosine=float(np.cos(ANGLE_AT_START)))
        two.append(
            f"{width}: {shape_t50(overlap_shift(results[f'chaotic-w{width}'])):.2f} ({law.t50:.2f})"
        )
    if one:
        found.append(
            f"Gain {ONE_INPUT**0.5:g}: an input of mean square {START:g} forgets its length within the fluctuations of width N; total variation 1/2, by "
            f"width, at layer {', '.join(one)}, in brackets from the mean-field map."
        )
        found.append(
            f"Gain {TWO_INPUTS**0.5:g}: two inputs of cosine {np.cos(ANGLE_AT_START):.2f} forget each other; total variation 1/2, by width, at layer "
            f"{', '.join(two)}. Four times the width adds xi_c ln 2 = {law.depth_scale * np.log(2.0):.2f} layers (xi_c = {law.depth_scale:.3f}), while "
            "the window stays: a cut-off, but not a sharp one at any practical width."
        )
    return found


def length_shift(result: CaseResult) -> np.ndarray:
    """[layers]: how far the mean of log |x| is from its last value, in stationary standard deviations."""
    data = result.dataset.isel(pair=0)
    mean, variance = data["mean"].values, data["variance"].values
    return np.abs(mean - mean[-6:].mean()) / np.sqrt(variance[-6:].mean())


def overlap_shift(result: CaseResult) -> np.ndarray:
    """[layers]: the same of the cosine, from how many networks have |cos| above its stationary median m.

    The stationary law is symmetric: m is 0.674 standard deviations, and a normal law that is d of them away has
    P(|cos| > m) = Phi(d - 0.674) + Phi(-d - 0.674), which is solved for d. (Moments would not do: the variance peaks on the way.)
    """
    from scipy.special import ndtr, ndtri

    samples = result.estimate.samples
    assert samples is not None
    squares = -np.expm1(samples[:, :, 0])
    above = np.mean(squares > np.median(squares[:, -10:]), axis=0)
    shifts = np.linspace(0.0, 5.0, 2001)
    quartile = float(ndtri(0.75))
    return np.interp(above, ndtr(shifts - quartile) + ndtr(-shifts - quartile), shifts)


def shape_t50(shift: np.ndarray) -> float:
    """Where normal laws this many standard deviations apart have total variation 1/2: at 1.349, between layers by logarithms.

    No histogram, whose total variation is biased (up by noise, down by few bins).
    """
    from scipy.special import ndtri

    level = 2.0 * float(ndtri(0.75))
    after = int(np.flatnonzero(shift < level)[0])
    if after == 0:
        return float("nan")
    before, here = np.log(shift[after - 1] / level), np.log(level / max(shift[after], 1e-3))
    return after + float(before / (before + here))


def trained_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Accuracy by depth, for both optimizers and both variances of the weights."""
    found = []
    for start, law, depths in (
        ("", "1 / (3 N)", config.trained_depths),
        ("glorot-", "1 / N", config.glorot_depths),
    ):
        for name in ("sgd", "adam") if depths else ():
            ends = {
                depth: results[f"trained-{start}{name}-{depth}"].dataset.isel(step=-1, pair=0)
                for depth in depths
            }
            told = ", ".join(f"{depth}: {float(end['mean']):.2f}" for depth, end in ends.items())
            found.append(
                f"Trained by {name} on two circles, width N = 32, weights of variance {law}, accuracy at depth {told}."
            )
    return found
