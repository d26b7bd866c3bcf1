"""Laws of parameters, read from the program that draws them."""

from typing import Literal, NamedTuple

from deepinit.core.laws import TRUNCATED_STD
from deepinit.deferral.draws import moments
from deepinit.deferral.program import Equation, Operand, Program
from deepinit.deferral.scans import layout_of
from deepinit.reading.constants import uniform_value

LawName = Literal["normal", "truncated_normal", "uniform", "orthogonal", "constant", "unknown"]
# Entries in another order: a law of independent entries stays as it is.
RELABELS = frozenset(
    {"reshape", "transpose", "squeeze", "expand_dims", "copy", "copy_p", "optimization_barrier"}
)
_CUT = 2.0  # standard deviations at which `di.truncated_normal` is truncated


class Drawn(NamedTuple):
    """The law of an array: scale * standard + mean, entries independent (orthogonal: Haar).

    Attributes:
        std: of an entry; exact, truncation included.
        mean: of an entry; the value of a constant.
        cut: of a truncated normal law, standard deviations of the normal law before.
        draw: identifies the drawn array; () of constants.
        reason: of an unknown law, how it is computed.
    """

    name: LawName
    std: float = 0.0
    mean: float = 0.0
    cut: float = _CUT
    draw: tuple[int, ...] = ()
    reason: str = ""

    @property
    def has_usual_cut(self) -> bool:
        """Whether truncated where `di.truncated_normal` is."""
        return abs(self.cut - _CUT) < 1e-6


def laws(program: Program, number: int) -> tuple[Drawn, ...]:
    """Of the first outputs of a program."""
    return tuple(_law(program, operand, ()) for operand in program.outputs[:number])


def _law(program: Program, operand: Operand, path: tuple[int, ...]) -> Drawn:
    value = uniform_value(operand)
    if value is not None:
        return Drawn("constant", mean=value)
    if not isinstance(operand, int):
        return Drawn("unknown", reason="an array that is the same for every key")
    makers = makers_of(program)
    equation = makers.get(operand)
    if equation is None:
        return Drawn("unknown", reason="computed from the inputs")
    if equation.draw is not None:
        return _drawn(equation, (*path, operand))
    name = equation.primitive.name
    if name in RELABELS or is_float_conversion(equation):
        return _law(program, equation.inputs[0], path)
    if equation.body is not None:
        place = equation.outputs.index(operand)
        if place >= layout_of(equation).num_carry:
            return _law(equation.body, equation.body.outputs[place], (*path, operand))
    affine = affine_of(equation)
    if affine is not None:
        source, factor, shift = affine
        return _moved(_law(program, source, path), factor, shift)
    return Drawn("unknown", reason=f"computed by {name}")


def makers_of(program: Program) -> dict[int, Equation]:
    """The equation of every variable."""
    return {number: equation for equation in program.equations for number in equation.outputs}


def is_float_conversion(equation: Equation) -> bool:
    """Between float32 and float64."""
    wide = ("float32", "float64")
    return equation.primitive.name == "convert_element_type" and (
        str(equation.params["new_dtype"]) in wide
    )


def affine_of(equation: Equation) -> tuple[Operand, float, float] | None:
    """(x, a, b) of an equation a x + b with numbers a, b; None for others."""
    name, inputs = equation.primitive.name, equation.inputs
    if name == "neg":
        return inputs[0], -1.0, 0.0
    if name not in ("mul", "div", "add", "sub", "add_any") or len(inputs) != 2:
        return None
    first, second = map(uniform_value, inputs)
    if (first is None) == (second is None):
        return None
    if second is not None:
        return {
            "mul": (inputs[0], second, 0.0),
            "div": (inputs[0], 1 / second if second else float("nan"), 0.0),
            "sub": (inputs[0], 1.0, -second),
        }.get(name, (inputs[0], 1.0, second))
    assert first is not None
    if name == "div":
        return None
    scale = {"mul": first, "sub": -1.0}.get(name, 1.0)
    return inputs[1], scale, 0.0 if name == "mul" else first


def _moved(law: Drawn, factor: float, shift: float) -> Drawn:
    if law.name == "unknown":
        return law
    return law._replace(std=abs(factor) * law.std, mean=factor * law.mean + shift)


def _drawn(equation: Equation, draw: tuple[int, ...]) -> Drawn:
    law = equation.draw
    assert law is not None
    if law.law == "normal":
        return Drawn("normal", law.scale, 0.0, draw=draw)
    if law.law == "orthogonal":
        return Drawn("orthogonal", max(equation.shapes[0].shape[-2:]) ** -0.5, draw=draw)
    bounds = tuple(map(uniform_value, equation.inputs[1:3]))
    if None in bounds or len(bounds) != 2:
        return Drawn("unknown", draw=draw, reason=f"a {law.law} law between variable bounds")
    low, high = bounds
    assert low is not None
    assert high is not None
    if law.law == "uniform":
        mean, std = (float(moment) for moment in moments(law, bounds))
        return Drawn("uniform", std, mean, draw=draw)
    if low != -high:
        return Drawn("unknown", draw=draw, reason=f"a normal law cut at {low:g} and {high:g}")
    if high == _CUT:
        return Drawn("truncated_normal", TRUNCATED_STD, draw=draw)
    return Drawn("truncated_normal", float(moments(law, bounds)[1]), 0.0, high, draw)
