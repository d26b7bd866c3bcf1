"""Expansions around infinite width, of layers and of functions of the rows after them."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.containers import kind_name
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.program import Program
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.flow import derivatives
from deepinit.theory.layers.rules_table import apply
from deepinit.theory.layers.state import Settled, State, settle
from deepinit.theory.layers.state_vectors import coordinates_of, state_at
from deepinit.theory.layers.tape import Tape
from deepinit.theory.layers.walk import QUICKLY, Functions, Path, places
from deepinit.theory.numerics.entries import entries

CUBIC = 6  # coordinates of states with third order, whose cost is their cube
_STEP = 1e-3  # of differences, in coordinates of order 1


class Taylor(NamedTuple):
    """A map around s*, the state of infinite width.

    Attributes:
        before, after: coordinates of s* [d] and of its image [m].
        first, second: derivatives [m, y] and [m, y, y] in y = (state, noises of averages).
        third: [m, d, y, y], derivatives of the second by the state; None beyond `CUBIC`.
    """

    before: Any
    after: Any
    first: Any
    second: Any
    third: Any


class Expansions(NamedTuple):
    """Of a place's layer, and of functions of the rows after it; `state`: s* before it."""

    state: State
    layer: Taylor
    functions: Taylor


def steps(program: Program) -> Iterator[tuple[Layer, Shape, str]]:
    """Layers that are measured as one, the embedding first, with shapes and paths."""
    if program.embedding is not None:
        yield program.embedding, program.shape, "embedding"
    yield from places(program.body, program.body_shape)


def expand(
    program: Program, functions: Functions, gram: np.ndarray, mean: np.ndarray, half: int
) -> tuple[Expansions, ...]:
    """Expansions of every place.

    Args:
        functions: `(gram [k, k], mean [k]) -> [m]` in JAX.
        gram, mean: [k, k], [k] of the rows of the inputs.
        half: steps of quadratures on [0, 9].
    """
    where = entries(gram.shape[-1])
    state: State = Settled(jnp.asarray(gram[where.rows, where.columns]), jnp.asarray(mean))
    found = []
    for layer, shape, path in steps(program):
        name = Path(path or kind_name(layer))
        own, after = _layer_around(layer, state, shape, program.depth, name, half)
        found.append(Expansions(state, own, _functions_around(functions, after, half)))
        state = after
    return tuple(found)


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4, 5), compiler_options=QUICKLY)
def _layer_around(
    layer: Layer, state: State, shape: Shape, depth: int, path: Path, half: int
) -> tuple[Taylor, State]:
    step = lambda state, tape: apply(layer, state, shape, depth, str(path), tape)
    return _taylor(step, state, half), step(state, Tape(half))


@functools.partial(jax.jit, static_argnums=(0, 2), compiler_options=QUICKLY)
def _functions_around(functions: Functions, state: State, half: int) -> Taylor:
    """In the state alone."""

    def step(state: State, tape: Tape) -> Any:
        rows = settle(state, tape)
        return functions(matrix_of(rows.gram), rows.mean)

    return _taylor(step, state, half, noisy=False)


def _taylor(
    step: Callable[[State, Tape], Any], state: State, half: int, *, noisy: bool = True
) -> Taylor:
    before = coordinates_of(state)

    def around(change: Any) -> tuple[Any, Any, Any]:
        """Image and derivatives at a displaced state."""
        tape, at = Tape(half, relative=True), before + change
        after = coordinates_of(step(state_at(at, state), tape))
        averages = tape.averages if noisy else []

        def of_vector(y: Any) -> Any:
            ends = np.cumsum([len(at), *(len(average.bias) for average in averages)])
            here, *noises = jnp.split(y, ends[:-1])
            own = Tape(half, noises if noisy else None, tape.jets, relative=True)
            return coordinates_of(step(state_at(here, state), own))

        return after, *derivatives(of_vector, at, averages)

    if len(before) > CUBIC:
        return Taylor(before, *around(jnp.zeros_like(before)), None)
    unit = _STEP * jnp.eye(len(before), dtype=before.dtype)
    after, first, second = jax.lax.map(around, jnp.concatenate([0.0 * unit[:1], unit]))
    third = jnp.moveaxis(second[1:] - second[0], 0, 1) / _STEP
    return Taylor(before, after[0], first[0], second[0], third)
