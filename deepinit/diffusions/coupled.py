"""Networks and their limiting diffusion on the same noise: how far apart they are at each depth, and the order in 1 / depth.

Network and Euler's method with one step for every block take the same W and b. A block adds phi(h) to the one, a h + (b/2) Var h to the other,
h = W psi(x) + b of order depth^(-1/2). Their difference is (b/2)(h^2 - Var h), centred and of order 1 / depth, plus (c/6) h^3 of order
depth^(-3/2). Over depth blocks independent centred terms add up like the square root of their number: root mean squares of

    order depth^(-1/2) where phi''(0) = b is not 0,    order depth^(-1) where it is 0.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.diffusions.equation import check_shallow, drift_and_noise
from deepinit.diffusions.paths import check_explosion, prepared, stream_start, within_floats
from deepinit.diffusions.steps import euler
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import points_alone

_AT_ONCE = 64  # pairs of paths in one batch


class Coupled(NamedTuple):
    """The streams after the last block, [num_inputs, width] each, from one draw of all weights and biases."""

    network: jax.Array
    diffusion: jax.Array


class CoupledErrors(NamedTuple):
    """Root mean square distances of networks from their diffusion, and how they fall with depth.

    Attributes:
        depths: [num_depths].
        rms: [num_depths, num_inputs], sqrt(E |x_network - x_diffusion|^2 / width) at the last block.
        standard_errors: of rms.
        orders: [num_inputs], p of rms ~ depth^-p, by least squares of logarithms weighted by their errors.
        order_errors: [num_inputs], standard errors of the orders, from the sampling errors alone.
        local_orders: [num_depths - 1, num_inputs], of successive depths.
        local_order_errors: their standard errors.
        num_left: [num_depths], draws in which either left the floats; they are not in the means.
    """

    depths: np.ndarray
    rms: np.ndarray
    standard_errors: np.ndarray
    orders: np.ndarray
    order_errors: np.ndarray
    local_orders: np.ndarray
    local_order_errors: np.ndarray
    num_left: np.ndarray


def coupled_fn(spec: ResNet | ConvResNet, inputs: Inputs | Any, *, dtype: Any = "float32") -> Any:
    """A pure function from a key to the network of that key and its diffusion's path, both driven by the network's own W and b.

    Args:
        spec: shallow blocks, of any law that shrinks with depth; the output layer is left out.
        inputs: as for `path_fn`.
        dtype: of the streams, as for `drift_and_noise`.

    Returns:
        `key -> Coupled`. The network is the one that `di.network(spec).init(key, ...)` draws; the path takes one Euler step for every block.

    Raises:
        SpecError: as `path_fn`, for the horizon 1.

    Reference: arXiv 2007.03253, theorem 5 (convergence in law); the coupling is derived in the module docstring.
    """
    spec, points, grid = prepared(spec, inputs, None, 1.0, None)
    check_explosion(spec, points, grid.horizon, remedy="")
    equation = drift_and_noise(spec, len(points), form="driving", dtype=dtype, brownian=False)

    def coupled(key: Any) -> Coupled:
        rows = points_alone(jnp.asarray(points, dtype))
        _, rows = random_forward(spec, rows, key, lambda state: (), linear_map=explicit)
        start = stream_start(spec, points, key, dtype)
        path = euler(equation.drift, equation.noise, start, equation, grid, key)
        return Coupled(jnp.exp(rows.point_scales)[:, None] * rows.points, path[-1])

    return coupled


def coupled_errors(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Any,
    depths: tuple[int, ...] = (32, 64, 128, 256),
    *,
    num_seeds: int = 256,
    key: int = 0,
    dtype: Any = "float32",
) -> CoupledErrors:
    """The root mean square distance between networks and their limiting diffusion on the same noise, for several depths.

    Args:
        spec: as for `coupled_fn`; its own depth plays no part.
        inputs: as for `path_fn`.
        depths: at least two, increasing.
        num_seeds: networks for every depth, independent between depths.
        key: integer.
        dtype: of the streams, as for `drift_and_noise`. In float32 rounding adds about 1e-7 sqrt(depth): nothing down to distances of 1e-5.

    Returns:
        `CoupledErrors`, float64.

    Raises:
        SpecError: as `coupled_fn`; a linear outer activation, with which the two are one; an input that stays at 0; depths that are not increasing; fewer than two networks.

    Valid for: the order is that of the limit 1 / depth -> 0; at small depth the terms after the first show in `local_orders`, which they change
        by a relative amount of order sigma^2 |psi(x)|^2 / (width depth).

    Reference: derivation in the module docstring.
    """
    check_shallow(spec)
    validate.integer("num_seeds", num_seeds, 2, "256 give errors of a few per cent.")
    validate.integer("key", key, 0, "Leave it out for 0.", most=2**32 - 1)
    phi = spec.activation
    if phi.slopes is not None and phi.slopes[0] == phi.slopes[1]:
        raise SpecError(
            f"coupled_errors of networks with the outer activation {phi}",
            "activations that bend (tanh, erf, silu)",
            "With a linear one network and Euler's method are the same at every depth, up to rounding, and there is no order.",
        )
    numbers = validate.real_numbers(depths)
    if numbers is None or numbers.ndim != 1:
        raise SpecError(
            f"depths={depths!r}", "at least two, increasing", "Write for example (32, 64, 128)."
        )
    for depth in depths:
        validate.integer("depths", depth, 1, "Write for example (32, 64, 128).")
    if len(depths) < 2 or list(depths) != sorted(set(depths)):
        raise SpecError(
            f"depths={depths!r}", "at least two, increasing", "Write for example (32, 64, 128)."
        )
    root = jax.random.key(key, impl="threefry2x32")
    moments = [_square_distances(spec, inputs, depth, num_seeds, root, dtype) for depth in depths]
    means, errors, num_left = (np.array(values) for values in zip(*moments, strict=True))
    rms = np.sqrt(means)
    if not means.all():
        which = int(np.argmin(means.all(axis=0)))
        raise SpecError(
            f"input {which}, at which network and diffusion do not differ at all",
            "inputs and laws that move the stream",
            "An input of zeros without biases stays at 0: leave it out.",
        )
    relative = errors / (2.0 * np.where(means > 0, means, 1.0))  # of rms, by the delta method
    logs, steps = np.log(rms), np.log(np.asarray(depths, np.float64))
    orders, order_errors = _slopes(-logs, relative, steps)
    gaps = np.diff(steps)[:, None]
    local_errors = np.sqrt(relative[1:] ** 2 + relative[:-1] ** 2) / gaps
    return CoupledErrors(
        np.asarray(depths),
        rms,
        relative * rms,
        orders,
        order_errors,
        -np.diff(logs, axis=0) / gaps,
        local_errors,
        num_left,
    )


def _square_distances(
    spec: Any, inputs: Any, depth: int, num_seeds: int, root: Any, dtype: Any
) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean [num_inputs] of |difference|^2 / width over networks, its standard error, and how many left the floats."""
    coupled = coupled_fn(dataclasses.replace(spec, depth=depth), inputs, dtype=dtype)
    of_depth = jax.random.fold_in(root, depth)

    def measured(seed: jax.Array) -> tuple[jax.Array, jax.Array]:
        network, diffusion = coupled(jax.random.fold_in(of_depth, seed))
        fine = jnp.all(within_floats(network) & within_floats(diffusion))
        return jnp.mean((network - diffusion) ** 2, axis=1), fine

    seeds = jnp.arange(num_seeds, dtype=jnp.uint32)
    run = jax.jit(lambda seeds: jax.lax.map(measured, seeds, batch_size=min(_AT_ONCE, num_seeds)))
    squares, fine = (np.asarray(values) for values in run(seeds))
    kept = squares[fine].astype(np.float64)
    if len(kept) < 2:
        raise SpecError(
            f"{len(kept)} of {num_seeds} draws within the floats at depth {depth}",
            "at least two",
            "The diffusion explodes: scale the weights down, or take phi''(0) = 0.",
        )
    return (
        kept.mean(axis=0),
        kept.std(axis=0, ddof=1) / math.sqrt(len(kept)),
        int(num_seeds - len(kept)),
    )


def _slopes(
    logs: np.ndarray, errors: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares of logs [num_depths, num_inputs] against steps, and the standard error of the slope."""
    weights = 1.0 / np.where(errors > 0, errors, 1.0) ** 2
    total = weights.sum(axis=0)
    centred = steps[:, None] - (weights * steps[:, None]).sum(axis=0) / total
    information = (weights * centred**2).sum(axis=0)
    return (weights * centred * logs).sum(axis=0) / information, 1.0 / np.sqrt(information)
