"""The Jacobian of the limiting diffusion and its inverse, driven by the noise of the path.

For g_t = dx_t / dx_0 (fully connected, phi(h) = a h + (b/2) h^2 + ..., ' for psi'):
    dg = dZ g,    dZ = a dW diag(psi'(x)) + (b/2) dV/dx dt
    d g^{-1} = g^{-1} (-dZ + d[Z, Z]),    d[Z, Z]_ij = sum_k d[Z_ik, Z_kj]
    d log |det g| = tr dZ - (1/2) tr d[Z, Z]
Independent entries: dV_o/dx_i = 2 (sigma_w^2 / D) psi(x_i) psi'(x_i) for every o, d[Z, Z] = a^2
(sigma_w^2 / D) diag(psi'^2) dt. The log-determinant of Euler's g has an error of order sqrt(dt);
the sum over d log |det g| is exactly N(-kappa T/2, kappa T) for psi = id, b = 0 at any number of
steps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.inputs import Inputs
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.typing import Array, Bool, Float, KeyLike, Plain, Real
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
    """Paths with their derivatives by the start of the stream.

    Attributes:
        states: [num_times, num_inputs, width].
        forward: [num_times, num_inputs, width, width], g_t = dx_t / dx_0.
        inverse: of g_t, from its own equation: g^{-1} g = 1 up to O(sqrt(dt)).
        log_determinants: [num_times, num_inputs], log |det g_t|, from its own equation.
        left: [num_inputs]: the path is not finite.
    """

    states: Float[jax.Array, "times inputs width"]
    forward: Float[jax.Array, "times inputs width width"]
    inverse: Float[jax.Array, "times inputs width width"]
    log_determinants: Float[jax.Array, "times inputs"]
    left: Bool[jax.Array, "inputs"]

    def between(self, start: int, end: int) -> Float[jax.Array, "inputs width width"]:
        """[num_inputs, width, width]: dx_T / dx_t = g_T g_t^{-1}, t and T by record index."""
        return jnp.matmul(self.forward[end], self.inverse[start], precision="highest")


def jacobian_fn(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Real[Array, "*inputs dimension"] | Plain,
    *,
    times: Real[Array, "times"] | Plain | None = None,
    horizon: float = 1.0,
    num_steps: int | None = None,
    brownian: Brownian = "layers",
    dtype: DTypeLike = "float32",
    allow_explosion: bool = False,
) -> Callable[[KeyLike], Jacobians]:
    """`key -> Jacobians`: a path with its Jacobian and inverse, for fully connected shallow blocks.

    A step costs width^3 per input. The transpose of `between(t, T)` maps a gradient at x_T to x_t.
    Arguments: `path_fn`.

    Raises SpecError: as `path_fn`; convolutions.
    Valid for: psi differentiable except at kinks. Error of g: O(sqrt(dt)) strong, O(dt) weak.
    Reference: arXiv:2007.03253, section 3.2; module docstring.
    """
    spec, points, grid = prepared(spec, inputs, times, horizon, num_steps)
    given, remedy = "the Jacobian of a convolutional diffusion", "Apply jax.jacfwd to path_fn."
    validate.require(not spec.image_shape, given, "fully connected networks (di.ResNet)", remedy)
    check_explosion(spec, points, grid.horizon, allow_explosion)
    check_brownian(brownian, grid)
    equation = drift_and_noise(spec, len(points), form="driving", dtype=dtype)
    psi, slope = spec.inner_activation, equation.taylor.slope
    drift_of_one = lambda x: equation.drift(x[None])[0]

    def squared(x: jax.Array) -> jax.Array:
        square = lambda derivative: slope**2 * equation.weights.squared(derivative)
        return jax.vmap(square)(psi.derivative(x))

    def drift(state: Any) -> Any:
        x, g, inverse, _ = state
        change, square = jax.vmap(jax.jacfwd(drift_of_one))(x), squared(x)
        log_determinant = jnp.trace(change - 0.5 * square, axis1=1, axis2=2)
        changes = _matmul(change, g), _matmul(inverse, square - change)
        return equation.drift(x), *changes, log_determinant

    def noise(state: Any, increment: Any) -> Any:
        x, g, inverse, _ = state
        change = slope * increment.weights * psi.derivative(x)[:, None, :]
        log_determinant = jnp.trace(change, axis1=1, axis2=2)
        changes = _matmul(change, g), -_matmul(inverse, change)
        return equation.noise(x, increment), *changes, log_determinant

    def path(key: jax.Array) -> Jacobians:
        x = stream_start(spec, points, key, dtype)
        one = jnp.broadcast_to(jnp.eye(x.shape[1], dtype=dtype), (*x.shape, x.shape[1]))
        start = x, one, one, jnp.zeros(len(points), dtype)
        states, g, inverse, logs = euler(drift, noise, start, equation, grid, key, brownian)
        return Jacobians(states, g, inverse, logs, ~within_floats(states[-1]))

    return path


def _matmul(first: jax.Array, second: jax.Array) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")
