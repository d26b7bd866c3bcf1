"""Ranks, areas and intervals."""

from collections.abc import Callable
from typing import Any

import numpy as np

RESAMPLES = 2000


def auc(score: Any, fails: Any) -> float:
    """Probability that a failing network has the larger score, ties half; NaN without pairs."""
    score, fails = np.asarray(score, float), np.asarray(fails, bool)
    bad, good = score[fails], score[~fails]
    if not len(bad) or not len(good):
        return np.nan
    larger = (bad[:, None] > good).mean() + (bad[:, None] == good).mean() / 2
    return float(larger)


def same_shape_auc(score: Any, fails: Any, shapes: list[Any]) -> tuple[float, int]:
    """`auc` over pairs of equal shape, and the number of pairs."""
    score, fails = np.asarray(score, float), np.asarray(fails, bool)
    wins, pairs = 0.0, 0
    for shape in sorted(set(shapes), key=str):
        own = np.array([each == shape for each in shapes])
        count = int(fails[own].sum() * (~fails[own]).sum())
        if count:
            wins, pairs = wins + count * auc(score[own], fails[own]), pairs + count
    return (wins / pairs if pairs else np.nan), pairs


def spearman(a: Any, b: Any) -> float:
    """Rank correlation; NaN if one is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(each) for each in (a, b)]
    if any(np.ptp(each) == 0 for each in ranks):
        return np.nan
    return float(np.corrcoef(*ranks)[0, 1])


def resamples(families: list[str], seed: int = 0, count: int = RESAMPLES) -> list[np.ndarray]:
    """Indices of bootstrap samples within families."""
    rng = np.random.default_rng(seed)
    groups = [
        np.flatnonzero([each == family for each in families]) for family in sorted(set(families))
    ]
    return [np.concatenate([rng.choice(own, len(own)) for own in groups]) for _ in range(count)]


def interval(statistic: Callable[[np.ndarray], float], samples: list[np.ndarray]) -> list[float]:
    """95 % interval of `statistic(indices)`; samples where it is NaN are left out."""
    values = np.array([statistic(own) for own in samples])
    values = values[np.isfinite(values)]
    return np.quantile(values, [0.025, 0.975]).tolist() if len(values) else [np.nan, np.nan]


def wilson(count: int, of: int) -> list[float]:
    """95 % interval of a share."""
    if not of:
        return [0.0, 1.0]
    z, share = 1.959964, count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return [float(middle - half), float(middle + half)]
