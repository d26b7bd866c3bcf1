"""Paths of the limiting diffusion of a residual network: `key -> states at requested times`, a function to be mapped over keys."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.checks import real_numbers
from deepinit.core.errors import SpecError, refusal
from deepinit.core.inputs import Inputs
from deepinit.core.inputs import points as as_points
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.diffusions.equation import Form, check_shallow, drift_and_noise
from deepinit.diffusions.steps import Brownian, Grid, euler, grid_of
from deepinit.networks.forward import linear, random_layer
from deepinit.networks.layers import embedding_layer, end_keys
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import points_alone


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

    Returns:
        `key -> Paths`. Paths that leave the floats are reported, never hidden: with phi''(0) not 0 and psi linear the diffusion explodes
        with positive probability, and almost surely (as the width grows) beyond the explosion time of the double limit.

    Raises:
        SpecError: as `drift_and_noise`; inputs of another width; times off the grid.

    Valid for: strong order 1/2 in the step, weak order 1.

    Reference: arXiv 2007.03253, section 3; E. Kloeden & P. Platen, Numerical Solution of SDEs, section 10.2.
    """
    spec, points, grid = prepared(spec, inputs, times, horizon, num_steps)
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
        states, lifetimes = euler(drift, noise, (start, jnp.zeros(len(points), dtype)), equation, grid, key, brownian)
        return Paths(states, lifetimes[-1], ~within_floats(states[-1]))

    return path


def within_floats(x: jax.Array) -> jax.Array:
    """[num_inputs] bool."""
    return jnp.all(jnp.isfinite(x), axis=-1)


def check_brownian(brownian: Any, grid: Grid) -> None:
    """Refuses an unknown way of drawing Brownian motions, and a tree whose branching points are no steps of the grid."""
    if brownian not in ("layers", "tree"):
        raise SpecError(refusal(f"brownian={brownian!r}", "layers, tree", "Leave it out for independent steps."))
    if brownian == "tree" and grid.num_steps & (grid.num_steps - 1):
        raise SpecError(
            refusal(
                f"brownian='tree' with {grid.num_steps} steps",
                "powers of 2: the tree halves intervals, and only its own points are those of every finer grid",
                f"Take num_steps={1 << grid.num_steps.bit_length()}.",
            )
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
        inputs = as_points(real_numbers(inputs) if real_numbers(inputs) is not None else inputs)
    return np.concatenate([inputs.points, inputs.partners]) if inputs.num_pairs else inputs.points


def stream_start(spec: ResNet | ConvResNet, points: np.ndarray, key: Any, dtype: Any) -> jax.Array:
    """x at time 0: the inputs, or their embedding by the matrix that the network of this key has."""
    start, embedding = jnp.asarray(points, dtype), embedding_layer(spec)
    if embedding is None:
        return start
    layer_fn = random_layer(explicit, "highest")
    return linear(points_alone(start), end_keys(spec, key)["embedding"], embedding, layer_fn).points
