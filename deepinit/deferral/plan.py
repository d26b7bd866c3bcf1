"""Which drawn arrays are deferred: decided before anything is computed."""

import collections
import dataclasses
from typing import Any, NamedTuple

import jax

from deepinit.deferral.interpret import run
from deepinit.deferral.program import Program
from deepinit.deferral.rules import RULES
from deepinit.deferral.session import AxisSplit, Decisions, Session, root

_PASSES = 24
SHARE = 0.25  # numbers drawn by uses, over those of the matrix, from which it is drawn itself
_LARGEST = 2**28  # numbers of an array that is never drawn for speed alone


class Totals(NamedTuple):
    """Of a draw: rows from the right and from the left, and numbers drawn for them."""

    rows: int
    columns: int
    numbers: int


def planned(
    program: Program, shapes: tuple[Any, ...], gaussianize: bool, share: float = SHARE
) -> Decisions:
    """Decisions for a program on inputs of these shapes.

    The program is interpreted on shapes alone. An equation without a rule makes its drawn arrays
    explicit, for all their uses; this is repeated until nothing changes.
    """
    decisions = Decisions()
    _several_from_one_key(program, (), decisions)
    for _ in range(_PASSES):
        before = set(decisions.explicit), repr(decisions.factors)
        decisions.uses.clear()
        try:
            _abstract(program, shapes, decisions, gaussianize)
        except AxisSplit:
            continue
        if before == (set(decisions.explicit), repr(decisions.factors)):
            costly = _costly(decisions, share)
            if not costly:
                return decisions
            decisions.explicit |= costly
    reason = "the plan did not settle"
    decisions.explicit |= {
        name: reason for name in decisions.drawn if name not in decisions.explicit
    }
    return decisions


def _abstract(program: Program, shapes: Any, decisions: Decisions, gaussianize: bool) -> None:
    def once(*inputs: Any) -> None:
        session = Session(decisions, True, gaussianize, RULES)
        for value in run(session, program, inputs):
            session.formed(value, "returned")

    jax.eval_shape(once, *shapes)


def totals(decisions: Decisions) -> dict[Any, Totals]:
    """By draws."""
    found: dict[Any, Totals] = {}
    for (base, _), use in decisions.uses.items():
        name = root(base)
        old = found.get(name, Totals(0, 0, 0))
        drawn = decisions.drawn[name]
        matrices = drawn.size // (use.n_in * use.n_out)
        width = use.n_out if use.forward else use.n_in
        found[name] = Totals(
            old.rows + use.rows * use.forward,
            old.columns + use.rows * (not use.forward),
            old.numbers + use.rows * width * matrices,
        )
    return found


def _costly(decisions: Decisions, share: float) -> dict[Any, str]:
    """Draws whose uses cost more than they."""
    found = {}
    for name, total in totals(decisions).items():
        size = decisions.drawn[name].size
        if name in decisions.explicit or total.numbers <= share * size or size > _LARGEST:
            continue
        found[name] = (
            f"{total.rows + total.columns} rows act on it: drawing it is cheaper. With fewer rows"
            " (inputs, positions) the law of each is the same"
        )
    return found


def _several_from_one_key(program: Program, path: tuple[int, ...], decisions: Decisions) -> None:
    """Draws of different laws or shapes from one key are functions of the same bits."""
    by_key: dict[Any, list[Any]] = {}
    for number, equation in enumerate(program.equations):
        if equation.body is not None:
            _several_from_one_key(equation.body, (*path, number), decisions)
        elif equation.draw is not None or equation.primitive.name == "random_bits":
            by_key.setdefault(equation.inputs[0], []).append(("draw", path, number))
    for names in by_key.values():
        if len(names) > 1:
            reason = "several arrays are drawn from its key"
            decisions.explicit |= dict.fromkeys(names, reason)


def fresh(decisions: Decisions) -> Decisions:
    """Decisions for an interpretation."""
    number = collections.Counter(base for base, _ in decisions.uses)
    return dataclasses.replace(decisions, uses={}, num_uses=dict(number))
