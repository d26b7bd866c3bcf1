"""Scores over many networks: mean, standard error, spread, events."""

import functools
from typing import Any, NamedTuple

import numpy as np

from deepinit.diagnosis.probe import Batch, Probe

BY_LAYER = ("log_norm", "log_sin2", "log_gradient2")
_CHUNK = 16  # networks at once


class Estimate(NamedTuple):
    """A score over networks.

    Attributes:
        mean, standard_error, spread: over networks without an event; spread is the standard
            deviation. NaN if fewer than two remain.
        events: networks without a finite value: overflow, or underflow to 0.
    """

    mean: float
    standard_error: float
    spread: float
    events: int


def program(probe: Probe, num_seeds: int) -> Any:
    """`(batch, key) -> values` [num_seeds, ...] of `one_network.measured`, compiled once."""
    import jax

    @functools.partial(jax.jit)
    def values(batch: Batch, key: Any) -> Any:
        return many(probe, batch, key, num_seeds)

    return values


def many(probe: Probe, batch: Batch, key: Any, num_seeds: int) -> Any:
    """Values of networks `fold_in(key, i)`, [num_seeds, ...]."""
    import jax
    import jax.numpy as jnp

    from deepinit.diagnosis.one_network import measured

    of_seed = lambda seed: measured(probe, batch, jax.random.fold_in(key, seed))
    seeds = jnp.arange(num_seeds, dtype=jnp.uint32)
    return jax.lax.map(of_seed, seeds, batch_size=min(_CHUNK, num_seeds))


def estimates(values: dict[str, Any]) -> dict[str, Estimate]:
    """Scores of values [num_seeds]; those by layer are left out."""
    scalars = {name: np.asarray(v, float) for name, v in values.items() if name not in BY_LAYER}
    first = scalars.pop("log_first_gradient2")
    found = {name: estimate(each) for name, each in scalars.items()}
    found["gradient_spread"] = spread_estimate(first)
    return found


def by_layer(values: dict[str, Any]) -> dict[str, list[Estimate]]:
    """ln rms z^l, ln sin^2 and ln |dL/dz^l|^2 for every layer."""
    return {name: [estimate(each) for each in np.asarray(values[name]).T] for name in BY_LAYER}


def estimate(values: Any) -> Estimate:
    """Mean and its standard error, over finite values."""
    kept, events = _finite(values)
    if len(kept) < 2:
        return Estimate(np.nan, np.nan, np.nan, events)
    spread = float(np.std(kept, ddof=1))
    return Estimate(float(np.mean(kept)), spread / np.sqrt(len(kept)), spread, events)


def spread_estimate(values: Any) -> Estimate:
    """The standard deviation as a score; its own error from the fourth moment."""
    kept, events = _finite(values)
    if len(kept) < 2:
        return Estimate(np.nan, np.nan, np.nan, events)
    spread = float(np.std(kept, ddof=1))
    fourth = max(float(np.mean((kept - np.mean(kept)) ** 4)) - spread**4, 0.0)
    error = np.sqrt(fourth / len(kept)) / (2 * spread) if spread else 0.0
    return Estimate(spread, float(error), spread, events)


def _finite(values: Any) -> tuple[np.ndarray, int]:
    """Finite values, and the number of others."""
    every = np.asarray(values, float)
    kept = every[np.isfinite(every)]
    return kept, len(every) - len(kept)
