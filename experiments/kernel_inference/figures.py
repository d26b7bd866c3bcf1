"""Figures of kernel_inference."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, checks_item, figure_item, plot_item
from deepinit.theory import diffusion

from .config import Config
from .data import LEVELS, affine_accuracies, calibration, expressivity, standard_error
from .evidence import NETWORK_NOISE, OPTIMA, evidence, network_evidence, sample_37
from .readout import READOUT, inputs, weakly_trained
from .trained_figures import trained_items

FACTORS = np.geomspace(1e-2, 1e2, 61)


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Figures of the report, in reading order."""
    caption = "One dot per test point; a cross is beyond the threshold."
    return [
        *accuracy_items(config),
        *evidence_items(config),
        *calibration_items(config),
        readout_item(weakly_trained(results)),
        *trained_items(config, results),
        checks_item(weakly_trained(results), caption=caption, theories=("first_order",)),
    ]


def accuracy_items(config: Config) -> list[FigureItem]:
    """Affine kernels; other kernels and their affine parts."""
    sizes = np.array(config.train_sizes)
    found = affine_accuracies(config)
    points = {name: (sizes, rates, _errors(rates, config)) for name, rates in found.items()}
    affine = di.plots.series(
        points,
        {name: (sizes, rates) for name, rates in found.items()},
        x_label="training images",
        y_label="test accuracy",
        log_x=True,
        title="The completed ResNet's kernels are linear regression",
        note=f"tanh, double limit, noise 1 / n, {config.num_test} test images",
        lines_are="",
    )
    sizes = np.array(config.kernel_sizes)
    kinds = {
        name.removesuffix(", NNGP"): one
        for name, one in expressivity(config).items()
        if name.endswith("NNGP") and "tanh" not in name
    }
    whole = di.plots.series(
        {name: (sizes, one.whole, _errors(one.whole, config)) for name, one in kinds.items()},
        {name: (sizes, one.affine) for name, one in kinds.items()},
        x_label="training images",
        y_label="test accuracy",
        log_x=True,
        title="What a kernel gains by not being affine",
        note=f"NNGP, noise 1 / n, {config.num_test} test images",
        lines_are="affine part alone",
    )
    gain = {}
    for name in kinds:
        pair = [expressivity(config)[f"{name}, {kernel}"] for kernel in ("NNGP", "NTK")]
        gain[name] = (
            np.array([max(1.0 - one.centred_share, 1e-9) for one in pair]),
            np.array([100.0 * (one.whole[-1] - one.affine[-1]) for one in pair]),
        )
    shares = di.plots.series(
        gain,
        x_label="share of the centred kernel's squared norm that is not affine",
        y_label="accuracy gained, percentage points",
        log_x=True,
        title="A small share of the norm carries much accuracy",
        note=f"NNGP and NTK, {config.kernel_sizes[-1]} training images",
    )
    return [
        figure_item(
            "Affine kernels", "Regression in weight space on MNIST digits, one-hot targets.", affine
        ),
        figure_item(
            "Affine part against the whole",
            "Points: the kernel. Lines: its projection on 1 and <x, x'>.",
            whole,
        ),
        figure_item("Shares of the norm", "Two points a network: its NNGP and its NTK.", shares),
    ]


def evidence_items(config: Config) -> list[FigureItem]:
    """The likelihood along each variance, and the samples."""
    x, y = sample_37(0)
    data = di.inference.spectrum(x, y)
    start = np.array([1.0, 1.0, 1.0 / 784])

    def curve(direction: np.ndarray) -> np.ndarray:
        values = []
        for factor in FACTORS:
            weight, bias, embedding = start * factor**direction
            model = diffusion.linear_model("tanh", min(weight, 50.0), bias, embedding_var=embedding)
            values.append(-di.inference.linear_log_marginal(data, *model, 1e-2).value / len(y))
        return np.array(values)

    lines = {
        "bias variance": (FACTORS, curve(np.array([0.0, 1.0, 0.0]))),
        "embedding variance": (FACTORS, curve(np.array([0.0, 0.0, 1.0]))),
        "weight variance": (FACTORS[FACTORS < 20], curve(np.array([1.0, 0.0, 0.0]))[FACTORS < 20]),
        "all three, along the flat family": (
            FACTORS[FACTORS < 20],
            flat_family(data, start, len(y))[FACTORS < 20],
        ),
    }
    drawn = di.plots.series(
        {},
        lines,
        x_label="factor of one variance",
        y_label="negative log marginal likelihood per image",
        log_x=True,
        log_y=True,
        title="Three variances, two directions",
        note="3 against 7; from weight and bias variance 1, embedding 1/784; noise .01",
    )
    found = evidence(config)
    draws = np.arange(1, config.draws + 1)
    samples = di.plots.series(
        {
            "all variances 1": (draws, found["0.01"].default),
            "optimum": (draws, found["0.01"].optimum),
            "optimum, noise free": (draws, found["free"].optimum),
        },
        x_label="sample of 100 images",
        y_label="negative log marginal likelihood per image",
        title="Default and optimum, sample by sample",
        note="3 against 7, noise .01",
    )
    return [
        *network_evidence_items(config),
        figure_item(
            "The likelihood along the variances",
            "The weight variance acts through intercept and slopes. Along the flat family biases "
            "and embedding compensate for it.",
            drawn,
        ),
        figure_item(
            "Empirical Bayes", "The spread over samples exceeds the effect of the noise.", samples
        ),
    ]


