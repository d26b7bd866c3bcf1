"""Networks trained by gradient flow in the linear regime: mean and covariance.

Loss 1/2 sum_i (f_i - y_i)^2 + noise/2 |theta - theta_0|^2, f = f_0 + J (theta - theta_0), Theta = J
J^T:
    A_t = (Theta + noise)^{-1} (1 - e^{-(Theta + noise) t}),
    f_t(x) = f_0(x) + Theta_* A_t (y - f_0).
Over initializations, f_0 ~ N(0, K), Theta constant,
    mean = Theta_* A_t y,
    covariance = K_** - Theta_* A_t K_*^T - K_* A_t Theta_*^T + Theta_* A_t K A_t Theta_*^T.
Theta = K, noise = 0, t -> infinity: the posterior. f_0 = 0: the same mean, variance 0. Loss
averaged over examples: times are n times as long.
"""

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Plain, Real
from deepinit.inference import validate as checks
from deepinit.inference.gaussian import Posterior, factor
from deepinit.inference.kernels import Blocks


def trained(
    ntk_train: Real[Array, "n n"] | Plain,
    ntk_cross: Real[Array, "m n"] | Plain,
    targets: Real[Array, "n *outputs"] | Plain,
    *,
    prior: Blocks | None = None,
    time: float | None = None,
    noise: float = 0.0,
) -> Posterior:
    """Mean and covariance over initializations of a network trained by gradient flow.

    Args:
        ntk_train: Theta, without frozen layers.
        ntk_cross: Theta_*, test inputs as rows.
        targets: [n] or [n, outputs], numbers.
        prior: NNGP blocks K, K_*, K_**; None for zero initial outputs (covariance 0).
        time: of the flow on half the sum of squares; None for the limit.
        noise: weight decay >= 0 towards the initial parameters.

    Raises SpecError: as `posterior`; time not in 0 to 1e75.
    Valid for: infinite width with a constant NTK (assumed for residual networks).
    Reference: arXiv 1806.07572 (flow); arXiv 1902.06720, eqs. (14)-(16) (noise = 0).
    """
    train = checks.kernel("ntk_train", ntk_train)
    cross = checks.cross_kernel("ntk_cross", ntk_cross, len(train))
    values, is_vector = checks.targets(targets, len(train))
    decay = checks.variance("noise", noise)
    if time is not None:
        validate.real("time", time, 0.0, checks.LARGEST, "None is the limit of long times.")
    response = _response(train, cross, time, decay)
    mean = response @ values
    return Posterior(mean[:, 0] if is_vector else mean, _covariance(response, prior))


def _response(train: np.ndarray, cross: np.ndarray, time: float | None, decay: float) -> np.ndarray:
    """Theta_* A_t, [m, n]."""
    from scipy import linalg

    if time is None:
        return linalg.cho_solve((factor("ntk_train", train, decay), True), cross.T).T
    eigenvalues, vectors = linalg.eigh(train)
    checks.positive_semidefinite("ntk_train", eigenvalues)
    rates = np.maximum(eigenvalues, 0.0) + decay
    # (1 - e^{-rate t}) / rate, which is t at rate 0
    gains = np.where(
        rates > 0.0, -np.expm1(-rates * time) / np.where(rates > 0.0, rates, 1.0), time
    )
    return ((cross @ vectors) * gains) @ vectors.T


def _covariance(response: np.ndarray, prior: Blocks | None) -> np.ndarray:
    num_test, num_train = response.shape
    if prior is None:
        return np.zeros((num_test, num_test))
    allowed = "di.inference.Blocks(train, cross, test), or None"
    validate.instance("prior", prior, Blocks, allowed, "Take kernel_for(...).nngp.")
    train = checks.kernel("prior.train", prior.train)
    test = checks.kernel("prior.test", prior.test)
    cross = checks.cross_kernel("prior.cross", prior.cross, num_train, num_test)
    if len(train) != num_train or len(test) != num_test:
        given = f"prior blocks of shapes {train.shape} and {test.shape}"
        allowed = f"[{num_train}, {num_train}] and [{num_test}, {num_test}], as the tangent kernel"
        raise SpecError(given, allowed, "Take both from one call of kernel_for.")
    mixed = response @ cross.T
    return test - mixed - mixed.T + response @ train @ response.T
