"""Parameters of many networks, drawn outside the program that scores them.

Keys are folded on the host. Numbers come from one compiled function a law, of any shape: networks
of new widths compile no sampler, and the scoring program has none. Keys and bits are those of
`Law.sample` in sequential mode, numbers up to rounding.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.generator import threefry
from deepinit.core.laws import Law
from deepinit.networks.linear_layers import LinearLayer

BLOCK = 2**19  # threefry blocks of one call, two numbers each
_WORD = np.uint32


class Request(NamedTuple):
    """Numbers of one matrix of many networks: keys [*lead, 2] -> values [*lead, *shape]."""

    keys: np.ndarray
    law: Any
    shape: tuple[int, int]
    depth: int
    is_bias: bool = False

    @property
    def size(self) -> int:
        """Count of numbers."""
        return math.prod(self.keys.shape[:-1]) * math.prod(self.shape)


def key_data(key: int) -> np.ndarray:
    """Words of `jax.random.key(key)`, [2]."""
    return np.array([0, key], _WORD)


def fold_in(keys: np.ndarray, numbers: Any) -> np.ndarray:
    """Words of `jax.random.fold_in`: keys [..., 2] and numbers that broadcast with [...]."""
    numbers = np.asarray(numbers, _WORD)
    with np.errstate(over="ignore"):  # of scalars
        first, second = threefry(keys[..., 0], keys[..., 1], np.zeros_like(numbers), numbers)
    return np.stack([first, second], axis=-1)


def steps(keys: np.ndarray, first: int, times: int) -> np.ndarray:
    """Keys of a Repeat, [..., times, 2]."""
    return fold_in(keys[..., None, :], first + np.arange(times, dtype=_WORD))


def requested(layer: LinearLayer, fan_in: int, keys: np.ndarray) -> dict[str, Request]:
    """Weights and biases of one linear layer, as `matrices.drawn_matrix` draws them."""
    size, depth = (layer.fan_out, fan_in), layer.depth
    found = {"weights": Request(fold_in(keys, 0), layer.weight_law, size, depth)}
    if layer.bias_law is not None:
        size = (layer.fan_out, 1)
        found["biases"] = Request(fold_in(keys, 1), layer.bias_law, size, depth, True)
    return found


def drawn(requests: Any) -> Any:
    """The tree of requests as arrays, float32. Raises SpecError: beyond the dtype's range."""
    import jax

    leaves, tree = jax.tree.flatten(requests, is_leaf=lambda each: isinstance(each, Request))
    values: list[Any] = [None] * len(leaves)
    by_kind: dict[str, list[int]] = {}
    for at, each in enumerate(leaves):
        if isinstance(each.law, Law) and each.law.name in _FROM_UNIFORM:
            by_kind.setdefault(each.law.name, []).append(at)
        else:
            values[at] = _sampled(each)
    for kind, places in by_kind.items():
        standard = _standard(kind, [leaves[at] for at in places])
        for at, numbers in zip(places, standard, strict=True):
            own = leaves[at]
            std = own.law.entry_std(own.shape[1], own.depth)
            values[at] = np.float32(std) * numbers
    for at, own in enumerate(leaves):
        shape = own.shape[:1] if own.is_bias else own.shape
        values[at] = values[at].reshape(*own.keys.shape[:-1], *shape)
    return jax.tree.unflatten(tree, values)


def _standard(kind: str, requests: list[Request]) -> Iterator[np.ndarray]:
    """Numbers of variance 1, [keys, size] for every request."""
    parts = [_counters(each.keys.reshape(-1, 2), math.prod(each.shape)) for each in requests]
    words = [np.concatenate(each) for each in zip(*parts, strict=True)]
    run, count = _numbers(kind), len(words[0])
    numbers = np.empty((2, count), np.float32)
    for start in range(0, count, BLOCK):
        given = [each[start : start + BLOCK] for each in words]
        length = len(given[0])
        if length < BLOCK:
            given = [np.pad(each, (0, BLOCK - length)) for each in given]
        numbers[:, start : start + length] = np.asarray(run(*given))[:, :length]
    start = 0
    for each in requests:
        groups, size = each.keys.size // 2, math.prod(each.shape)
        half = -(-size // 2)
        own = numbers[:, start : start + groups * half].reshape(2, groups, half)
        start += groups * half
        yield np.concatenate([own[0], own[1]], axis=1)[:, :size]


def _counters(keys: np.ndarray, size: int) -> tuple[np.ndarray, ...]:
    """Key and counter words of every block: counters 0 .. size - 1, halves side by side."""
    half = -(-size // 2)
    low = np.arange(half, dtype=_WORD)
    high = low + _WORD(half)
    if size % 2:
        high[-1] = 0
    groups = len(keys)
    return (
        np.repeat(keys[:, 0], half),
        np.repeat(keys[:, 1], half),
        np.tile(low, groups),
        np.tile(high, groups),
    )


def _uniform(bits: Any, low: float, high: float) -> Any:
    """As `jax.random.uniform`."""
    import jax
    import jax.numpy as jnp

    bits = (bits >> np.uint32(9)) | np.float32(1.0).view(np.uint32)
    fraction = jax.lax.bitcast_convert_type(bits, jnp.float32) - 1.0
    least, most = np.float32(low), np.float32(high)
    return jnp.maximum(least, fraction * (most - least) + least)


def _normal(bits: Any) -> Any:
    """As `jax.random.normal`."""
    import jax

    least = np.nextafter(np.float32(-1.0), np.float32(0.0))
    return np.float32(math.sqrt(2.0)) * jax.lax.erf_inv(_uniform(bits, least, 1.0))


def _truncated(bits: Any) -> Any:
    """As `jax.random.truncated_normal`, at variance 1."""
    import jax
    import jax.numpy as jnp

    from deepinit.core.laws import TRUNCATED_STD, TRUNCATION

    bound = np.float32(TRUNCATION)
    edge = math.erf(TRUNCATION / math.sqrt(2.0))
    numbers = np.float32(math.sqrt(2.0)) * jax.lax.erf_inv(_uniform(bits, -edge, edge))
    inside = np.nextafter(bound, np.float32(0.0))
    return jnp.clip(numbers, -inside, inside) / np.float32(TRUNCATED_STD)


_FROM_UNIFORM = {
    "normal": _normal,
    "uniform": lambda bits: _uniform(bits, -math.sqrt(3.0), math.sqrt(3.0)),
    "truncated_normal": _truncated,
}


@functools.cache
def _numbers(kind: str) -> Any:
    """`(key words, counter words) -> numbers [2, blocks]`, compiled once a law."""
    import jax
    import jax.numpy as jnp

    def numbers(key0: Any, key1: Any, count0: Any, count1: Any) -> Any:
        bits = jnp.stack(threefry(key0, key1, count0, count1))
        return _FROM_UNIFORM[kind](bits)

    return jax.jit(numbers, compiler_options={"xla_backend_optimization_level": 1})


def _sampled(request: Request) -> np.ndarray:
    """By the law's own `sample`, compiled for its shape."""
    import jax
    import jax.numpy as jnp

    law, shape, depth = request.law, request.shape, request.depth
    sample = lambda key: law.sample(key, shape, depth=depth, dtype="float32")
    keys = jax.random.wrap_key_data(jnp.asarray(request.keys.reshape(-1, 2)), impl="threefry2x32")
    return np.asarray(jax.jit(jax.vmap(sample))(keys))
