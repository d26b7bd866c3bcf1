"""Draws of layer factors, and the tests of their laws."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats


def sampled(fn, num, key=0, batch=1000):
    """[num, ...] of fn at keys folded from one."""
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(jnp.arange(num))
    return np.asarray(jax.jit(lambda keys: jax.lax.map(fn, keys, batch_size=batch))(keys))


def binomial(n):
    """Values and probabilities of the number of heads in n throws of a fair coin."""
    return np.arange(n + 1), scipy.stats.binom(n, 0.5).pmf(np.arange(n + 1))


def p_value(logs, cdf):
    """Kolmogorov-Smirnov, of the layers that are not dead, against cdf(X)."""
    alive = logs[np.isfinite(logs)].astype(np.float64)
    return scipy.stats.kstest(np.exp(alive), cdf).pvalue
