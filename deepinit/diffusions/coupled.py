"""Networks and their limiting diffusion on the same noise: distance by depth.

The network and Euler's method with one step per block share W and b. A block adds phi(h) to the
network, a h + (b/2) Var h to the diffusion, h = W psi(x) + b = O(depth^(-1/2)). The difference,
(b/2)(h^2 - Var h), centred, O(1 / depth), plus (c/6) h^3, O(depth^(-3/2)), sums in root mean square
to O(depth^(-1/2)) for phi''(0) = b != 0, O(depth^(-1)) for b = 0.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.typing import Array, Float, Int, KeyLike, Plain, Real
from deepinit.diffusions.equation import check_shallow, drift_and_noise
from deepinit.diffusions.paths import check_explosion, prepared, stream_start, within_floats
from deepinit.diffusions.steps import euler
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import points_alone

_BATCH_SIZE = 64  # pairs of paths


class Coupled(NamedTuple):
    """Streams after the last block, [num_inputs, width] each, from one draw of W and b."""

    network: Float[jax.Array, "inputs width"]
    diffusion: Float[jax.Array, "inputs width"]


class CoupledErrors(NamedTuple):
    """Root mean square distances of networks from their diffusion, and their order in depth.

    Attributes:
        rms, standard_errors: [num_depths, num_inputs], sqrt(E |x_network - x_diffusion|^2 / width),
            last block.
        orders: [num_inputs], p of rms ~ depth^-p, by weighted least squares of logarithms.
        order_errors: from sampling alone.
        local_orders, local_order_errors: [num_depths - 1, num_inputs], of successive depths.
        num_left: [num_depths], excluded draws (not finite).
    """

    depths: Int[np.ndarray, "depths"]
    rms: Float[np.ndarray, "depths inputs"]
    standard_errors: Float[np.ndarray, "depths inputs"]
    orders: Float[np.ndarray, "inputs"]
    order_errors: Float[np.ndarray, "inputs"]
    local_orders: Float[np.ndarray, "pairs inputs"]
    local_order_errors: Float[np.ndarray, "pairs inputs"]
    num_left: Int[np.ndarray, "depths"]


def coupled_fn(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Real[Array, "*inputs dimension"] | Plain,
    *,
    dtype: DTypeLike = "float32",
) -> Callable[[KeyLike], Coupled]:
    """`key -> Coupled`: a network and its diffusion's path on the same W and b.

    The network is `di.network(spec).init(key, ...)`, without output layer, its laws any that shrink
    with depth; the path has one Euler step per block. Arguments and errors: `path_fn`, for the
    horizon 1.
    Reference: arXiv:2007.03253, theorem 5 (convergence in law); coupling: module docstring.
    """
    spec, points, grid = prepared(spec, inputs, None, 1.0, None)
    check_explosion(spec, points, grid.horizon, remedy="")
    equation = drift_and_noise(spec, len(points), form="driving", dtype=dtype, brownian=False)

    def coupled(key: jax.Array) -> Coupled:
        rows = points_alone(jnp.asarray(points, dtype))
        _, rows = random_forward(spec, rows, key, lambda state: (), linear_map=explicit)
        start = stream_start(spec, points, key, dtype)
        path = euler(equation.drift, equation.noise, start, equation, grid, key)
        return Coupled(jnp.exp(rows.point_scales)[:, None] * rows.points, path[-1])

    return coupled


def coupled_errors(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Real[Array, "*inputs dimension"] | Plain,
    depths: tuple[int, ...] = (32, 64, 128, 256),
    *,
    num_seeds: int = 256,
    key: int = 0,
    dtype: DTypeLike = "float32",
) -> CoupledErrors:
    """Root mean square distance of networks from their limiting diffusion on the same noise.

    Args:
        spec, inputs, dtype: as for `coupled_fn`; the spec's depth is ignored. float32 rounding adds
            about 1e-7 sqrt(depth).
        depths: at least two, increasing.
        num_seeds: networks per depth, >= 2, independent between depths.

    Raises SpecError: as `coupled_fn`; a linear outer activation; an input that stays at 0 (distance
        0).
    Valid for: depth -> infinity; `local_orders` deviate by a relative order sigma^2
        |psi(x)|^2 / (width depth).
    """
    check_shallow(spec)
    validate.integer("num_seeds", num_seeds, 2, "256 give errors of a few per cent.")
    validate.integer("key", key, 0, "Leave it out for 0.", most=2**32 - 1)
    phi = spec.activation
    bends = phi.slopes is None or phi.slopes[0] != phi.slopes[1]
    given = f"coupled_errors with the outer activation {phi}, where network and limit coincide"
    validate.require(bends, given, "activations that bend (tanh, erf, silu)")
    remedy = "Write for example (32, 64, 128)."
    numbers = validate.real_numbers(depths)
    is_list = numbers is not None and numbers.ndim == 1
    for depth in depths if is_list else ():
        validate.integer("depths", depth, 1, remedy)
    increasing = is_list and len(depths) >= 2 and list(depths) == sorted(set(depths))
    allowed = "at least two increasing integers >= 1"
    validate.require(increasing, f"depths={depths!r}", allowed, remedy)
    root = jax.random.key(key, impl="threefry2x32")
    moments = [_square_distances(spec, inputs, depth, num_seeds, root, dtype) for depth in depths]
    means, errors, num_left = (np.array(values) for values in zip(*moments, strict=True))
    rms = np.sqrt(means)
    if not means.all():
        given = f"input {int(np.argmin(means.all(axis=0)))}, where network and diffusion coincide"
        raise SpecError(given, "inputs and laws that move the stream", "Leave out zero inputs.")
    relative = errors / (2.0 * np.where(means > 0, means, 1.0))  # of rms, by the delta method
    logs, steps = np.log(rms), np.log(np.asarray(depths, np.float64))
    orders, order_errors = _slope_fit(-logs, relative, steps)
    gaps = np.diff(steps)[:, None]
    local_errors = np.sqrt(relative[1:] ** 2 + relative[:-1] ** 2) / gaps
    local = -np.diff(logs, axis=0) / gaps, local_errors
    depth_array = np.asarray(depths)
    return CoupledErrors(depth_array, rms, relative * rms, orders, order_errors, *local, num_left)


def _square_distances(
    spec: Any, inputs: Any, depth: int, num_seeds: int, root: Any, dtype: Any
) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean of |difference|^2 / width, its standard error, number of excluded draws."""
    coupled = coupled_fn(dataclasses.replace(spec, depth=depth), inputs, dtype=dtype)
    depth_key = jax.random.fold_in(root, depth)

    def measured(seed: jax.Array) -> tuple[jax.Array, jax.Array]:
        network, diffusion = coupled(jax.random.fold_in(depth_key, seed))
        fine = jnp.all(within_floats(network) & within_floats(diffusion))
        return jnp.mean((network - diffusion) ** 2, axis=1), fine

    seeds = jnp.arange(num_seeds, dtype=jnp.uint32)
    run = jax.jit(
        lambda seeds: jax.lax.map(measured, seeds, batch_size=min(_BATCH_SIZE, num_seeds))
    )
    squares, fine = (np.asarray(values) for values in run(seeds))
    finite = squares[fine].astype(np.float64)
    count = len(finite)
    given = f"{count} of {num_seeds} finite draws at depth {depth}, near an explosion"
    validate.require(count >= 2, given, "at least two", "Scale the weights down.")
    errors = finite.std(axis=0, ddof=1) / math.sqrt(count)
    return finite.mean(axis=0), errors, int(num_seeds - count)


def _slope_fit(
    logs: np.ndarray, errors: np.ndarray, steps: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares of logs by steps: slope, standard error."""
    weights = 1.0 / np.where(errors > 0, errors, 1.0) ** 2
    total = weights.sum(axis=0)
    centred = steps[:, None] - (weights * steps[:, None]).sum(axis=0) / total
    information = (weights * centred**2).sum(axis=0)
    return (weights * centred * logs).sum(axis=0) / information, 1.0 / np.sqrt(information)
