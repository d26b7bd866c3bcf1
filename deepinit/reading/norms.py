"""Normalization layers, recognized by their values.

c = h or h less its mean, y = c / sqrt(mean c^2 + eps): (c / y)^2 - mean c^2 is eps at every entry,
and at every other input.
"""

import functools
import itertools
import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.host import in_float64
from deepinit.core.layers import BatchNorm, GroupNorm, Layer, LayerNorm, RMSNorm
from deepinit.reading.constants import short
from deepinit.reading.pieces import Match, Spot, Whole
from deepinit.reading.refusals import name_of, parameters_of, refusal
from deepinit.reading.scope import INPUT, PARAMETER
from deepinit.reading.steps import ELEMENTWISE, Steps, steps

_PLAIN = ELEMENTWISE | {
    *("reduce_sum", "reduce_max", "reduce_min", "broadcast_in_dim", "reshape", "squeeze"),
    *("expand_dims", "transpose", "dot_general", "slice", "integer_pow", "stop_gradient"),
}
_TOLERANCE = 1e-6
_SCALES = (1e-2, 1.0, 30.0)  # of rows on which norms are compared


class _Kind(NamedTuple):
    """A norm: [batch, positions, groups, neurons] less means, over root mean squares, by axes."""

    layer: Any
    means: tuple[int, ...]
    squares: tuple[int, ...]
    groups: int
    num_parameters: tuple[int, ...]


def norm(spot: Spot) -> Match | None:
    """A norm with its gains and biases.

    Raises SpecError: a norm whose parameters no layer has, or that does not start at 1 and 0.
    """
    for end in reversed(_ends(spot)):
        found = _norm_between(spot, end)
        if found is not None:
            return found
    return None


def _ends(spot: Spot) -> list[int]:
    """Places up to which a norm may go: its sums, and products and sums with parameters."""
    found, at = [], spot.at
    while at + 1 < len(spot.chain):
        equations = spot.scope.between(spot.chain[at], spot.chain[at + 1])
        if any(equation.primitive.name not in _PLAIN for equation in equations):
            break
        if any(_is_kernel(spot, equation) for equation in equations):
            break
        names = {equation.primitive.name for equation in equations}
        reads = any(PARAMETER in spot.scope.marks_of(x) for eq in equations for x in eq.inputs)
        at += 1
        if reads or "reduce_sum" in names or "dot_general" in names or names == {"mul"}:
            found.append(at)
        same = spot.scope.shape(spot.chain[at]) == spot.shape
        if found and not same:
            break
    return [at for at in found if spot.scope.shape(spot.chain[at]) == spot.shape]


def _is_kernel(spot: Spot, equation: Any) -> bool:
    reads = any(PARAMETER in spot.scope.marks_of(x) for x in equation.inputs)
    return equation.primitive.name == "dot_general" and reads


def _norm_between(spot: Spot, end: int) -> Match | None:
    scope, last = spot.scope, spot.chain[end]
    equations = scope.between(spot.start, last)
    if not any(equation.primitive.name in ("reduce_sum", "dot_general") for equation in equations):
        return None
    numbers = _vectors(spot, equations)
    own = None if numbers is None else steps(scope.makers, (spot.start, *numbers), last)
    if own is None or numbers is None:
        return None
    parameters = tuple(scope.parameters[number] for number in numbers)
    name = name_of(scope, equations, spot.before)
    sizes = tuple(parameter.shape for parameter in parameters)
    known = all(parameter.law.name == "constant" for parameter in parameters)
    starts = tuple(parameter.law.mean for parameter in parameters)
    layer = norm_of(own, spot.shape, spot.positions, sizes, starts) if known else None
    if layer is None and parameters:  # of other starting values
        for others in itertools.product((1.0, 0.0), repeat=len(parameters)):
            if isinstance(norm_of(own, spot.shape, spot.positions, sizes, others), Layer):
                names = " and ".join(parameter.name for parameter in parameters)
                starting = "gains that start at 1, biases that start at 0"
                raise refusal(name, f"a norm with other starting values of {names}", starting)
    if isinstance(layer, str):
        raise refusal(name, layer)
    return None if layer is None else Match((Whole(name, layer, None),), end, spot.positions)


def _vectors(spot: Spot, equations: Any) -> tuple[int, ...] | None:
    """Parameters that are read, at most two, with an entry for every neuron; None for others."""
    scope, found = spot.scope, []
    size = math.prod(spot.shape[axis] for axis in spot.neurons)
    for equation in equations:
        for operand in equation.inputs:
            marks = scope.marks_of(operand)
            if not marks or INPUT in marks:
                continue
            if marks != {PARAMETER}:
                return None
            names = parameters_of(scope, operand)
            found += [own for own, item in scope.parameters.items() if item.name in names]
    found = list(dict.fromkeys(found))
    fits = all(math.prod(scope.parameters[number].shape) == size for number in found)
    return tuple(found) if fits and len(found) <= 2 else None


