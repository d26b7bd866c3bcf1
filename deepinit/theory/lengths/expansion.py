"""Length and volume distortion in powers of 1/width, exact rational coefficients.

s = m/2, K units on, y = 2K/n; the Gamma ratio expands in Bernoulli polynomials:

    (2/n)^{sd} prod_{j<d} E chi^m_{K-j} = y^{sd} exp(sum_p beta_p (4 / (n y))^p)
                                        = sum_q e_q n^{-q} y^{sd-q},
    beta_p = sum_{j<d} (-1)^{p+1} [B_{p+1}(s - j/2) - B_{p+1}(-j/2)] / (p (p+1)),
    E y^r = sum_i binom(r, i) mu_i,

mu_i the central moments of a mean of n variables (2 or 0). Linear: y = 2; orthogonal: minus the
linear series in 1/N; leaky ReLU (d = 1): the factor is itself a mean of n variables. m = d = 1:

    ln a_1 = -5/(8n) - 3/(8n^2) - 55/(192n^3) - 15/(64n^4) - ...
    ln g_1 = -1/(4n) + 1/(24n^3) - ...
"""

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from deepinit.core import validate
from deepinit.core.typing import Float
from deepinit.theory.numerics.homogeneous_layers import (
    HomogeneousNetwork,
    checked_moment,
    network_layers,
    network_widths,
)
from deepinit.theory.numerics.layer_factors import exp, log_factor_moment

Series = tuple[Fraction, ...]  # coefficients of n^0, n^-1, ..., n^-order
MAX_ORDER = 8


def expansion(
    network: HomogeneousNetwork,
    order: int = 1,
    m: float = 1,
    d: int = 1,
    *,
    expand_output: bool = False,
) -> float:
    """E Vol_d^m (d = 1: E ||J u||^m), exponent to the given order in 1/width.

        E ||J u||^m = (output_var n_L / n_0)^{m/2} (hidden_var/2)^{mH/2} g_m(n_L)
                      exp(sum_{l=1}^{H} sum_{p=1}^{order} c_p / n_l^p)

    for ReLU; c_1 = 5 m (m - 2) / 8, d-volumes m d [(m-2)(d+4) - 2(d-1)] / 8. 0 if m > 0 and a width
    is below d.

    Args:
        order: highest power of 1/width, 0 to 8; 0: infinite width.
        m, d: moment, real >= 0; dimension, 1 for lengths.
        expand_output: expand the linear output's g_m too.

    Valid for: as `length_moment`, `volume_moment`, with their errors; relative error
    O(sum_l n_l^{-order-1}). ReLU, m = 1: first order is an upper bound at widths >= 2. Reference:
    arXiv:2102.10492, Theorem 3.1 (order 1).
    """
    layers, m = network_layers(network, d), checked_moment(m)
    _check_order(order)
    if m == 0:
        return 1.0
    if min(network_widths(network.widths)) < d:
        return 0.0
    s = 0.5 * m
    total = 0.0
    for entry_var, factor in layers:
        if entry_var == 0.0:
            return 0.0
        n = factor.width
        share = (1.0 + factor.slope**2) / 2.0 if factor.masked else 1.0
        total += s * d * math.log(entry_var * n * share)
        if not factor.masked and not expand_output:
            total += log_factor_moment(factor, s) - s * d * math.log(n)
            continue
        linear = _linear_series(order, m, d)
        series = _masked_series(order, m, d, factor.slope) if factor.masked else linear
        total += _evaluate(series, n)
        if factor.sphere is not None:
            total -= _evaluate(linear, factor.sphere)
    return exp(total)


def log_factor_series(
    order: int, m: float = 1, d: int = 1, *, negative_slope: float = 0.0, law: str = "normal"
) -> Float[np.ndarray, "order"]:
    """c_p of one layer's log factor ln a = c_1/n + c_2/n^2 + ..., p = 1, ..., order.

    d = 1: ln of `layer_factor_moment`, c_1 = 5 m (m - 2) / 8 for ReLU. d > 1, without slope: of the
    factor of E Vol_d^m over (n / fan_in)^{md/2}. Law "normal" or "orthogonal" (square). Other
    arguments and errors: `expansion`. Valid for: asymptotic series, coefficients rounded once;
    order 4, m = 1: 1e-14 above width 500.
    """
    m = checked_moment(m)
    _check_order(order)
    layer = HomogeneousNetwork((1, 1), negative_slope=negative_slope, law=law, output=None)
    network_layers(layer, d)  # checks the arguments
    series = _masked_series(order, m, d, abs(float(negative_slope)))
    if law == "orthogonal":
        series = tuple(a - b for a, b in zip(series, _linear_series(order, m, d), strict=True))
    return np.array([float(coefficient) for coefficient in series[1:]])


