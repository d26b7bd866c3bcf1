"""Elementwise functions between layers."""

import dataclasses
import functools
import itertools
import math
from typing import Any

import numpy as np

from deepinit.core.activation import Activation, values
from deepinit.core.activations import from_function
from deepinit.core.builtin_activations import BUILTIN, FAMILIES, elu, leaky_relu
from deepinit.core.errors import SpecError
from deepinit.core.host import on_host
from deepinit.core.layers import Activation as ActivationLayer
from deepinit.deferral.program import Equation
from deepinit.reading.constants import short, uniform_value
from deepinit.reading.laws import affine_of, is_float_conversion
from deepinit.reading.pieces import Factor, Function, Match, Nothing, Spot
from deepinit.reading.refusals import refusal
from deepinit.reading.scope import Scope
from deepinit.reading.steps import ELEMENTWISE, Steps, elementwise, steps

# Where functions are compared: both tails, the middle, near kinks at 0, of no regular spacing.
_POINTS = np.concatenate(
    [
        np.sinh(np.linspace(-3.2, 3.2, 769) + 0.0007),
        np.linspace(-7.0, 7.0, 211) + 0.0031,
        np.array([-1e-3, -1e-5, 1e-5, 1e-3]),
    ]
)
_TOLERANCE = 1e-6  # relative; constants of traced functions are rounded to float32


@dataclasses.dataclass(frozen=True)
class Times:
    """The function x -> number x."""

    number: float

    def __call__(self, x: Any) -> Any:
        """number x."""
        return self.number * x

    def __repr__(self) -> str:
        return f"<{self.number:g} x>"


def function(spot: Spot) -> Match | None:
    """An activation, a factor or nothing: the longest elementwise part."""
    scope, chain, at = spot.scope, spot.chain, spot.at
    ends = [at]
    for before, after in itertools.pairwise(chain[at:]):
        if not _is_elementwise(scope, before, after):
            break
        ends.append(ends[-1] + 1)
    if len(ends) == 1:
        return None
    first = at
    while first < ends[-1] and factor_between(scope, chain[first], chain[first + 1]) is not None:
        first += 1
    is_function = first < ends[-1] and _builtin_between(spot, at, ends[-1]) is not None
    if first > at and not is_function:  # factors before it belong to the linear map before them
        number = _product(spot, at, first)
        name = spot.before or "the input"
        piece = Nothing(name) if number == 1.0 else Factor(name, number)
        return Match((piece,), first, spot.positions)
    last = ends[-1]
    while last > first and factor_between(scope, chain[last - 1], chain[last]) is not None:
        last -= 1
    for end in dict.fromkeys((ends[-1], last)):  # factors after it to the one behind
        known = _builtin_between(spot, at, end)
        if known is not None:
            return Match((Function(str(known), ActivationLayer(known)),), end, spot.positions)
    own = _steps_between(spot, at, ends[-1])
    assert own is not None
    try:
        layer = ActivationLayer(from_function(own))
    except SpecError as error:
        raise refusal(f"the activation after {spot.before}", str(error)) from None
    return Match((Function(str(own), layer),), ends[-1], spot.positions)


def activation_between(scope: Scope, start: int, end: int) -> Activation | None:
    """The elementwise function from one value to another; None if there is none."""
    if not is_elementwise(scope.between(start, end), scope, start):
        return None
    own = steps(scope.makers, (start,), end)
    if own is None:
        return None
    own = elementwise(own)
    return known_activation(own) or from_function(own)


def _is_elementwise(scope: Scope, start: int, end: int) -> bool:
    kind = scope.makers[end].shapes[0].dtype.kind
    return kind == "f" and is_elementwise(scope.between(start, end), scope, start)


def is_elementwise(equations: tuple[Equation, ...], scope: Scope, start: int) -> bool:
    """Whether every operand is a number or has the shape of the first, and floats stay wide."""
    shape = scope.shape(start)
    for equation in equations:
        if equation.primitive.name not in ELEMENTWISE or equation.shapes[0].shape != shape:
            return False
        narrow = equation.primitive.name == "convert_element_type" and not (
            is_float_conversion(equation) or equation.shapes[0].dtype.kind in "biu"
        )
        if narrow:
            return False
        for operand in equation.inputs:
            if scope.is_stream(operand):
                if scope.shape(operand) != shape:  # type: ignore[arg-type]
                    return False
            elif uniform_value(operand) is None:
                return False
    return True


def factor_between(scope: Scope, start: int, end: int) -> float | None:
    """c of an equation c x; 1 of one that changes nothing."""
    equations = scope.between(start, end)
    if len(equations) != 1:
        return None
    (equation,) = equations
    unchanged = equation.primitive.name in ("copy", "copy_p", "optimization_barrier")
    if unchanged or is_float_conversion(equation):
        return 1.0
    affine = affine_of(equation)
    return None if affine is None or affine[2] != 0.0 else affine[1]


def _product(spot: Spot, first: int, last: int) -> float:
    number = 1.0
    for at in range(first, last):
        number *= factor_between(spot.scope, spot.chain[at], spot.chain[at + 1]) or 0.0
    return number


def _builtin_between(spot: Spot, first: int, last: int) -> Activation | None:
    own = _steps_between(spot, first, last)
    return None if own is None else known_activation(own)


def _steps_between(spot: Spot, first: int, last: int) -> Steps | None:
    own = steps(spot.scope.makers, (spot.chain[first],), spot.chain[last])
    return None if own is None else elementwise(own)


@functools.lru_cache(maxsize=256)
def known_activation(own: Steps) -> Activation | None:
    """The built-in of the same values at all points tried; None if there is none."""
    found = on_host(own, _POINTS)
    with_parameters = {family.__name__ for family in FAMILIES}
    for name, make in BUILTIN.items():
        if name not in with_parameters and _agree(found, values(make(), _POINTS)):
            return make()
    left, far = on_host(own, np.array([-1.0, -12.0]))
    families = (leaky_relu, -left), (elu, -far / -math.expm1(-12.0))
    for family, parameter in families:
        if math.isfinite(parameter) and _agree(found, values(family(short(parameter)), _POINTS)):
            return family(short(parameter))
    return None


def _agree(found: np.ndarray, wanted: np.ndarray) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.abs(found - wanted) <= _TOLERANCE * (1e-3 + np.abs(wanted))))
