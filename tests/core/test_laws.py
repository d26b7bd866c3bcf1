import math

import jax
import numpy as np
import pytest
from statistical import assert_mean

from deepinit.core import laws
from deepinit.core.errors import SpecError

SHAPES = ((3, 5), (5, 3), (4, 4))


@pytest.mark.parametrize("name", [name for name in laws.LAW_NAMES if name != "constant"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.slow_cases("shape0-normal")
def test_sample_has_its_second_and_fourth_moment(name, shape):
    law = laws.Law(name, 2.0, density=0.3 if name == "sparse" else None)
    num = 20_000
    draw = jax.vmap(lambda key: law.sample(key, shape))
    values = np.asarray(draw(jax.random.split(jax.random.key(3), num)), np.float64)[:, 0, 1]
    standard = values / math.sqrt(law.entry_variance(shape[1]))
    for order in (2, 4):
        exact = law.standardized_moment(order, shape)
        error = math.sqrt((law.standardized_moment(2 * order, shape) - exact**2) / num)
        # the rival: Gaussian entries, kurtosis 3
        rival = 3.0 if order == 4 and name != "normal" else 0.5 * exact
        assert_mean(standard**order, exact, rejects=rival, standard_error=error)


def test_truncated_normal_moments_match_quadrature():
    x = np.linspace(-2, 2, 200_001)
    pdf = np.exp(-0.5 * x**2)
    for order in (2, 4, 6, 8):
        moment = np.trapezoid(x**order * pdf, x) / np.trapezoid(pdf, x)
        std = math.sqrt(np.trapezoid(x**2 * pdf, x) / np.trapezoid(pdf, x))
        assert math.isclose(
            laws.truncated_normal().standardized_moment(order), moment / std**order, rel_tol=1e-8
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    matrix = np.asarray(laws.orthogonal(3.0).sample(jax.random.key(0), shape), np.float64)
    gram = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(gram, 3.0 * max(shape) / shape[1] * np.eye(min(shape)), atol=1e-5)


def test_scalings():
    assert laws.normal(2.0).entry_variance(50) == 0.04
    assert laws.normal(2.0, "absolute").entry_variance(50) == 2.0
    assert laws.normal(2.0, "depth").entry_variance(50, depth=10) == 0.004


@pytest.mark.parametrize(
    "arguments",
    [
        ("gaussian",),
        ("normal", -1.0),
        ("normal", math.nan),
        ("normal", "a"),
        ("normal", None),
        ("normal", 1.0, "fan_out"),
        ("sparse", 1.0, "fan_in", "a"),
        ("sparse",),
        ("normal", 1.0, "fan_in", 0.5),
    ],
)
def test_bad_laws_are_refused_in_one_paragraph(arguments):
    with pytest.raises(SpecError, match="Allowed: ") as caught:
        laws.Law(*arguments)
    assert "\n" not in str(caught.value)


def test_constant_biases_are_what_they_say_and_nothing_else_is():
    law = laws.constant(0.5)
    assert not law.is_symmetric
    assert laws.constant(0.0).is_symmetric
    assert laws.normal(1.0).is_symmetric
    assert not law.is_gaussian
    np.testing.assert_array_equal(law.sample(jax.random.key(0), (3, 1)), np.full((3, 1), 0.5))
    assert laws.Law(**law.to_json()) == law
    for wrong in (
        {"name": "constant"},
        {"name": "normal", "value": 1.0},
        {"name": "constant", "value": math.nan},
    ):
        with pytest.raises(SpecError, match=r"value=.*di.constant\(0.01\)"):
            laws.Law(**{"variance": 0.0, "scaling": "absolute", **wrong})
