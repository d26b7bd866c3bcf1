"""What the experiment on kernels at finite width found, in words, and what must hold of several ensembles together."""

import numpy as np

from deepinit.comparison.compare import with_error
from deepinit.core.results import GATE
from deepinit.runs.experiment import Check

from .analysis import (
    MOST_VARIANCE,
    Cloud,
    Results,
    Slope,
    covariances,
    kernel_cloud,
    kernel_slopes,
    named,
    tangent_cloud,
    tangent_slopes,
)
from .cases import CRITICAL, GAINS, Config

MOST_RATIO = 0.05  # of depth to width, where coefficients of first order are read off
KINDS = {"NNGP kernel": kernel_slopes, "NTK": tangent_slopes}
CLOUDS = {"NNGP kernel": kernel_cloud, "NTK": tangent_cloud}


def checks(config: Config, results: Results) -> list[Check]:
    """Slopes in 1/width of means and variances, and covariances, against first order."""
    found = []
    for kind, slopes in KINDS.items():
        for statistic in ("mean", "variance"):
            fitted = slopes(config, results, statistic)
            for activation in config.activations:
                own = [slope for slope in fitted if slope.activation == activation]
                if own:
                    found.append(slope_check(kind, activation, statistic, own))
    return [*found, covariance_check(results)]


def slope_check(kind: str, activation: str, statistic: str, slopes: list[Slope]) -> Check:
    """Slopes of one activation at every depth against first order; how far slope 0 is."""
    z = {
        route: np.array(
            [
                slope.dataset["slope_z"].sel(route=route).where(slope.dataset["judged"]).values
                for slope in slopes
            ]
        )
        for route in ("first_order", "infinite_width")
    }
    size = np.where(
        np.isnan(z["first_order"]), np.inf, np.abs(z["first_order"])
    )  # a slope that is missing is no agreement
    worst = np.unravel_index(np.argmax(size), size.shape)
    held = bool(size[worst] < GATE)
    data = slopes[worst[0]].dataset.isel(pair=worst[1])
    measured = with_error(float(data["slope"]), float(data["slope_standard_error"]))
    predicted = float(data["predicted_slope"].sel(route="first_order"))
    depths = ", ".join(str(slope.depth) for slope in slopes)
    zero = float(np.max(np.nan_to_num(np.abs(z["infinite_width"]))))
    off = (
        f"is off by up to {zero:.0f} standard errors"
        if zero >= GATE
        else f"(infinite width) needs more networks to be rejected (|z| <= {zero:.1f})"
    )
    return Check(
        f"{kind}, {activation}: slopes of the {statistic} in 1/width at depths {depths} are those of first order "
        f"(|z| <= {size[worst]:.1f}; worst at depth {slopes[worst[0]].depth}, widths {', '.join(map(str, slopes[worst[0]].widths))}: "
        f"{measured} measured, {predicted:.4g} predicted)"
        + ("" if held else ": NOT SO")
        + f"; slope 0 {off}.",
        held,
    )


def covariance_check(results: Results) -> Check:
    """All covariances at one width: first order up to what second order may add, r of the entry's natural size (at tanh less than half of it, measured at
    width 48 with 40 000 networks)."""
    entries = covariances(results)
    spec = results["covariance-kernel"].case.spec
    r = spec.depth / spec.widths[0]
    off, zero = (
        (np.abs(entries.measured - guess) - r * entries.natural) / entries.error
        for guess in (entries.predicted, 0.0)
    )
    held = bool(off.max() < GATE)  # false where one is not a number
    largest = np.max(np.abs(entries.measured - entries.predicted) / entries.natural)
    return Check(
        f"Covariances over tanh networks of width {spec.widths[0]} and depth {spec.depth} between entries of the kernel (G) and the tangent kernel (T) are those of first order within "
        f"its own error: all {len(entries.names)} of them, off by at most {100 * largest:.1f} % of the two standard deviations ({100 * r:.1f} % and {GATE:g} standard errors are allowed); "
        f"0 (infinite width) is rejected in the same way for {np.sum(zero >= GATE)} of them"
        + ("." if held else ": NOT SO."),
        held,
    )


