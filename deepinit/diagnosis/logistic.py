"""Ridge logistic regression on standardized features, and how far a point is from its data."""

from typing import Any, NamedTuple

import numpy as np

RIDGE = 0.3  # C: |w|^2 / 2 + C times the sum of log-losses


class Logistic(NamedTuple):
    """P(fail) = 1 / (1 + exp(-(intercept + weights . (x - mean) / scale))).

    Attributes:
        mean, scale, weights: [features].
        precision: inverse covariance of the standardized features of the fitted networks.
        largest: 99 % point of their Mahalanobis distances.
        networks: fitted ones.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    intercept: float
    precision: np.ndarray
    largest: float
    networks: int

    def probability(self, features: Any) -> np.ndarray:
        """P(fail) of [..., features]."""
        score = self.intercept + self._standardized(features) @ self.weights
        return 1 / (1 + np.exp(-np.clip(score, -50, 50)))

    def distance(self, features: Any) -> np.ndarray:
        """Mahalanobis distance from the fitted networks."""
        moved = self._standardized(features)
        return np.sqrt(np.einsum("...i,ij,...j->...", moved, self.precision, moved))

    def _standardized(self, features: Any) -> np.ndarray:
        return (np.asarray(features, float) - self.mean) / self.scale


def fit(features: Any, fails: Any) -> Logistic:
    """Of [networks, features] and [networks] booleans, by Newton's method."""
    x, y = np.asarray(features, float), np.asarray(fails, float)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    z = (x - mean) / scale
    design = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    penalty = np.diag([0.0, *np.ones(z.shape[1])])
    at = np.zeros(design.shape[1])
    loss = lambda at: (
        RIDGE * np.sum(np.logaddexp(0, design @ at) - y * (design @ at)) + at @ penalty @ at / 2
    )
    for _ in range(100):
        share = 1 / (1 + np.exp(-np.clip(design @ at, -50, 50)))
        gradient = RIDGE * design.T @ (share - y) + penalty @ at
        if np.max(np.abs(gradient)) < 1e-10:
            break
        curvature = RIDGE * (design.T * (share * (1 - share))) @ design + penalty
        step = np.linalg.solve(curvature + 1e-12 * np.eye(len(at)), gradient)
        size = 1.0
        while loss(at - size * step) > loss(at) and size > 1e-6:
            size /= 2
        at = at - size * step
    covariance = z.T @ z / len(z) + 1e-9 * np.eye(z.shape[1])
    found = Logistic(mean, scale, at[1:], float(at[0]), np.linalg.inv(covariance), np.inf, len(x))
    return found._replace(largest=float(np.quantile(found.distance(x), 0.99)))


def to_json(model: Logistic) -> dict[str, Any]:
    """As JSON."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in model._asdict().items()
    }


def from_json(record: dict[str, Any]) -> Logistic:
    """Inverse of `to_json`."""
    arrays = {name: np.asarray(record[name]) for name in ("mean", "scale", "weights", "precision")}
    numbers = {name: float(record[name]) for name in ("intercept", "largest")}
    return Logistic(**arrays, **numbers, networks=int(record["networks"]))  # type: ignore[arg-type]
