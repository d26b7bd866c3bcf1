"""Moments of the diffusion with correlated weights and drift, at any width.

Blocks x + phi(dW x + db), dW = mu_W dt + e sqrt(dt), cov(e_oi, e_o'i') = R_oo' K_ii'
(rows o, columns i), db = mu_b dt + f sqrt(dt), cov f = B; independent entries: R = weight_var
I / D, K = I, B = bias_var I. For psi = id, phi''(0) = 0, M_ij = E x_i x_j^T

    (E x_i)' = a (mu_W E x_i + mu_b)
    M_ij'    = a (mu_W M_ij + M_ij mu_W^T + mu_b E x_j^T + E x_i mu_b^T) + a^2 (B + R tr(K M_ij^T)).
"""

from typing import NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.diffusion.growth import (
    bounded,
    bounded_array,
    check_exponent,
    gram_matrix,
    without_curvature,
)
from deepinit.theory.diffusion.solver import integrated


class CorrelatedMoments(NamedTuple):
    """E x_i and E x_i x_j^T of N inputs at the horizon."""

    mean: Float[np.ndarray, "N D"]
    second: Float[np.ndarray, "N N D D"]

    @property
    def covariance(self) -> Float[np.ndarray, "N N D D"]:
        """Covariance of x_i with x_j."""
        return self.second - np.einsum("id,je->ijde", self.mean, self.mean)


def correlated_moments(
    activation: ActivationLike,
    start: Real[Array, "*N D"] | Plain,
    row_covariance: Real[Array, "D D"] | Plain,
    column_covariance: Real[Array, "D D"] | Plain,
    bias_covariance: Real[Array, "D D"] | Plain | None = None,
    horizon: float = 1.0,
    *,
    weight_drift: Real[Array, "D D"] | Plain | None = None,
    bias_drift: Real[Array, "D"] | Plain | None = None,
) -> CorrelatedMoments:
    """E x_i and E x_i x_j^T for matrix-Gaussian weights with drift.

    Args:
        activation: phi, smooth at 0, phi(0) = phi''(0) = 0 (else SpecError).
        row_covariance, column_covariance: R (sigma^WO) between neurons, K (sigma^WI) between
            weights.
        bias_covariance, weight_drift, bias_drift: B, mu_W, mu_b.

    Valid for: psi = id, fixed width; error O(horizon / depth), numerical 1e-10. Reference:
    arXiv:2007.03253, assumption 6 and section 3; moments: module docstring.
    """
    a = without_curvature(activation).slope
    x = np.atleast_2d(bounded_array("start", start))
    if x.ndim != 2 or not x.size:
        raise SpecError(f"start of shape {x.shape}", "[N, D]", "Give one row for each input.")
    (n, d), time = x.shape, bounded("horizon", horizon)
    zero = np.zeros((d, d))
    rows = gram_matrix("row_covariance", row_covariance, size=d)
    columns = gram_matrix("column_covariance", column_covariance, size=d)
    given = zero if bias_covariance is None else bias_covariance
    biases = gram_matrix("bias_covariance", given, size=d)
    drift = bounded_array("weight_drift", zero if weight_drift is None else weight_drift, (d, d))
    push = bounded_array("bias_drift", np.zeros(d) if bias_drift is None else bias_drift, (d,))

    def rates(state: np.ndarray) -> np.ndarray:
        mean, second = state[: n * d].reshape(n, d), state[n * d :].reshape(n, n, d, d)
        pushed = np.einsum("d,je->jde", push, mean)
        along = drift @ second + second @ drift.T
        along = along + pushed[None] + pushed.transpose(0, 2, 1)[:, None]
        noise = np.einsum("de,ijde->ij", columns, second)[..., None, None] * rows + biases
        means, seconds = a * (mean @ drift.T + push), a * along + a**2 * noise
        return np.concatenate([means.ravel(), seconds.ravel()])

    begin = np.concatenate([x.ravel(), np.einsum("id,je->ijde", x, x).ravel()])
    noise_rate = a**2 * time * np.trace(rows) * np.max(np.abs(columns))
    check_exponent(noise_rate + 2.0 * abs(a) * time * np.max(np.abs(drift)))
    moved = np.max(time * np.abs(rates(begin)[n * d :]))
    size = np.sqrt(np.max(x**2) + moved + np.max((a * time * push) ** 2))
    end = integrated(rates, begin, time, np.repeat([size, size**2], [n * d, len(begin) - n * d]))
    return CorrelatedMoments(end[: n * d].reshape(n, d), end[n * d :].reshape(n, n, d, d))
