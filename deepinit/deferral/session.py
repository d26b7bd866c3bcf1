"""Drawn arrays while a program is interpreted, and what is decided about them."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import jax.numpy as jnp

from deepinit.deferral.conditioning import State
from deepinit.deferral.einsums import evaluate
from deepinit.deferral.values import Atoms, Blocks, Flipped, Gauss, Implicit, NotDeferred


class Roles(NamedTuple):
    """Atoms of a drawn array: batches of matrices, rows and columns of a matrix."""

    batch: Atoms
    rows: Atoms
    columns: Atoms


@dataclasses.dataclass(frozen=True)
class Base:
    """A drawn array, of which nothing is formed.

    Attributes:
        stream: numbers of a stream of random numbers of its own.
        keys: with axes for `key_atoms`.
        sizes: of its atoms.
        axes: of the draw, as groups of atoms.
        repeats: steps of loops in which its uses repeat.
        roles, state: None before the first use.
        uses: how often it acted.
        parts: (atom, start, stop) of parts that are used as arrays of their own.
        share: of the numbers of the draw.
        ids: where rows (True) or columns (False) of the state have a single 1, -1 for zeros; fewer
            than these if not all are known.
        is_orthogonal: matrices are uniform among orthogonal ones, cut to their sizes.
    """

    stream: tuple[int, ...]
    keys: Any
    key_atoms: Atoms
    sizes: dict[int, int]
    axes: tuple[Atoms, ...]
    dtype: Any
    repeats: int = 1
    roles: Roles | None = None
    state: State | None = None
    uses: int = 0
    parts: tuple[tuple[int, int, int], ...] = ()
    share: float = 1.0
    ids: dict[bool, Any] = dataclasses.field(default_factory=dict)
    is_orthogonal: bool = False

    def shape(self, atoms: Atoms) -> tuple[int, ...]:
        """Sizes of atoms."""
        return tuple(self.sizes[atom] for atom in atoms)

    def size(self, atoms: Atoms) -> int:
        """Their product."""
        return math.prod(self.shape(atoms))


class Use(NamedTuple):
    """Rows that act on each of the matrices [n_in, n_out], from the right or from the left.

    `share`: of the numbers of the draw that these matrices have.
    """

    rows: int
    forward: bool
    n_in: int
    n_out: int
    share: float


class Totals(NamedTuple):
    """Of a draw: mean rows from the right and from the left, and numbers drawn for them."""

    rows: int
    columns: int
    numbers: int


class Drawn(NamedTuple):
    """A draw in the program: arrays of a shape, one in each step of the loops around it.

    Attributes:
        twins: names of modules around equal draws, which are this one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    law: str
    copies: int
    twins: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Numbers in all."""
        return math.prod(self.shape) * self.copies


@dataclasses.dataclass
class Decisions:
    """What planning finds.

    Attributes:
        explicit: reasons, by draws: arrays that are drawn by their own equations.
        factors: atoms that are split in two, by arrays.
        drawn: every draw.
        uses: of arrays, by the number of the use.
        notes: remarks, by draws.
        num_uses: of arrays, in all.
        costly: uses of draws that are explicit because drawing them is cheaper.
        failure: why there is no plan; then every array is explicit.
    """

    explicit: dict[Any, str] = dataclasses.field(default_factory=dict)
    factors: dict[Any, dict[int, tuple[int, int]]] = dataclasses.field(default_factory=dict)
    drawn: dict[Any, Drawn] = dataclasses.field(default_factory=dict)
    uses: dict[tuple[Any, int], Use] = dataclasses.field(default_factory=dict)
    notes: dict[Any, str] = dataclasses.field(default_factory=dict)
    num_uses: dict[Any, int] = dataclasses.field(default_factory=dict)
    costly: dict[Any, "Totals"] = dataclasses.field(default_factory=dict)
    failure: str = ""

    def is_done(self, name: Any, base: Base) -> bool:
        """Whether an array is not used again, so that nothing needs to be known of it."""
        return base.repeats == 1 and base.uses >= self.num_uses.get(name, math.inf)


class AxisSplit(NotDeferred):
    """An axis of a drawn array has to be split: planning begins anew after this pass."""


@dataclasses.dataclass
class Session:
    """One interpretation of a program or of the body of a loop, inside one trace.

    Attributes:
        decisions: fixed, but in planning.
        rules: by names of primitives.
        path: numbers of the loops around.
        steps: of these loops.
        bases: drawn arrays and parts of them.
        computed: by what and of which array, for arrays that see the same rows.
    """

    decisions: Decisions
    planning: bool
    gaussianize: bool
    rules: Mapping[str, Any]
    path: tuple[int, ...] = ()
    steps: int = 1
    bases: dict[Any, Base] = dataclasses.field(default_factory=dict)
    computed: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def inside(self, number: int, steps: int) -> "Session":
        """Of the body of a loop."""
        return Session(
            self.decisions,
            self.planning,
            self.gaussianize,
            self.rules,
            (*self.path, number),
            self.steps * steps,
        )

    def refuse(self, base: Any, reason: str) -> None:
        """Decide that a draw is explicit."""
        if not self.planning:
            raise AssertionError(f"not as planned: {reason}")
        self.decisions.explicit.setdefault(root(base), reason)

    def note(self, base: Any, text: str) -> None:
        """A remark on a draw."""
        self.decisions.notes.setdefault(root(base), text)

    def split_atom(self, base: Any, atom: int, sizes: tuple[int, int]) -> NoReturn:
        """Decide that an atom is two."""
        if not self.planning:
            raise AssertionError(f"not as planned: {base}, axis {atom} split into {sizes}")
        self.decisions.factors.setdefault(base, {})[atom] = sizes
        raise AxisSplit("an axis is split")

    def shared(self, what: Any, array: Any, compute: Callable[[], Any]) -> Any:
        """Computed once for one array."""
        key = (what, id(array))
        if key not in self.computed:
            self.computed[key] = (compute(), array)  # an array that lives keeps its id
        return self.computed[key][0]

    def formed(self, value: Any, reason: str) -> Any:
        """An array; draws in it become explicit."""
        if isinstance(value, Flipped):
            return jnp.flip(self.formed(value.value, reason), value.axes)
        if isinstance(value, Blocks):
            return jnp.concatenate([self.formed(part, reason) for part in value.parts], value.axis)
        if not isinstance(value, Implicit):
            return value
        total: Any = jnp.zeros((), value.dtype)
        for term in value.terms:
            if isinstance(term, Gauss):
                self.refuse(term.base, reason)
            else:
                total = total + evaluate(term)
        return jnp.broadcast_to(total, value.shape).astype(value.dtype)


def root(base: Any) -> Any:
    """The draw of which an array is a part."""
    while base[0] == "part":
        base = base[1]
    return base


def new_base(
    session: Session,
    name: Any,
    shape: tuple[int, ...],
    keys: Any,
    stream: tuple[int, ...],
    dtype: Any,
) -> Base:
    """Register a drawn array. `keys`: of the array, or of its slices along leading axes."""
    axes: list[list[int]] = [[axis] if size != 1 else [] for axis, size in enumerate(shape)]
    sizes = {axis: size for axis, size in enumerate(shape) if size != 1}
    atom = len(shape)
    for split, pair in session.decisions.factors.get(name, {}).items():  # in the order of finding
        for group in axes:
            if split in group:
                place = group.index(split)
                group[place : place + 1] = [atom, atom + 1]
        del sizes[split]
        sizes |= {atom: pair[0], atom + 1: pair[1]}
        atom += 2
    of_keys = axes[: keys.ndim]
    if not all(len(group) == 1 for group in of_keys):
        keys, of_keys = keys.reshape(-1)[0], []
    base = Base(
        stream,
        keys,
        tuple(group[0] for group in of_keys),
        sizes,
        tuple(tuple(group) for group in axes),
        dtype,
    )
    session.bases[name] = base
    return base
