"""ReLU and leaky ReLU with two input weights per neuron.

a' = H(w), w' = a grad H(w), H of `homogeneous_orientations`: A cos(phi - psi) between angles of
u.z_i = 0. Maxima of |H| are at kinks, or at +-D/|D| inside such a sector, D = (1/n) sum_i y_i
sigma'(u.z_i) z_i.
"""

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Plain, Real
from deepinit.theory.condensation.gradient_ascent import highest_first
from deepinit.theory.condensation.orientations import Orientations
from deepinit.theory.condensation.validate import VANISHING, check_rows, check_targets, with_bias


def homogeneous_orientations(
    x: Real[Array, "n *d"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    activation: ActivationLike = "relu",
    *,
    bias: bool = True,
) -> Orientations:
    """Directions on which ReLU or leaky ReLU neurons condense at tiny initialization, D = 2.

    Strict local maxima of |H|, H(u) = (1/n) sum_i y_i sigma(u.z_i), on the circle, exact. x is [n]
    or [n, 1] with bias, [n, 2] without; the activation "relu", `leaky_relu(slope)`, "absolute" or
    "linear". Opposite directions are not in pairs; kappa is 1 inside a sector, infinite at a kink
    (reached in finite time). SpecError: other activations or dimensions, H = 0 everywhere. Valid
    for: gradient flow, square loss, outputs small against y. Neurons off on all inputs never move.
    """
    sigma = as_activation(activation)
    if sigma.slopes is None:
        allowed, remedy = "relu, leaky_relu(slope), absolute, linear", "Take predict_orientations."
        raise SpecError(f"activation={activation!r}", allowed, remedy)
    rows = with_bias(check_rows("x", x), bias)
    given = f"neurons with {rows.shape[1]} input weights"
    allowed = "two: 1-D inputs with bias, 2-D inputs without"
    validate.require(rows.shape[1] == 2, given, allowed, "More dimensions have too many kinks.")
    weights = check_targets(y, len(rows)) / len(rows)
    left, right = sigma.slopes

    def gradients(angles: np.ndarray) -> np.ndarray:  # D of the sectors of these angles
        on = np.stack([np.cos(angles), np.sin(angles)], axis=-1) @ rows.T > 0.0
        return (np.where(on, right, left) * weights) @ rows

    zero_rows = (rows == 0.0).all(axis=1)
    normals = np.arctan2(rows[~zero_rows, 1], rows[~zero_rows, 0]) + 0.5 * np.pi
    kinks = _merged(np.concatenate([normals, normals + np.pi]) % (2.0 * np.pi))
    middles = 0.5 * (kinks + np.append(kinks[1:], kinks[0] + 2.0 * np.pi))
    sectors = gradients(middles)
    size = float(np.abs(weights) @ np.linalg.norm(rows, axis=1))
    floor = VANISHING * size * max(abs(left), abs(right))
    if (np.linalg.norm(sectors, axis=1) <= floor).all():
        allowed = "targets that correlate with some active inputs"
        raise SpecError("targets for which H is 0", allowed, "Nothing would move.")
    half_widths = middles - kinks
    maxima: list[tuple[float, float]] = []  # angle, kappa
    for sector, middle, half_width in zip(sectors, middles, half_widths, strict=True):
        height = float(np.linalg.norm(sector))
        for sign in (1.0, -1.0) if height > floor else ():
            top = np.arctan2(sign * sector[1], sign * sector[0])
            if abs((top - middle + np.pi) % (2.0 * np.pi) - np.pi) < half_width - 1e-12:
                maxima.append((top, 1.0))
    before, after = np.roll(sectors, 1, axis=0), sectors
    directions = np.stack([np.cos(kinks), np.sin(kinks)], axis=-1)
    across = np.stack([-np.sin(kinks), np.cos(kinks)], axis=-1)
    heights = (after * directions).sum(axis=1)
    rises = np.sign(heights) * (before * across).sum(axis=1) > floor
    falls = np.sign(heights) * (after * across).sum(axis=1) < -floor
    peaks = kinks[rises & falls & (np.abs(heights) > floor)]
    maxima += [(float(angle), np.inf) for angle in peaks]
    angles, kappa = np.array(maxima).reshape(-1, 2).T
    units = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    values = (gradients(angles) * units).sum(axis=1)
    order = highest_first(values)
    return Orientations(units[order], values[order], np.sign(values[order]), kappa[order])


def _merged(angles: np.ndarray) -> np.ndarray:
    """Sorted distinct angles of [0, 2 pi)."""
    ordered = np.sort(angles)
    ordered = ordered[np.append(True, np.diff(ordered) > 1e-13)]
    wraps = len(ordered) > 1 and ordered[0] + 2.0 * np.pi - ordered[-1] <= 1e-13
    return ordered[:-1] if wraps else ordered
