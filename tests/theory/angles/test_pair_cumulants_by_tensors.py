import itertools
import math

import mpmath
import numpy as np
import pytest

from deepinit.theory.angles.pair_cumulants import coefficients
from deepinit.theory.numerics.delta_method import angle_expansion
from deepinit.theory.numerics.gaussian_pairs import homogeneous_frame


def polar_moments(slopes, theta):
    """E a^i b^j, i + j <= 6 even, in the working precision: exact quadrature on the four arcs."""
    left, right = slopes
    phi = lambda x: (right if x > 0 else left) * x
    edges = [
        -mpmath.pi / 2,
        theta - mpmath.pi / 2,
        mpmath.pi / 2,
        theta + mpmath.pi / 2,
        3 * mpmath.pi / 2,
    ]
    moments = {}
    for i, j in itertools.product(range(7), repeat=2):
        if i + j in (2, 4, 6):
            radius = {2: 2, 4: 8, 6: 48}[i + j]
            angular = mpmath.quad(
                lambda p, i=i, j=j: phi(mpmath.cos(p)) ** i * phi(mpmath.cos(p - theta)) ** j, edges
            )
            moments[i, j] = radius * angular / (2 * mpmath.pi)
    return moments


def trapezoidal_moments(phi, theta, variances):
    step = mpmath.mpf(1) / 6
    grid = [k * step for k in range(-60, 61)]
    density = [step * mpmath.npdf(x) for x in grid]
    std_u, std_v = (mpmath.sqrt(variance) for variance in variances)
    c, s = mpmath.cos(theta), mpmath.sin(theta)
    powers = [(i, j) for i, j in itertools.product(range(7), repeat=2) if i + j in (2, 4, 6)]
    moments = dict.fromkeys(powers, mpmath.mpf(0))
    for x, mass_x in zip(grid, density, strict=True):
        a = phi(std_u * x)
        b = [phi(std_v * (c * x + s * y)) for y in grid]
        inner = [sum(m * value**j for m, value in zip(density, b, strict=True)) for j in range(7)]
        for i, j in powers:
            moments[i, j] += mass_x * a**i * inner[j]
    return moments


def tensor_coefficients(moments):
    """Delta method for f = ln(AB - C^2) - ln A - ln B of the means of (a^2, b^2, ab)."""
    degrees = ((2, 0), (0, 2), (1, 1))

    def moment(*indices):
        return moments[sum(degrees[i][0] for i in indices), sum(degrees[i][1] for i in indices)]

    mean = [moment(i) for i in range(3)]
    k2 = {
        (i, j): moment(i, j) - mean[i] * mean[j] for i, j in itertools.product(range(3), repeat=2)
    }
    k3 = {
        (i, j, k): moment(i, j, k)
        - mean[i] * k2[j, k]
        - mean[j] * k2[i, k]
        - mean[k] * k2[i, j]
        - mean[i] * mean[j] * mean[k]
        for i, j, k in itertools.product(range(3), repeat=3)
    }
    determinant = mean[0] * mean[1] - mean[2] ** 2
    inverse = 1 / determinant

    def partial(order):
        """d^order f, multi-index (A, B, C), from the power series of ln(AB - C^2)."""
        a, b, c = order
        total = mpmath.mpf(0)
        # ln(1 + r (B0 x + A0 y - 2 C0 z + x y - z^2)): x^a y^b z^c of powers 1..4
        for power in range(1, 5):
            for linear in itertools.product(range(power + 1), repeat=5):
                if sum(linear) != power:
                    continue
                x, y, z, xy, zz = linear
                if (x + xy, y + xy, z + 2 * zz) != (a, b, c):
                    continue
                count = math.factorial(power) // math.prod(math.factorial(k) for k in linear)
                term = mean[1] ** x * mean[0] ** y * (-2 * mean[2]) ** z * (-1) ** zz
                total += (-1) ** (power + 1) * inverse**power * count * term / power
        if b == c == 0:
            total -= (-1) ** (a + 1) / (a * mean[0] ** a)
        if a == c == 0:
            total -= (-1) ** (b + 1) / (b * mean[1] ** b)
        return total * math.factorial(a) * math.factorial(b) * math.factorial(c)

    def f(*indices):
        return partial(tuple(indices.count(i) for i in range(3)))

    r = range(3)
    pairs, triples = list(itertools.product(r, r)), list(itertools.product(r, r, r))
    c1 = sum(f(i, j) * k2[i, j] for i, j in pairs) / 2
    d1 = sum(f(i) * f(j) * k2[i, j] for i, j in pairs)
    c2 = sum(f(*t) * k3[t] for t in triples) / 6
    c2 += sum(f(*p, *q) * k2[p] * k2[q] for p in pairs for q in pairs) / 8
    d2 = sum(f(i) * f(j, k) * k3[i, j, k] for i, j, k in triples)
    d2 += sum(f(i, j) * f(k, l) * k2[i, k] * k2[j, l] for i, j in pairs for k, l in pairs) / 2  # noqa: E741
    d2 += sum(f(i) * f(j, k, l) * k2[i, j] * k2[k, l] for i, j in pairs for k, l in pairs)  # noqa: E741
    return [float(v) for v in (mpmath.log(determinant / mean[0] / mean[1]), c1, d1, c2, d2)]


@pytest.mark.parametrize(
    ("slopes", "theta"),
    [((0, 1), "0.001"), ((0, 1), "3.0"), ((0.1, 1), "0.4"), ((-1, 1), "1.0"), ((-0.3, 2), "2.2")],
)
@pytest.mark.slow_cases("slopes2-0.4", "slopes4-2.2")
@pytest.mark.exhaustive_cases("slopes3-1.0")
def test_homogeneous_coefficients_equal_the_raw_tensor_sums_in_40_digits(slopes, theta):
    with mpmath.workdps(40):
        expected = tensor_coefficients(
            polar_moments(tuple(mpmath.mpf(v) for v in slopes), mpmath.mpf(theta))
        )
    frame = homogeneous_frame(np, np.float64(theta), slopes)
    result = (frame.log_sine2, *angle_expansion(frame))
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("theta", "variances"), [("0.001", (1.0, 1.0)), ("2.6", (0.5, 1.0))])
@pytest.mark.slow_cases("0.001-variances0")
@pytest.mark.exhaustive_cases("2.6-variances1")
def test_tanh_coefficients_equal_the_raw_tensor_sums_in_40_digits(theta, variances):
    with mpmath.workdps(40):
        exact_variances = tuple(mpmath.mpf(v) for v in variances)
        expected = tensor_coefficients(
            trapezoidal_moments(mpmath.tanh, mpmath.mpf(theta), exact_variances)
        )
    np.testing.assert_allclose(coefficients(float(theta), "tanh", variances), expected, rtol=1e-11)
