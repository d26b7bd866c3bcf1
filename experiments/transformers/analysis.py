"""Laws of rank collapse and of the variance over heads, and their measurements.

Attention A = softmax(S) on tokens x_t of Gram G = (1 - c) I + c 1 1^T (mean square 1), H heads of
width d, laws normal(1.0), S = c_S q.k with c_S^2 d = beta^2 (sqrt) or beta^2 / d (mup).

Rank collapse, no mask. With x_t = m + e_t and e_t -> 0, A_ts = (1 + c_S q_t.(k_s - mean k)) / T, so
that o_t - mean o = sum_s c_S (W_q e_t).(W_k e_s) W_v e_s / T and, for H and d -> infinity,

    1 - c' = beta^2 (T - 1) / T^2 (1 - c)^3    as c -> 1;

`distance_orbit` has all c.

Causal mask: A -> 1/t on s <= t (`causal_orbit`), of eigenvalues 1/t; the second, 1/2, leaves

    1 - c ~ 4^-layers.

Variance of the mean token cosine f over networks, H -> infinity at fixed width n = H d. Given the
tokens the heads are independent, and for d -> infinity one head has the Gram A G A^T with
S ~ N(0, beta^2 G (x) G):

    Var f = Var_S[g . A G A^T] / H + O(1/n) + O(1/H^2),    g = gradient of f at E_S[A G A^T].

The remainder is fitted. Rivals: heads do not matter (slope 0); the queries of different tokens are
independent (S ~ N(0, beta^2 I (x) G)).
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.runs.experiment import CaseResult, Results

from .cases import COLLAPSE_DEPTHS, Config

LOG_DRAWS = 17  # of Sobol points: slopes to 0.5 %


class Verdict(NamedTuple):
    """A measured number, a law and wrong rules; `allowed`: size of the law's next order."""

    name: str
    law: str
    measured: float
    error: float
    predicted: float
    rivals: dict[str, float]
    allowed: float = 0.0

    def z(self, value: float) -> float:
        """Distance of the measurement from a value beyond `allowed`, in standard errors."""
        return max(abs(self.measured - value) - self.allowed, 0.0) / self.error

    @property
    def held(self) -> bool:
        """The law within the threshold, every rival beyond."""
        rejected = all(self.z(value) >= THRESHOLD_SIGMA for value in self.rivals.values())
        return bool(self.z(self.predicted) < THRESHOLD_SIGMA and rejected)


