"""Limits of resnet_diffusion: paths of the equation, coupled networks, recursions, closed forms."""

import functools
from typing import Any, NamedTuple

import numpy as np

import deepinit as di
from deepinit.core.result_views import with_error
from deepinit.runs.experiment import CaseResult, Results

from .analysis import DOUBLE_LIMIT, moment_entries
from .cases import EDGE_OF_CHAOS, EXPLODING, copied, explosion_time, numbers, shallow
from .config import Config

FEW_POINTS = 17  # per side of a map without closed forms
ENTRIES = ("K_W", "K_b", "q_1", "q_2", "lambda_12")  # of a `KERNELS` measurement


class Column(NamedTuple):
    """Means and standard errors of the last layer, by entry."""

    mean: np.ndarray
    error: np.ndarray
    variance: np.ndarray


def last(result: CaseResult) -> Column:
    """The measurement at the last layer."""
    data = result.dataset.isel(layer=-1)
    return Column(*(data[name].values for name in ("mean", "standard_error", "variance")))


def means(result: CaseResult) -> list[str]:
    """Means of the last layer with their standard errors, by entry."""
    column = last(result)
    return list(map(with_error, column.mean, column.error))


def predicted(result: CaseResult, theory: str, what: str = "predicted") -> np.ndarray:
    """The prediction at the last layer."""
    return result.dataset[what].sel(theory=theory).isel(layer=-1).values


def ordered_entries(config: Config) -> tuple[str, ...]:
    """Entries of the case `moments`."""
    return moment_entries(None, copied((0.0, 1.0), 1, ""))


@functools.lru_cache(maxsize=4)
def equation_moments(config: Config) -> Column:
    """Entries of `moments` for paths of the equation, by Euler's method with `size` steps."""
    import jax
    import jax.numpy as jnp

    from deepinit.diffusions.paths import path_fn

    z = jnp.asarray([0.0, 1.0])
    path = path_fn(
        shallow(config.size, config.size), copied((0.0, 1.0), config.size, ""), form="gram"
    )
    root = jax.random.key(config.key + 1, impl="threefry2x32")  # other noise than the networks'

    def value(seed: Any) -> Any:
        x = path(jax.random.fold_in(root, seed)).states[-1, :, 0]
        i, j = np.triu_indices(2)
        return jnp.concatenate([x, (x - z)[i] * (x - z)[j]])

    seeds = jnp.arange(config.num_paths, dtype=jnp.uint32)
    values = np.asarray(
        jax.jit(lambda seeds: jax.lax.map(value, seeds, batch_size=16))(seeds), np.float64
    )
    variance = values.var(axis=0, ddof=1)
    return Column(values.mean(axis=0), np.sqrt(variance / len(values)), variance)


@functools.lru_cache(maxsize=4)
def strong_errors(config: Config) -> dict[str, Any]:
    """Distances between networks and their limit on the same noise, with and without drift."""
    from deepinit.diffusions.coupled import coupled_errors

    inputs = copied((1.0,), 10, "z = 1")
    return {
        name: coupled_errors(
            shallow(10, 64, name),
            inputs,
            config.strong_depths,
            num_seeds=config.strong_networks,
            key=config.key,
        )
        for name in ("tanh", "silu")
    }


def limit_kernels() -> np.ndarray:
    """ENTRIES in the double limit."""
    from deepinit.theory.diffusion import double_limit

    limit = double_limit("tanh", np.outer([1.0, 2.0], [1.0, 2.0]), 1.0, 1.0)
    overlap = limit.overlap
    return np.array(
        [limit.weight_kernel[0, 1], limit.bias_kernel, overlap[0, 0], overlap[1, 1], overlap[0, 1]]
    )


def drawn_quantiles(results: Results, config: Config, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian 5, 50 and 95 % quantiles, of infinite width (mlp) or both limits (resnet)."""
    limit = "infinite_width" if "-mlp-" in name else DOUBLE_LIMIT
    mean, variance = (
        predicted(results[name], limit, what) for what in ("predicted", "predicted_variance")
    )
    reach = 1.6448536269514722 * np.sqrt(variance)
    return numbers(config), np.stack([mean - reach, mean, mean + reach])


@functools.lru_cache(maxsize=4)
def correlations(config: Config) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Correlations of random functions at two inputs: closed forms, recursions (mlp)."""
    from deepinit.infinite_width.recursion import kernel_layers
    from deepinit.theory.diffusion import double_limit

    z = np.linspace(-2.0, 2.0, config.map_points)
    maps = {}
    for activation, name in (("tanh", "residual, tanh"), ("silu", "residual, swish")):
        maps[name] = (z, double_limit(activation, np.outer(z, z), 1.0, 1.0, mean=z).correlation)
    for activation, (weight_var, bias_var) in EDGE_OF_CHAOS.items():
        z = np.linspace(-2.0, 2.0, config.map_points)
        bias_law = di.normal(bias_var, "absolute") if bias_var else None
        spec = di.MLP((2,) * config.map_depth, activation, di.normal(weight_var), bias_law)
        if not spec.activation.is_homogeneous:  # a quadrature for every pair and layer
            z = np.linspace(-2.0, 2.0, min(config.map_points, FEW_POINTS))
        kernel = kernel_layers(spec, np.outer(z, np.ones(2))).nngp[-1]
        deviation = np.sqrt(np.diag(kernel))
        with np.errstate(invalid="ignore", divide="ignore"):
            maps["feed-forward, " + ("ReLU" if activation == "relu" else activation)] = (
                z,
                kernel / np.outer(deviation, deviation),
            )
    return maps


def exploding_limit() -> tuple[np.ndarray, np.ndarray]:
    """(times, ln |x_t| / |x_0|) in the double limit, up to shortly before the explosion."""
    from deepinit.theory.diffusion import double_limit

    times = explosion_time(EXPLODING) * (1.0 - np.geomspace(1.0, 1e-5, 80))[1:]
    square = EXPLODING**2
    ends = [
        double_limit("silu", [[square]], 1.0, 1.0, time, [EXPLODING]).overlap[0, 0]
        for time in times
    ]
    return times, 0.5 * np.log(np.array(ends) / square)
