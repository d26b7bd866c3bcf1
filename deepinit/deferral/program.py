"""A traced function as a flat list of equations."""

import dataclasses
import itertools
from collections.abc import Callable, Container, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from deepinit.deferral.draws import Draw, draw_of
from deepinit.deferral.scans import layout_of
from deepinit.deferral.values import NotDeferred


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """An operand that is known when the function is traced."""

    value: Any


Operand = int | Constant


class Params(dict[str, Any]):
    """Parameters of an equation; a rule that looks for one that is not there does not apply."""

    def __missing__(self, name: str) -> Any:
        raise NotDeferred(f"no parameter {name!r} in JAX {jax.__version__}")


@dataclasses.dataclass(frozen=True, eq=False)
class Equation:
    """outputs = primitive(inputs).

    Attributes:
        inputs: numbers of variables, or constants.
        outputs: numbers of variables.
        shapes: `jax.ShapeDtypeStruct` of the outputs.
        operand_shapes: shapes of the inputs.
        name: names of the modules around it.
        draw: the law, if it draws an array.
        twins: names of modules around equal draws, which it stands for.
        source: the uniform draw of which a normal one is erf_inv; it has the inputs.
        body: of a scan.
    """

    primitive: Any
    inputs: tuple[Operand, ...]
    outputs: tuple[int, ...]
    shapes: tuple[Any, ...]
    operand_shapes: tuple[tuple[int, ...], ...]
    params: Params
    name: str
    draw: Draw | None = None
    twins: tuple[str, ...] = ()
    source: "Equation | None" = None
    body: "Program | None" = None
    has_effects: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """Equations in order of evaluation.

    Attributes:
        inputs: numbers of variables.
        outputs: numbers or constants.
        equations: of the whole, inner functions inlined.
    """

    inputs: tuple[int, ...]
    outputs: tuple[Operand, ...]
    equations: tuple[Equation, ...]


def read(program: Program, known: Container[int] = ()) -> set[int]:
    """Variables that outputs depend on, where some are known."""
    found = {operand for operand in program.outputs if isinstance(operand, int)}
    for equation in reversed(program.equations):
        wanted = [output for output in equation.outputs if output not in known]
        if equation.has_effects or found & set(wanted):
            found |= {operand for operand in equation.inputs if isinstance(operand, int)}
    return found


# Functions that are called once: their equations stand in for the call.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "custom_lin": "call_jaxpr",
}


def flatten(closed: ClosedJaxpr, is_kept: Callable[[Any], bool] = lambda eqn: False) -> Program:
    """The program of a traced function; calls are inlined, but for recognized draws.

    Args:
        is_kept: whether a call stays an equation.
    """
    numbers = itertools.count()
    jaxpr, constants = opened(closed)
    inputs = tuple(next(numbers) for _ in jaxpr.invars)
    equations: list[Equation] = []
    outputs = _inline(jaxpr, constants, inputs, "", numbers, equations, is_kept)
    return Program(inputs, outputs, tuple(equations))


def opened(jaxpr: Any) -> tuple[Jaxpr, tuple[Any, ...]]:
    """An open jaxpr and values of its constants."""
    if isinstance(jaxpr, ClosedJaxpr):
        return jaxpr.jaxpr, tuple(jaxpr.consts)
    return jaxpr, ()


def _inline(
    jaxpr: Jaxpr,
    constants: tuple[Any, ...],
    inputs: tuple[Operand, ...],
    name: str,
    numbers: Iterator[int],
    equations: list[Equation],
    is_kept: Callable[[Any], bool],
) -> tuple[Operand, ...]:
    """Append the equations; operands of the outputs."""
    known: dict[Any, Operand] = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= {var: Constant(value) for var, value in zip(jaxpr.constvars, constants, strict=True)}
    operand = lambda atom: Constant(atom.val) if isinstance(atom, Literal) else known[atom]
    for eqn in jaxpr.eqns:
        operands = tuple(operand(atom) for atom in eqn.invars)
        path = joined(name, str(eqn.source_info.name_stack))
        draw = draw_of(eqn)
        inner = eqn.params.get(CALLS.get(eqn.primitive.name, ""))
        if inner is not None and draw is None and not is_kept(eqn):
            body, consts = opened(inner)
            found = _inline(body, consts, operands, path, numbers, equations, is_kept)
            known |= dict(zip(eqn.outvars, found, strict=True))
            continue
        outputs = tuple(next(numbers) for _ in eqn.outvars)
        known |= dict(zip(eqn.outvars, outputs, strict=True))
        avals: Any = [var.aval for var in eqn.outvars]
        shapes = tuple(jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals)
        equations.append(
            Equation(
                eqn.primitive,
                operands,
                outputs,
                shapes,
                tuple(getattr(atom.aval, "shape", ()) for atom in eqn.invars),
                Params(eqn.params),
                path,
                draw,
                body=_body_of(eqn, is_kept),
                has_effects=bool(eqn.effects),
            )
        )
    return tuple(operand(atom) for atom in jaxpr.outvars)


def _body_of(eqn: Any, is_kept: Callable[[Any], bool]) -> Program | None:
    """Of a scan whose parameters are understood."""
    if eqn.primitive.name != "scan":
        return None
    try:
        layout_of(eqn)
        jaxpr = eqn.params["jaxpr"]
    except (ValueError, KeyError):
        return None
    closed = jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())
    return flatten(closed, is_kept)


def inner_draws(params: Any, name: str) -> Iterator[tuple[str, Draw, Any]]:
    """Draws inside an equation that stays as it is (cond, while): name, law and shape."""
    for value in params.values():
        for jaxpr in value if isinstance(value, list | tuple) else (value,):
            for eqn in getattr(jaxpr, "eqns", ()):
                path = joined(name, str(eqn.source_info.name_stack))
                draw = draw_of(eqn)
                if draw is None:
                    yield from inner_draws(eqn.params, path)
                else:
                    aval: Any = eqn.outvars[0].aval
                    yield path, draw, jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def joined(outer: str, inner: str) -> str:
    """Names of modules; `jvp(...)` and `transpose(...)` are left out."""
    parts = []
    for part in (*outer.split("/"), *inner.split("/")):
        while part.startswith(("jvp(", "transpose(", "vmap(")) and part.endswith(")"):
            part = part[part.index("(") + 1 : -1]
        if part and part not in ("jvp", "transpose", "vmap", "checkpoint", "rematted_computation"):
            parts.append(part)
    return "/".join(parts)