def depth_curve(result: CaseResult, num_blocks: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(block, mean, standard error): the embedding, 0, and every block."""
    first = slice(num_blocks + 1)
    estimate = result.estimate
    return np.arange(num_blocks + 1), estimate.mean[first, 0], estimate.standard_error[first, 0]


def verdicts(config: Config, results: Results) -> list[Verdict]:
    """All laws of a run."""
    found = [
        collapse_verdict(config, kind, results[f"collapse-{kind}"]) for kind in config.collapse
    ]
    return [*found, heads_verdict(config, results)] if config.law_heads else found


def collapse_line(config: Config, kind: str) -> np.ndarray:
    """ln(1 - c) by layer: `distance_orbit`, with a mask `causal_orbit`."""
    if kind == "causal":
        return causal_orbit(config.length, COLLAPSE_DEPTHS[kind])
    square = 1.0 if kind == "sqrt" else config.heads / config.width
    return distance_orbit(config.length, COLLAPSE_DEPTHS[kind], math.sqrt(square))


def collapse_verdict(config: Config, kind: str, result: CaseResult) -> Verdict:
    """Ratio of the last two changes of ln(1 - c); with a mask, mean of the last four."""
    samples = result.estimate.samples
    assert samples is not None
    values = samples[:, :, 0].astype(np.float64)
    steps = np.diff(values[np.isfinite(values).all(axis=1)], axis=1)
    changes, root = np.diff(collapse_line(config, kind)), math.sqrt(len(steps))
    if kind == "causal":
        late = steps[:, -4:].mean(axis=1)
        error, rivals = float(late.std(ddof=1) / root), {"-ln 2": -math.log(2)}
        law, predicted = "change of ln(1 - cos) per layer", float(changes[-4:].mean())
        return Verdict(kind, law, float(late.mean()), error, predicted, rivals)
    before, after = steps[:, -2], steps[:, -1]
    ratio = float(after.mean() / before.mean())
    error = float(np.std(after - ratio * before, ddof=1) / abs(before.mean()) / root)
    law, rivals = "ratio of changes of ln(1 - cos)", {"geometric, 1": 1.0, "squares, 2": 2.0}
    predicted = float(changes[-1] / changes[-2])
    return Verdict(kind, law, ratio, error, predicted, rivals, predicted / config.heads)


def heads_verdict(config: Config, results: Results) -> Verdict:
    """The slope in 1/heads of the variance of the mean token cosine."""
    (_, slope, _), covariance = heads_fit(config, results)
    predicted = heads_slope(config.length, config.law_cosine)
    rivals = {
        "heads do not matter": 0.0,
        "independent queries": heads_slope(config.length, config.law_cosine, queries="independent"),
    }
    error = math.sqrt(covariance[1, 1])
    law = "slope of the variance in 1/heads"
    return Verdict("heads", law, float(slope), error, predicted, rivals)


def heads_fit(config: Config, results: Results) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares of Var = a + b / H + c / H^2: ((a, b, c), covariance)."""
    inverse = 1.0 / np.array(config.law_heads)
    estimates = [results[f"heads-{heads}"].estimate for heads in config.law_heads]
    variances = np.array([estimate.variance[0, 0] for estimate in estimates])
    errors = np.array([estimate.variance_standard_error[0, 0] for estimate in estimates])
    design = np.stack([np.ones_like(inverse), inverse, inverse**2], axis=1) / errors[:, None]
    covariance = np.linalg.inv(design.T @ design)
    return covariance @ design.T @ (variances / errors), covariance


@functools.cache
def heads_slope(length: int, cosine: float, *, queries: str = "joint") -> float:
    """Var_S[g . A G A^T] of one head; `queries`: joint, or independent (a wrong rule)."""
    size, spread = head_draws(length, 1 - cosine, queries=queries)
    ratio = spread.mean() / size.mean()  # 1 - f
    return float(np.var((spread - ratio * size) / size.mean()))


@functools.cache
def distance_orbit(length: int, layers: int, beta: float = 1.0) -> np.ndarray:
    """ln(1 - c) at infinite width, no mask, RMSNorm before attention: from c = 0, [layers + 1]."""
    distances = [1.0]
    for _ in range(layers):
        size, spread = head_draws(length, distances[-1], beta)
        distances.append(spread.mean() / size.mean())
    return np.log(distances)


def causal_orbit(length: int, layers: int) -> np.ndarray:
    """ln(1 - c) under uniform causal attention, from orthogonal tokens: [layers + 1]."""
    weights = np.tril(np.ones((length, length))) / np.arange(1, length + 1)[:, None]
    above, root, found = np.triu_indices(length, 1), np.eye(length), []
    for _ in range(layers + 1):
        root /= np.linalg.norm(root, axis=1, keepdims=True)  # tokens, in some basis
        found.append(np.mean(np.sum((root[above[0]] - root[above[1]]) ** 2, axis=1)) / 2)
        root = weights @ root
    return np.log(found)


def head_draws(
    length: int, distance: float, beta: float = 1.0, *, queries: str = "joint"
) -> tuple[np.ndarray, np.ndarray]:
    """Of O = A G A^T, 1 - c = distance, over Sobol draws of S:
    mean diagonal; mean diagonal minus mean off-diagonal, without cancellation.
    """
    from scipy.special import ndtri
    from scipy.stats import qmc

    mean = np.full((length, length), 1 / length)
    root = math.sqrt(distance) * (np.eye(length) - mean)
    root += math.sqrt(length - (length - 1) * distance) * mean
    left = root if queries == "joint" else np.eye(length)
    uniform = qmc.Sobol(length**2, seed=0).random_base2(LOG_DRAWS)
    normals = ndtri(np.clip(uniform, 1e-12, 1 - 1e-12)).reshape(-1, length, length)
    scores = beta * left @ normals @ root
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    centred = weights - weights.mean(axis=1, keepdims=True)
    size = (1 - distance) + distance * np.mean(np.sum(weights**2, axis=2), axis=1)
    return size, distance * np.sum(centred**2, axis=(1, 2)) / (length - 1)
