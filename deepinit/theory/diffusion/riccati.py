"""One input in the double limit: m, q and the explosion time, in closed form.

With w = sigma_w, s = sigma_b^2 + w^2 q, u = b m + a^2 = p / n, A = b^2 s_0 - w^2 u_0^2 and
omega = w sqrt(A) / 2 (imaginary for A < 0),

    m' = (b/2) s,   q' = (b m + a^2) s,   u' = (w^2 u^2 + A) / 2,   p' = A n / 2,   n' = -w^2 p / 2,
    n(t) = cos(omega t) - (w^2 u_0 / 2) sin(omega t) / omega,      n(0) = 1,      s = s_0 / n^2,
    m = m_0 + b eta,    q = q_0 + b eta (2 m_0 + b eta) + 2 a^2 eta,
    eta = (s_0 / 2) (sin(omega t) / omega) / n.

The explosion time is the first zero of n, finite for b != 0, s_0 > 0. For A < 0 (not published),
y = w u_0 / sqrt(-A), |y| >= 1, and A = b^2 sigma_b^2 + w^2 b^2 (q_0 - m_0^2) - w^2 a^2
(2 b m_0 + a^2) < 0 gives u_0 > a^2 / 2: y >= 1, equal only for b^2 s_0 = 0.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import gauss_legendre
from deepinit.core.explosions import explosion_refusal
from deepinit.core.typing import Float, Like
from deepinit.theory.diffusion.growth import DiffusionConstants


class Riccati(NamedTuple):
    """The equation of u = b m + a^2 for one input.

    weight_var, mean, mean_square, rate: w^2, m_0, q_0 and s_0 = bias_var + weight_var q_0.
    """

    constants: DiffusionConstants
    weight_var: float
    mean: float
    mean_square: float
    rate: float

    @property
    def start(self) -> float:
        """u_0 = b m_0 + a^2."""
        return self.constants.curvature * self.mean + self.constants.slope**2

    @property
    def discriminant(self) -> float:
        """A = b^2 s_0 - w^2 u_0^2 (C in the publication)."""
        return self.constants.curvature**2 * self.rate - self.weight_var * self.start**2

    @property
    def reversed(self) -> "Riccati":
        """The equation of -u(-t), whose explosion time is the distance of the last one before 0."""
        a2, b = self.constants.slope**2, self.constants.curvature
        return self._replace(mean=-self.mean - 2.0 * a2 / b) if b else self

    def explosion_time(self) -> float:
        """T*, infinite without explosion."""
        a, pull = self.discriminant, self.weight_var * self.start
        omega = 0.5 * math.sqrt(self.weight_var * abs(a))
        if a > 0.0 and omega > 0.0:
            return math.atan2(omega, 0.5 * pull) / omega
        if pull <= 0.0:
            return math.inf
        if omega == 0.0:
            return 2.0 / pull
        beyond = self._beyond()  # y - 1
        return 0.5 * math.log1p(2.0 / beyond) / omega if beyond > 0.0 else math.inf

    def at(self, t: Float[Like, "*shape"]) -> tuple[Float[Like, "*shape"], Float[Like, "*shape"]]:
        """(m, q) at times t below the explosion time."""
        b, a2 = self.constants.curvature, self.constants.slope**2
        sine, denominator = self._solution(np.asarray(t, dtype=np.float64))
        eta = 0.5 * self.rate * sine / denominator
        square = self.mean_square + b * eta * (2.0 * self.mean + b * eta) + 2.0 * a2 * eta
        return self.mean + b * eta, square

    def _beyond(self) -> float:
        """y - 1 for A < 0 and u_0 > 0, without cancellation."""
        rho = math.sqrt(-self.discriminant)
        total = rho + math.sqrt(self.weight_var) * self.start
        return self.constants.curvature**2 * self.rate / (rho * total)

    def _solution(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """sin(omega t) / omega and n(t)."""
        a, pull = self.discriminant, 0.5 * self.weight_var * self.start
        omega = 0.5 * math.sqrt(self.weight_var * abs(a))
        if omega == 0.0:
            return t, 1.0 - pull * t
        if a > 0.0:
            sine = np.sin(omega * t) / omega
            return sine, np.cos(omega * t) - pull * sine
        sine = np.sinh(omega * t) / omega
        plain = np.cosh(omega * t) - pull * sine
        if self.start <= 0.0:
            return sine, plain
        # halves 1 - y and 1 + y; the growing one is small or zero (b = 0), no difference of others
        y = pull / omega
        split = 0.5 * ((1.0 + y) * np.exp(-omega * t) - self._beyond() * np.exp(omega * t))
        return sine, np.where(omega * t > 0.5, split, plain)


def check_horizon_before(explosion_times: np.ndarray, horizon: float) -> None:
    """Raise SpecError for a horizon at or beyond the first explosion."""
    first = int(np.argmin(explosion_times))
    if not horizon < explosion_times[first]:
        raise explosion_refusal(horizon, float(explosion_times[first]), first)


def panels(
    systems: list[Riccati], horizon: float, num_nodes: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, horizon], exact to rounding near singularities.

    A panel is at most half as long as its distance from explosions on either side, and bounded by
    the imaginary singularities and 4 / kappa (e^{kappa t}). The horizon is below every explosion.
    """
    after = min(system.explosion_time() for system in systems)
    before = min(
        system.reversed.explosion_time() if system.constants.curvature else math.inf
        for system in systems
    )
    frequency = max(
        0.5 * math.sqrt(system.weight_var * abs(system.discriminant)) for system in systems
    )
    rate = max(0.25 * system.constants.slope**2 * system.weight_var for system in systems)
    imaginary = 1.0 / frequency if frequency else math.inf
    longest = min(imaginary, 1.0 / max(1e-300, rate), horizon)
    edges = [0.0]
    while edges[-1] < horizon:
        t = edges[-1]
        edges.append(min(horizon, t + min(longest, 0.5 * (after - t), 0.5 * (before + t))))
    return gauss_legendre.panels(edges, num_nodes)
