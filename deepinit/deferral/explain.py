"""`explain`: what `deferred` does with every array that a function draws."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from deepinit.core.errors import SpecError
from deepinit.deferral.arguments import split_arguments
from deepinit.deferral.function import prepared, source_of
from deepinit.deferral.listing import SMALL, law_reason
from deepinit.deferral.names import labels
from deepinit.deferral.plan import COSTLY, planned, totals
from deepinit.deferral.program import Program
from deepinit.deferral.report import Kind, Plan, Row
from deepinit.deferral.session import Decisions, Totals

_COMPARED = frozenset(f"no rule for {name}" for name in ("lt", "le", "gt", "ge"))


def explain(f: Callable[..., Any], *, gaussianize: bool = False) -> Callable[..., Plan]:
    """The plan of `deferred(f, gaussianize=gaussianize)(key, *args)`, without computing anything.

    Args:
        f: any JAX function of a key and arrays, or `deferred(f)`.
        gaussianize: as in `deferred`; that of `deferred(f, gaussianize=True)` holds.

    Returns:
        A function of the same arguments, arrays or `jax.ShapeDtypeStruct`. It returns a `Plan`: a
        row for each drawn array with the rows that act on it from either side, numbers drawn
        against its size, and why it is explicit if it is.
    """
    if not callable(f):
        remedy = "Write di.explain(lambda key, x: module.apply(module.init(key, x), x))(key, x)."
        raise SpecError(f"f={f!r}", "a function f(key, *args)", remedy)
    f, gaussianize = source_of(f, gaussianize)

    def plan(key: Any, *args: Any, **kwargs: Any) -> Plan:
        leaves, structure = split_arguments((key, *args), kwargs)
        shapes = jax.eval_shape(lambda *leaves: leaves, *leaves)
        program, decisions, _ = prepared(f, structure, shapes, gaussianize)
        other = decisions
        if not gaussianize and any(
            decisions.explicit.get(name) == law_reason(array.law)
            for name, array in decisions.drawn.items()
        ):
            other = planned(program, tuple(shapes), True)
        bits = sum(name == "random_bits" for name in _primitives(program))
        rows = _rows(program, decisions, other)
        return Plan(rows, gaussianize, decisions.failure, bits)

    return plan


def _rows(program: Program, decisions: Decisions, other: Decisions) -> tuple[Row, ...]:
    """Args: other: with `gaussianize`."""
    names, found = labels(program, decisions), totals(decisions)
    rows = []
    for name, array in decisions.drawn.items():
        why = decisions.explicit.get(name, "")
        is_law = other is not decisions and why == law_reason(array.law)
        rest = other.explicit.get(name, "") if is_law else ""
        kind: Kind = "explicit" if why else "deferred"
        if why == SMALL:
            kind = "small"
        elif array.law == "uniform" and {why, rest} & _COMPARED:
            kind = "mask"
        total = found.get(name, Totals(0, 0, 0))
        if why:
            costly = decisions.costly.get(name) or other.costly.get(name)
            total = (costly or Totals(0, 0, 0))._replace(numbers=array.size)
        twins = {twin for twin in array.twins if not twin or twin != array.name}
        rows.append(
            Row(
                names[name],
                array.shape,
                array.copies,
                array.law,
                total.rows,
                total.columns,
                total.numbers,
                array.size,
                kind,
                why=f"{why}; {rest}" if rest else why,
                is_costly=COSTLY in (why, rest),
                can_be_gaussian=is_law and not rest,
                weights=len(array.twins) + 1 if twins else 1,
                note="" if why else decisions.notes.get(name, ""),
            )
        )
    return tuple(rows)


def _primitives(program: Program) -> Iterator[str]:
    for equation in program.equations:
        yield equation.primitive.name
        if equation.body is not None:
            yield from _primitives(equation.body)
