"""Whether two samples have one law, at 5 standard errors."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from scipy import stats

SIGMAS = 5.0


def samples(f: Callable[..., Any], *args: Any, num: int, seed: int, batch: int = 100) -> Any:
    """f(key, *args) [num, statistics] of independent keys."""
    keys = jax.random.split(jax.random.key(seed), num)
    return np.asarray(
        jax.jit(lambda keys: jax.lax.map(lambda key: f(key, *args), keys, batch_size=batch))(keys),
        np.float64,
    )


def one_by_one(f: Callable[..., Any], *args: Any, num: int, seed: int) -> Any:
    """The same without a loop inside JAX, where many QR decompositions at once can deadlock."""
    run = jax.jit(f)
    keys = jax.random.split(jax.random.key(seed), num)
    return np.asarray([run(key, *args) for key in keys], np.float64)


def farthest(first: Any, second: Any) -> float:
    """Largest difference of means, mean squares and distributions, in standard errors."""
    spread = np.concatenate([first, second]).std(axis=0)
    center = np.concatenate([first, second]).mean(axis=0)
    found = []
    for power in (1, 2):
        a, b = (((sample - center) / spread) ** power for sample in (first, second))
        error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
        found.append(np.max(np.abs(a.mean(axis=0) - b.mean(axis=0)) / error))
    p = min(stats.ks_2samp(x, y).pvalue for x, y in zip(first.T, second.T, strict=True))
    return float(max(*found, stats.norm.isf(max(p, 1e-300) / 2)))


def assert_same_law(first: Any, second: Any, rejects: Any) -> None:
    """Two samples [num, statistics] have one law, and a rival has another."""
    assert all(np.all(np.isfinite(sample)) for sample in (first, second, rejects))
    off, rival = farthest(first, second), farthest(first, rejects)
    assert off < SIGMAS, f"off by {off:.2f} standard errors"
    assert rival > SIGMAS, f"the rival is within {rival:.2f} standard errors"
