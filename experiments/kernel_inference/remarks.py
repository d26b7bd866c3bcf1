"""What the results of the experiment on inference say, in words."""

from collections.abc import Mapping

import numpy as np

import deepinit as di
from deepinit.runs.experiment import CaseResult

from .cases import Config
from .data import affine_accuracies, calibration, expressivity, standard_error
from .evidence import (
    NETWORK_NOISE,
    OPTIMA,
    PAPER_DEFAULT,
    PAPER_OPTIMUM,
    default_37,
    evidence,
    network_evidence,
    sample_37,
)
from .trained_networks import trained_words

Results = Mapping[str, CaseResult]
PAPER_ACCURACY, PAPER_LIMIT_DEFAULT, PAPER_LIMIT_OPTIMUM = (
    "85.36 % from 20 000 images",
    3.251,
    0.649,
)


def remarks(config: Config, results: Results) -> list[str]:
    """Accuracies, expressivity, evidence, intervals, finite width."""
    return [
        accuracy_words(config),
        *expressivity_words(config),
        *evidence_words(config),
        *calibration_words(config),
        *readout_words(results),
        *trained_words(config, results),
    ]


def accuracy_words(config: Config) -> str:
    """Kernel regression of the completed ResNet."""
    found = affine_accuracies(config)
    sizes = ", ".join(
        f"{num}: " + " and ".join(f"{100 * found[kernel][k]:.1f} % ({kernel})" for kernel in found)
        for k, num in enumerate(config.train_sizes)
    )
    error = 100 * standard_error(float(found["NNGP"][-1]), config.num_test)
    return (
        f"Regression with the double-limit kernels of the completed tanh ResNet, which are affine, by number of training images: {sizes}; "
        f"each to {error:.1f} % ({config.num_test} test images). The paper has {PAPER_ACCURACY}. Both kernels tend to least squares with intercept as "
        f"the noise vanishes; they differ by the ratio of slope variance to noise."
    )


def expressivity_words(config: Config) -> list[str]:
    """Kernel by kernel: share of the norm, and accuracy."""
    found = []
    for name, one in expressivity(config).items():
        gain = 100 * (one.whole[-1] - one.affine[-1])
        found.append(
            f"{name}: {100 * one.share:.3f} % of the squared norm is affine in the inner product ({100 * one.centred_share:.2f} % with "
            f"means taken off); accuracy {100 * one.whole[-1]:.1f} % from {config.kernel_sizes[-1]} images, {100 * one.affine[-1]:.1f} % by its "
            f"affine part alone ({gain:+.1f})."
        )
    found.append(
        "Limited expressivity belongs to psi = id and phi''(0) = 0: a nonlinear psi, or an MLP, gains accuracy from a small "
        "share of the norm, since regression divides by the eigenvalues."
    )
    return found


def evidence_words(config: Config) -> list[str]:
    """Negative log marginal likelihood per image."""
    found = []
    for noise, one in evidence(config).items():
        told = "noise optimized" if noise == "free" else f"noise variance {noise}"
        default, optimum = (f"{np.mean(values):.3f}({_digits(values)})" for values in one)
        span = f"{np.min(one.optimum):.2f} to {np.max(one.optimum):.2f}"
        found.append(
            f"3 against 7, 100 images, {config.draws} samples, {told}: negative log marginal likelihood per image {default} with all variances 1, "
            f"{optimum} at the optimum ({span} over samples)."
        )
    found += network_evidence_words(config)
    x, y = sample_37(0)
    intercept, slope = default_37()
    other = -di.inference.linear_log_marginal(
        di.inference.spectrum(x, y), intercept, slope - 1.0, 1e-2
    ).value / len(y)
    best = di.inference.empirical_bayes(x, y, noise=1e-2)
    found.append(
        f"The paper's figure has {PAPER_LIMIT_DEFAULT} and {PAPER_LIMIT_OPTIMUM}. Its default is not that of its own eq. (41); with E - 1 in place of E "
        f"in the slopes it would be {other:.2f}."
    )
    found.append(
        f"The likelihood sees two combinations of the three variances: at the optimum of the first sample slope variance {best.slope_var:.3g}, "
        f"intercept variance {best.intercept_var:.2g}{' (the end of the search: 0)' if 'intercept_var' in best.at_bound else ''}; curvatures in the "
        f"logarithms of (sigma_w^2, sigma_b^2, sigma_z^2) {', '.join(f'{value:.2g}' for value in best.curvatures)}; flat along "
        f"({', '.join(f'{value:.3f}' for value in best.flat_direction)}); {best.num_agreeing} of {len(best.starts)} starts agree."
    )
    return found


