"""How equations act on arrays that are not formed, one subject a file."""

from collections.abc import Callable
from typing import Any

from deepinit.deferral.rules import (
    blocks,
    convolutions,
    draws,
    elementwise,
    gathers,
    loops,
    products,
    shapes,
)

RULES: dict[str, Callable[..., list[Any]]] = {
    **draws.RULES,
    **elementwise.RULES,
    **shapes.RULES,
    **products.RULES,
    **convolutions.RULES,
    **blocks.RULES,
    **gathers.RULES,
    **loops.RULES,
}

__all__ = ["RULES"]
