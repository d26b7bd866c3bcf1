"""The Jacobian of the limiting diffusion in its start, and the inverse Jacobian, driven by the same noise as the path.

Of g_t = dx_t / dx_0 (fully connected, phi(h) = a h + (b/2) h^2 + ..., ' for psi'):

    dg = dZ g,    dZ = dJ(x),    J the derivative in x of  a (W psi(x) + b) + (b/2) diag V(x) dt,
    dZ = a dW diag(psi'(x)) + (b/2) dV/dx dt,      of independent entries dV_o/dx_i = 2 (sigma_w^2 / D) psi(x_i) psi'(x_i) for every o
    d g^{-1} = g^{-1} (-dZ + d[Z, Z]),    d[Z, Z]_ij = sum_k d[Z_ik, Z_kj],    of independent entries a^2 (sigma_w^2 / D) diag(psi'^2) dt
    d log |det g| = tr dZ - (1/2) tr d[Z, Z]

The Jacobian between two times is g_T g_t^{-1}. The last line says that the log-determinant of Euler's own g has an error of order
sqrt(dt), which the sum over dlog det avoids: for psi = id and b = 0 that sum is exactly N(-kappa T/2, kappa T), whatever the steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.diffusions.equation import drift_and_noise
from deepinit.diffusions.paths import (
    check_brownian,
    check_explosion,
    prepared,
    stream_start,
    within_floats,
)
from deepinit.diffusions.steps import Brownian, euler


class Jacobians(NamedTuple):
    """Paths with their derivatives in the start of the stream.

    Attributes:
        states: [num_times, num_inputs, width].
        forward: [num_times, num_inputs, width, width], g_t = dx_t / dx_0.
        inverse: [num_times, num_inputs, width, width], of g_t, from its own equation: g^{-1} g = 1 up to O(sqrt(dt)).
        log_determinants: [num_times, num_inputs], log |det g_t|, from its own equation.
        left: [num_inputs] bool: the path has left the floats.
    """

    states: jax.Array
    forward: jax.Array
    inverse: jax.Array
    log_determinants: jax.Array
    left: jax.Array

    def between(self, start: int, end: int) -> jax.Array:
        """[num_inputs, width, width]: dx_T / dx_t = g_T g_t^{-1} for recorded times number `start` (t) and `end` (T)."""
        return jnp.matmul(self.forward[end], self.inverse[start], precision="highest")


def jacobian_fn(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Any,
    *,
    times: Any = None,
    horizon: float = 1.0,
    num_steps: int | None = None,
    brownian: Brownian = "layers",
    dtype: Any = "float32",
    allow_explosion: bool = False,
) -> Callable[[Any], Jacobians]:
    """A pure function from a key to a path with its Jacobian and inverse Jacobian; formulas in the module docstring.

    Args:
        spec: fully connected shallow blocks.
        inputs: as for `path_fn`; all inputs share the noise.
        times: recorded; None takes the horizon alone.
        horizon: T.
        num_steps: None takes the spec's depth.
        brownian: as for `path_fn`.
        dtype: of the states, as for `drift_and_noise`.
        allow_explosion: as for `path_fn`.

    Returns:
        `key -> Jacobians`. The cost of a step is width^3 for every input. A gradient at x_T is carried back to x_t by the transpose of
        `between(t, T)`.

    Raises:
        SpecError: as `path_fn`; convolutions.

    Valid for: psi differentiable but for kinks. Relative to the exact flow the error of g is O(sqrt(dt)) (strong), O(dt) (weak).

    Reference: arXiv 2007.03253, section 3.2; derivation in the module docstring.
    """
    if isinstance(spec, ConvResNet):
        raise SpecError(
            "the Jacobian of a convolutional diffusion",
            "fully connected networks (di.ResNet)",
            "Differentiate path_fn by jax.jacfwd in the inputs of one path instead.",
        )
    spec, points, grid = prepared(spec, inputs, times, horizon, num_steps)
    check_explosion(spec, points, grid.horizon, allow_explosion)
    check_brownian(brownian, grid)
    equation = drift_and_noise(spec, len(points), form="driving", dtype=dtype)
    psi, slope = spec.inner_activation, equation.taylor.slope
    drift_of_one = lambda x: equation.drift(x[None])[0]

    def squared(x: jax.Array) -> jax.Array:
        return jax.vmap(lambda slopes: slope**2 * equation.weights.squared(slopes))(
            psi.derivative(x)
        )

    def drift(state: Any) -> Any:
        x, g, inverse, _ = state
        change, square = jax.vmap(jax.jacfwd(drift_of_one))(x), squared(x)
        log_determinant = jnp.trace(change - 0.5 * square, axis1=1, axis2=2)
        return (
            equation.drift(x),
            _matmul(change, g),
            _matmul(inverse, square - change),
            log_determinant,
        )

    def noise(state: Any, increment: Any) -> Any:
        x, g, inverse, _ = state
        change = slope * increment.weights * psi.derivative(x)[:, None, :]
        log_determinant = jnp.trace(change, axis1=1, axis2=2)
        return (
            equation.noise(x, increment),
            _matmul(change, g),
            -_matmul(inverse, change),
            log_determinant,
        )

    def path(key: Any) -> Jacobians:
        start = stream_start(spec, points, key, dtype)
        one = jnp.broadcast_to(jnp.eye(start.shape[1], dtype=dtype), (*start.shape, start.shape[1]))
        states, g, inverse, log_determinants = euler(
            drift,
            noise,
            (start, one, one, jnp.zeros(len(points), dtype)),
            equation,
            grid,
            key,
            brownian,
        )
        return Jacobians(states, g, inverse, log_determinants, ~within_floats(states[-1]))

    return path


def _matmul(first: jax.Array, second: jax.Array) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")