@lru_cache(maxsize=256)
def _masked_series(order: int, m: float, d: int, slope: float) -> Series:
    s = Fraction(m) / 2
    if slope:
        square = Fraction(slope) ** 2
        # One unit: 2 / (1 + a^2) g^2 or a^2 times that, with equal probability; g standard normal.
        moments = [
            (2 / (1 + square)) ** i * math.prod(range(2 * i - 1, 0, -2)) * (1 + square**i) / 2
            for i in range(2 * order + 1)
        ]
        return _log(_power_of_mean(s, moments, order))
    moments = [Fraction(1)] + [Fraction(2) ** (i - 1) for i in range(1, 2 * order + 1)]
    series = [Fraction(0)] * (order + 1)
    scaled = [coefficient * 2**p for p, coefficient in enumerate(_linear_series(order, m, d))]
    for q, e_q in enumerate(_exp(scaled)):
        for p, coefficient in enumerate(_power_of_mean(s * d - q, moments, order)[: order + 1 - q]):
            series[p + q] += e_q * coefficient
    return _log(tuple(series))


@lru_cache(maxsize=256)
def _linear_series(order: int, m: float, d: int) -> Series:
    """Series ln prod_{j<d} E chi^m_{n-j} / n^{md/2}, coefficients beta_p 2^p."""
    s = Fraction(m) / 2
    series = [Fraction(0)]
    for p in range(1, order + 1):
        beta = sum(
            _bernoulli_polynomial(p + 1, s - Fraction(j, 2))
            - _bernoulli_polynomial(p + 1, -Fraction(j, 2))
            for j in range(d)
        )
        series.append((-2) ** p * -beta / (p * (p + 1)))
    return tuple(series)


def _power_of_mean(r: Fraction, moments: list[Fraction], order: int) -> Series:
    """Series E y^r, y the mean of n i.i.d. variables of these moments."""
    cumulants = _cumulants(moments)
    central: list[Series] = [_constant(1, order), _constant(0, order)]
    for i in range(2, 2 * order + 1):
        terms = [Fraction(0)] * (order + 1)
        for j in range(2, i + 1):
            for p, coefficient in enumerate(central[i - j]):
                if p + j - 1 <= order:
                    terms[p + j - 1] += math.comb(i - 1, j - 1) * cumulants[j] * coefficient
        central.append(tuple(terms))
    total, binomial = [Fraction(0)] * (order + 1), Fraction(1)
    for i in range(2 * order + 1):  # mu_i is of order n^{-i/2}
        for p in range(order + 1):
            total[p] += binomial * central[i][p]
        binomial *= (r - i) / (i + 1)
    return tuple(total)


def _cumulants(moments: list[Fraction]) -> list[Fraction]:
    cumulants = [Fraction(0)]
    for i in range(1, len(moments)):
        lower = sum(
            (math.comb(i - 1, j - 1) * cumulants[j] * moments[i - j] for j in range(1, i)),
            Fraction(0),
        )
        cumulants.append(moments[i] - lower)
    return cumulants


def _exp(series: list[Fraction]) -> Series:
    """exp of a series without constant term."""
    result = [Fraction(1)]
    for k in range(1, len(series)):
        result.append(
            sum((Fraction(j, k) * series[j] * result[k - j] for j in range(1, k + 1)), Fraction(0))
        )
    return tuple(result)


def _log(series: Series) -> Series:
    """Logarithm of a series with constant term 1."""
    result = [Fraction(0)]
    for k in range(1, len(series)):
        result.append(
            series[k]
            - sum((Fraction(j, k) * result[j] * series[k - j] for j in range(1, k)), Fraction(0))
        )
    return tuple(result)


def _constant(value: int, order: int) -> Series:
    return (Fraction(value),) + (Fraction(0),) * order


def _bernoulli_polynomial(degree: int, x: Fraction) -> Fraction:
    return sum(
        (math.comb(degree, i) * _bernoulli(i) * x ** (degree - i) for i in range(degree + 1)),
        Fraction(0),
    )


@lru_cache(maxsize=64)
def _bernoulli(index: int) -> Fraction:
    if index == 0:
        return Fraction(1)
    return -sum((math.comb(index + 1, i) * _bernoulli(i) for i in range(index)), Fraction(0)) / (
        index + 1
    )


def _evaluate(series: Series, n: int) -> float:
    return math.fsum(float(coefficient) / n**power for power, coefficient in enumerate(series))


def _check_order(order: int) -> None:
    validate.integer("order", order, 0, "length_moment is exact.", most=MAX_ORDER)
