"""Exact samples of Binomial(n, 1/2), at a cost independent of n.

Probabilities are integers in units of 2^-64: exact up to n = 64, to half a unit beyond (the
remainder, below 2^-54, goes to the centre). About 18 sqrt(n / 4) atoms form an alias table of 2^m
equal columns: of 64 random bits, m choose the column, the others meet its threshold.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.generator import sequential_bits

_BITS = 64
_GUARD = 192  # binary digits that the recursion carries


class AliasTables(NamedTuple):
    """Alias tables of several layers, one per distinct width.

    Attributes:
        columns: [columns of all tables, 2]: high word of the threshold; its low 32 - m bits, below
            m bits of the alias.
        starts, firsts, shifts: by layer: first column, its atom, and 32 - m.
    """

    columns: np.ndarray
    starts: np.ndarray
    shifts: np.ndarray
    firsts: np.ndarray


def alias_tables(widths: tuple[int, ...]) -> AliasTables:
    """Tables of these widths, O(sqrt(width)) numbers each."""
    columns: list[np.ndarray] = []
    places: dict[int, tuple[int, int, int]] = {}
    for width in sorted(set(widths)):
        first, weights = integer_weights(width)
        table, shift = _alias_table(weights)
        places[width] = sum(map(len, columns)), shift, first
        columns.append(table)
    starts, shifts, firsts = np.array([places[width] for width in widths]).T
    return AliasTables(
        np.concatenate(columns),
        starts.astype(np.int32),
        shifts.astype(np.uint32),
        firsts.astype(np.int32),
    )


def integer_weights(width: int) -> tuple[int, list[int]]:
    """First atom, and 2^64 P(K = k) from it on, integers of sum 2^64.

    From the centre out, P(k + 1) / P(k) = (n - k) / (k + 1), in 192 binary digits.
    """
    centre = (width + 1) // 2
    upper = [1 << _GUARD]
    # below 2^-80 of the centre, probabilities round to 0
    while centre + len(upper) <= width and upper[-1] >> (_GUARD - 80):
        k = centre + len(upper) - 1
        upper.append(upper[-1] * (width - k) // (k + 1))
    lower = upper[::-1] if width % 2 else upper[:0:-1]
    total = sum(lower) + sum(upper)
    weights = [((weight << (_BITS + 1)) // total + 1) // 2 for weight in (*lower, *upper)]
    weights[len(lower)] += (1 << _BITS) - sum(weights)
    nonzero = [index for index, weight in enumerate(weights) if weight]
    first, last = nonzero[0], nonzero[-1]
    return centre - len(lower) + first, weights[first : last + 1]


def _alias_table(weights: list[int]) -> tuple[np.ndarray, int]:
    """Columns of `AliasTables`, and 32 - m."""
    index_bits = max(1, (len(weights) - 1).bit_length())
    shift, capacity = 32 - index_bits, 1 << (_BITS - index_bits)
    left = [*weights, *[0] * ((1 << index_bits) - len(weights))]
    # a full column is its own alias, for any threshold
    own, alias = [0] * len(left), list(range(len(left)))
    small = [column for column, weight in enumerate(left) if weight < capacity]
    large = [column for column, weight in enumerate(left) if weight > capacity]
    while small:  # the sum is exact, so both lists end together
        low, high = small.pop(), large[-1]
        own[low], alias[low] = left[low], high
        left[high] -= capacity - left[low]
        if left[high] <= capacity:
            large.pop()
            if left[high] < capacity:
                small.append(high)
    low_bits = (1 << shift) - 1
    packed = [
        (t >> shift, other << shift | t & low_bits) for t, other in zip(own, alias, strict=True)
    ]
    return np.array(packed, np.uint32), shift


def sample(key: jax.Array, tables: AliasTables) -> jax.Array:
    """Independent K ~ Binomial(width, 1/2), [num_layers] int32."""
    with sequential_bits():
        return sample_from_bits(jax.random.bits(key, (2, len(tables.starts)), "uint32"), tables)


def sample_from_bits(words: jax.Array, tables: AliasTables) -> jax.Array:
    """`sample` from uint32 words [2, num_layers]."""
    first_word, second_word = words
    low_bits = (np.uint32(1) << tables.shifts) - np.uint32(1)
    index, remainder = first_word >> tables.shifts, first_word & low_bits
    columns = (
        jnp.asarray(tables.columns)
        .at[tables.starts + index.astype(jnp.int32)]
        .get(mode="promise_in_bounds")
    )
    high, packed = columns[:, 0], columns[:, 1]
    own = (second_word < high) | ((second_word == high) & (remainder < (packed & low_bits)))
    return jnp.asarray(tables.firsts) + jnp.where(own, index, packed >> tables.shifts).astype(
        jnp.int32
    )
