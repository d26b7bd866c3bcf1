"""Depth at which wide networks that keep their signal forget the start.

The state (q of one input, the overlap p of two) relaxes like C m^t and fluctuates with standard
deviation s / sqrt(N), s^2 = v / (1 - m^2), one-layer noise of variance v / N:

    t_N = (log(N)/2 + log|C|) / |log m|    with a bounded window,
    TV(t) = 2 Phi(|C| |m|^t sqrt(N) / (2 s)) - 1.

Two inputs: noise D / N of (q_x, q_y, p), Jacobian J: Sigma = J Sigma J^T + D,
s^2 = 1 / (Sigma^-1)_pp.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import values
from deepinit.core.typing import ActivationLike, Array, Float, Like, Plain, Real
from deepinit.theory.cutoff.mean_field import (
    Recursion,
    checked_recursion,
    first_derivative,
    fixed_mean_square,
    fixed_overlap,
    gaussian_nodes,
    length_multiplier,
    length_step,
    overlap_step,
    pair_frame,
    scale_of,
    tangent_multiplier,
)
from deepinit.theory.cutoff.validate import check_layers

_LINEAR = 3e-6  # relative distance from the fixed point for the extrapolation of Koenigs' limit


class MeanFieldCutoff(NamedTuple):
    """Relaxation of one input's length, or of two inputs' overlap, at width N.

    Attributes:
        fixed_point: q*, or p* = q* c* for two inputs.
        multiplier, depth_scale, amplitude: m; xi = 1/|log m|; C, in units of the state.
        spread: s, stationary standard deviation times sqrt(N) (two inputs: given the lengths).
        centre, t50: t_N; depth of TV = 1/2.
        total_variation: TV at the given layers.
    """

    fixed_point: float
    multiplier: float
    depth_scale: float
    amplitude: float
    spread: float
    centre: float
    t50: float
    total_variation: Float[Like, "*shape"] | None


def mean_field_cutoff(
    activation: ActivationLike,
    weight_var: float,
    width: int,
    *,
    bias_var: float = 0.0,
    mean_square: float = 1.0,
    cosine: float | None = None,
    layers: Real[Array, "*shape"] | Plain | None = None,
) -> MeanFieldCutoff:
    """Depth at which a wide network forgets an input's length, or two inputs' angle.

    One input: q = |x|^2 / N, m = V'(q*), v = Var phi(z)^2. Two: p = <x, y> / N, m = chi. C, m, s to
    1e-8. Variances: `mean_field`.

    Args:
        mean_square: q_0 = |x_0|^2 / N > 0 of one input; two start at q*, which it selects.
        cosine: of two inputs, in (-1, 1); None: one input.
        layers: t >= 0 at which TV is evaluated.

    SpecError: signals that die out or explode, two inputs in the ordered phase
    (use `ordered_cutoff`), multipliers of 1 (critical) or 0, a start at the fixed point. Valid for:
    Gaussian weights, N large, t near or beyond the centre; relative error of TV O(1 / sqrt(N)).
    Reference: arXiv:2608.15914 (one input).
    """
    recursion = checked_recursion(activation, weight_var, bias_var)
    n = validate.integer("width", width, 1)
    start = validate.positive("mean_square", mean_square, "Inputs of ones have 1.")
    if cosine is not None and not (validate.is_number(cosine) and -1.0 < cosine < 1.0):
        raise SpecError(f"cosine={cosine!r}", "-1 < cosine < 1", "Omit it for one input.")
    q = fixed_mean_square(recursion, start)
    if q == 0.0:
        given = f"weight_var={recursion.weight_var:g}, bias_var=0, where signals die out"
        remedy = "Take `ordered_cutoff`: the depth at which the signal is below a precision."
        raise SpecError(given, "a length with a fixed point above 0", remedy)
    if cosine is None:
        multiplier = length_multiplier(recursion, q)
        fixed = q
        amplitude = koenigs_amplitude(lambda x: length_step(recursion, x), start, q, multiplier)
        spread = math.sqrt(_length_noise(recursion, q) / (1.0 - multiplier**2))
    else:
        if tangent_multiplier(recursion, q) <= 1.0:
            given = "two inputs in the ordered phase (chi_1 <= 1)"
            remedy = "Their distance goes to 0: take `ordered_cutoff` with a precision."
            raise SpecError(given, "two inputs in the chaotic phase, or one input", remedy)

        def step(p: float) -> float:
            return overlap_step(recursion, q, p)

        fixed = fixed_overlap(recursion, q)
        multiplier = first_derivative(step, fixed, q)
        amplitude = koenigs_amplitude(step, float(cosine) * q, fixed, multiplier)
        spread = _pair_spread(recursion, q, fixed, multiplier)
    return _cutoff(fixed, multiplier, amplitude, spread, n, layers)


def koenigs_amplitude(
    step: Callable[[float], float],
    start: float,
    fixed_point: float,
    multiplier: float,
    most_steps: int = 20_000,
) -> float:
    """Koenigs' amplitude C: step^t(start) - fixed_point ~ C multiplier^t.

    step is C^2 at its fixed point, known to 1e-14 of its size, with derivative m. Relative error
    1e-8; exact for affine maps. SpecError: |m| is 0 or not below 1, a start at the fixed point or
    outside its basin of attraction. Reference: G. Koenigs, 1884.
    """
    if not 1e-12 < abs(multiplier) < 1.0 - 1e-9:
        remedy = "Multiplier 1: a power law of depth, no cut-off. Multiplier 0: one layer forgets."
        raise SpecError(f"a multiplier of {multiplier:g}", "0 < |m| < 1", remedy)
    unit = max(abs(fixed_point), abs(start - fixed_point))
    previous, power, x = math.nan, 1.0, start
    if not abs(start - fixed_point) > 1e-12 * unit:
        raise SpecError("a start at the fixed point", "another start", "Nothing relaxes there.")
    for t in range(most_steps):
        here = (x - fixed_point) / power
        if abs(x - fixed_point) < _LINEAR * unit and t:
            return (here - multiplier * previous) / (1.0 - multiplier)
        previous, power, x = here, power * multiplier, step(x)
    given = f"a start at {start:g} that does not reach {fixed_point:g}"
    raise SpecError(given, "a start in its basin", "Start nearer.")


def _length_noise(recursion: Recursion, q: float) -> float:
    """Var phi(z)^2."""
    _, z, weights = gaussian_nodes(recursion, q)
    squares = values(recursion.activation, z) ** 2
    mean = float(weights @ squares)
    return float(weights @ (squares - mean) ** 2)


def _pair_spread(recursion: Recursion, q: float, p: float, chi: float) -> float:
    """s of the overlap given the lengths."""
    from scipy.linalg import solve_discrete_lyapunov

    frame = pair_frame(recursion, q, p)
    norm2 = math.exp(float(frame.log_norm2_a))
    a = frame.alpha
    b = float(frame.cosine) * a + float(frame.sine) * frame.omega
    products = np.stack([a * a, b * b, a * b])
    means = products @ frame.weights
    noise = norm2**2 * (
        frame.radial4 * (products * frame.weights) @ products.T - np.outer(means, means)
    )
    mu = length_multiplier(recursion, q)
    # derivative of the overlap in one length
    pull = 0.5 * first_derivative(lambda both: overlap_step(recursion, both, p), q, q)
    jacobian = np.array([[mu, 0.0, 0.0], [0.0, mu, 0.0], [pull, pull, chi]])
    return float(np.linalg.inv(solve_discrete_lyapunov(jacobian, noise))[2, 2] ** -0.5)


def _cutoff(
    fixed: float, multiplier: float, amplitude: float, spread: float, width: int, layers: Any
) -> MeanFieldCutoff:
    rate = abs(math.log(abs(multiplier)))
    start = abs(amplitude) * math.sqrt(width)
    half = 2.0 * float(ndtri(0.75)) * spread
    curve = None
    if layers is not None:
        curve = 2.0 * ndtr(start * np.exp(-rate * check_layers(layers)) / (2.0 * spread)) - 1.0
    return MeanFieldCutoff(
        fixed,
        multiplier,
        scale_of(multiplier),
        amplitude,
        spread,
        math.log(start) / rate,
        math.log(start / half) / rate,
        curve,
    )
