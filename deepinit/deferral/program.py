"""A traced function as a flat list of equations."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from deepinit.deferral.draws import Draw, draw_of


@dataclasses.dataclass(frozen=True, eq=False)
class Constant:
    """An operand that is known when the function is traced."""

    value: Any


Operand = int | Constant


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
        body: of a scan.
    """

    primitive: Any
    inputs: tuple[Operand, ...]
    outputs: tuple[int, ...]
    shapes: tuple[Any, ...]
    operand_shapes: tuple[tuple[int, ...], ...]
    params: dict[str, Any]
    name: str
    draw: Draw | None = None
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
        is_loop = eqn.primitive.name == "scan"
        equations.append(
            Equation(
                eqn.primitive,
                operands,
                outputs,
                shapes,
                tuple(getattr(atom.aval, "shape", ()) for atom in eqn.invars),
                eqn.params,
                path,
                draw,
                flatten(_closed(eqn.params["jaxpr"]), is_kept) if is_loop else None,
                bool(eqn.effects),
            )
        )
    return tuple(operand(atom) for atom in jaxpr.outvars)


def _closed(jaxpr: Any) -> ClosedJaxpr:
    return jaxpr if isinstance(jaxpr, ClosedJaxpr) else ClosedJaxpr(jaxpr, ())


def joined(outer: str, inner: str) -> str:
    """Names of modules; `jvp(...)` and `transpose(...)` are left out."""
    parts = []
    for part in (*outer.split("/"), *inner.split("/")):
        while part.startswith(("jvp(", "transpose(", "vmap(")) and part.endswith(")"):
            part = part[part.index("(") + 1 : -1]
        if part and part not in ("jvp", "transpose", "vmap", "checkpoint", "rematted_computation"):
            parts.append(part)
    return "/".join(parts)
