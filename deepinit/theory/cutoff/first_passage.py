"""Cut-off as first passage of a random walk: log|x_t| falls from log|x_0| to log rho.

L = log|x_0| - log rho. With i.i.d. increments of mean -gamma < 0 and variance sigma^2 the passage
time is L/gamma + sigma sqrt(L) gamma^(-3/2) times a standard normal, up to O(1), so that

    S(L/gamma + a sigma gamma^(-3/2) sqrt(L)) -> Phi(-a)    as L -> infinity:

centre ~ L, window t25 - t75 = 1.349 sigma sqrt(L) gamma^(-3/2) ~ sqrt(L), ratio ~ L^(-1/2).
Rounding adds a bounded amount to the walk. Width 1, linear, U(-a, a): -log|w/a| is exponential, the
descents are exactly a Poisson process.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammainc, ndtr

from deepinit.core import validate
from deepinit.theory.cutoff.validate import check_layers

QUARTILES = 1.3489795003921634  # interquartile range of the normal law


class FirstPassage(NamedTuple):
    """Gaussian profile of a first passage.

    Attributes:
        centre: L/gamma, in layers: S = 1/2.
        scale: sigma sqrt(L) gamma^(-3/2), in layers.
        window: t25 - t75 = 1.349 scale.
        ratio: window / centre = 1.349 sigma / sqrt(gamma L).
        survival: [...], S at the given layers; None without layers.
    """

    centre: float
    scale: float
    window: float
    ratio: float
    survival: Any


def first_passage_profile(
    distance: float, drift: float, variance: float, layers: Any = None
) -> FirstPassage:
    """Gaussian cut-off profile of a random walk that falls by L.

        S(t) = Phi(-a),    t = L/gamma + a sigma gamma^(-3/2) sqrt(L),    gamma = -drift.

    Args:
        distance: L > 0: log(|x_0| / rho) for mesh rho; log(1 / eps) for the passage below eps
            |x_0|.
        drift: per layer, < 0, of `log_norm_drift`.
        variance: sigma^2 per layer, >= 0, of `log_norm_drift`.
        layers: [...], t at which S is evaluated; None for none.

    Returns:
        `FirstPassage`.

    Raises:
        SpecError: drift >= 0 (no descent, or at the critical gain in a time ~ L^2); L <= 0.

    Valid for: i.i.d. increments, L large; the centre is off by O(1) (rounding, overshoot, start-up
        of tanh), S by O(L^(-1/2)).

    Reference: arXiv:2608.15914, cut-off theorem for vanishing mesh; module docstring.
    """
    length = validate.positive("distance", distance, "It is log(|x_0| / rho).")
    gamma = -validate.real("drift", drift)
    remedy = "No cut-off otherwise: lower the gain below `critical_gain(width)`."
    validate.require(gamma > 0.0, f"drift={drift!r}", "a finite number < 0", remedy)
    variance = validate.not_negative("variance", variance, "Take it from `log_norm_drift`.")
    centre = length / gamma
    scale = float(np.sqrt(variance * length) * gamma**-1.5)
    survival = None
    if layers is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            standard = (centre - check_layers(layers)) / scale
        survival = ndtr(np.where(np.isnan(standard), 0.0, standard))
    return FirstPassage(centre, scale, QUARTILES * scale, QUARTILES * scale / centre, survival)


def poisson_survival(distance: float, layers: Any, amplitude: float = 1.0) -> np.ndarray:
    """P(|x_t| > rho) for x_t = w_t x_{t-1}, w uniform on (-a, a), a <= 1: exact at width 1.

        S(t) = P(log|x_0/rho| + t log a > Gamma(t, 1)) = P(Poisson(L + t log a) >= t),
        L = log|x_0 / rho|;

    a = 1 gives P(Poisson(L) >= t): gamma = sigma = 1.

    Args:
        distance: L > 0.
        layers: [...], t >= 0.
        amplitude: a in (0, 1]; variance of the weights a^2 / 3.

    Returns:
        [...], float64.

    Raises:
        SpecError: arguments out of range (for a > 1 the signal can return from below rho).

    Valid for: the unrounded linear chain killed below rho; exact. Truncation to a lattice kills a
        bounded number of layers earlier, rounding to nearest later.

    Reference: arXiv:2608.15914, width-1 example; module docstring.
    """
    length = validate.positive("distance", distance, "It is log(|x_0| / rho).")
    a, remedy = validate.positive("amplitude", amplitude), "Take `first_passage_profile` above 1."
    validate.require(a <= 1.0, f"amplitude={amplitude!r}", "0 < a <= 1", remedy)
    t = check_layers(layers)
    left = np.maximum(length + t * np.log(a), 0.0)
    return np.where(t > 0.0, gammainc(np.where(t > 0.0, t, 1.0), left), 1.0)
