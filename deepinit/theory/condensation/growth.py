"""Growth of a neuron along its orientation: exponential (p = 1) or blow-up (p >= 2).

w = r u, alpha = a sign(H(u)): alpha' = r^p |H|, with r^2 - p alpha^2 conserved.
"""

import math

from scipy import integrate

from deepinit.core import validate
from deepinit.theory.condensation.validate import nonzero


def blow_up_time(p: int, value: float, radius: float, output: float | None = None) -> float:
    """Time at which a neuron on its orientation diverges at leading order; the loss drops before.

        T = int_{alpha_0}^infinity d alpha / (|H| (r_0^2 + p (alpha^2 - alpha_0^2))^{p/2}),
        balanced, r_0 = sqrt(p) alpha_0:    T = r_0^{1-p} / ((p - 1) sqrt(p) |H(u)|).

    r_0 = |w| > 0 at time 0, output a_0 = alpha_0 sign(H(u)) (None: balanced), value H(u) != 0,
    small |w.z|. Infinite for p = 1 and for neurons that shrink to 0, alpha_0 <= -r_0 / sqrt(p).
    """
    validate.integer("p", p, 1, "The multiplicity; see multiplicity.")
    height = abs(nonzero("value", value, "H at the orientation; at H = 0 nothing grows."))
    start = validate.positive("radius", radius, "The norm of the input weights at time 0.")
    # In units of the radius, with beta = sqrt(p) alpha: conserved = 1 - beta_0^2.
    unit = start ** (1 - p) / (math.sqrt(p) * height)
    if output is None:
        return math.inf if p == 1 else unit / (p - 1)
    sign = math.copysign(1.0, value)
    initial = validate.real("output", output, remedy="None is the balanced one.")
    beta = math.sqrt(p) * sign * initial / start
    if p == 1 or (beta <= 0.0 and beta * beta >= 1.0):
        return math.inf

    def slowness(rest: float) -> float:  # beta = beta_0 + rest / (1 - rest)
        step = rest / (1.0 - rest)
        return (1.0 + step * (2.0 * beta + step)) ** (-0.5 * p) / (1.0 - rest) ** 2

    # At beta = 0 the radius is smallest and the neuron slowest.
    turn = [-beta / (1.0 - beta)] if beta < 0.0 else None
    integral, _ = integrate.quad(
        slowness, 0.0, 1.0, points=turn, epsabs=0.0, epsrel=1e-11, limit=500
    )
    return unit * integral
