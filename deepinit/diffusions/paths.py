"""Paths of the limiting diffusion of a residual network."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.explosions import explosion_refusal, explosion_time
from deepinit.core.inputs import Inputs
from deepinit.core.inputs import points as as_points
from deepinit.core.laws import Law
from deepinit.core.layers import Shape
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.typing import Array, Bool, Float, KeyLike, Plain, Real
from deepinit.diffusions.equation import Form, check_shallow, drift_and_noise
from deepinit.diffusions.steps import Brownian, Grid, euler, grid_of
from deepinit.networks.forward import key_parts, random_draw
from deepinit.networks.interpreter import apply
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import points_alone

_COUNTED = " Or write allow_explosion=True and count paths that leave, at random times."


class Paths(NamedTuple):
    """Paths of all inputs for one draw of the noise.

    Attributes:
        states: [num_times, num_inputs, width]; not finite after a path has left the floats.
        lifetimes: [num_inputs], time until the path left, up to a step; else the horizon.
        left: [num_inputs]: the path is not finite.
    """

    states: Float[jax.Array, "times inputs width"]
    lifetimes: Float[jax.Array, "inputs"]
    left: Bool[jax.Array, "inputs"]


def path_fn(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Real[Array, "*inputs dimension"] | Plain,
    *,
    times: Real[Array, "times"] | Plain | None = None,
    horizon: float = 1.0,
    num_steps: int | None = None,
    form: Form | None = None,
    brownian: Brownian = "layers",
    dtype: DTypeLike = "float32",
    allow_explosion: bool = False,
) -> Callable[[KeyLike], Paths]:
    """`key -> Paths` of the limiting diffusion (`drift_and_noise`), by Euler's method.

    Step l is block l of a network of depth `num_steps`, phi(h) replaced by a h + (b/2) Var h.

    Args:
        spec: shallow blocks; each key draws the embedding, an output layer is not applied.
        inputs: `di.inputs...` (points, then partners), or rows [num_inputs, dimension], images too.
        times: multiples of horizon / num_steps; None for the horizon alone.
        horizon: in units of time of the spec's laws; 1 is the network's own limit.
        num_steps: None for the spec's depth.
        form, dtype: as for `drift_and_noise`.
        brownian: `layers`, increments of a network of that depth; `tree`, a virtual Brownian tree:
            one path for all powers of 2 of steps, at about 2 log2(num_steps) times the cost.
        allow_explosion: allow a horizon beyond the explosion time at large width.

    Raises SpecError: as `drift_and_noise`; inputs of another width; times off the grid; a horizon
        at or beyond an explosion time at large width (independent entries only).
    Valid for: strong order 1/2, weak order 1 in the step. If psi grows faster than |x|^(1/2) and
        phi''(0) is not 0, or faster than |x|, paths explode with a positive probability that falls
        with the width before the explosion time of large width, and rises after it.
    Reference: arXiv:2007.03253, section 3; E. Kloeden & P. Platen, Numerical Solution of SDEs,
        section 10.2.
    """
    spec, points, grid = prepared(spec, inputs, times, horizon, num_steps)
    check_explosion(spec, points, grid.horizon, allow_explosion)
    check_brownian(brownian, grid)
    equation = drift_and_noise(spec, len(points), form=form, dtype=dtype)

    def drift(state: Any) -> Any:
        x, _ = state
        return equation.drift(x), within_floats(x).astype(x.dtype)

    def noise(state: Any, increment: Any) -> Any:
        x, lifetimes = state
        return equation.noise(x, increment), jnp.zeros_like(lifetimes)

    def path(key: jax.Array) -> Paths:
        start = stream_start(spec, points, key, dtype), jnp.zeros(len(points), dtype)
        states, lifetimes = euler(drift, noise, start, equation, grid, key, brownian)
        return Paths(states, lifetimes[-1], ~within_floats(states[-1]))

    return path


def within_floats(x: Float[jax.Array, "inputs *shape"]) -> Bool[jax.Array, "inputs"]:
    """[num_inputs] bool: finite states."""
    return jnp.all(jnp.isfinite(x), axis=-1)


def check_explosion(
    spec: ResNet | ConvResNet,
    points: Float[np.ndarray, "inputs dimension"],
    horizon: float,
    allowed: bool = False,
    remedy: str = _COUNTED,
) -> None:
    """Raise SpecError for a horizon at or beyond an explosion time at large width.

    `allowed` skips the check, `remedy` ends the message.
    """
    if validate.flag("allow_explosion", allowed) or not (
        isinstance(spec.weight_law, Law) and isinstance(spec.bias_law, Law | None)
    ):
        return
    images = points.reshape(len(points), spec.positions, -1)
    variances = np.zeros(images.shape[:2])
    if spec.embedding_law is not None:
        variance = spec.embedding_law.entry_variance(images.shape[2], spec.depth)
        variances = variance * np.sum(images**2, axis=2)
        images = np.zeros_like(images[:, :, :1])
    around = np.array(spec.patches)
    weight_var = spec.weight_law.variance
    bias_var = 0.0 if spec.bias_law is None else spec.bias_law.variance
    laws = around, weight_var, bias_var, horizon
    for which, (image, variance) in enumerate(zip(images, variances, strict=True)):
        time = explosion_time(spec.activation, spec.inner_activation, image, *laws, variance)
        if not horizon < time:
            raise explosion_refusal(horizon, time, which, remedy)


def check_brownian(brownian: str, grid: Grid) -> None:
    """Raise SpecError for an unknown kind, or a tree off the grid's points."""
    brownian, num_steps = validate.choice("brownian", brownian, ("layers", "tree")), grid.num_steps
    valid = brownian == "layers" or num_steps & (num_steps - 1) == 0
    remedy = f"Take num_steps={1 << num_steps.bit_length()}."
    validate.require(valid, f"brownian='tree' with {num_steps} steps", "powers of 2", remedy)


def prepared(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Real[Array, "*inputs dimension"] | Plain,
    times: Real[Array, "times"] | Plain | None,
    horizon: float,
    num_steps: int | None,
) -> tuple[ResNet | ConvResNet, np.ndarray, Grid]:
    """The stream's spec with one block per step, the inputs as rows, the grid."""
    check_shallow(spec)
    grid = grid_of(horizon, spec.depth if num_steps is None else num_steps, times)
    points = rows_of(inputs)
    spec.matrix_shapes(points.shape[1])
    stream = dataclasses.replace(spec, depth=grid.num_steps, output_width=None, output_law=None)
    return stream, points, grid


def rows_of(
    inputs: Inputs | Real[Array, "*inputs dimension"] | Plain,
) -> Float[np.ndarray, "inputs dimension"]:
    """[num_inputs, dimension]: points, then partners."""
    if not isinstance(inputs, Inputs):
        rows = validate.real_numbers(inputs)
        inputs = as_points(inputs if rows is None else rows)
    return np.concatenate([inputs.points, inputs.partners]) if inputs.num_pairs else inputs.points


def stream_start(
    spec: ResNet | ConvResNet,
    points: Float[np.ndarray, "inputs dimension"],
    key: KeyLike,
    dtype: DTypeLike,
) -> Float[jax.Array, "inputs width"]:
    """x at time 0: the inputs, or their embedding in the network of this key."""
    start = jnp.asarray(points, dtype)
    net = spec.layers(Shape((), start.shape[1]))
    if net.embedding is None:
        return start
    draw = random_draw(explicit, "highest", net.depth)
    embedding_key, _, _ = key_parts(net, key)
    return apply(net.embedding, points_alone(start), embedding_key, net.shape, draw).rows.points
