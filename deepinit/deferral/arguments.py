"""Arguments of a function: arrays and numbers, and what is neither."""

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax


class Structure(NamedTuple):
    """The tree of (args, kwargs) and its leaves that are no arrays, by their places. Hashable."""

    tree: Any
    others: tuple[tuple[int, Hashable], ...]

    def call(self, f: Any, arrays: Any) -> Any:
        """f of the arguments."""
        leaves = list(arrays)
        for place, leaf in self.others:
            leaves.insert(place, leaf)
        args, kwargs = jax.tree.unflatten(self.tree, leaves)
        return f(*args, **kwargs)


def split_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Structure]:
    """Arrays and numbers, and the rest: booleans, texts and functions are known to a trace."""
    leaves, tree = jax.tree.flatten((args, kwargs))
    is_array = [
        hasattr(leaf, "dtype")
        or (isinstance(leaf, int | float | complex) and leaf is not True and leaf is not False)
        for leaf in leaves
    ]
    others = tuple((place, leaf) for place, leaf in enumerate(leaves) if not is_array[place])
    return [leaf for leaf, own in zip(leaves, is_array, strict=True) if own], Structure(
        tree, others
    )
