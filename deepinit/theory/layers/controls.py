"""Control variates of drawn networks: functions of exact mean 0 that follow their fluctuations.

Around infinite width, with J and H the Jacobian and Hessian of a layer's map in y = (s, M), s the
state and M the averages' noises, a = s - s* that of the drawn network, D an estimate of M M^T:

    x' = J (x, M),
    P  = [[X, a M^T], [M a^T, M M^T - D]],
    X' = J P J^T,
    u' = J u + H : P / 2.

x, u and X have mean 0 for every width, whatever J and H are: M and M M^T - D have, given the past.
f - f* is x + u, and (f - f*)^2 is X, up to third order in the noises and their mean.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.containers import kind_name
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.program import Program
from deepinit.theory.layers.coordinates import coordinates, state_at
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.flow import derivatives
from deepinit.theory.layers.replay import Entered, Noise, Replay, Request
from deepinit.theory.layers.rules_table import apply
from deepinit.theory.layers.state import Settled, State, settle
from deepinit.theory.layers.tape import Tape
from deepinit.theory.layers.walk import QUICKLY, Functions, Path, places
from deepinit.theory.numerics.entries import entries

_FAR = 8.0  # e-folds: rows that are dead, up to rounding, are farther


class Taylor(NamedTuple):
    """A map around infinite width.

    Attributes:
        before, after: coordinates of s* and of its image.
        jacobian, hessian: in y.
        state: s*.
    """

    before: Any
    after: Any
    jacobian: Any
    hessian: Any
    state: Any


class Deviation(NamedTuple):
    """Of one network: a state or functions of it, and the parts of mean 0 (module docstring)."""

    state: Any
    linear: Any
    quadratic: Any
    product: Any


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
    for layer, shape, path in _steps(program):
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


def _steps(program: Program) -> Iterator[tuple[Layer, Shape, str]]:
    if program.embedding is not None:
        yield program.embedding, program.shape, "embedding"
    yield from places(program.body, program.body_shape)


def _applied(
    layer: Layer, shape: Shape, depth: int, path: str, tape: Replay, state: State
) -> State:
    tape.start(state, layer, "in")
    return apply(layer, state, shape, depth, path, tape)


def _settled(layer: Layer, tape: Replay, state: State) -> Settled:
    tape.start(state, layer, "out")
    return settle(state, tape)


class Expansions(NamedTuple):
    """Expansions of a place's layer, and of functions of the rows after it."""

    layer: Taylor
    functions: Taylor


def expand(
    program: Program, functions: Functions, gram: np.ndarray, mean: np.ndarray, half: int
) -> tuple[Expansions, ...]:
    """Expansions of every place around infinite width.

    Args:
        functions: `(gram [k, k], mean [k]) -> [m]` in JAX.
        gram, mean: [k, k], [k] of the rows of the inputs.
        half: steps of quadratures on [0, 9].
    """
    state: State = _start(gram, mean)
    found = []
    for layer, shape, path in _steps(program):
        own, state = _layer_around(
            layer, state, shape, program.depth, Path(path or kind_name(layer)), half
        )
        found.append(Expansions(own, _functions_around(functions, state, half)))
    return tuple(found)


def _start(gram: np.ndarray, mean: np.ndarray) -> Settled:
    where = entries(gram.shape[-1])
    return Settled(jnp.asarray(gram[where.rows, where.columns]), jnp.asarray(mean))


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4, 5), compiler_options=QUICKLY)
def _layer_around(
    layer: Layer, state: State, shape: Shape, depth: int, path: Path, half: int
) -> tuple[Taylor, State]:
    step = lambda state, tape: apply(layer, state, shape, depth, str(path), tape)
    return _taylor(step, state, half)


@functools.partial(jax.jit, static_argnums=(0, 2), compiler_options=QUICKLY)
def _functions_around(functions: Functions, state: State, half: int) -> Taylor:
    return _taylor(lambda state, tape: _values(functions, settle(state, tape)), state, half)[0]


