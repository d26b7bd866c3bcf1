import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.theory.angles.mixed_moments import marginal_moment, mixed_moment

ANGLES = (0.0, 1e-6, 0.01, 0.1, 0.5, 1.0, math.pi / 2, 2.0, 2.5, 3.1, 3.14159)
PAIRS = [(a, b) for a in range(9) for b in range(9 - a)]


def polar_integral(a, b, theta):
    """The polar form at 30 digits, for the opening pi - theta with pi rounded to float64."""
    with mp.workdps(30):
        opening, k = mp.mpf(math.pi) - mp.mpf(theta), a + b
        top = mp.sin(
            opening / 2
        )  # scales the integrand to order 1, as the quadrature stops on absolute error
        integral = mp.quad(
            lambda u: (mp.sin(opening * u) / top) ** a * (mp.sin(opening * (1 - u)) / top) ** b,
            mp.linspace(0, 1, 5),
        )
        return (
            mp.mpf(2) ** (mp.mpf(k) / 2)
            * mp.gamma(mp.mpf(k) / 2 + 1)
            / (2 * mp.pi)
            * opening
            * top**k
            * integral
        )


@pytest.mark.parametrize(
    ("a", "b"), [(0, 0), (1, 0), (1, 1), (2, 2), (3, 1), (5, 2), (4, 4), (20, 3), (60, 0), (90, 90)]
)
def test_relative_accuracy_on_all_of_zero_to_pi(a, b):
    for theta in (1e-6, 0.3, 1.0, 2.0, 3.1, 3.14159):
        reference = polar_integral(a, b, theta)
        if reference > 1e-290:
            assert abs(mixed_moment(a, b, theta) / reference - 1) < 3e-16 * (a + b + 10), theta


def test_gaussian_expectation_by_an_independent_double_integral():
    theta, a, b = 0.8, 3, 2
    nodes, weights = np.polynomial.legendre.leggauss(120)
    g, g_weights = 6 * (nodes + 1), 6 * weights  # [0, 12]
    start = -g / math.tan(theta)  # where H = cos G + sin W turns positive
    half = 0.5 * (12 - start)
    w = start[:, None] + half[:, None] * (nodes + 1)
    h = math.cos(theta) * g[:, None] + math.sin(theta) * w
    density = np.exp(-0.5 * (g[:, None] ** 2 + w**2)) / (2 * math.pi)
    total = (g_weights * g**a) @ (half * ((h**b * density) @ weights))
    assert mixed_moment(a, b, theta) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("pair", "values"),
    {
        (0, 0): (0.498408450569081, 0.420422528454052, 0.340845056908105, 0.25, 0.102112642270262),
        (1, 0): (
            0.398932306927535,
            0.374523534441255,
            0.30724585720531,
            0.199471140200716,
            0.0396661097430451,
        ),
        (1, 1): (
            0.49997505325945,
            0.445258423910489,
            0.318083636891788,
            0.159154943091895,
            0.0134429086155017,
        ),
        (3, 1): (
            1.49992500063136,
            1.31823712795331,
            0.859422697362902,
            0.318309886183791,
            0.00621320904973844,
        ),
        (2, 2): (1.49990000332904, 1.26888671852162, 0.756927291961243, 0.25, 0.00426447226515714),
        (4, 3): (
            19.1473146240877,
            14.8739902641127,
            6.73682370966897,
            1.1968268412043,
            0.00187149846953917,
        ),
        (8, 0): (52.5, 52.4899092150881, 50.2376387317094, 26.25, 0.0797095344195484),
        (5, 3): (
            52.4943752718673,
            40.0219580881951,
            16.9690723463437,
            2.54647908947033,
            0.0018871076134291,
        ),
        (4, 4): (52.4940003199893, 39.3428621202361, 15.9648249025517, 2.25, 0.00153768244125845),
    }.items(),
)
def test_published_digits(pair, values):
    np.testing.assert_allclose(
        mixed_moment(*pair, np.array([0.01, 0.5, 1.0, np.pi / 2, 2.5])), values, rtol=5e-15
    )


