"""Which drawn arrays are deferred: decided before anything is computed."""

import collections
import dataclasses
import math
from typing import Any

import jax

from deepinit.deferral.interpret import run
from deepinit.deferral.listing import listed, refuse
from deepinit.deferral.program import Program
from deepinit.deferral.rules import RULES
from deepinit.deferral.session import Decisions, Session, Totals, Use, root

_PASSES = 24
SHARE = 0.25  # numbers drawn by uses, over those of the matrix, from which it is drawn itself
COSTLY = "its uses cost more"
_LARGEST = 2**28  # numbers of an array that is never drawn for speed alone


def planned(
    program: Program, shapes: tuple[Any, ...], gaussianize: bool, share: float = SHARE
) -> Decisions:
    """Decisions for a program on inputs of these shapes.

    The program is interpreted on shapes alone. An equation without a rule makes its drawn arrays
    explicit, for all their uses; this is repeated until nothing changes.
    """
    decisions = listed(program, shapes, gaussianize)
    for _ in range(_PASSES):
        explicit, factors = dict(decisions.explicit), repr(decisions.factors)
        decisions.uses.clear()
        _abstract(program, shapes, decisions, gaussianize)
        if repr(decisions.factors) != factors:  # what followed the split of an axis was not real
            decisions.explicit = explicit
        elif decisions.explicit == explicit:
            costly = _costly(decisions, share)
            if not costly:
                return decisions
            decisions.costly |= costly
            refuse(decisions, costly, COSTLY)
    refuse(decisions, decisions.drawn, "the plan did not settle")
    return decisions


def _abstract(program: Program, shapes: Any, decisions: Decisions, gaussianize: bool) -> None:
    def once(*inputs: Any) -> None:
        session = Session(decisions, True, gaussianize, RULES)
        for value in run(session, program, inputs):
            session.formed(value, "returned")

    jax.eval_shape(once, *shapes)


def totals(decisions: Decisions) -> dict[Any, Totals]:
    """By draws."""
    uses: dict[Any, list[Use]] = {}
    for (base, _), use in decisions.uses.items():
        uses.setdefault(root(base), []).append(use)
    found = {}
    for name, own in uses.items():
        rows, columns = (
            sum(use.rows * use.share for use in own if use.forward is forward)
            for forward in (True, False)
        )
        size = decisions.drawn[name].size
        inputs = (use.n_in if use.forward else use.n_out for use in own)
        shares = (use.rows * use.share / n for use, n in zip(own, inputs, strict=True))
        found[name] = Totals(math.ceil(rows), math.ceil(columns), round(size * sum(shares)))
    return found


def _costly(decisions: Decisions, share: float) -> dict[Any, Totals]:
    """Draws whose uses cost more than they."""
    return {
        name: total
        for name, total in totals(decisions).items()
        if name not in decisions.explicit
        and share * decisions.drawn[name].size < total.numbers
        and decisions.drawn[name].size <= _LARGEST
    }


def fresh(decisions: Decisions) -> Decisions:
    """Decisions for an interpretation."""
    number = collections.Counter(base for base, _ in decisions.uses)
    return dataclasses.replace(decisions, uses={}, num_uses=dict(number))
