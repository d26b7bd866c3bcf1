"""Parts of a program as functions, equal where they compute the same."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Constant, Equation, Operand, Params
from deepinit.reading.constants import as_numpy, uniform_value

ELEMENTWISE = frozenset(
    {
        *("add", "add_any", "sub", "mul", "div", "rem", "max", "min", "neg", "abs", "sign"),
        *("exp", "exp2", "log", "log1p", "expm1", "sqrt", "rsqrt", "cbrt", "square", "pow"),
        *("integer_pow", "tanh", "tan", "sin", "cos", "sinh", "cosh", "asin", "acos", "atan"),
        *("asinh", "acosh", "atanh", "atan2", "logistic", "erf", "erfc", "erf_inv", "lgamma"),
        *("digamma", "select_n", "clamp", "floor", "ceil", "round", "nextafter", "is_finite"),
        *("lt", "le", "gt", "ge", "eq", "ne", "and", "or", "xor", "not"),
        *("convert_element_type", "copy", "copy_p", "optimization_barrier"),
    }
)
# Operands of these keep the type they have: the others have the type of the function's arguments.
_TYPES = ("preferred_element_type", "new_dtype", "dtype", "accuracy")


@dataclasses.dataclass(frozen=True)
class Steps:
    """A function of arrays, the values 0 to `num_inputs` - 1; it computes in their type.

    Attributes:
        code: what identifies it: primitives, parameters, constants, numbers of values.
        equations: of a program, with values renumbered.
        output: number of a value.
    """

    num_inputs: int
    code: Any
    output: Any
    equations: tuple[Equation, ...] = dataclasses.field(compare=False, repr=False)
    result: Operand = dataclasses.field(compare=False, repr=False)

    def __call__(self, *values: Any) -> Any:
        """The output, in the floating type of the first value."""
        dtype = jnp.asarray(values[0]).dtype
        known: dict[Any, Any] = dict(enumerate(values))

        def value(operand: Operand) -> Any:
            return _cast(operand.value, dtype) if isinstance(operand, Constant) else known[operand]

        for equation in self.equations:
            found = _evaluated(equation, [value(operand) for operand in equation.inputs], dtype)
            known |= zip(equation.outputs, found, strict=True)
        return value(self.result)

    def __repr__(self) -> str:
        return f"<traced: {', '.join(equation.primitive.name for equation in self.equations)}>"


def steps(makers: Mapping[int, Equation], inputs: tuple[int, ...], output: Operand) -> Steps | None:
    """The function from values `inputs` to `output`; None if it needs others.

    Args:
        makers: the equation of every variable.
    """
    number: dict[Any, Any] = {own: place for place, own in enumerate(inputs)}
    equations: list[Equation] = []
    pending: list[Any] = [output]
    while pending:  # depth first, without recursion: programs are long
        operand = pending[-1]
        if isinstance(operand, Constant) or operand in number:
            pending.pop()
            continue
        equation = makers.get(operand)
        if equation is None:
            return None
        missing = [
            own for own in equation.inputs if not isinstance(own, Constant) and own not in number
        ]
        if missing:
            pending += missing
            continue
        fresh = tuple(len(number) + place for place in range(len(equation.outputs)))
        operands = tuple(
            own if isinstance(own, Constant) else number[own] for own in equation.inputs
        )
        number |= zip(equation.outputs, fresh, strict=True)
        equations.append(dataclasses.replace(equation, inputs=operands, outputs=fresh))
        pending.pop()
    result = output if isinstance(output, Constant) else number[output]
    code = tuple(_code(equation) for equation in equations)
    return Steps(len(inputs), code, _operand_code(result), tuple(equations), result)


def _evaluated(equation: Equation, values: list[Any], dtype: Any) -> list[Any]:
    params = dict(equation.params)
    for name in _TYPES:
        own = params.get(name)
        if own is not None and name != "accuracy" and jnp.issubdtype(own, jnp.floating):
            params[name] = dtype
    if equation.primitive.name in ELEMENTWISE:
        shape = jnp.broadcast_shapes(*map(jnp.shape, values))
        values = [jnp.broadcast_to(own, shape) for own in values]
    return bind(dataclasses.replace(equation, params=Params(params)), values)


def elementwise(own: Steps) -> Steps:
    """An elementwise function for arrays of any shape: arrays of one number become numbers."""
    equations = tuple(
        dataclasses.replace(equation, inputs=tuple(map(_number, equation.inputs)))
        for equation in own.equations
    )
    return dataclasses.replace(own, code=tuple(map(_code, equations)), equations=equations)


def _number(operand: Operand) -> Operand:
    if uniform_value(operand) is None:
        return operand
    assert isinstance(operand, Constant)
    return Constant(as_numpy(operand.value).ravel()[0])


def _cast(value: Any, dtype: Any) -> Any:
    is_float = jnp.issubdtype(getattr(value, "dtype", np.int32), jnp.floating)
    return jnp.asarray(value, dtype if is_float or isinstance(value, float) else None)


def _code(equation: Equation) -> Any:
    if equation.draw is not None or equation.body is not None:
        return "object", id(equation.params)
    params = sorted(equation.params.items())
    frozen = tuple((name, _frozen(value)) for name, value in params)
    return equation.primitive.name, frozen, tuple(map(_operand_code, equation.inputs))


def _operand_code(operand: Operand) -> Any:
    if not isinstance(operand, Constant):
        return operand
    uniform = uniform_value(operand)
    array = as_numpy(operand.value)
    if uniform is not None:
        return "constant", uniform, array.shape
    if isinstance(array, np.ndarray):
        return "constant", array.shape, str(array.dtype), array.tobytes()
    return "object", id(operand.value)


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple(sorted((name, _frozen(item)) for name, item in value.items()))
    if callable(value) or hasattr(value, "eqns") or isinstance(value, jax.core.Tracer):
        return "object", id(value)
    try:
        hash(value)
    except TypeError:
        return "object", id(value)
    return type(value).__name__, value if not isinstance(value, float) else repr(value)
