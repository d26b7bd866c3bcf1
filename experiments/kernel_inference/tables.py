"""Tables of kernel_inference: accuracies, evidence, intervals, finite networks."""

import numpy as np

import deepinit as di
from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results

from .config import Config
from .data import affine_accuracies, calibration, expressivity, standard_error
from .evidence import (
    NETWORK_NOISE,
    OPTIMA,
    PAPER_DEFAULT,
    PAPER_LIMIT_DEFAULT,
    PAPER_LIMIT_OPTIMUM,
    PAPER_OPTIMUM,
    default_37,
    evidence,
    network_evidence,
    sample_37,
)
from .readout import READOUT, inputs, weakly_trained
from .trained_networks import PAPER, PAPER_CONV, chosen, curve, kernel_rates

PAPER_SIZES = (15, 50, 150, 500)


def tables(config: Config, results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        affine_table(config),
        expressivity_table(config),
        evidence_table(config),
        variance_table(),
        network_table(config),
        calibration_table(config),
        readout_table(results),
        trained_table(config, results),
        against_kernel_table(config, results),
        convolution_table(config, results),
    ]


def percent(rate: float, error: float) -> str:
    """A rate and its standard error in percent."""
    return with_error(100 * float(rate), 100 * float(error))


def mean_of(values: np.ndarray) -> str:
    """The mean of samples with its standard error."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return with_error(float(np.mean(values)), float(error))


def affine_table(config: Config) -> Table:
    """Regression with the affine double-limit kernels of the completed tanh ResNet."""
    rates = affine_accuracies(config)
    rows = [
        [
            num,
            *(percent(r[k], standard_error(float(r[k]), config.num_test)) for r in rates.values()),
        ]
        for k, num in enumerate(config.train_sizes)
    ]
    return Table(
        "Completed tanh ResNet, double limit: test accuracy, %",
        ["training images", *rates],
        rows,
        f"{config.num_test} test images, noise 1 / n. The paper: 85.36 % from 20 000 images.",
    )


def expressivity_table(config: Config) -> Table:
    """Kernels and their affine parts."""
    rows = [
        [
            name,
            100 * one.share,
            100 * one.centred_share,
            100 * float(one.whole[-1]),
            100 * float(one.affine[-1]),
            100 * float(one.whole[-1] - one.affine[-1]),
        ]
        for name, one in expressivity(config).items()
    ]
    return Table(
        f"Kernels and their affine parts, {config.kernel_sizes[-1]} training images",
        ["kernel", "affine share", "centered", "accuracy", "affine part alone", "gain"],
        rows,
        "In %. Shares of the squared norm that is affine in the inner product, and with means "
        "removed.",
    )


def evidence_table(config: Config) -> Table:
    """Evidence of both limits by noise variance."""
    rows = []
    for noise, one in evidence(config).items():
        ends = [float(np.min(one.optimum)), float(np.max(one.optimum))]
        rows.append([noise, mean_of(one.default), mean_of(one.optimum), *ends])
    return Table(
        "3 against 7: negative log marginal likelihood per image, both limits",
        ["noise variance", "all variances 1", "optimum", "least", "largest"],
        rows,
        f"100 images, {config.draws} samples. The paper: {PAPER_LIMIT_DEFAULT} and "
        f"{PAPER_LIMIT_OPTIMUM}.",
    )


def variance_table() -> Table:
    """Empirical Bayes on the first sample: two combinations of three variances."""
    x, y = sample_37(0)
    intercept, slope = default_37()
    model = di.inference.spectrum(x, y), intercept, slope - 1.0, 1e-2
    other = -float(di.inference.linear_log_marginal(*model).value) / len(y)
    best = di.inference.empirical_bayes(x, y, noise=1e-2)
    names = ("sigma_w^2", "sigma_b^2", "sigma_z^2")
    curvatures = zip(range(1, 1 + len(best.curvatures)), best.curvatures, strict=True)
    bound = ", the end of the search" if "intercept_var" in best.at_bound else ""
    rows = [
        ["slope variance at the optimum", f"{best.slope_var:.3g}"],
        [f"intercept variance at the optimum{bound}", f"{best.intercept_var:.2g}"],
        *([f"curvature {k} in the logarithms", f"{value:.2g}"] for k, value in curvatures),
        *(
            [f"flat direction, log {name}", f"{value:.3f}"]
            for name, value in zip(names, best.flat_direction, strict=True)
        ),
        ["agreeing starts", f"{best.num_agreeing} of {len(best.starts)}"],
        ["default with E - 1 in place of E in eq. (41)", f"{other:.2f}"],
    ]
    caption = f"Noise .01. The paper's default, {PAPER_LIMIT_DEFAULT}, differs from its eq. (41)."
    return Table("3 against 7: the likelihood of the first sample", ["", "value"], rows, caption)


def network_table(config: Config) -> Table:
    """Evidence of finite networks with a trained readout, and the paper's figure."""
    rows = [
        [
            size,
            mean_of(one.default),
            *map(mean_of, one.optima),
            PAPER_DEFAULT.get(size),
            PAPER_OPTIMUM.get(size),
        ]
        for size, one in network_evidence(config).items()
    ]
    optima = [f"optimum, weight variance {weight:g}" for weight in OPTIMA]
    return Table(
        "3 against 7: networks with a trained readout",
        ["D = L", "all variances 1", *optima, "paper: all 1", "paper: optimum"],
        rows,
        f"Negative log marginal likelihood per image, noise variance {NETWORK_NOISE}, "
        f"{config.draws} samples. Optima of the limit.",
    )


