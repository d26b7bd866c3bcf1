"""Drawn arrays."""

from typing import Any

from deepinit.deferral.action import orthogonal
from deepinit.deferral.draws import moments
from deepinit.deferral.einsums import broadcast, ein_of
from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Equation
from deepinit.deferral.session import Session, new_base
from deepinit.deferral.values import Gauss, Implicit


def _draw(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """A Gauss; the array itself where that is decided."""
    law, shape = equation.draw, equation.shapes[0]
    assert law is not None
    name = ("draw", session.path, number)
    keys, bounds = values[0], values[1:]
    if name in session.decisions.explicit:
        return bind(equation, values)
    base = new_base(session, name, shape.shape, keys, (number,), shape.dtype)
    if law.law == "orthogonal":
        session.bases[name] = orthogonal(base)
    mean, scale = moments(law, tuple(bounds))
    terms: list[Any] = [Gauss(name, base.axes, scale, (), ())]
    if not (isinstance(mean, float) and mean == 0.0):
        terms.append(broadcast(ein_of(mean), shape.shape))
    return [Implicit(tuple(terms), shape.shape, shape.dtype)]


RULES = {"draw": _draw}
