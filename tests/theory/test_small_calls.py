"""Coefficients of two-input cut-offs, the matrix and the lines of condensation, antisymmetric initialization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory.condensation import (
    count_lines,
    multi_output_orientations,
    predict_orientations,
)
from deepinit.theory.cutoff import ordered_cutoff


def test_coefficients_of_the_drift_of_two_inputs():
    at_64, at_9999 = (
        ordered_cutoff("tanh", 0.81, width, 6.9, bias_var=0.09) for width in (64, 9999)
    )
    assert at_64.drift == pytest.approx(at_64.drift_limit + at_64.drift_coefficient / 64, rel=1e-12)
    assert at_64.variance == pytest.approx(at_64.variance_coefficient / 64, rel=1e-12)
    assert at_64[-3:] == at_9999[-3:]
    assert abs(-at_64.drift - 0.2661) < 5 * 0.0006  # simulated drift and its standard error
    assert abs(-at_64.drift_limit - 0.2661) > 5 * 0.0006  # the rival
    assert 0.6 < at_64.variance_coefficient < 0.7  # the table of the dossier


@pytest.mark.parametrize(
    ("activation", "gain2", "coefficient"), [("linear", 0.5, 0.5), ("relu", 1.0, 1.25)]
)
def test_coefficients_without_biases_are_those_of_the_exact_walk(activation, gain2, coefficient):
    found = ordered_cutoff(activation, gain2, 4000, 5.0)
    assert (found.drift_coefficient, found.variance_coefficient) == pytest.approx(
        (-coefficient, coefficient)
    )
    assert (found.drift - found.drift_limit) * 4000 == pytest.approx(-coefficient, rel=1e-3)
    assert found.variance * 4000 == pytest.approx(coefficient, rel=1e-3)


def test_matrix_of_several_outputs_and_its_line():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    found = multi_output_orientations(x, y, "tanh")
    rows = np.hstack([x, np.ones((20, 1))])
    assert found.matrix == pytest.approx(y.T @ rows / 20, rel=1e-12)
    right = np.linalg.eigh(found.matrix.T @ found.matrix)[1][:, -1]
    assert abs(found.directions[0] @ right) == pytest.approx(1.0, rel=1e-10)
    assert found.num_lines == 1


@pytest.mark.parametrize("dimension", [3, 5])
def test_lines_of_the_simplex_are_half_its_orientations(dimension):
    data = di.targets.simplex(dimension)
    found = predict_orientations(data.inputs, np.ones(dimension + 1), di.x2_tanh)
    assert (len(found.directions), count_lines(found.directions)) == (
        2 * (dimension + 1),
        dimension + 1,
    )
    assert count_lines(np.zeros((0, 3))) == 0
    with pytest.raises(SpecError, match="rows"):
        count_lines([[0.0, 0.0]])


@pytest.mark.slow
def test_antisymmetric_networks_start_at_zero_with_the_kernel_of_one_copy():
    net = di.training.perceptron(di.MLP((5,), di.tanh, output_width=1))
    pair = di.training.antisymmetric(net)
    x = jnp.array([[0.3, -0.7], [1.1, 0.2]])
    theta, both = net.init(jax.random.key(0), 2), pair.init(jax.random.key(0), 2)
    assert not jax.vmap(pair.apply, (None, 0))(both, x).any()

    def kernel(network, parameters):
        jacobian = jax.vmap(jax.grad(lambda p, x: network.apply(p, x)[0]), (None, 0))(parameters, x)
        flat = jnp.concatenate([leaf.reshape(2, -1) for leaf in jax.tree.leaves(jacobian)], axis=1)
        return flat @ flat.T

    assert np.asarray(kernel(pair, both)) == pytest.approx(np.asarray(kernel(net, theta)), rel=1e-5)
    with pytest.raises(SpecError, match="Network"):
        di.training.antisymmetric(3)
