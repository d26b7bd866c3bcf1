"""Empirical Bayes on 3 against 7: evidence of both limits and of networks with a trained readout.

Figure 8 of the paper. A network of width D is a Bayesian linear model on its last layer X, with
kernel K = X X^T / D of rank D: narrower than the data, it explains the rest by noise alone. The
paper's "sigma_e = .01" is taken as the standard deviation of the noise. The likelihood of the limit
fixes two combinations of three variances: its optimum, a family, is taken at two weight variances,
which finite networks tell apart.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

import deepinit as di
from deepinit.theory import diffusion

from .config import Config
from .data import all_images

NOISES = {"0.01": 1e-2, "0.0001": 1e-4, "free": None}  # variances, of targets -1 and 1
NETWORK_NOISE = "0.0001"
UNIT = di.normal(1.0, "absolute")
OPTIMA = (0.1, 1.0)  # weight variances of the optimum
# the paper's figure, per image: both limits, then networks by D = L
PAPER_LIMIT_DEFAULT, PAPER_LIMIT_OPTIMUM = 3.251, 0.649
PAPER_DEFAULT = {25: 853.0, 50: 376.0, 100: 3.71, 200: 2.91, 300: 3.00}
PAPER_OPTIMUM = {25: 831.0, 50: 368.0, 100: 19.2, 200: 1.07, 300: 0.80}


class Evidence37(NamedTuple):
    """Negative log marginal likelihood per image of both limits, 100 images of 3 and 7, by draw.

    `default`: all variances 1. `optimum`: best intercept and slope at this noise.
    """

    default: np.ndarray
    optimum: np.ndarray


class NetworkEvidence(NamedTuple):
    """Negative log marginal likelihood per image of networks, one per sample.

    `default`: [draws], all variances 1. `optima`: [OPTIMA, draws], best intercept and slope of the
    limit, by weight variance.
    """

    default: np.ndarray
    optima: np.ndarray


@functools.lru_cache(maxsize=2)
def evidence(config: Config) -> dict[str, Evidence37]:
    """Noise variance, or `free` if optimized -> evidence of both limits."""
    rows: dict[str, list] = {name: [] for name in NOISES}
    for draw in range(config.draws):
        x, y = sample_37(draw)
        data = di.inference.spectrum(x, y)
        for name, noise in NOISES.items():
            best = di.inference.empirical_bayes(x, y, noise=noise)
            default = di.inference.linear_log_marginal(data, *default_37(), best.noise)
            rows[name].append((-default.value / len(y), best.negative_per_target))
    return {name: Evidence37(*np.array(values).T) for name, values in rows.items()}


@functools.lru_cache(maxsize=2)
def network_evidence(config: Config) -> dict[int, NetworkEvidence]:
    """Width and depth -> evidence."""
    noise, by_size = NOISES[NETWORK_NOISE], {}
    assert noise is not None
    for size in config.evidence_sizes:
        rows = []
        for draw in range(config.draws):
            x, y = sample_37(draw)
            best = [
                di.inference.empirical_bayes(x, y, noise=noise, weight_var=weight)
                for weight in OPTIMA
            ]
            settings = [
                (1.0, 1.0, 1.0),
                *((one.weight_var, one.bias_var, one.embedding_var) for one in best),
            ]
            kernels = (
                network_kernel(size, variances, x, config.key + draw) for variances in settings
            )
            rows.append(
                [-di.inference.log_marginal(kernel, y, noise) / len(y) for kernel in kernels]
            )
        default, *optima = np.array(rows).T
        by_size[size] = NetworkEvidence(default, np.array(optima))
    return by_size


def network_kernel(
    size: int, variances: tuple[float, float, float], x: np.ndarray, seed: int
) -> np.ndarray:
    """X X^T / size of a random network, D = L = size; variances of weights, biases, embedding."""
    deviations = np.sqrt(variances).astype(np.float32)
    last = np.asarray(_last_layer_fn(size)(deviations, x.astype(np.float32), seed), np.float64)
    return last @ last.T / size


@functools.lru_cache(maxsize=8)
def _last_layer_fn(size: int) -> Any:
    """(deviations [3], x, seed) -> [n, size], compiled once: variances scale the parameters."""
    import jax

    init, apply, *_ = di.network(
        di.ResNet(size, size, block="shallow", bias_law=di.normal(1.0, "depth"), embedding_law=UNIT)
    )

    def last(deviations: Any, x: Any, seed: Any) -> Any:
        weight, bias, start = deviations
        key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), seed)
        embedding, *runs = init(key, x.shape[1])
        inner = [run["inner"] for run in runs]
        scaled = [
            {"inner": {"weights": weight * one["weights"], "biases": bias * one["biases"]}}
            for one in inner
        ]
        return jax.vmap(apply, (None, 0))([{"weights": start * embedding["weights"]}, *scaled], x)

    return jax.jit(last)


def default_37() -> tuple[float, float]:
    """All variances 1."""
    return diffusion.linear_model("tanh", 1.0, 1.0)


def sample_37(draw: int) -> tuple[np.ndarray, np.ndarray]:
    """50 images of each digit, pixels in [-1, 1]; targets -1 for 3 and 1 for 7."""
    images, labels = all_images()
    rng = np.random.default_rng(draw)
    chosen = np.concatenate(
        [rng.choice(np.flatnonzero(labels == digit), 50, replace=False) for digit in (3, 7)]
    )
    return 2.0 * images[chosen] - 1.0, np.where(labels[chosen] == 3, -1.0, 1.0)
