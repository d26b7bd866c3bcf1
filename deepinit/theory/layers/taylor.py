"""Expansions around infinite width, of layers and of functions of the rows after them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.containers import kind_name
from deepinit.core.layers.program import Program
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.flow import derivatives
from deepinit.theory.layers.rules_table import apply
from deepinit.theory.layers.sharing import Depth, bare, filled, run
from deepinit.theory.layers.state import Settled, State, settle
from deepinit.theory.layers.state_vectors import coordinates_of, state_at
from deepinit.theory.layers.tape import Tape
from deepinit.theory.layers.walk import Functions, Path, steps
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
        spec = layer, shape, Depth(program.depth), name, half, bare(state)
        bare_after, (own, leaves) = run(_layer_around, spec, jax.tree.leaves(state))
        after = filled(bare_after, leaves)
        values = run(_functions_around, (functions, half, bare_after), leaves)[1]
        found.append(Expansions(state, own, values))
        state = after
    return tuple(found)


def _layer_around(spec: Any, leaves: Any) -> tuple[State, tuple[Taylor, Any]]:
    layer, shape, depth, path, half, bare_state = spec
    step = lambda state, tape: apply(layer, state, shape, depth.number, str(path), tape)
    state = filled(bare_state, leaves)
    after = step(state, Tape(half))
    return bare(after), (_taylor(step, state, half), jax.tree.leaves(after))


def _functions_around(spec: Any, leaves: Any) -> tuple[None, Taylor]:
    """In the state alone."""
    functions, half, state = spec

    def step(state: State, tape: Tape) -> Any:
        rows = settle(state, tape)
        return functions(matrix_of(rows.gram), rows.mean)

    return None, _taylor(step, filled(state, leaves), half, noisy=False)


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
