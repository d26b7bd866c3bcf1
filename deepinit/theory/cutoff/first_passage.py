"""Cut-off as first passage of the random walk log|x_t| from log|x_0| to log rho."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammainc, ndtr

from deepinit.core import validate
from deepinit.core.typing import Array, Float, Like, Plain, Real
from deepinit.theory.cutoff.validate import check_layers

QUARTILES = 1.3489795003921634  # interquartile range of the normal law


class FirstPassage(NamedTuple):
    """Gaussian profile of a first passage at distance L, drift -gamma, variance sigma^2.

    centre, scale: L/gamma, where S = 1/2, and sigma sqrt(L) gamma^(-3/2), in layers; window:
    t25 - t75 = 1.349 scale; ratio: window / centre; survival: S at the given layers.
    """

    centre: float
    scale: float
    window: float
    ratio: float
    survival: Float[Like, "*shape"] | None


def first_passage_profile(
    distance: float,
    drift: float,
    variance: float,
    layers: Real[Array, "*shape"] | Plain | None = None,
) -> FirstPassage:
    """Gaussian cut-off profile of a random walk that falls by L.

    S(t) = Phi(-a), t = L/gamma + a sigma gamma^(-3/2) sqrt(L), gamma = -drift > 0. distance:
    L = log(|x_0| / rho) for mesh rho; drift, variance: per layer (`log_norm_drift`). Valid for:
    i.i.d. increments, L large; error of the centre O(1), of S O(L^(-1/2)). Reference:
    arXiv:2608.15914.
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


def poisson_survival(
    distance: float, layers: Real[Array, "*shape"] | Plain, amplitude: float = 1.0
) -> Float[Like, "*shape"]:
    """P(|x_t| > rho) for x_t = w_t x_{t-1}, w uniform on (-a, a): exact.

    S(t) = P(Poisson(L + t log a) >= t), L = log|x_0 / rho| > 0, amplitude
    a in (0, 1]; for a > 1 the signal can return from below rho. Valid for: no rounding, death below
    rho. Truncation kills a bounded number of layers earlier, rounding to nearest later. Reference:
    arXiv:2608.15914.
    """
    length = validate.positive("distance", distance, "It is log(|x_0| / rho).")
    a, remedy = validate.positive("amplitude", amplitude), "Take `first_passage_profile` above 1."
    validate.require(a <= 1.0, f"amplitude={amplitude!r}", "0 < a <= 1", remedy)
    t = check_layers(layers)
    left = np.maximum(length + t * np.log(a), 0.0)
    return np.where(t > 0.0, gammainc(np.where(t > 0.0, t, 1.0), left), 1.0)
