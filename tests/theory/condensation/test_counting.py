import condensation_network as network
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory.condensation import (
    conjectured_most_orientations,
    count_lines,
    most_critical_lines,
    predict_orientations,
)


def x_tanh(s):
    return s * jnp.tanh(s)


def x2_tanh(s):
    return s**2 * jnp.tanh(s)


def cube(s):
    return s**3


def fourth(s):
    return s**4


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_simplex_has_more_orientations_than_conjectured(d):
    x = di.targets.simplex(d).inputs
    np.testing.assert_allclose(x @ x.T, (d + 1) * np.eye(d + 1) - 1, atol=1e-12)
    z = network.with_one(x)
    y = np.random.default_rng(d).standard_normal(d + 1)
    for p, activation in ((3, cube), (4, fourth)):
        result = predict_orientations(x, y, activation)
        assert len(result.values) == 2 * (d + 1) <= 2 * most_critical_lines(p, d + 1)
        assert (len(result.values) > conjectured_most_orientations(p)) == (d >= p)
        assert (network.nearest(z, result.directions)[0] > 1 - 1e-12).all()
        np.testing.assert_allclose(result.kappa, 1.0, atol=1e-9)
    # p = 2 with equal targets: no direction is preferred
    assert len(predict_orientations(x, np.ones(d + 1), x_tanh).values) == 0


def test_network_on_the_simplex_visits_all_twelve():
    x = di.targets.simplex(5).inputs
    y = np.array([1.0, -0.9, 1.1, 0.8, -1.0, 1.2])
    result = predict_orientations(x, y, x2_tanh)
    assert len(result.values) == 12
    a, w = network.neuron_flow(
        "x^2 tanh", *network.initial(200, 6, 1e-5, 0), network.with_one(x), y, 0.01
    )
    cosine, which = network.nearest(w, result.directions)
    assert np.median(cosine) > 0.999
    aligned = cosine > 0.97
    assert aligned.mean() > 0.95
    assert set(which[aligned]) == set(range(12))
    np.testing.assert_array_equal(np.sign(a[aligned]), result.output_sign[which[aligned]])


def test_known_numbers_of_critical_lines():
    assert [most_critical_lines(p, 2) for p in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert most_critical_lines(2, 7) == 7
    assert most_critical_lines(3, 6) == 63


@pytest.mark.parametrize("dimension", [3, 5])
def test_lines_of_the_simplex_are_half_its_orientations(dimension):
    data = di.targets.simplex(dimension)
    result = predict_orientations(data.inputs, np.ones(dimension + 1), di.x2_tanh)
    assert (len(result.directions), count_lines(result.directions)) == (
        2 * (dimension + 1),
        dimension + 1,
    )
    assert count_lines(np.zeros((0, 3))) == 0
    with pytest.raises(SpecError, match="rows"):
        count_lines([[0.0, 0.0]])