def remarks(config: Config, results: Results) -> list[str]:
    """Growth with depth over width, range of the first order, narrow networks, kurtosis, images."""
    return [
        *growth_words(config, results),
        *range_words(config, results),
        *exact_words(results),
        *image_words(config, results),
        f"Slopes are fitted to widths at which first order predicts a relative variance of the kernel of at most {MOST_VARIANCE:g}, at least three of them.",
    ]


def growth_words(config: Config, results: Results) -> list[str]:
    """Relative variance over depth/width where the ratio is small, measured and first order at the same points; the coefficient of the class."""
    from deepinit.theory.kernel_corrections import criticality_class

    found = []
    for activation in (name for name in config.activations if name in CRITICAL):
        limit = criticality_class(activation, *GAINS[activation])
        for kind, known in (
            ("NNGP kernel", limit.kernel_variance),
            ("NTK", limit.tangent_variance),
        ):
            cloud = CLOUDS[kind](config, results, activation)
            small = cloud.ratio <= max(MOST_RATIO, cloud.ratio.min())
            weight = (cloud.ratio / cloud.error)[small] ** 2
            measured, first = (
                np.sum(weight * column[small] / cloud.ratio[small]) / weight.sum()
                for column in (cloud.value, cloud.first_order)
            )
            # the layers of one width are the same networks: their errors add up, not their squares
            error = float(np.sum(weight * (cloud.error / cloud.ratio)[small]) / weight.sum())
            found.append(
                f"{kind}, {activation} at its critical gain: Var / mean^2 = {with_error(measured, error)} x depth/width over all networks with depth/width <= {MOST_RATIO:g}, "
                f"{first:.3g} by first order; {known:.3g} in the class {limit.name} as depth grows."
            )
    return found


def reach(cloud: Cloud) -> float:
    """The smallest depth/width at which the measured variance differs from first order by 30 %, resolved; NaN if nowhere."""
    off = np.abs(cloud.value / cloud.first_order - 1.0)
    there = (off > 0.3) & (off > 3.0 * cloud.error / cloud.first_order)
    return float(cloud.ratio[there].min()) if there.any() else np.nan


def range_words(config: Config, results: Results) -> list[str]:
    """Where first order stops being good."""
    found = []
    for activation in config.activations:
        told = []
        for kind, cloud_of in CLOUDS.items():
            cloud = cloud_of(config, results, activation)
            at = reach(cloud)
            largest = cloud.ratio.max()
            told.append(
                f"{kind}: from {at:.2g} on"
                if np.isfinite(at)
                else f"{kind}: nowhere up to {largest:.2g}"
            )
        found.append(
            f"First-order variances are off by more than 30 %, {activation}, depth/width {'; '.join(told)}."
        )
    return found


def exact_words(results: Results) -> list[str]:
    """Narrow ReLU networks: exact law against first order."""
    found = []
    for name, what in (("exact-kernel", "kernel"), ("exact-tangent", "tangent kernel")):
        result = results[name]
        exact, first = (
            float(np.asarray(named(result, form).variance)[-1, 0])
            for form in ("exact", "first_order")
        )
        estimate = result.estimate
        measured = with_error(
            float(estimate.variance[-1, 0]), float(estimate.variance_standard_error[-1, 0])
        )
        spec = result.case.spec
        found.append(
            f"ReLU, width {spec.widths[0]}, depth {spec.depth}, one input: variance of the {what} {measured} measured, {exact:.4g} by the exact law, {first:.4g} at first order, 0 at infinite width."
        )
    return found


def image_words(config: Config, results: Results) -> list[str]:
    """Real digits: how far infinite width is, and what first order makes up for."""
    found = []
    for name, result in results.items():
        if name.startswith("images-"):
            data = result.dataset.isel(layer=-1)
            limit = data["predicted"].sel(route="infinite_width").values
            off = (data["mean"].values - limit) / limit
            made_up = (data["predicted"].sel(route="first_order").values - limit) / limit
            spread = np.sqrt(data["variance"].values) / limit
            entry = int(np.argmax(np.abs(off)))
            _, kind, activation = name.split("-")
            found.append(
                f"Digits, {activation}, width {config.image_width}, depth {config.image_depth}, {'NTK' if kind == 'tangent' else 'NNGP kernel'}: the mean is off infinite width by up to "
                f"{100 * off[entry]:+.1f} % (first order {100 * made_up[entry]:+.1f} %), single networks spread by {100 * spread.min():.0f} to {100 * spread.max():.0f} %."
            )
    return found
