"""Explosion of the diffusion limit of residual networks, at large width.

Blocks x_p + phi(W psi(x around p) + b), a = phi'(0), b = phi''(0), weight variance sigma_w^2
dt / D, bias variance sigma_b^2 dt. At large width D coordinates are independent, with noise clock
tau_p at position p and embedding variance v_p (or 0):
    x_pd ~ N(x_pd(0) + (b/2) tau_p, v_p + a^2 tau_p),
    tau_p' = sigma_b^2 + sigma_w^2 sum_{q around p} mean_d E psi(x_qd)^2.
One position explodes at the integral of 1 / tau'(tau) over tau > 0, finite if E psi^2 grows faster
than tau; psi = id: `theory.diffusion.explosion_times`. At finite width the time is random.
"""

import math

import numpy as np

from deepinit.core.activations import Activation, as_activation, linear
from deepinit.core.errors import SpecError
from deepinit.core.gauss_legendre import normal_panels
from deepinit.core.gaussian import normal_rule, values
from deepinit.core.taylor import taylor_at_zero
from deepinit.core.typing import ActivationLike

_FAR = 300.0  # e-folds of the clock: the rest is below 1e-15 for psi growing like |x|^0.6
_LARGEST = 1e300
_REACH, _NODES = 9.0, 40  # of Gauss-Legendre on every piece between kinks: error below 1e-12


def may_explode(activation: ActivationLike, inner: ActivationLike = linear) -> bool:
    """Whether dx = a dW psi(x) + (b/2) diag Var dt + ..., of phi and psi, can explode.

    Impossible if psi is O(|x|^(1/2)), or O(|x|) with b = phi''(0) = 0; else of positive probability
    at every time at finite width.

    Raises SpecError: as `taylor_at_zero`.
    Valid for: Gaussian weights; growth of psi measured between 10^4 and 4 * 10^4.
    Reference: arXiv:2007.03253, section 4 (where "= 0" is missing after phi''(0)).
    """
    order = growth_order(as_activation(inner))
    return order > 1.0 or (order > 0.5 and taylor_at_zero(activation).curvature != 0.0)


def growth_order(psi: Activation) -> float:
    """Growth exponent of psi, to one decimal (1.05 counts as 1.1).

    0 if bounded, infinity if faster than powers.
    """
    if psi.is_homogeneous:
        return 1.0
    spread = np.geomspace(1.0, 2.0, 16, endpoint=False)  # oscillating functions need several values
    points = np.concatenate([-spread, spread])
    with np.errstate(over="ignore", invalid="ignore"):
        first, second = (float(np.abs(values(psi, size * points)).max()) for size in (1e4, 2e4))
    if not math.isfinite(second):
        return math.inf
    return max(0.0, round(math.log2(second / first) + 1e-6, 1)) if first > 0.0 < second else 0.0


def explosion_time(
    activation: ActivationLike,
    inner: ActivationLike,
    start: np.ndarray,
    around: np.ndarray,
    weight_var: float,
    bias_var: float,
    horizon: float,
    variance: np.ndarray | float = 0.0,
) -> float:
    """Explosion time of one input at large width, to about 1e-5; infinity beyond the horizon.

    `start`: x(0) or its mean after an embedding, of `variance` by position. `around`:
    [positions, patch] indices; -1 for padding. `weight_var`, `bias_var`: sigma_w^2, sigma_b^2.
    """
    from scipy.integrate import solve_ivp

    psi = as_activation(inner)
    if not may_explode(activation, psi):
        return math.inf
    slope, curvature, _ = taylor_at_zero(activation)

    def rates(clocks: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            variances = (variance + slope**2 * clocks)[:, None]
            means = start + (0.5 * curvature * clocks)[:, None]
            squares = _mean_squares(psi, means, variances).mean(axis=1)
            sums = np.append(squares, 0.0)[around].sum(axis=1)
            return np.fmin(bias_var + weight_var * sums, _LARGEST)

    square = min(float(np.mean(np.square(start)) + np.max(variance)), _LARGEST)
    # of the clocks: variance and mean have moved by the size of the input
    scale = min(square, math.sqrt(square)) or 1.0
    first = np.max(rates(np.zeros(len(start))))
    if first == 0.0:
        return math.inf  # nothing moves

    def slowed(_: float, state: np.ndarray) -> np.ndarray:
        """d(time, ln(1 + clock / scale)), the fastest at speed 1."""
        clocks = scale * np.expm1(np.minimum(state[1:], _FAR))  # trial steps may overshoot
        speeds = rates(clocks) / (scale + clocks)
        return np.append(1.0, speeds) / (np.max(speeds) or 1.0)

    over = lambda _, state: state[0] - horizon
    far = lambda _, state: np.max(state[1:]) - _FAR
    over.terminal = far.terminal = True  # type: ignore[attr-defined]
    tolerance = np.append(1e-6 * scale / first, np.full(len(start), 1e-6))
    state = np.zeros(1 + len(start))
    # A bound on the interval instead of `over` would be met in the same step as `far`.
    path = solve_ivp(slowed, (0.0, math.inf), state, rtol=1e-6, atol=tolerance, events=(over, far))
    return float(path.y[0, -1]) if path.t_events[1].size else math.inf


def explosion_refusal(
    horizon: float, time: float, which: int | None = None, remedy: str = ""
) -> SpecError:
    """Error that names the explosion time."""
    which_input = "" if which is None else f" for input {which}"
    return SpecError(
        f"horizon={horizon:g}, while the limit explodes{which_input} at the time {time:.6g}",
        f"horizons below {time:.6g}",
        "Shorten the horizon, scale weights or inputs down, or take an outer activation with "
        f"phi''(0) = 0 (tanh).{remedy}",
    )


def _mean_squares(psi: Activation, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """E psi(x)^2, x ~ N(means, variances)."""
    stds = np.sqrt(variances)
    if psi.slopes is None:
        nodes, weights = _rules(psi.kinks, means, stds)
        squares = values(psi, means[..., None] + stds[..., None] * nodes) ** 2
        return np.sum(squares * weights, axis=-1)
    from scipy.special import ndtr

    left, right = psi.slopes
    square, scores = means**2 + variances, _quotients(means, stds)
    tail = means * stds * np.exp(-0.5 * scores**2) / math.sqrt(2.0 * math.pi)
    of_positive = square * ndtr(scores) + tail
    return left**2 * (square - of_positive) + right**2 * of_positive


def _rules(
    kinks: tuple[float, ...], means: np.ndarray, stds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights [..., nodes] for E f(means + stds Z)."""
    if not kinks:
        return normal_rule(num_nodes=121)
    breaks = [np.clip(_quotients(kink - means, stds), -_REACH, _REACH) for kink in kinks]
    end = np.full_like(breaks[0], _REACH)
    edges = np.stack([-end, *breaks, end], axis=-1)
    return normal_panels(edges, _NODES)


def _quotients(numerators: np.ndarray, stds: np.ndarray) -> np.ndarray:
    """numerators / stds, stds >= 1e-300."""
    return numerators / np.maximum(stds, 1e-300)
