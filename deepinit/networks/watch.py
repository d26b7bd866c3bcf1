"""Rows of the calls inside a site, and moments of their columns.

A column holds one neuron (channel) of the k rows, inputs x positions: F_a. Its features are t =
(F_a F_b, a <= b; F_a); of a sum x + F that keeps x, t = features of x + F less those of x. Of two
rows they are those of F_1 and F_2 - c F_1, so that rounding leaves small angles alone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers import Layer, Shape, output_shape
from deepinit.core.layers.calls import Call, Calls, Columns, Heads
from deepinit.networks.rotary import rotated
from deepinit.networks.rows import Rows

_LOWEST = -1e30  # log-scale of zero rows


class _Seen(NamedTuple):
    """Rows before and after a call, with shapes of one input."""

    rows: dict[str, tuple[Rows, Shape]]


class Watch:
    """Rows of the calls inside a site."""

    def __init__(self) -> None:
        self._calls = Calls()
        self._seen: dict[Call, _Seen] = {}

    def enter(self, layer: Layer) -> None:
        """A call begins."""
        self._calls.enter(layer)

    def leave(self, layer: Layer, before: Rows, after: Rows, shape: Shape) -> None:
        """A call ends; `shape` is that of one input."""
        seen = {"in": (before, shape), "out": (after, output_shape(layer, shape))}
        self._seen[self._calls.leave()] = _Seen(seen)

    @property
    def site(self) -> Layer:
        """The layer that is the site."""
        return next(call for call in self._seen if len(call) == 1)[0][0]

    def moments(self, columns: Columns | Heads, inputs: Sequence[int]) -> Any:
        """Mean of f f^T over columns, entries i <= j, f = (1, t) or (1, t, x), x that of `beyond`.

        Of heads of width d: q k^T / d [heads, k, k], q and k turned; o o^T / d, entries a <= b.
        In units of the rows' scales, which follow as [k], natural logarithms; of two rows then c.
        """
        if isinstance(columns, Heads):
            return self._heads(columns, inputs)
        rows, scales = self._rows(columns, inputs)
        share = _share(rows)
        rows = _apart(rows, share)
        features = _features(rows)
        if columns.beyond is not None:
            start, own = self._rows(columns.beyond, inputs)
            start = _apart(start * jnp.exp(own - scales)[:, None], share)
            features = jnp.concatenate([features - _features(start), start])
        every = jnp.concatenate([jnp.ones_like(features[:1]), features])
        products = jnp.matmul(every, every.T, precision="highest") / every.shape[1]
        return jnp.concatenate([products[np.triu_indices(len(every))], scales, share])

    def _heads(self, heads: Heads, inputs: Sequence[int]) -> Any:
        """Products in units of the scales of (q, k, v) and of outputs, which follow."""
        mixed, scales = self._rows(Columns(heads.call, "in"), inputs)
        outputs, sizes = self._rows(Columns(heads.call, "out"), inputs)
        q, k, _ = jnp.moveaxis(mixed.reshape(len(mixed), 3, heads.number, -1), 0, 2)
        if heads.rotary is not None:
            length = self._seen[heads.call].rows["in"][1].num_positions
            q, k = (_turned(part, length, heads.rotary) for part in (q, k))
        o = jnp.moveaxis(outputs.reshape(len(outputs), heads.number, -1), 0, 1)
        scores, products = (_products(*pair) / o.shape[-1] for pair in ((q, k), (o, o)))
        first, second = np.triu_indices(o.shape[1])
        parts = (scores.ravel(), products[:, first, second].ravel(), scales, sizes)
        return jnp.concatenate(parts)

    def _rows(self, columns: Columns, inputs: Sequence[int]) -> tuple[Any, Any]:
        """[k, n] and log-scales [k]."""
        rows, shape = self._seen[columns.call].rows[columns.where]
        every, scales = _vectors(rows)
        chosen = np.asarray(inputs)
        vectors = every[chosen].reshape(len(chosen) * shape.num_positions, -1)
        return vectors, jnp.repeat(scales[chosen], shape.num_positions)


def _vectors(rows: Rows) -> tuple[Any, Any]:
    """Points and partners [inputs, size], with log-scales."""
    if not rows.bases:
        return jnp.asarray(rows.points), jnp.asarray(rows.point_scales)
    step = jnp.exp(rows.displacement_scales)[:, None]
    partners = rows.of_bases(rows.points) + step * rows.displacements
    own = rows.of_bases(rows.point_scales) + rows.partner_scales
    alive = ~jnp.isneginf(rows.partner_scales)
    every = jnp.concatenate([rows.points, jnp.where(alive[:, None], partners, 0)])
    return every, jnp.concatenate([rows.point_scales, jnp.where(alive, own, _LOWEST)])


def _turned(rows: Any, length: int, base: float) -> Any:
    """Rows [heads, k, d] of queries or keys, by `rotated`."""
    inputs = rows.reshape(len(rows), -1, length, rows.shape[-1])
    return rotated(inputs, base).reshape(rows.shape)


def _products(left: Any, right: Any) -> Any:
    """[heads, k, k]."""
    return jnp.matmul(left, jnp.swapaxes(right, 1, 2), precision="highest")


def _share(rows: Any) -> Any:
    """c of two rows [1], that of the first in the second; [0] of others."""
    if len(rows) != 2:
        return jnp.zeros(0, rows.dtype)
    size, product = jnp.sum(rows[0] ** 2), jnp.sum(rows[0] * rows[1])
    return jnp.where(size > 0, product / jnp.where(size > 0, size, 1), 0)[None]


def _apart(rows: Any, share: Any) -> Any:
    """Two rows as the first, and the second less c times the first."""
    return jnp.stack([rows[0], rows[1] - share[0] * rows[0]]) if len(rows) == 2 else rows


def _features(rows: Any) -> Any:
    """[p + k, n]."""
    first, second = np.triu_indices(len(rows))
    return jnp.concatenate([rows[first] * rows[second], rows])
