"""Arrays that are not formed: sums of drawn matrices and of products of smaller arrays."""

import dataclasses
import functools
from typing import Any

import jax

Atoms = tuple[int, ...]
Labels = tuple[int, ...]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["scale", "diagonals"],
    meta_fields=["base", "axes", "of_diagonals"],
)
@dataclasses.dataclass(frozen=True, eq=False)
class Gauss:
    """scale * product of diagonals * a drawn array of independent N(0, 1).

    Attributes:
        base: the array.
        axes: its atoms, the finest axes, grouped into the axes of this view.
        diagonals: arrays over the atoms `of_diagonals`.
    """

    base: Any
    axes: tuple[Atoms, ...]
    scale: Any
    diagonals: tuple[Any, ...]
    of_diagonals: tuple[Atoms, ...]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["factors", "scale"],
    meta_fields=["labels", "axes", "sizes"],
)
@dataclasses.dataclass(frozen=True, eq=False)
class Ein:
    """scale * einsum of factors.

    Attributes:
        factors, labels: arrays, and names of their axes.
        axes: the labels of this view, grouped into its axes; others are summed over. Labels of no
            factor repeat.
        sizes: of all labels.
    """

    factors: tuple[Any, ...]
    labels: tuple[Labels, ...]
    axes: tuple[Labels, ...]
    sizes: tuple[tuple[int, int], ...]
    scale: Any


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["terms"], meta_fields=["shape", "dtype"]
)
@dataclasses.dataclass(frozen=True, eq=False)
class Implicit:
    """A sum of terms of one shape."""

    terms: tuple[Gauss | Ein, ...]
    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def bases(self) -> tuple[Any, ...]:
        """The drawn arrays in it."""
        return tuple(term.base for term in self.terms if isinstance(term, Gauss))


@dataclasses.dataclass(frozen=True, eq=False)
class Flipped:
    """An array with axes in reverse."""

    value: Implicit
    axes: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """Arrays side by side along an axis; some are not formed."""

    parts: tuple[Any, ...]
    axis: int
    shape: tuple[int, ...]
    dtype: Any

    @property
    def bases(self) -> tuple[Any, ...]:
        """The drawn arrays in it."""
        return tuple(
            base for part in self.parts if isinstance(part, Implicit) for base in part.bases
        )


class NotDeferred(Exception):
    """No rule for operands that are not formed; its text is the reason."""
