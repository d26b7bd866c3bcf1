"""Attention recognized by its values at random queries, keys and values."""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.host import in_float64
from deepinit.reading.constants import short
from deepinit.reading.steps import Steps

_TOLERANCE = 1e-6
_ROWS = 96  # queries that are compared


class Arms(NamedTuple):
    """A function of three arrays, or of one with all columns, and of biases that are 0.

    Attributes:
        shapes: of the arrays, [batch, positions, *columns]; `biases`: of the biases.
        after: shape of the output.
        heads: numbers of heads to be tried; `constants`: factors of scores to be tried.
    """

    function: Steps
    shapes: tuple[tuple[int, ...], ...]
    biases: tuple[tuple[int, ...], ...]
    after: tuple[int, ...]
    heads: frozenset[int]
    constants: tuple[float, ...]


class CoreValues(NamedTuple):
    """softmax(factor q.k) v.

    Attributes:
        order: places of q, k, v among three arrays.
        columns: of one array, those of q, k, v in this order; () for three arrays.
    """

    heads: int
    head_width: int
    factor: float
    mask: str | None
    order: tuple[int, int, int]
    columns: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def core_of(arms: Arms) -> CoreValues | None:
    """The attention that a function is; None for other functions."""
    return in_float64(lambda: _core_of(arms))


def _core_of(arms: Arms) -> CoreValues | None:
    rng = np.random.default_rng(5)
    arrays = [rng.standard_normal(shape) for shape in arms.shapes]
    zeros = [np.zeros(shape) for shape in arms.biases]
    found = np.asarray(arms.function(*arrays, *zeros))[0]
    length = found.shape[0]
    if length < 2:
        return None
    found = found.reshape(length, -1)
    own = [array[0].reshape(length, -1) for array in arrays]
    rows = np.unique(np.linspace(0, length - 1, min(length, _ROWS)).astype(int))
    for heads, order, columns, parts in _candidates(own, arms):
        if parts[2].shape != found.shape or len({part.shape for part in parts}) != 1:
            continue
        width = parts[0].shape[1] // heads
        for factor in _factors(width, arms.constants):
            for mask in (None, "causal"):
                wanted = _attended(parts, heads, factor, mask, rows)
                if np.abs(found[rows] - wanted).max() <= _TOLERANCE:
                    return CoreValues(heads, width, _neat(factor, width), mask, order, columns)
    return None


def _candidates(own: list[np.ndarray], arms: Arms) -> Iterator[Any]:
    """(heads, order, columns, (q, k, v)) [positions, columns each]."""
    orders = list(itertools.permutations(range(3)))
    for heads in sorted(arms.heads):
        if len(own) == 3:
            for order in orders:
                if own[0].shape[1] % heads == 0:
                    yield heads, order, (), [own[place] for place in order]
        elif own[0].shape[1] % (3 * heads) == 0:
            number = np.arange(own[0].shape[1])
            layouts = (number.reshape(3, -1), number.reshape(heads, 3, -1).swapaxes(0, 1))
            for layout, order in itertools.product(layouts, orders):
                chosen = [layout[place].ravel() for place in order]
                columns = tuple(int(place) for part in chosen for place in part)
                yield heads, (0, 1, 2), columns, [own[0][:, part] for part in chosen]


def _factors(width: int, constants: tuple[float, ...]) -> Iterator[float]:
    yield from (width**-0.5, 1 / width, 1.0)
    for number in constants:
        yield from (number, 1 / number, number**2)


def _neat(factor: float, width: int) -> float:
    """Exact where it is a power of the head width, up to rounding to float32."""
    exact = (width**-0.5, 1 / width, 1.0)
    return next((own for own in exact if abs(own / factor - 1) < 1e-6), short(factor))


def _attended(
    parts: list[np.ndarray], heads: int, factor: float, mask: str | None, rows: np.ndarray
) -> np.ndarray:
    """[rows, columns]."""
    q, k, v = (part.reshape(len(part), heads, -1) for part in parts)
    scores = factor * np.einsum("thd,shd->hts", q[rows], k)
    if mask == "causal":
        seen = np.arange(len(k)) <= rows[:, None]
        scores = np.where(seen, scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("hts,shd->thd", weights, v).reshape(len(rows), -1)