CLOSED_EVEN = {  # J = (A (pi - theta) + B s) / (2 pi)
    (0, 0): lambda c: (1, 0),
    (2, 0): lambda c: (1, c),
    (1, 1): lambda c: (c, 1),
    (4, 0): lambda c: (3, 5 * c - 2 * c**3),
    (3, 1): lambda c: (3 * c, c**2 + 2),
    (2, 2): lambda c: (2 * c**2 + 1, 3 * c),
    (6, 0): lambda c: (15, 8 * c**5 - 26 * c**3 + 33 * c),
    (5, 1): lambda c: (15 * c, -2 * c**4 + 9 * c**2 + 8),
    (4, 2): lambda c: (12 * c**2 + 3, 2 * c**3 + 13 * c),
    (3, 3): lambda c: (6 * c**3 + 9 * c, 11 * c**2 + 4),
    (8, 0): lambda c: (105, -48 * c**7 + 200 * c**5 - 326 * c**3 + 279 * c),
    (7, 1): lambda c: (105 * c, 8 * c**6 - 38 * c**4 + 87 * c**2 + 48),
    (6, 2): lambda c: (90 * c**2 + 15, -4 * c**5 + 28 * c**3 + 81 * c),
    (5, 3): lambda c: (60 * c**3 + 45 * c, 6 * c**4 + 83 * c**2 + 16),
    (4, 4): lambda c: (24 * c**4 + 72 * c**2 + 9, 50 * c**3 + 55 * c),
}
CLOSED_ODD = {  # J = C / (2 sqrt(2 pi))
    (1, 0): lambda c: 1 + c,
    (3, 0): lambda c: (2 - c) * (1 + c) ** 2,
    (2, 1): lambda c: (1 + c) ** 2,
    (5, 0): lambda c: (1 + c) ** 3 * (3 * c**2 - 9 * c + 8),
    (4, 1): lambda c: (3 - c) * (1 + c) ** 3,
    (3, 2): lambda c: 2 * (1 + c) ** 3,
    (7, 0): lambda c: 3 * (1 + c) ** 4 * (16 - 29 * c + 20 * c**2 - 5 * c**3),
    (6, 1): lambda c: 3 * (1 + c) ** 4 * (c**2 - 4 * c + 5),
    (5, 2): lambda c: 2 * (4 - c) * (1 + c) ** 4,
    (4, 3): lambda c: 6 * (1 + c) ** 4,
}


def test_closed_forms_up_to_total_degree_eight():
    for theta in ANGLES[
        :-2
    ]:  # beyond, 40 digits of the closed forms cancel too many of float64's theta
        with mp.workdps(40):
            opening = mp.mpf(math.pi) - mp.mpf(theta)
            c, s = -mp.cos(opening), mp.sin(opening)
            for (a, b), coefficients in CLOSED_EVEN.items():
                first, second = coefficients(c)
                assert mixed_moment(a, b, theta) == pytest.approx(
                    float((first * opening + second * s) / (2 * mp.pi)), rel=5e-15
                )
            for (a, b), coefficient in CLOSED_ODD.items():
                assert mixed_moment(a, b, theta) == pytest.approx(
                    float(coefficient(c) / (2 * mp.sqrt(2 * mp.pi))), rel=5e-15
                )


def test_family_with_exponents_one_apart():
    for m in (1, 5, 12, 30):
        theta = np.array([0.0, 0.5, 1.5, 2.8])
        expected = (
            math.factorial(m)
            * (2 * np.cos(theta / 2) ** 2) ** (m + 1)
            / (2 * math.sqrt(2 * math.pi))
        )
        np.testing.assert_allclose(mixed_moment(m + 1, m, theta), expected, rtol=1e-13)


def test_special_angles_and_symmetry():
    for a, b in PAIRS:
        assert mixed_moment(a, b, 0.0) == pytest.approx(marginal_moment(a + b), rel=5e-15)
        assert mixed_moment(a, b, math.pi / 2) == pytest.approx(
            marginal_moment(a) * marginal_moment(b), rel=5e-15
        )
        assert mixed_moment(a, b, math.pi) == 0.0
        np.testing.assert_allclose(
            mixed_moment(a, b, np.array(ANGLES)), mixed_moment(b, a, np.array(ANGLES)), rtol=5e-15
        )


