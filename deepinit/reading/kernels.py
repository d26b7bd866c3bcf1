"""Kernels of a user's own network with their laws in words: the first half of `annotate`."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from deepinit.core.layers.summary import text_table
from deepinit.deferral.program import Equation, Operand, Program
from deepinit.deferral.scans import layout_of
from deepinit.reading.entry_laws import neat
from deepinit.reading.laws import Drawn, affine_of, laws
from deepinit.reading.programs import Traced, layer_name, traced

Kind = Literal["dense", "conv", "embedding"]
Marks = Mapping[int, frozenset[int]]
Sizes = Mapping[int, tuple[int, ...]]
_INPUT = -1  # mark of values that depend on the inputs; others are numbers of parameters


class Kernel(NamedTuple):
    """A kernel of a network.

    Attributes:
        name: of the parameter, `Dense_0/kernel`.
        layer: `Dense_0`.
        shape: of one copy; `copies`: of equal blocks in a loop.
        fan_in: numbers that one output sums; 1 of embeddings.
        law: in words.
    """

    name: str
    layer: str
    kind: Kind
    shape: tuple[int, ...]
    copies: int
    fan_in: int
    law: str


class Kernels(tuple[Kernel, ...]):
    """Kernels in order of use; prints as a table."""

    def __repr__(self) -> str:
        rows = [
            (kernel.name, kernel.kind, _sizes(kernel), str(kernel.fan_in), kernel.law)
            for kernel in self
        ]
        return text_table([("kernel", "kind", "shape", "fan_in", "law"), *rows])


def kernels(network: Any, inputs: Any) -> Kernels:
    """Dense, convolutional and embedding kernels, in order of use, with laws by initializers.

    Unlike `read_layers` it refuses nothing: laws that are not recognized say how they are computed.

    Args:
        inputs: as for `read_layers`.
    """
    programs = traced(network, inputs)
    return Kernels(_kernels(programs))


def _kernels(programs: Traced) -> Iterator[Kernel]:
    names = programs.names
    found = laws(programs.init, len(names))
    marks = {own: frozenset({place}) for place, own in enumerate(programs.apply.inputs)}
    marks = {own: mark for own, mark in marks.items() if mark <= set(range(len(names)))}
    arrays = programs.apply.inputs[len(programs.apply.inputs) - len(programs.arrays) :]
    marks |= {own: frozenset({_INPUT}) for own in arrays}
    sizes = {
        number: tuple(aval.shape)
        for number, aval in zip(programs.apply.inputs, programs.closed.in_avals, strict=True)
    }
    seen: set[int] = set()
    for use in _uses(programs.apply, marks, sizes, 1):
        if use.parameter in seen:
            continue
        seen.add(use.parameter)
        name, law = names[use.parameter], found[use.parameter]
        fan_out = max(1, math.prod(use.shape) // use.fan_in)
        words = in_words(law, use.factor, use.fan_in, fan_out, use.kind)
        copies, kind = use.copies, use.kind
        yield Kernel(name, layer_name(name), kind, use.shape, copies, use.fan_in, words)


class _Use(NamedTuple):
    parameter: int
    kind: Kind
    shape: tuple[int, ...]
    copies: int
    fan_in: int
    factor: float


def _uses(program: Program, given: Marks, sizes: Sizes, copies: int) -> Iterator[_Use]:
    """Every use of one parameter beside a value of the inputs, in loops too."""
    marks, shapes = dict(given), dict(sizes)
    makers: dict[int, Equation] = {}

    def mark(operand: Operand) -> frozenset[int]:
        return marks.get(operand, frozenset()) if isinstance(operand, int) else frozenset()

    for equation in program.equations:
        if equation.body is not None:
            yield from _uses_in_loop(equation, mark, shapes, copies)
        own = frozenset().union(*map(mark, equation.inputs))
        marks |= dict.fromkeys(equation.outputs, own)
        makers |= dict.fromkeys(equation.outputs, equation)
        after = (tuple(shape.shape) for shape in equation.shapes)
        shapes |= zip(equation.outputs, after, strict=True)
        for place, operand in enumerate(equation.inputs):
            others = frozenset().union(*(mark(x) for x in equation.inputs if x is not operand))
            if not isinstance(operand, int) or len(mark(operand)) != 1 or _INPUT not in others:
                continue
            (parameter,) = mark(operand)
            found = _contracted(equation, place, shapes.get(operand, ()))
            if parameter != _INPUT and found is not None:
                kind, fan_in = found
                shape, factor = shapes[operand], _factor(makers, operand)
                yield _Use(parameter, kind, shape, copies, fan_in, factor)


def _uses_in_loop(equation: Equation, mark: Any, shapes: Sizes, copies: int) -> Iterator[_Use]:
    body, layout = equation.body, layout_of(equation)
    assert body is not None
    first = layout.num_consts + layout.num_carry
    marks, sizes = {}, {}
    for place, (operand, number) in enumerate(zip(equation.inputs, body.inputs, strict=True)):
        marks[number] = mark(operand)
        whole = shapes.get(operand, ()) if isinstance(operand, int) else ()
        sizes[number] = whole[1:] if place >= first else whole
    yield from _uses(body, marks, sizes, copies * layout.length)


def _contracted(equation: Equation, place: int, shape: tuple[int, ...]) -> tuple[Kind, int] | None:
    """Kind and fan-in of a kernel at one operand of an equation."""
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        contracted, batch = (pair[place] for pair in params["dimension_numbers"])
        if not batch:
            return "dense", math.prod(shape[axis] for axis in contracted)
    if name == "conv_general_dilated" and place == 1:
        out_axis = params["dimension_numbers"].rhs_spec[0]
        return "conv", math.prod(shape) // shape[out_axis]
    if name == "gather" and place == 0 and len(shape) == 2:
        return "embedding", 1
    return None


def _factor(makers: Mapping[int, Equation], operand: Operand) -> float:
    """The number that a parameter is multiplied by before it acts."""
    factor = 1.0
    while isinstance(operand, int) and operand in makers:
        equation = makers[operand]
        affine = affine_of(equation)
        factor *= 1.0 if affine is None else affine[1]
        operand = equation.inputs[0] if affine is None else affine[0]
    return factor


def in_words(law: Drawn, factor: float, fan_in: int, fan_out: int, kind: Kind) -> str:
    """The law of an array times a factor: `truncated normal, variance 1/fan_in: half of He`."""
    if law.name == "unknown":
        return f"not recognized: {law.reason}"
    if law.name == "constant":
        return f"constant {law.mean * factor:g}"
    name = law.name.replace("_", " ")
    if law.name == "truncated_normal" and not law.has_usual_cut:
        name = f"normal, truncated at {law.cut:g} standard deviations"
    if abs(law.mean) > 1e-6 * law.std:
        name += f" of mean {law.mean * factor:.4g}"
    variance = (law.std * factor) ** 2
    if kind == "embedding":
        return f"{name}, variance {neat(variance):.4g}"
    relative = neat(variance * fan_in)
    return f"{name}, variance {relative:.4g}/fan_in: {_usual(relative, fan_in, fan_out)}"


def _usual(relative: float, fan_in: int, fan_out: int) -> str:
    """variance * fan_in against the usual initializations."""
    near = lambda value: abs(relative - value) <= 1e-5 * value
    if near(2.0):
        return "He"
    if near(1.0):
        return "half of He"
    if near(2.0 * fan_in / (fan_in + fan_out)):
        return f"Glorot, {relative / 2:.3g} times He"
    return f"{relative / 2:.3g} times He"


def _sizes(kernel: Kernel) -> str:
    text = " x ".join(map(str, kernel.shape))
    return text if kernel.copies == 1 else f"{kernel.copies} of {text}"
