"""Empirical Bayes for the completed residual network in the double limit.

The likelihood depends on the network variances only through
    sigma_alpha^2 = sigma_y^2 a^2 sigma_b^2 T (E - 1) / C,    sigma_beta^2 = sigma_y^2 sigma_z^2 E,
    C = a^2 sigma_w^2 T,    E = e^C,
whose logarithms are searched; sigma_w^2 is a choice. Flat direction of (log sigma_w^2, log
sigma_b^2, log sigma_z^2): (1, 1 - C E / (E - 1), -C).
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import tanh
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.inference import validate as checks
from deepinit.inference.evidence import Spectrum, linear_log_marginal, spectrum
from deepinit.theory.diffusion import diffusion_constants
from deepinit.theory.diffusion import linear_model as double_limit_model

NAMES = ("weight_var", "bias_var", "embedding_var", "noise")
_REACH = np.log(1e10)  # of the search, each way from the scales of the data
_SPREAD = np.log(1e3)  # of the starts
_AGREE = 1e-6  # nats per target, between starts at the same optimum


class EmpiricalBayes(NamedTuple):
    """The optimum, its value and its curvature.

    Attributes:
        intercept_var, slope_var, noise: the maximizer.
        weight_var, bias_var, embedding_var: of the network, at the chosen weight_var.
        log_marginal: of all targets together, in nats.
        negative_per_target: -log_marginal / (number of targets).
        curvatures: [3 or 4], ascending: Hessian eigenvalues of `negative_per_target` in log
            `parameters`.
        directions: eigenvectors as rows, by `parameters`.
        flat_direction: in log(weight_var, bias_var, embedding_var), first entry 1.
        starts: log marginals reached, best first; `num_agreeing` within 1e-6 nats per target.
        at_bound: maximizer's entries at the end of the search range: optimum 0 or infinite.
    """

    intercept_var: float
    slope_var: float
    noise: float
    weight_var: float
    bias_var: float
    embedding_var: float
    log_marginal: float
    negative_per_target: float
    curvatures: Float[np.ndarray, "parameters"]
    directions: Float[np.ndarray, "parameters parameters"]
    parameters: tuple[str, ...]
    flat_direction: Float[np.ndarray, "3"]
    starts: Float[np.ndarray, "starts"]
    num_agreeing: int
    at_bound: tuple[str, ...]


def empirical_bayes(
    x: Real[Array, "n dimension"] | Plain,
    targets: Real[Array, "n *outputs"] | Plain,
    activation: ActivationLike = tanh,
    *,
    noise: float | None = None,
    weight_var: float = 1.0,
    horizon: float = 1.0,
    readout_var: float = 1.0,
    num_starts: int = 8,
    seed: int = 0,
) -> EmpiricalBayes:
    """Maximize the log marginal likelihood over network variances and a free noise.

    L-BFGS with exact gradients from several starts.

    Args:
        targets: [n] or [n, outputs], numbers.
        activation: phi(0) = phi''(0) = 0; only phi'(0) matters.
        noise: observation variance > 0; None optimizes it.
        weight_var: sigma_w^2 > 0 of the reported network.
        horizon, readout_var: T, sigma_y^2 > 0.
        num_starts: the first at the scales of the data, others up to a factor 1000 away.

    Raises SpecError: zero inputs or targets, an activation without affine limit or with
        phi'(0) = 0.
    Valid for: the double limit, psi = id.
    Reference: arXiv:2007.03253, section 6.5, eq. (41) and figure 8.
    """
    from scipy import optimize

    checks.positive("weight_var", weight_var)
    checks.positive("horizon", horizon)
    checks.positive("readout_var", readout_var)
    if noise is not None:
        checks.positive("noise", noise)
    validate.integer("num_starts", num_starts, 1, "8 is usual.")
    validate.integer("seed", seed, 0, "Leave it out for 0.")
    slope = diffusion_constants(activation).slope
    if slope == 0.0:
        allowed = "activations with a slope at 0 (tanh, erf, sin, linear)"
        raise SpecError(f"the activation {activation!r} with phi'(0) = 0", allowed)
    unit = double_limit_model(
        activation, weight_var, 1.0, horizon, embedding_var=1.0, readout_var=readout_var
    )
    data = spectrum(x, targets)
    total = data.num * data.num_outputs
    centre = _scales(data, free_noise=noise is None)
    negative = lambda logs: _negative(data, logs, noise, total)
    best = sorted(
        (
            optimize.minimize(
                negative,
                centre + shift,
                jac=True,
                method="L-BFGS-B",
                bounds=[(log - _REACH, log + _REACH) for log in centre],
                options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9},
            )
            for shift in _shifts(num_starts, len(centre), seed)
        ),
        key=lambda result: result.fun,
    )
    logs, values = best[0].x, np.array([-total * result.fun for result in best])
    optimum = np.exp(logs)
    final_noise = float(optimum[2]) if noise is None else float(noise)
    names = ("intercept_var", "slope_var", "noise")[: len(logs)]
    at_bound = tuple(
        name
        for name, log, scale in zip(names, logs, centre, strict=True)
        if abs(log - scale) > 0.999 * _REACH
    )
    growth = slope**2 * weight_var * horizon  # C
    gain = growth / -np.expm1(-growth)
    jacobian = np.array(
        [[gain - 1.0, 1.0, 0.0, 0.0], [growth, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    jacobian = jacobian[: len(logs), : len(logs) + 1]
    curvatures, vectors = np.linalg.eigh(jacobian.T @ _hessian(negative, logs) @ jacobian)
    return EmpiricalBayes(
        float(optimum[0]),
        float(optimum[1]),
        final_noise,
        float(weight_var),
        float(optimum[0] / unit.intercept_var),
        float(optimum[1] / unit.slope_var),
        float(values[0]),
        float(-values[0] / total),
        curvatures,
        vectors.T,
        NAMES[: len(logs) + 1],
        np.array([1.0, 1.0 - gain, -growth]),
        values,
        int(np.sum(values > values[0] - _AGREE * total)),
        at_bound,
    )


def _negative(
    data: Spectrum, logs: np.ndarray, noise: float | None, total: int
) -> tuple[float, np.ndarray]:
    """-log p per target and its gradient."""
    free = np.exp(logs)
    evidence = linear_log_marginal(data, free[0], free[1], free[2] if noise is None else noise)
    return -evidence.value / total, -(evidence.gradient[: len(logs)] * free) / total


def _hessian(negative: Any, logs: np.ndarray) -> np.ndarray:
    """Central differences of the exact gradient."""
    step = 1e-4
    rows = [
        (negative(logs + step * e)[1] - negative(logs - step * e)[1]) / (2 * step)
        for e in np.eye(len(logs))
    ]
    return 0.5 * (np.array(rows) + np.array(rows).T)


def _scales(data: Spectrum, *, free_noise: bool) -> np.ndarray:
    """Log variances at the scales of the data."""
    square = float(np.sum(data.targets)) / (data.num * data.num_outputs)
    size = float(data.counts @ data.eigenvalues) / data.num
    if not (square > 0.0 and size > 0.0):
        raise SpecError("inputs or targets that are all 0", "some that are not")
    scales = np.log([square, square / size, 0.1 * square])
    return scales if free_noise else scales[:2]


def _shifts(num_starts: int, size: int, seed: int) -> np.ndarray:
    shifts = np.random.default_rng(seed).uniform(-_SPREAD, _SPREAD, (num_starts, size))
    shifts[0] = 0.0
    return shifts
