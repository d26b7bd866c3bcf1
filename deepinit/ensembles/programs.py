"""Programs of single networks, and the one cache of their compilations.

A `Program` is a seed function with its numbers and arrays taken out: programs of equal structure
share a compilation, whose arguments they are.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import structure
from deepinit.core.placeholders import CAPACITY, Recorded, Recorder

Seed = Callable[[Any], Any]

_MOST = 128  # compilations that are kept, of all kinds
_CONFIG = (
    *("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion"),
    *("jax_disable_jit", "jax_debug_nans", "jax_debug_infs", "jax_default_prng_impl"),
)


class Program(NamedTuple):
    """A seed function of one network.

    Attributes:
        make: `(spec, arrays) -> (key -> pytree of arrays)`.
        structure: the spec with slots (`core.structure`).
        numbers: in the slots.
        arrays: pytree of NumPy arrays.
        key: hashable; whatever else the function depends on. None: never shared.
    """

    make: Callable[[Any, Any], Seed]
    structure: Any = None
    numbers: tuple[float, ...] = ()
    arrays: Any = ()
    key: Hashable | None = None

    @property
    def seed_fn(self) -> Seed:
        """With its numbers and arrays as constants."""
        return self.make(structure.with_numbers(self.structure, self.numbers), self.arrays)


def of_seed_fn(seed_fn: Seed) -> Program:
    """A program of a function alone, compiled anew each time."""
    return Program(lambda spec, arrays: seed_fn)


class Arguments(NamedTuple):
    """What a compiled program takes beside keys; of a sweep with a leading axis of points."""

    vector: np.ndarray
    leaves: tuple[np.ndarray, ...]


class Form(NamedTuple):
    """A program, taken apart.

    `tree`, `leaves`: of its arrays. `key`: equal for programs that share a compilation; None for
    none.
    """

    program: Program
    tree: Any
    leaves: tuple[np.ndarray, ...]
    key: Hashable | None

    def seed_fn(self, recorder: Recorder, leaves: Any) -> Seed:
        """Inside a traced program."""
        import jax

        spec = structure.joined(self.program.structure, recorder)
        return self.program.make(spec, jax.tree.unflatten(self.tree, leaves))

    def arguments(self, recorded: Recorded) -> Arguments:
        """Its own, checked; SpecError for numbers outside the dtype's range."""
        recorded.require(self.program.numbers)
        return Arguments(recorded.vector(self.program.numbers, vector_dtype()), self.leaves)


def form(program: Program) -> Form:
    """The form of a program."""
    import jax

    every, tree = jax.tree.flatten(program.arrays)
    leaves = tuple(np.asarray(leaf) for leaf in every)
    key = None
    if program.key is not None:
        shapes = tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        config = tuple(getattr(jax.config, name, None) for name in _CONFIG)
        key = program.structure, program.key, tree, shapes, config
    return Form(program, tree, leaves, key)


def vector_dtype() -> Any:
    """Of the vector of numbers: float64 where JAX has it."""
    import jax

    return np.float64 if jax.dtypes.canonicalize_dtype(np.float64) == np.float64 else np.float32


def abstract_arguments(given: Form) -> tuple[Any, Any]:
    """Shapes of the vector and leaves."""
    import jax

    shape = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))
    vector = jax.ShapeDtypeStruct((CAPACITY,), vector_dtype())
    return vector, tuple(shape(leaf) for leaf in given.leaves)


class Cache:
    """Least recently used values are forgotten."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.values: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Hashable | None, compute: Callable[[], Any]) -> Any:
        """The value of a key, computed if unknown; always computed for None."""
        if key is None:
            return compute()
        if key in self.values:
            self.values.move_to_end(key)
            return self.values[key]
        value = self.values[key] = compute()
        while len(self.values) > self.most:
            self.values.popitem(last=False)
        return value


_CACHE = Cache(_MOST)
cached = _CACHE.get


def clear_programs() -> None:
    """Forget compiled programs, for example after a change of what a function of yours reads."""
    _CACHE.values.clear()


class Variants(Sequence[Program]):
    """Programs of one function, the most general first, each built where it is needed."""

    def __init__(self, *build: Callable[[], Program]) -> None:
        self.build = build

    def __len__(self) -> int:
        return len(self.build)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return Variants(*self.build[number])
        return self.build[number]()


def first_that_traces(variants: Sequence[Program], trace: Callable[[Form], Any]) -> Form:
    """The form of the first program that traces without its numbers; the last is not tried.

    `variants`: of one function, the most general first.
    """
    for program in variants[:-1]:
        candidate = form(program)
        key = None if candidate.key is None else ("traces", candidate.key)
        if cached(key, partial(_traces, trace, candidate)):
            return candidate
    return form(variants[-1])


def _traces(trace: Callable[[Form], Any], candidate: Form) -> bool:
    try:
        trace(candidate)
    except Exception:  # noqa: BLE001
        return False  # with constants it raises again, or does not
    return True