def _values(functions: Functions, rows: Settled) -> Any:
    return functions(matrix_of(rows.gram), rows.mean)


def _taylor(step: Any, state: State, half: int) -> tuple[Taylor, Any]:
    tape = Tape(half, relative=True)
    after = step(state, tape)
    before, like = coordinates(state, state), after

    def of_vector(y: Any) -> Any:
        at, noises = len(before), []
        for average in tape.averages:
            noises.append(y[at : at + len(average.bias)])
            at += len(average.bias)
        own = Tape(half, noises, tape.jets, relative=True)
        return coordinates(step(state_at(y[: len(before)], state), own), like)

    jacobian, hessian = derivatives(of_vector, before, tape.averages)
    return Taylor(before, coordinates(after, after), jacobian, hessian, state), after


def control_variates(
    program: Program,
    found: tuple[Place, ...],
    around: tuple[Expansions, ...],
    functions: Functions,
    records: list[dict[Request, np.ndarray]],
    networks: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Control variates of functions f of every place, and of (f - f*)^2, f* that of infinite width.

    Args:
        records: [networks, length] of every place and `Request`, float64.

    Returns:
        [places, networks, m] each.
    """
    deviation: Deviation = _undisturbed(around[0].layer, networks)
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
    values, squares = (np.stack(part) for part in zip(*controls, strict=True))
    return values, squares


@functools.partial(jax.jit, static_argnums=1)
def _undisturbed(taylor: Taylor, networks: int) -> Deviation:
    size = len(taylor.before)
    zero = jnp.zeros((networks, size))
    many = lambda leaf: jnp.broadcast_to(leaf, (networks, *leaf.shape))
    product = jnp.zeros((networks, size, size))
    return Deviation(jax.tree.map(many, taylor.state), zero, zero, product)


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
        return _pushed(after, deviation, tape.drawn, taylor)

    return jax.vmap(one)(deviation, records, entered)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _control(
    layer: Layer, functions: Functions, deviation: Deviation, taylor: Taylor, records: list[Any]
) -> tuple[Any, Any, Entered | None]:
    """[networks, m] of f and (f - f*)^2, and what enters the next layer."""

    def one(deviation: Deviation, records: list[Any]) -> tuple[Any, Any, Entered | None]:
        tape = Replay(records)
        rows = _settled(layer, tape, deviation.state)
        after = _pushed(None, deviation, tape.drawn, taylor)
        average = jnp.concatenate([rows.gram, rows.mean])
        entered = Entered(average, tape.drawn[0]) if tape.requests else None
        return after.linear + after.quadratic, jnp.diagonal(after.product), entered

    return jax.vmap(one)(deviation, records)


def _pushed(state: Any, deviation: Deviation, drawn: list[Noise], taylor: Taylor) -> Deviation:
    """The deviation after a map (module docstring)."""
    jacobian, hessian = taylor.jacobian, taylor.hessian
    size = len(taylor.before)
    away = coordinates(deviation.state, taylor.state) - taylor.before
    away = jnp.where(jnp.abs(away) < _FAR, away, 0.0)  # also NaN
    noise = jnp.concatenate([jnp.zeros(0), *(each.value for each in drawn)])
    squares = jax.scipy.linalg.block_diag(jnp.zeros((0, 0)), *(each.square for each in drawn))
    crossed = jnp.outer(away, noise)
    within = jnp.outer(noise, noise) - squares
    product = jnp.block([[deviation.product, crossed], [crossed.T, within]])
    quadratic = jacobian[:, :size] @ deviation.quadratic
    return Deviation(
        state,
        jacobian @ jnp.concatenate([deviation.linear, noise]),
        quadratic + 0.5 * jnp.einsum("iab,ab->i", hessian, product),
        jacobian @ product @ jacobian.T,
    )
