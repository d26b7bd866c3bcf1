"""Formulas of the scores against loops."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.diagnosis import formulas


@pytest.fixture
def rows():
    return np.random.default_rng(0).standard_normal((5, 4))


def test_cosines_and_angles(rows):
    cosines, sines = [], []
    for a, b in itertools.combinations(rows, 2):
        cosines.append(a @ b / np.sqrt((a @ a) * (b @ b)))
        sines.append(np.log(1 - cosines[-1] ** 2))
    np.testing.assert_allclose(formulas.cosines(jnp.asarray(rows)), np.mean(cosines), atol=1e-6)
    np.testing.assert_allclose(formulas.log_sin2(jnp.asarray(rows)), np.mean(sines), atol=1e-5)


def test_small_angles_are_not_lost():
    rows = jnp.array([[1.0, 0.0], [1.0, 1e-5]])
    np.testing.assert_allclose(formulas.log_sin2(rows), 2 * np.log(1e-5), atol=1e-3)
    cosine = np.float32(1) / np.sqrt(np.float32(1 + 1e-10))
    assert 1 - cosine**2 == 0  # rival: 1 - cosine^2 in float32


def test_equal_rows_have_the_floor():
    assert formulas.log_sin2(jnp.ones((2, 3))) == pytest.approx(formulas.FLOOR)


def test_log_squares_neither_overflow_nor_underflow():
    stack = jnp.array([[3e30, 4e30], [3e-30, 4e-30], [0.0, 0.0]])
    found = np.asarray(formulas.log_squares(stack))
    np.testing.assert_allclose(found[:2], 2 * np.log([5e30, 5e-30]), rtol=1e-6)
    assert found[2] == -np.inf


def test_attention_entropy_of_causal_rows():
    uniform = np.tril(np.ones((4, 4))) / np.arange(1, 5)[:, None]
    assert formulas.attention_entropy(jnp.asarray(uniform)) == pytest.approx(1.0, abs=1e-6)
    assert formulas.attention_entropy(jnp.eye(4)) == 0.0
    weights = np.array([[1, 0, 0], [0.3, 0.7, 0], [0.2, 0.2, 0.6]])
    own = [-np.sum(row[row > 0] * np.log(row[row > 0])) for row in weights]
    expected = np.mean([own[1] / np.log(2), own[2] / np.log(3)])
    np.testing.assert_allclose(
        formulas.attention_entropy(jnp.asarray(weights)), expected, atol=1e-6
    )


def test_kernels_of_one_direction_learn_only_the_constant():
    assert formulas.ntk_centred(jnp.ones((4, 4))) == pytest.approx(0.0, abs=1e-6)
    assert formulas.ntk_condition(jnp.ones((4, 4))) == pytest.approx(np.log(1e7), abs=1e-2)
    assert formulas.ntk_condition(jnp.eye(4)) == pytest.approx(0.0, abs=1e-5)
    assert formulas.ntk_centred(jnp.eye(4)) == pytest.approx(0.75, abs=1e-6)
