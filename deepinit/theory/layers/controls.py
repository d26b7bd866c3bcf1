"""Control variates of drawn networks: functions of exact mean 0 that follow their fluctuations.

`taylor` expands every layer around infinite width, `fluctuations` gives the noises of a drawn
network's averages, `deviations` how they add up to those of its states. Functions f of a place's
rows are expanded in the state before, and in the noise of the rows' own average where it is drawn.

What remains of f is of order 1/width^(3/2): cubes M M M of one average. Standard errors fall by a
factor in proportion to the width (`benchmarks/controls.py`: about 350 for tanh at width 256). Their
linear part changes derivatives by a share of order 1/width: a fitted weight of the past takes it
away (`ensembles.fitted`).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.containers import kind_name
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.program import Program
from deepinit.theory.layers import deviations
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.fluctuations import Noise, of_function, separated
from deepinit.theory.layers.replay import Entered, Replay, Request
from deepinit.theory.layers.rules_table import apply
from deepinit.theory.layers.state import Settled, State, num_rows, settle
from deepinit.theory.layers.state_vectors import coordinates_of
from deepinit.theory.layers.taylor import Expansions, Taylor
from deepinit.theory.layers.walk import Functions, Path, steps


class Deviation(NamedTuple):
    """Of one network: its state, and `deviations.Deviation` of its coordinates."""

    state: Any
    parts: deviations.Deviation


class Place(NamedTuple):
    """A layer measured as one.

    Attributes:
        requests, after: records that its rule reads, and that functions of the rows after it read.
    """

    layer: Layer
    shape: Shape
    path: str
    requests: tuple[Request, ...]
    after: tuple[Request, ...]


def plan(program: Program, count: int) -> tuple[Place, ...]:
    """The places of a program for `count` rows, and the moments that controls read there.

    Raises:
        SpecError: a layer without a rule, or whose rule refuses, by its path.
    """
    found: list[Place] = []
    state: State = _start_shapes(count)
    for layer, shape, path in steps(program):
        entered = Entered(None, Noise(None, None)) if found and found[-1].after else None
        tape, after = Replay(entered=entered), Replay()
        name = path or kind_name(layer)
        step = functools.partial(_applied, layer, shape, program.depth, name, tape)
        state = jax.eval_shape(step, state)
        jax.eval_shape(functools.partial(_settled, layer, after), state)
        found.append(Place(layer, shape, path, tuple(tape.requests), tuple(after.requests)))
    return tuple(found)


def _start_shapes(count: int) -> Settled:
    number = lambda size: jax.ShapeDtypeStruct((size,), jnp.float64)
    return Settled(number(count * (count + 1) // 2), number(count))


def _applied(
    layer: Layer, shape: Shape, depth: int, path: str, tape: Replay, state: State
) -> State:
    tape.start(state, layer, "in")
    return apply(layer, state, shape, depth, path, tape)


def _settled(layer: Layer, tape: Replay, state: State) -> Settled:
    tape.start(state, layer, "out")
    return settle(state, tape)


def control_variates(
    program: Program,
    found: tuple[Place, ...],
    around: tuple[Expansions, ...],
    functions: Functions,
    records: list[dict[Request, np.ndarray]],
    networks: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Control variates of functions f of every place, and of (f - f*)^2, f* that of infinite width.

    The third are those of f without the noise of the rows' own average.

    Args:
        records: [networks, length] of every place and `Request`, float64.

    Returns:
        [places, networks, m] each.
    """
    deviation = _undisturbed(around[0].state, networks)
    entered: Entered | None = None
    controls = []
    for place, expansions, seen in zip(found, around, records, strict=True):
        own, after = ([seen[request] for request in part] for part in (place.requests, place.after))
        static = place.layer, place.shape, program.depth, Path(place.path or kind_name(place.layer))
        deviation = _advance(*static, deviation, expansions.layer, own, entered)
        *found_here, entered = _control(
            place.layer, functions, deviation, expansions.functions, after
        )
        controls.append(found_here)
    values, squares, pasts = (np.stack(part) for part in zip(*controls, strict=True))
    return values, squares, pasts


@functools.partial(jax.jit, static_argnums=1)
def _undisturbed(state: State, networks: int) -> Deviation:
    start = Deviation(state, deviations.undisturbed(len(coordinates_of(state))))
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (networks, *leaf.shape)), start)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _advance(
    layer: Layer,
    shape: Shape,
    depth: int,
    path: Path,
    deviation: Deviation,
    taylor: Taylor,
    records: list[Any],
    entered: Entered | None,
) -> Deviation:
    """Deviations [networks, ...] after a layer."""

    def one(deviation: Deviation, records: list[Any], entered: Entered | None) -> Deviation:
        tape = Replay(records, entered)
        after = _applied(layer, shape, depth, str(path), tape, deviation.state)
        away = coordinates_of(deviation.state) - taylor.before
        noises = [deviations.alive(away, noise) for noise in tape.drawn]
        away = deviations.limited(away)
        return Deviation(after, deviations.pushed(taylor, deviation.parts, away, noises))

    return jax.vmap(one)(deviation, records, entered)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _control(
    layer: Layer, functions: Functions, deviation: Deviation, taylor: Taylor, records: list[Any]
) -> tuple[Any, Any, Any, Entered | None]:
    """[networks, m] of f, (f - f*)^2 and the past's part of f, and what enters the next layer."""

    def one(deviation: Deviation, records: list[Any]) -> tuple[Any, Any, Any, Entered | None]:
        tape = Replay(records)
        rows = _settled(layer, tape, deviation.state)
        value, square, _ = deviations.image(taylor, deviation.parts)
        square = jnp.diagonal(square)
        if not tape.rows:
            return value, square, value, None
        size = num_rows(rows)
        of_vector = lambda x: functions(matrix_of(x[:-size]), x[-size:])
        fluctuation = separated(tape.rows[0])
        away = coordinates_of(deviation.state) - taylor.before
        noise, within = deviations.alive(away, of_function(of_vector, fluctuation))
        change = jnp.nan_to_num(of_vector(fluctuation.mean) - taylor.after)
        square = square + 2.0 * change * noise + jnp.diagonal(within)
        average = jnp.concatenate([rows.gram, rows.mean])
        return value + noise, square, value, Entered(average, tape.drawn[0])

    return jax.vmap(one)(deviation, records)
