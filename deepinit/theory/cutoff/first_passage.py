"""The cut-off as first passage of a random walk: log|x_t| goes down from log|x_0| to log rho, a distance L, at mean speed gamma.

With i.i.d. increments of mean -gamma < 0 and variance sigma^2 the passage time is L/gamma + sigma sqrt(L) gamma^(-3/2) times a
standard normal, up to O(1), so that

    S(L/gamma + a sigma gamma^(-3/2) sqrt(L)) -> Phi(-a)    as L -> infinity:

centre ~ L, window t25 - t75 = 1.349 sigma sqrt(L) gamma^(-3/2) ~ sqrt(L), ratio ~ L^(-1/2), a cut-off. Rounding adds a bounded
amount to the walk. Width 1, linear, U(-a, a): -log|w/a| is exponential, the walk's descents are a Poisson process, exactly.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammainc, ndtr

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.theory.cutoff.validate import check_layers, check_positive

QUARTILES = 1.3489795003921634  # between the quartiles of the normal law


class FirstPassage(NamedTuple):
    """The Gaussian profile of a first passage.

    Attributes:
        centre: L/gamma, in layers: where S = 1/2.
        scale: sigma sqrt(L) gamma^(-3/2), in layers.
        window: t25 - t75 = 1.349 scale.
        ratio: window / centre = 1.349 sigma / sqrt(gamma L).
        survival: [...], S at the given layers; None if none were given.
    """

    centre: float
    scale: float
    window: float
    ratio: float
    survival: Any


def first_passage_profile(
    distance: float, drift: float, variance: float, layers: Any = None
) -> FirstPassage:
    """The Gaussian cut-off profile of a random walk that has to go down by L.

        S(t) = Phi(-a),    t = L/gamma + a sigma gamma^(-3/2) sqrt(L),    gamma = -drift, sigma^2 = variance.

    Args:
        distance: L > 0: log(|x_0| / rho) for absorption at mesh rho; log(1 / eps) for the passage below eps |x_0|.
        drift: per layer, < 0, as `log_norm_drift` returns it.
        variance: per layer, >= 0, as `log_norm_drift` returns it.
        layers: [...], where to evaluate S; None for none.

    Returns:
        `FirstPassage`.

    Raises:
        SpecError: drift >= 0 (no cut-off: the walk does not go down, or at the critical gain in a time ~ L^2), L <= 0.

    Valid for: i.i.d. increments, L large; the centre is off by O(1) (rounding, overshoot, start-up of tanh), S by O(L^(-1/2)).

    Reference: arXiv:2608.15914, cut-off theorem for vanishing mesh; module docstring.
    """
    length = check_positive("distance", distance, "It is log(|x_0| / rho).")
    if not (validate.is_number(drift) and -np.inf < drift < 0.0):
        raise SpecError(
            f"drift={drift!r}",
            "a finite number < 0",
            "Without a downward drift there is no cut-off; lower the gain below `critical_gain(width)`.",
        )
    if not (validate.is_number(variance) and 0.0 <= variance < np.inf):
        raise SpecError(
            f"variance={variance!r}", "a finite number >= 0", "Take it from `log_norm_drift`."
        )
    gamma = -float(drift)
    centre = length / gamma
    scale = float(np.sqrt(variance * length) * gamma**-1.5)
    survival = None
    if layers is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            standard = (centre - check_layers(layers)) / scale
        survival = ndtr(np.where(np.isnan(standard), 0.0, standard))
    return FirstPassage(centre, scale, QUARTILES * scale, QUARTILES * scale / centre, survival)


def poisson_survival(distance: float, layers: Any, amplitude: float = 1.0) -> np.ndarray:
    """P(|x_t| > rho) for x_t = w_t x_{t-1}, w uniform on (-a, a), a <= 1: the exact first-passage law at width 1.

        S(t) = P(log|x_0/rho| + t log a > Gamma(t, 1)) = P(Poisson(L + t log a) >= t),    L = log|x_0 / rho|;

    a = 1 gives P(Poisson(L) >= t): gamma = sigma = 1.

    Args:
        distance: L > 0.
        layers: [...], t >= 0.
        amplitude: a in (0, 1]; variance of the weights a^2 / 3.

    Returns:
        [...], float64.

    Raises:
        SpecError: L <= 0; a outside (0, 1] (above 1 the signal can come back from below rho); bad layers.

    Valid for: the unrounded linear chain killed below rho; exact. Truncation to a lattice kills a bounded number of layers
        earlier, rounding to nearest later.

    Reference: arXiv:2608.15914, width-1 example; derivation in the module docstring.
    """
    length = check_positive("distance", distance, "It is log(|x_0| / rho).")
    if not (validate.is_number(amplitude) and 0.0 < amplitude <= 1.0):
        raise SpecError(
            f"amplitude={amplitude!r}",
            "0 < a <= 1",
            "Above 1 take `first_passage_profile`, or `scalar_survival`.",
        )
    t = check_layers(layers)
    left = np.maximum(length + t * np.log(amplitude), 0.0)
    return np.where(t > 0.0, gammainc(np.where(t > 0.0, t, 1.0), left), 1.0)
