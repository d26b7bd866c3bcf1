"""`read_layers`: the network of `di.layers` that a user's own network is."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from deepinit.core import validate
from deepinit.core.host import require_unforked
from deepinit.core.layers import Sequential
from deepinit.core.own_models import network_remedy
from deepinit.deferral.program import Equation
from deepinit.networks.network import Network
from deepinit.reading.assembly import assembled
from deepinit.reading.attention import attention
from deepinit.reading.convolutions import conv, flatten, pool
from deepinit.reading.dense import dense, shift
from deepinit.reading.derivatives import check_derivatives
from deepinit.reading.embeddings import embed, positions
from deepinit.reading.functions import function
from deepinit.reading.gates import gate
from deepinit.reading.keys import drawn_keys
from deepinit.reading.laws import Drawn, laws
from deepinit.reading.loops import loop
from deepinit.reading.norms import norm
from deepinit.reading.pieces import Match, Piece, Spot
from deepinit.reading.programs import Traced, layer_name, traced
from deepinit.reading.refusals import listed, name_of, parameters_of, refusal
from deepinit.reading.scope import KEY, OTHER, PARAMETER, Parameter, Scope, scope
from deepinit.reading.sums import residual
from deepinit.reading.uses import check_uses
from deepinit.reading.verification import verify

_ALONE: tuple[Callable[[Spot], Match | None], ...] = (
    *(function, shift, positions, embed, dense, conv, flatten, attention, norm, pool),
)
_INSIDE: tuple[Callable[..., Match | None], ...] = (loop, residual, gate)


def read_layers(network: Network, inputs: Any) -> Sequential:
    """The network of `di.layers` of the same architecture and laws, for `predict` and `infinite`.

    The network is traced, not run by modules: any door (`from_linen`, `from_nnx`, `from_equinox`,
    `from_haiku`, `batch_network`, `Network`). Laws are those of the initializers; with
    `network.with_gaussian_weights()` truncated normal and uniform laws become Gaussian ones of
    their variances, which theory at order 1/width is for. Biases that start at 0 are left out: they
    do not act. Numbers that multiply a linear map are part of its law.

    Args:
        inputs: `Inputs`, or arrays [batch, ...] as the network takes them, for shapes and types.

    Raises:
        SpecError: names the first layer that no layer of `di.layers` is equal to, and why.
    """
    require_unforked()
    remedy = network_remedy(network, "Write di.from_linen(module).")
    validate.instance("network", network, Network, "a Network", remedy)
    return _read(network, traced(network, inputs))


def _read(network: Network, programs: Traced) -> Sequential:
    whole = top_scope(programs)
    (end,) = programs.apply.outputs
    check_uses(whole)
    check_derivatives(programs.closed)
    if not whole.is_stream(end) or not isinstance(end, int):
        raise refusal("the output", "a value that does not depend on the input")
    pieces, _ = read_between(first_spot(whole, programs, network.gaussianize), end)
    used = _parameters_of(whole, end)
    check_keys(programs, {parameter.number for parameter in used})
    layers, sources = assembled(pieces, network.gaussianize)
    if not layers:
        raise refusal("the network", "the identity")
    verify(network, programs, used, layers, sources, reads_tokens(programs))
    return Sequential(*layers)


def first_spot(whole: Scope, programs: Traced, gaussianize: bool) -> Spot:
    """The input."""
    axes = len(whole.entry_shape) - (1 if reads_tokens(programs) else 2)
    return Spot(whole, (whole.entry,), 0, max(0, axes), "", gaussianize)


def top_scope(programs: Traced) -> Scope:
    """The scope of the whole program, with laws of its parameters."""
    names, program = programs.names, programs.apply
    shapes = _parameter_shapes(programs)
    every = zip(names, shapes, laws(programs.init, len(names)), strict=True)
    parameters = {
        program.inputs[number]: Parameter(name, number, shape, law)
        for number, (name, shape, law) in enumerate(every)
    }
    entry, shape = _entry(programs)
    rest = program.inputs[len(names) :]
    others = {number: OTHER for number in rest if number != entry}
    others[program.inputs[len(names) + len(programs.other_names)]] = KEY
    return scope(program, entry, tuple(shape.shape), parameters, others)


def read_between(spot: Spot, end: int) -> tuple[tuple[Piece, ...], int]:
    """Pieces from a spot to a value, and the number of axes of positions there.

    Raises SpecError: a part that no layer is equal to.
    """
    chain = spot.scope.chain(spot.start, end)
    spot = spot._replace(chain=chain, at=0)
    pieces: list[Piece] = []
    while spot.at + 1 < len(chain):
        match = _next(spot)
        pieces += match.pieces
        name = match.pieces[-1].name or spot.before
        spot = spot._replace(at=match.end, positions=match.positions, before=name)
    return tuple(pieces), spot.positions


def _next(spot: Spot) -> Match:
    for recognize in _ALONE:
        found = recognize(spot)
        if found is not None:
            return found
    for inside in _INSIDE:
        found = inside(spot, read_between)
        if found is not None:
            return found
    raise _unread(spot)


def _unread(spot: Spot) -> Exception:
    scope = spot.scope
    equations = scope.between(spot.start, spot.end)
    name = name_of(scope, equations, spot.before)
    marks = frozenset().union(*(scope.marks_of(x) for eq in equations for x in eq.inputs))
    if KEY in marks or _draws(scope, equations):
        remedy = "Turn dropout off (deterministic=True), or use di.layers.Dropout."
        return refusal(name, "random numbers besides the parameters", remedy=remedy)
    if OTHER in marks:
        what = "variables that are no parameters (stored statistics of batch norm, caches)"
        remedy = "di.layers.BatchNorm uses the statistics of the batch (training mode)."
        return refusal(name, what, remedy=remedy)
    vector = _trained_vector(scope, equations)
    if vector is not None:
        return refusal(name, f"a product with the trained vector {vector}")
    what = f"operations that are no layer ({listed(equations)})"
    return refusal(name, what)


def _draws(scope: Scope, equations: tuple[Equation, ...]) -> bool:
    """Whether random numbers are drawn for these equations."""
    pending, seen = [own for equation in equations for own in equation.inputs], set()
    while pending:
        operand = pending.pop()
        if operand in seen or scope.is_stream(operand) or operand not in scope.makers:
            continue
        seen.add(operand)
        equation = scope.makers[operand]  # type: ignore[index]
        if equation.draw is not None or equation.primitive.name.startswith("random_"):
            return True
        pending += equation.inputs
    return False


def _trained_vector(scope: Scope, equations: tuple[Equation, ...]) -> str | None:
    if len(equations) != 1 or equations[0].primitive.name not in ("mul", "div"):
        return None
    for operand in equations[0].inputs:
        if scope.marks_of(operand) == {PARAMETER}:
            return ", ".join(parameters_of(scope, operand))
    return None


def check_keys(programs: Traced, used: set[int]) -> None:
    """SpecError: arrays of one key, which are not independent."""
    found: dict[int, Drawn] = dict(enumerate(laws(programs.init, len(programs.names))))
    draws = {law.draw: number for number, law in found.items() if law.draw and number in used}
    inputs = (jax.random.key(0), *(None for _ in programs.arrays))
    seen: dict[bytes, int] = {}
    owners: dict[tuple[int, ...], int] = {}
    for number in sorted(used):
        draw = found[number].draw
        if draw and draw in owners:
            raise _dependent(programs, owners[draw], number)
        owners[draw] = number
    for draw, keys in drawn_keys(programs.init, inputs).items():
        if draw not in draws:
            continue
        for data in keys:
            other = seen.setdefault(data.tobytes(), draws[draw])
            if other != draws[draw]:
                raise _dependent(programs, other, draws[draw])
        if len(np.unique(keys, axis=0)) != len(keys):
            raise _dependent(programs, draws[draw], draws[draw])


def _dependent(programs: Traced, first: int, second: int) -> Exception:
    names = [programs.names[first], programs.names[second]]
    same = "copies of one array in every block" if first == second else f"drawn as {names[0]}"
    what = f"the parameter {names[1]}, {same}: one key was used twice"
    remedy = "Split the key: jax.random.split."
    return refusal(layer_name(names[1]), what, "independent parameters", remedy)


def reads_tokens(programs: Traced) -> bool:
    """Whether the input is numbers of rows of a table."""
    is_whole = np.dtype(_entry(programs)[1].dtype).kind in "iu"
    names = {equation.primitive.name for equation in programs.apply.equations}
    return is_whole and "gather" in names


def _entry(programs: Traced) -> tuple[int, Any]:
    """The one input that is read, and its shape."""
    numbers = programs.apply.inputs[len(programs.apply.inputs) - len(programs.arrays) :]
    read = {own for equation in programs.apply.equations for own in equation.inputs}
    read |= set(programs.apply.outputs)
    used = [pair for pair in zip(numbers, programs.arrays, strict=True) if pair[0] in read]
    if len(used) != 1:
        given = f"a function of {len(used)} arrays"
        raise refusal("the network", given, "networks of one input")
    return used[0]


def _parameter_shapes(programs: Traced) -> list[tuple[int, ...]]:
    avals = programs.closed.in_avals[: len(programs.names)]
    return [tuple(aval.shape) for aval in avals]


def _parameters_of(whole: Scope, end: int) -> list[Parameter]:
    """Parameters that the output depends on."""
    read = {own for eq in whole.between(whole.entry, end) for own in eq.inputs}
    names = {name for own in read for name in parameters_of(whole, own)}
    return [item for item in whole.parameters.values() if item.name in names]