def network_evidence_words(config: Config) -> list[str]:
    """Finite networks, by size, beside the paper's figure."""
    networks = network_evidence(config)
    if not networks:
        return []

    def told(values: list[np.ndarray]) -> str:
        return ", ".join(f"{np.mean(one):.3g}({_percent(one)} %)" for one in values)

    optima = [
        f"at the optimum of the limit with weight variance {weight:g}: {told([one.optima[k] for one in networks.values()])}"
        for k, weight in enumerate(OPTIMA)
    ]
    return [
        f"Networks of width and depth {', '.join(map(str, networks))}, of which the readout alone is learned, noise variance {NETWORK_NOISE}, mean over "
        f"{config.draws} samples: with all variances 1 {told([one.default for one in networks.values()])}; {'; '.join(optima)}. The paper's figure: "
        f"{_paper_evidence(PAPER_DEFAULT)} with all variances 1, {_paper_evidence(PAPER_OPTIMUM)} at its optimum, whose weight variance it does not say."
    ]


def _percent(values: np.ndarray) -> str:
    """Standard error in percent of the mean."""
    if len(values) < 2:
        return "?"
    return f"{100 * np.std(values, ddof=1) / len(values) ** 0.5 / np.mean(values):.0f}"


def _paper_evidence(values: Mapping[int, float]) -> str:
    return ", ".join(f"{value:g} at {size}" for size, value in values.items())


def calibration_words(config: Config) -> list[str]:
    """Fractions inside the 90 % interval."""
    found = []
    for name, one in calibration(config).items():
        quarters = ", ".join(f"{100 * value:.0f} %" for value in one.by_margin)
        inside = 100 * np.mean(one.by_margin)
        found.append(
            f"{name} ({config.calibration_size} images, noise {one.noise:.2g}): {inside:.1f} % of the one-hot test targets inside the 90 % interval, "
            f"by quartile of the margin, uncertain images first, {quarters}; accuracy {100 * one.accuracy:.1f} %."
        )
    return found


def weakly_trained(results: Results) -> Results:
    """Networks whose readout alone is trained."""
    return {name: result for name, result in results.items() if name.startswith("readout-")}


def readout_words(results: Results) -> list[str]:
    """Bias of networks of finite width against the posterior, times their width."""
    found = []
    for name, result in weakly_trained(results).items():
        data, width = result.dataset, result.case.spec.widths[0]
        limit = data["predicted"].sel(route="infinite_width").values[0]
        bias = width * (data["mean"].values[0] - limit)
        errors = width * data["standard_error"].values[0]
        theory = width * (data["predicted"].sel(route="first_order").values[0] - limit)
        told = ", ".join(
            f"{b:.3f}({e:.3f}), theory {t:.3f}"
            for b, e, t in zip(bias, errors, theory, strict=True)
        )
        found.append(
            f"{name}: width times (mean prediction less the NNGP posterior) at the test points: {told}."
        )
    return found


def _digits(values: np.ndarray) -> str:
    """Standard error in units of the third decimal."""
    if len(values) < 2:
        return "?"
    return f"{1000 * np.std(values, ddof=1) / len(values) ** 0.5:.0f}"
