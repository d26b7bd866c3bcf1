"""Tables: slopes, growth, range of first order, exact laws, digits."""

import numpy as np

from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results
from deepinit.theory.kernel_corrections import criticality_class

from .analysis import (
    CLOUDS,
    MOST_VARIANCE,
    Cloud,
    covariances,
    largest_deviation,
    named,
    slope_groups,
)
from .cases import CRITICAL, GAINS, Config

MOST_RATIO = 0.05  # of depth to width, for coefficients of first order


def tables(config: Config, results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        slope_table(config, results),
        growth_table(config, results),
        range_table(config, results),
        exact_table(results),
        covariance_table(results),
        image_table(config, results),
    ]


def slope_table(config: Config, results: Results) -> Table:
    """Slopes in 1/width, at the depth and component of the largest deviation."""
    rows = []
    for name, slopes in slope_groups(config, results).items():
        worst = largest_deviation(slopes)
        data = worst.slope.dataset.isel(component=worst.component)
        measured = with_error(float(data["slope"]), float(data["slope_standard_error"]))
        predicted = float(data["predicted_slope"].sel(theory="first_order"))
        truncation = float(data["truncation"].sel(theory="first_order"))
        widths = ", ".join(map(str, worst.slope.widths))
        place = [*name, worst.slope.depth, widths]
        rows.append([*place, measured, truncation, predicted, worst.z, worst.zero_z])
    columns = ["kernel", "activation", "of the", "depth", "widths", "measured", "truncation"]
    return Table(
        "Slopes in 1/width: largest deviation from first order",
        [*columns, "first order", "z", "z of slope 0, largest"],
        rows,
        "Over depths and components. Fitted to three widths or more with a relative variance of at "
        f"most {MOST_VARIANCE:g} by first order. Truncation: change of the slope without the "
        "narrowest width; z beyond it. NNGP kernels with control variates.",
    )


def growth_table(config: Config, results: Results) -> Table:
    """Relative variance over depth/width where the ratio is small."""
    rows = []
    for activation in (name for name in config.activations if name in CRITICAL):
        limit = criticality_class(activation, *GAINS[activation])
        coefficients = {"NNGP kernel": limit.kernel_variance, "NTK": limit.tangent_variance}
        for kind, coefficient in coefficients.items():
            cloud = CLOUDS[kind](config, results, activation)
            small = cloud.ratio <= max(MOST_RATIO, cloud.ratio.min())
            weight = (cloud.ratio / cloud.error)[small] ** 2
            weight /= weight.sum()
            measured, first = (
                float(np.sum(weight * (column / cloud.ratio)[small]))
                for column in (cloud.value, cloud.first_order)
            )
            # the layers of one width are the same networks: errors add, not their squares
            error = float(np.sum(weight * (cloud.error / cloud.ratio)[small]))
            cells = [with_error(measured, error), first, limit.name, float(coefficient)]
            rows.append([kind, activation, *cells])
    return Table(
        "Growth: Var / mean^2 over depth / width",
        ["kernel", "activation", "measured", "first order", "class", "deep limit of the class"],
        rows,
        f"At the critical gain, networks of depth / width <= {MOST_RATIO:g}.",
    )


def reach(cloud: Cloud) -> float:
    """Smallest depth/width at which first order is off by 30 %, resolved; NaN if none."""
    off = np.abs(cloud.value / cloud.first_order - 1.0)
    there = (off > 0.3) & (off > 3.0 * cloud.error / cloud.first_order)
    return float(cloud.ratio[there].min()) if there.any() else np.nan


def range_table(config: Config, results: Results) -> Table:
    """Where first-order variances are off by more than 30 %."""
    rows = []
    for activation in config.activations:
        for kind, cloud_of in CLOUDS.items():
            cloud = cloud_of(config, results, activation)
            rows.append([activation, kind, reach(cloud), float(cloud.ratio.max())])
    return Table(
        "Range of first order: variances off by more than 30 %",
        ["activation", "kernel", "from depth / width", "largest depth / width"],
        rows,
    )


def exact_table(results: Results) -> Table:
    """Narrow ReLU networks: exact law against first order."""
    rows = []
    for name, kind in (("exact-kernel", "NNGP kernel"), ("exact-tangent", "NTK")):
        result = results[name]
        spec, estimate = result.case.spec, result.estimate
        variance, error = estimate.variance[-1, 0], estimate.variance_standard_error[-1, 0]
        exact, first = (
            float(np.asarray(named(result, theory).variance)[-1, 0])
            for theory in ("exact", "first_order")
        )
        measured = with_error(float(variance), float(error))
        rows.append([kind, spec.widths[0], spec.depth, measured, exact, first])
    return Table(
        "Variance of narrow ReLU networks, one input",
        ["kernel", "width", "depth", "measured", "exact", "first order"],
        rows,
    )


def covariance_table(results: Results) -> Table:
    """Covariances between entries of kernel and tangent kernel."""
    entries, spec = covariances(results), results["covariance-kernel"].case.spec
    deviations = 100 * (entries.measured - entries.predicted) / entries.natural
    columns = entries.measured, entries.error, entries.predicted, deviations
    rows = [
        [name, with_error(value, error), predicted, off]
        for name, value, error, predicted, off in zip(entries.names, *columns, strict=True)
    ]
    return Table(
        f"Covariances of kernel (G) and tangent kernel (T), tanh, width {spec.widths[0]}",
        ["entries", "measured", "first order", "difference, % of both deviations"],
        rows,
    )


def image_table(config: Config, results: Results) -> Table:
    """Real digits: deviation from infinite width at the last layer."""
    rows = []
    for name, result in results.items():
        if name.startswith("images-"):
            data = result.dataset.isel(layer=-1)
            limit = data["predicted"].sel(theory="infinite_width").values
            off = 100 * (data["mean"].values - limit) / limit
            first = 100 * (data["predicted"].sel(theory="first_order").values - limit) / limit
            spread = 100 * np.sqrt(data["variance"].values) / limit
            entry = int(np.argmax(np.abs(off)))
            _, kind, activation = name.split("-")
            cells = [off[entry], first[entry], spread.min(), spread.max()]
            rows.append([activation, "NTK" if kind == "tangent" else "NNGP kernel", *cells])
    return Table(
        f"Digits, width {config.image_width}, depth {config.image_depth}",
        ["activation", "kernel", "mean, %", "first order, %", "least sd, %", "largest sd, %"],
        rows,
        "Relative to infinite width; the mean at the component of the largest deviation.",
    )