def calibration_table(config: Config) -> Table:
    """Fractions of test targets inside the 90 % interval."""
    rows = [
        [
            name,
            float(one.noise),
            100 * float(np.mean(one.by_margin)),
            *(100 * float(inside) for inside in one.by_margin),
            100 * one.accuracy,
        ]
        for name, one in calibration(config).items()
    ]
    quarters = ["quarter 1", "quarter 2", "quarter 3", "quarter 4"]
    return Table(
        f"Targets inside the 90 % interval, %, {config.calibration_size} training images",
        ["posterior", "noise", "all", *quarters, "accuracy"],
        rows,
        "Quarters of the test images by margin, uncertain images first.",
    )


def readout_table(results: Results) -> Table:
    """Width times the bias of finite networks against the NNGP posterior."""
    rows, points = [], READOUT.measurement.entries(None, inputs())
    for result in weakly_trained(results).values():
        data, width = result.dataset.isel(layer=0), result.case.spec.widths[0]
        limit = data["predicted"].sel(theory="infinite_width").values
        bias = width * (data["mean"].values - limit)
        error = width * data["standard_error"].values
        first = width * (data["predicted"].sel(theory="first_order").values - limit)
        rows += [
            [width, point, with_error(*one), float(expected)]
            for point, *one, expected in zip(points, bias, error, first, strict=True)
        ]
    return Table(
        "Trained readout: width times (mean prediction - NNGP posterior)",
        ["width", "test point", "measured", "first order"],
        rows,
    )


def trained_rows(config: Config, results: Results, kind: str, paper: dict) -> list[list]:
    """size, optimizer, test accuracy, training accuracy, diverged, the paper's accuracy."""
    convolutions, rows = kind != "trained", []
    for size in config.conv_sizes if convolutions else config.trained_sizes:
        for name, optimizer in chosen(config, convolutions=convolutions).items():
            one = curve(results[f"{kind}-{size}-{name}"])
            rates = dict(zip(PAPER_SIZES, paper.get(name, ()), strict=False))
            reported = 100 * rates[size] if size in rates else None
            accuracy = percent(one.mean[-1], one.error[-1])
            cells = [accuracy, 100 * one.seen, one.diverged, reported]
            rows.append([size, optimizer.name, *cells])
    return rows


TRAINED = ["D = L", "optimizer", "test accuracy", "in training", "diverged", "paper"]


def trained_table(config: Config, results: Results) -> Table:
    """Networks trained in all layers."""
    return Table(
        "Networks trained in all layers: accuracy, %",
        TRAINED,
        trained_rows(config, results, "trained", PAPER),
        f"{config.trained_epochs} epochs, {config.trained_on} images, {config.num_test} test "
        "images, mean square of one-hot targets. The paper: 20 000 images.",
    )


def against_kernel_table(config: Config, results: Results) -> Table:
    """The best size of each optimizer against the tangent kernel of both limits."""
    rows = []
    if config.trained_sizes:
        regression, flow = kernel_rates(config)
        error = standard_error(regression, config.num_test)
        rows = [
            ["tangent kernel, noise 1 / n", percent(regression, error), None, None],
            ["its gradient flow", percent(flow, standard_error(flow, config.num_test)), None, None],
        ]
        for name, optimizer in chosen(config).items():
            cases = (results[f"trained-{size}-{name}"] for size in config.trained_sizes)
            best = max(curve(result).mean[-1] for result in cases)
            differences = [100 * float(best - rate) for rate in (regression, flow)]
            rows.append([optimizer.name, f"{100 * best:.1f}", *differences])
    return Table(
        "Trained networks, best size, against the kernel of both limits: accuracy, %",
        ["", "test accuracy", "less regression", "less gradient flow"],
        rows,
        "Gradient flow for as long as gradient descent. The paper's kernel: 85.4 %.",
    )


def convolution_table(config: Config, results: Results) -> Table:
    """Convolutions and fully connected networks on coarse digits."""
    rows = [
        [label, *row]
        for kind, label, paper in (
            ("conv", "convolutional", PAPER_CONV),
            ("coarse", "fully connected", {}),
        )
        for row in trained_rows(config, results, kind, paper)
    ]
    return Table(
        f"Digits of {config.conv_side} x {config.conv_side} pixels: accuracy, %",
        ["network", *TRAINED],
        rows,
        f"{config.conv_epochs} epochs, {config.trained_on} images.",
    )