def test_exponent_zero_keeps_the_indicator():
    assert mixed_moment(2, 0, 1.0) < 0.9 * marginal_moment(2)
    assert marginal_moment(2) == pytest.approx(0.5)
    assert marginal_moment(4) == pytest.approx(1.5)
    assert marginal_moment(5) == pytest.approx(8 / math.sqrt(2 * math.pi))


def test_recursion_by_gaussian_integration_by_parts():
    theta = np.array([0.1, 1.0, 2.0])
    c, s, moment = np.cos(theta), np.sin(theta), lambda a, b: mixed_moment(a, b, theta)
    for a in range(2, 12):
        for b in range(1, 12):
            np.testing.assert_allclose(
                moment(a, b), (a - 1) * moment(a - 2, b) + b * c * moment(a - 1, b - 1), rtol=2e-12
            )
    for a in range(2, 10):
        double_factorial = math.prod(range(a - 2, 0, -2))
        boundary = (
            s ** (a - 1)
            * c
            * double_factorial
            / (2 * math.pi if a % 2 == 0 else 2 * math.sqrt(2 * math.pi))
        )
        np.testing.assert_allclose(moment(a, 0), (a - 1) * moment(a - 2, 0) + boundary, rtol=1e-13)


@pytest.mark.slow
def test_derivative_in_the_angle_is_plackett_identity():
    with jax.enable_x64(True):
        theta = jnp.asarray([0.2, 1.0, 2.0, 3.0], dtype=jnp.float64)
        for a, b in ((1, 1), (2, 1), (3, 3), (4, 2)):
            slope = jax.jit(jax.vmap(jax.grad(lambda t, a=a, b=b: mixed_moment(a, b, t))))(theta)
            expected = -a * b * jnp.sin(theta) * mixed_moment(a - 1, b - 1, theta)
            np.testing.assert_allclose(slope, expected, rtol=1e-12)


def test_small_angle_expansion():
    theta = 1e-2
    np.testing.assert_allclose(
        [mixed_moment(1, 1, theta), mixed_moment(2, 2, theta), mixed_moment(3, 1, theta)],
        [
            0.5 - theta**2 / 4 + theta**3 / (6 * math.pi) + theta**4 / 48,
            1.5 - theta**2 + theta**4 / 3 - 2 * theta**5 / (15 * math.pi),
            1.5 - 0.75 * theta**2 + theta**4 / 16 + theta**5 / (5 * math.pi),
        ],
        rtol=0,
        atol=1e-11,
    )


@pytest.mark.slow
def test_large_exponents_overflow_only_with_the_moment():
    assert mixed_moment(150, 148, 0.0) == pytest.approx(marginal_moment(298), rel=1e-12)
    assert mixed_moment(200, 200, 3.0) == pytest.approx(
        float(polar_integral(200, 200, 3.0)), rel=1e-12
    )
    assert marginal_moment(302) == math.inf


def test_float32_arrays_stay_float32():
    theta = jnp.asarray([0.0, 0.3, 1.0, 2.0, 2.9], dtype=jnp.float32)
    for a, b in ((0, 0), (2, 2), (3, 1), (10, 10)):
        value = jax.jit(lambda t, a=a, b=b: mixed_moment(a, b, t))(theta)
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(
            value, mixed_moment(a, b, np.asarray(theta, np.float64)), rtol=1e-5
        )
    assert float(mixed_moment(3, 2, jnp.float32(math.pi))) == 0.0


@pytest.mark.parametrize("theta", [-0.1, 3.2, math.nan])
def test_angles_outside_the_range_are_refused(theta):
    with pytest.raises(SpecError, match=r"angles in \[0, pi\]"):
        mixed_moment(1, 1, theta)
    with pytest.raises(SpecError, match=r"angles in \[0, pi\]"):
        mixed_moment(1, 1, jnp.float32(theta))


@pytest.mark.parametrize(
    "call", [lambda: mixed_moment(-1, 0, 1.0), lambda: mixed_moment(1, 0.5, 1.0)]
)
def test_exponents_that_are_not_counts_are_refused(call):
    with pytest.raises(SpecError, match="integers >= 0"):
        call()
