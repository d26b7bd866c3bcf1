"""A Gaussian matrix used three times: W X, then W' D, then W V.

`conditional` draws its action, O(n k^2) for k columns, with the exact joint law, also where D
depends on W X and V on both (principle of deferred decisions); `explicit` draws W.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class GaussianMap(NamedTuple):
    """W [rows, columns] of independent N(0, std^2) entries.

    Attributes:
        forward: (rng, std, X [columns, k], rows) -> (W X, memory).
        backward: (rng, memory, D [rows, b]) -> (W' D, memory).
        again: (rng, memory, V [columns, m]) -> W V.
    """

    forward: Callable[[Any, float, Array, int], tuple[Array, Any]]
    backward: Callable[[Any, Any, Array], tuple[Array, Any]]
    again: Callable[[Any, Any, Array], Array]


class _Known(NamedTuple):
    """W inputs = images, W' outputs = std noise orthogonal to inputs + inputs images' outputs."""

    std: float
    inputs: Array  # orthonormal columns
    images: Array
    outputs: Array | None = None  # orthonormal columns
    noise: Array | None = None


def _forward(rng: Any, std: float, x: Array, rows: int) -> tuple[Array, _Known]:
    inputs, factor = np.linalg.qr(x)
    images = std * rng.standard_normal((rows, inputs.shape[1]))
    return images @ factor, _Known(std, inputs, images)


def _backward(rng: Any, known: _Known, d: Array) -> tuple[Array, _Known]:
    outputs, factor = np.linalg.qr(d)
    noise = known.std * rng.standard_normal((len(known.inputs), outputs.shape[1]))
    fresh = noise - known.inputs @ (known.inputs.T @ noise)
    back = known.inputs @ (known.images.T @ d) + fresh @ factor
    return back, known._replace(outputs=outputs, noise=noise)


def _again(rng: Any, known: _Known, v: Array) -> Array:
    assert known.outputs is not None
    assert known.noise is not None
    along = known.inputs.T @ v
    beyond = v - known.inputs @ along
    noise = known.std * rng.standard_normal((len(known.images), v.shape[1]))
    fresh = (noise - known.outputs @ (known.outputs.T @ noise)) @ np.linalg.qr(beyond, mode="r")
    return known.images @ along + known.outputs @ (known.noise.T @ beyond) + fresh


conditional = GaussianMap(_forward, _backward, _again)


def _draw(rng: Any, std: float, x: Array, rows: int) -> tuple[Array, Array]:
    matrix = std * rng.standard_normal((rows, len(x)))
    return matrix @ x, matrix


explicit = GaussianMap(
    _draw, lambda rng, matrix, d: (matrix.T @ d, matrix), lambda rng, matrix, v: matrix @ v
)

ENGINES = {"conditional": conditional, "explicit": explicit}
