"""Paths of the limiting diffusion of a residual network: `key -> states at requested times`, a function to be mapped over keys."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.explosions import explosion_refusal, explosion_time
from deepinit.core.inputs import Inputs
from deepinit.core.inputs import points as as_points
from deepinit.core.laws import Law
from deepinit.core.patches import neighbours
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.diffusions.equation import Form, check_shallow, drift_and_noise
from deepinit.diffusions.steps import Brownian, Grid, euler, grid_of
from deepinit.networks.forward import linear, random_layer
from deepinit.networks.layers import boundary_keys, embedding_layer
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import points_alone

_COUNTED = " Or write allow_explosion=True, and see how many paths leave: at finite width they explode at random times."


class Paths(NamedTuple):
    """One draw of the noise and what all inputs make of it.

    Attributes:
        states: [num_times, num_inputs, width]; not finite from where a path has left the floats.
        lifetimes: [num_inputs], the time until which the path stayed within the floats, up to a step; the horizon if it never left.
        left: [num_inputs] bool: it left.
    """

    states: jax.Array
    lifetimes: jax.Array
    left: jax.Array


def path_fn(
    spec: ResNet | ConvResNet,
    inputs: Inputs | Any,
    *,
    times: Any = None,
    horizon: float = 1.0,
    num_steps: int | None = None,
    form: Form | None = None,
    brownian: Brownian = "layers",
    dtype: Any = "float32",
    allow_explosion: bool = False,
) -> Callable[[Any], Paths]:
    """A pure function from a key to a path of the limiting diffusion, for jit and vmap (see `drift_and_noise` for the equation).

    Euler's method takes `num_steps` steps: step l is block l of a network of that depth, with phi(h) replaced by its first two orders,
    a h + (b/2) Var h. Its laws have a bias of order horizon / num_steps.

    Args:
        spec: shallow blocks; an embedding is drawn anew by every key, an output layer is not applied.
        inputs: `di.inputs...` (points, then partners), or rows [num_inputs, dimension]; of convolutions, images as rows.
        times: [num_times] recorded, multiples of horizon / num_steps; None takes the horizon alone.
        horizon: T in units in which the laws of the spec are those of one unit of time; 1 is the network's own limit.
        num_steps: L; None takes the spec's depth.
        form: as for `drift_and_noise`.
        brownian: `layers`, the increments of a network of that depth; or `tree`: a virtual Brownian tree, one path for all numbers
            of steps (powers of 2), at about 2 log2(num_steps) times the cost.
        dtype: of the states, as for `drift_and_noise`.
        allow_explosion: go on to a horizon at which the limit of large width has exploded, and count the paths that have left.

    Returns:
        `key -> Paths`. Paths that leave the floats are reported, never hidden. Where psi grows faster than |x|^(1/2) and phi''(0) is not 0,
        or faster than |x|, a path of finite width explodes before the explosion time of large width with positive probability, less and less
        likely as the width grows; after it, ever more likely.

    Raises:
        SpecError: as `drift_and_noise`; inputs of another width; times off the grid; a horizon at or beyond the explosion time of
            an input at large width (laws with independent entries: of correlated ones no time is known).

    Valid for: strong order 1/2 in the step, weak order 1.

    Reference: arXiv 2007.03253, section 3; E. Kloeden & P. Platen, Numerical Solution of SDEs, section 10.2.
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

    def path(key: Any) -> Paths:
        start = stream_start(spec, points, key, dtype)
        states, lifetimes = euler(
            drift, noise, (start, jnp.zeros(len(points), dtype)), equation, grid, key, brownian
        )
        return Paths(states, lifetimes[-1], ~within_floats(states[-1]))

    return path


def within_floats(x: jax.Array) -> jax.Array:
    """[num_inputs] bool."""
    return jnp.all(jnp.isfinite(x), axis=-1)


def check_explosion(
    spec: ResNet | ConvResNet,
    points: np.ndarray,
    horizon: float,
    allowed: Any = False,
    remedy: str = _COUNTED,
) -> None:
    """Refuses a horizon at or beyond the explosion time of an input at large width.

    Args:
        spec: of the stream.
        points: [num_inputs, dimension].
        horizon: T.
        allowed: is that what the caller wants?
        remedy: how to go on all the same.
    """
    if not isinstance(allowed, bool):
        raise SpecError(
            f"allow_explosion={allowed!r}", "True, False", "False, the default, refuses."
        )
    if allowed or not (isinstance(spec.weight_law, Law) and isinstance(spec.bias_law, Law | None)):
        return
    images = points.reshape(len(points), spec.positions, -1)
    variances = np.zeros(images.shape[:2])
    if spec.embedding_law is not None:
        variances = spec.embedding_law.entry_variance(images.shape[2], spec.depth) * np.sum(
            images**2, axis=2
        )
        images = np.zeros_like(images[:, :, :1])
    around = np.zeros((1, 1), int)
    if isinstance(spec, ConvResNet):
        around = np.array(neighbours(spec.image_shape, spec.kernel_size, spec.padding))
    bias_var = 0.0 if spec.bias_law is None else spec.bias_law.variance
    for which, (image, variance) in enumerate(zip(images, variances, strict=True)):
        time = explosion_time(
            spec.activation,
            spec.inner_activation,
            image,
            around,
            spec.weight_law.variance,
            bias_var,
            horizon,
            variance,
        )
        if not horizon < time:
            raise explosion_refusal(horizon, time, which, remedy)


def check_brownian(brownian: Any, grid: Grid) -> None:
    """Refuses an unknown way of drawing Brownian motions, and a tree whose branching points are no steps of the grid."""
    if not (isinstance(brownian, str) and brownian in ("layers", "tree")):
        raise SpecError(
            f"brownian={brownian!r}", "layers, tree", "Leave it out for independent steps."
        )
    if brownian == "tree" and grid.num_steps & (grid.num_steps - 1):
        raise SpecError(
            f"brownian='tree' with {grid.num_steps} steps",
            "powers of 2: the tree halves intervals, and only its own points are those of every finer grid",
            f"Take num_steps={1 << grid.num_steps.bit_length()}.",
        )


def prepared(
    spec: Any, inputs: Any, times: Any, horizon: Any, num_steps: Any
) -> tuple[ResNet | ConvResNet, np.ndarray, Grid]:
    """The spec of the stream with one block for every step, the inputs as rows, the grid."""
    check_shallow(spec)
    grid = grid_of(horizon, spec.depth if num_steps is None else num_steps, times)
    points = rows_of(inputs)
    spec.matrix_shapes(points.shape[1])
    stream = dataclasses.replace(spec, depth=grid.num_steps, output_width=None, output_law=None)
    return stream, points, grid


def rows_of(inputs: Any) -> np.ndarray:
    """[num_inputs, dimension]: points, then partners."""
    if not isinstance(inputs, Inputs):
        inputs = as_points(
            validate.real_numbers(inputs) if validate.real_numbers(inputs) is not None else inputs
        )
    return np.concatenate([inputs.points, inputs.partners]) if inputs.num_pairs else inputs.points


def stream_start(spec: ResNet | ConvResNet, points: np.ndarray, key: Any, dtype: Any) -> jax.Array:
    """x at time 0: the inputs, or their embedding by the matrix that the network of this key has."""
    start, embedding = jnp.asarray(points, dtype), embedding_layer(spec)
    if embedding is None:
        return start
    layer_fn = random_layer(explicit, "highest")
    return linear(points_alone(start), boundary_keys(spec, key)["embedding"], embedding, layer_fn).points