@functools.lru_cache(maxsize=256)
def norm_of(
    own: Steps,
    shape: tuple[int, ...],
    positions: int,
    parameters: tuple[tuple[int, ...], ...],
    starts: tuple[float, ...],
) -> Layer | str | None:
    """The norm that a function of rows and parameters is.

    Args:
        shape: [batch, *positions, *neurons].
        parameters, starts: shapes of gains and biases, and their values at initialization.

    Returns:
        None for other functions; the reason where no layer has these parameters.
    """
    return in_float64(lambda: _norm_of(own, shape, positions, parameters, starts))


def _norm_of(own: Any, shape: Any, positions: int, parameters: Any, starts: Any) -> Any:
    rng = np.random.default_rng(7)
    width = int(np.prod(shape[1 + positions :]))
    rows = rng.standard_normal((shape[0], int(np.prod(shape[1 : 1 + positions])), width)) + 0.3
    initial = [np.full(size, start) for size, start in zip(parameters, starts, strict=True)]
    call = lambda x, values: np.asarray(own(x.reshape(shape), *values)).reshape(rows.shape)
    outputs = [call(scale * rows, initial) for scale in _SCALES]
    for kind in _kinds(shape[0], rows.shape[1], width):
        eps = _eps(kind, [scale * rows for scale in _SCALES], outputs)
        if eps is None:
            continue
        if len(parameters) not in kind.num_parameters:
            have = {0: "no parameters", 1: "one vector of parameters"}.get(len(parameters), "more")
            allowed = " or ".join(map(str, kind.num_parameters))
            return f"a {kind.layer.__name__} with {have}, where the layer has {allowed}"
        general = [0.5 + rng.random(size) for size in parameters]
        wanted = _with_parameters(_normed(kind, rows, eps), general, starts)
        if wanted is None or not _agree(call(rows, general), wanted):
            return f"a {kind.layer.__name__} whose parameters are no gain from 1 and bias from 0"
        gain = bool(parameters)
        if kind.layer is GroupNorm:
            return GroupNorm(kind.groups, eps, gain)
        return kind.layer(eps, gain)
    return None


def _kinds(batch: int, num_positions: int, width: int) -> tuple[_Kind, ...]:
    """Kinds on rows [batch, positions, groups, neurons of a group]."""
    groups = [size for size in range(1, width + 1) if width % size == 0]
    if num_positions == 1:  # one group is LayerNorm; groups of one number are 0
        groups = groups[1:-1]
    return (
        _Kind(RMSNorm, (), (3,), 1, (0, 1)),
        _Kind(LayerNorm, (3,), (3,), 1, (0, 2)),
        *(_Kind(GroupNorm, (1, 3), (1, 3), size, (0, 2)) for size in groups),
        _Kind(BatchNorm, (0, 1), (0, 1), 1, (0, 2)),
    )


def _centred(kind: _Kind, rows: np.ndarray) -> np.ndarray:
    grouped = rows.reshape(*rows.shape[:2], kind.groups, -1)
    return grouped - grouped.mean(axis=kind.means, keepdims=True) if kind.means else grouped


def _mean_squares(kind: _Kind, centred: np.ndarray) -> np.ndarray:
    return (centred**2).mean(axis=kind.squares, keepdims=True)


def _normed(kind: _Kind, rows: np.ndarray, eps: float) -> np.ndarray:
    centred = _centred(kind, rows)
    return (centred / np.sqrt(_mean_squares(kind, centred) + eps)).reshape(rows.shape)


def _eps(kind: _Kind, inputs: list[np.ndarray], outputs: list[np.ndarray]) -> float | None:
    """eps of a norm of this kind; None where there is none."""
    centred = _centred(kind, inputs[0])
    squares, output = _mean_squares(kind, centred), outputs[0].reshape(centred.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (centred / output) ** 2 - squares
    eps = float(np.median(found)) if np.isfinite(found).all() else -1.0
    if eps < -1e-9 * squares.max():
        return None
    eps = 0.0 if eps < 1e-9 * squares.max() else short(eps)
    pairs = zip(inputs, outputs, strict=True)
    return eps if all(_agree(output, _normed(kind, x, eps)) for x, output in pairs) else None


def _with_parameters(normed: np.ndarray, values: Any, starts: Any) -> np.ndarray | None:
    """gain * normed + bias; gains start at 1, or at 0 as 1 + gain if there is no bias."""
    if len(values) == 1 and starts[0] == 0.0:
        return (1 + values[0].ravel()) * normed
    found, kinds = normed, []
    for value, start in sorted(zip(values, starts, strict=True), key=lambda pair: -pair[1]):
        kinds.append(start)
        found = found * value.ravel() if start == 1.0 else found + value.ravel()
    return found if kinds in ([], [1.0], [1.0, 0.0]) else None


def _agree(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool(np.all(np.abs(found - wanted) <= _TOLERANCE * (1 + np.abs(wanted))))