def network_evidence_items(config: Config) -> list[FigureItem]:
    """Finite networks and both limits: Figure 8 of the paper."""
    networks, limit = network_evidence(config), evidence(config)[NETWORK_NOISE]
    if not networks:
        return []
    sizes = np.array(list(networks))
    curves = {"all variances 1": [one.default for one in networks.values()]}
    for k, weight in enumerate(OPTIMA):
        curves[f"optimum of the limit, weight variance {weight:g}"] = [
            one.optima[k] for one in networks.values()
        ]
    points = {
        name: (
            sizes * shift,
            np.mean(values, axis=1),
            np.std(values, axis=1, ddof=1) / config.draws**0.5,
        )
        for shift, (name, values) in zip((0.97, 1.0, 1.03), curves.items(), strict=True)
    }
    ends = sizes[[0, -1]]
    lines = {
        "both limits, all variances 1": (ends, np.full(2, limit.default.mean())),
        "both limits, optimum": (ends, np.full(2, limit.optimum.mean())),
    }
    title = "Networks narrower than the data explain them by noise"
    caption = (
        "Points: networks; their likelihood depends on the weight variance. "
        "Lines: both limits, which depend on two combinations of the variances."
    )
    return [
        plot_item(
            title,
            caption,
            di.plots.series,
            points,
            lines,
            x_label="width and depth",
            y_label="- ln p(targets) per image",
            log_x=True,
            log_y=True,
            note=f"100 images of 3 and 7, {config.draws} samples, noise deviation .01, "
            "trained readout",
        )
    ]


def flat_family(data: di.inference.Spectrum, start: np.ndarray, num: int) -> np.ndarray:
    """The likelihood along sigma_w^2 at constant intercept and slopes."""
    target = diffusion.linear_model("tanh", start[0], start[1], embedding_var=start[2])
    values = []
    for factor in FACTORS:
        weight = min(start[0] * factor, 50.0)
        unit = diffusion.linear_model("tanh", weight, 1.0)
        bias, embedding = (
            target.intercept_var / unit.intercept_var,
            target.slope_var / unit.slope_var,
        )
        model = diffusion.linear_model("tanh", weight, bias, embedding_var=embedding)
        values.append(-di.inference.linear_log_marginal(data, *model, 1e-2).value / num)
    return np.array(values)


def calibration_items(config: Config) -> list[FigureItem]:
    """Coverage by level, and by margin."""
    found = calibration(config)
    levels = di.plots.series(
        {name: (LEVELS, one.coverage) for name, one in found.items()},
        {"nominal": (LEVELS, LEVELS)},
        x_label="probability of the interval",
        y_label="fraction of test targets inside",
        title="Intervals of the posterior",
        note=f"one-hot targets, {config.calibration_size} training images",
    )
    margins = di.plots.series(
        {name: (one.margins, one.by_margin) for name, one in found.items()},
        {"nominal": (np.array([0.0, 1.0]), np.array([0.9, 0.9]))},
        x_label="mean margin of a quarter of the images",
        y_label="fraction inside the 90 % interval",
        title="Where the posterior is too sure of itself",
        note="margin: largest output less the second",
    )
    return [
        figure_item(
            "Calibration",
            "Fraction of test targets in the central interval of the posterior with noise.",
            levels,
        ),
        figure_item(
            "Calibration by margin", "Quarters of the test images, in order of the margin.", margins
        ),
    ]


def readout_item(results: Results) -> FigureItem:
    """Bias against the infinite-width posterior, by width."""
    widths = np.array([result.case.spec.widths[0] for result in results.values()])
    rows = [result.dataset for result in results.values()]
    limits = np.array([data["predicted"].sel(theory="infinite_width").values[0] for data in rows])
    bias = np.array([data["mean"].values[0] for data in rows]) - limits
    errors = np.array([data["standard_error"].values[0] for data in rows])
    theory = (
        np.array([data["predicted"].sel(theory="first_order").values[0] for data in rows]) - limits
    )
    names = READOUT.measurement.entries(None, inputs())
    drawn = di.plots.series(
        {name: (widths, np.abs(bias[:, k]), errors[:, k]) for k, name in enumerate(names)},
        {name: (widths, np.abs(theory[:, k])) for k, name in enumerate(names)},
        x_label="width",
        y_label="|mean prediction less NNGP posterior|",
        log_x=True,
        log_y=True,
        title="Finite networks approach the posterior as 1 / width",
        note="erf, one hidden layer, readout trained, noise 0.1",
        lines_are="first order in 1 / width",
    )
    return figure_item("Weakly trained networks", "Six training points; three test points.", drawn)


def _errors(rates: np.ndarray, config: Config) -> np.ndarray:
    return np.array([standard_error(float(rate), config.num_test) for rate in rates])
