"""What a plan defers."""

import math
from typing import Any

import jax

from deepinit.deferral.arguments import split_arguments
from deepinit.deferral.function import traced
from deepinit.deferral.plan import planned


def decisions_of(f: Any, *args: Any) -> Any:
    """The plan of f(*args), whatever its cost."""
    leaves, structure = split_arguments(args, {})
    program, _ = traced(f, structure, leaves)
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return planned(program, shapes, False, math.inf)


def deferred_arrays(f: Any, *args: Any) -> list[Any]:
    """Names and shapes of deferred draws; names without a number."""
    decisions = decisions_of(f, *args)
    return sorted(
        (drawn.name.split("#")[0], drawn.shape)
        for name, drawn in decisions.drawn.items()
        if name not in decisions.explicit
    )


def reasons(f: Any, *args: Any) -> set[str]:
    """Why draws are explicit."""
    return set(decisions_of(f, *args).explicit.values())
