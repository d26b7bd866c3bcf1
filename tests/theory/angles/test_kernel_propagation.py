import math

import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import activations, inputs
from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.core.laws import normal, orthogonal, uniform
from deepinit.core.specs import MLP
from deepinit.theory.angles import kernel_layer
from deepinit.theory.angles.kernel_propagation import (
    InputGram,
    input_grams,
    kernel_propagation,
    log_sin2_kernel_walk,
)
from deepinit.theory.angles.pair_cumulants import coefficients
from deepinit.theory.cutoff import ordered_cutoff

INFINITE = 10**10


def user_tanh(x):
    return jnp.tanh(x)


def mlp(widths, activation, weight_var=None, bias_var=0.0):
    return MLP(
        widths,
        activation,
        weight_law=None if weight_var is None else normal(weight_var),
        bias_law=normal(bias_var, "absolute") if bias_var else None,
    )


CASES = [
    (mlp((64,) * 8, "tanh", 1.0), InputGram(1.0, 1.0, 0.3)),
    (mlp((64, 48, 80, 64, 64, 48, 80, 64), "tanh", 1.5, 0.05), InputGram(1.0, 0.5, 0.6)),
    (mlp((256,) * 8, "gelu"), InputGram(1.0, 2.0, 0.5)),
    (mlp((128,) * 8, leaky_relu(0.1)), InputGram(1.0, 1.0, 0.5)),
    (mlp((128,) * 8, "relu", 2.0, 0.1), InputGram(1.0, 0.7, 1.0)),
    (mlp((64,) * 8, "erf", 0.8), InputGram(1.0, 1.0, 2.8)),
]


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
def test_first_layer_has_the_coefficients_of_one_layer(name):
    width, theta = 10**7, 0.8
    walk = kernel_propagation(mlp((width,), name, 1.3), InputGram(1.0, 1.0, theta))
    one = coefficients(theta, name, (1.3, 1.3))
    assert (walk.log_sin2_mean[0] - one.log_mean) * width == pytest.approx(float(one.c1), rel=1e-5)
    assert walk.log_sin2_variance[0] * width == pytest.approx(float(one.d1), rel=1e-5)


@pytest.mark.slow
def test_infinite_width_limit_of_relu_angles():
    walk = kernel_propagation(mlp((INFINITE,) * 100, "relu"), InputGram(1.0, 1.0, 0.3))
    sines = np.exp(0.5 * walk.log_sin2_mean[[9, 99]])
    np.testing.assert_allclose(sines, np.sin([0.2249263816, 0.07046334405]), rtol=1e-8)
    np.testing.assert_allclose(
        walk.log_norm2_mean, 0.0, atol=1e-7
    )  # He initialization keeps the mean square


def test_relu_norms_without_bias_add_up_over_layers():
    # ln of one layer's factor: mean -5/(2n), variance 5/n to first order, independent of the past
    widths = (50, 100, 200, 40)
    walk = kernel_propagation(mlp(widths, "relu"), InputGram(1.0, 4.0, 1.0))
    total = np.cumsum(1.0 / np.array(widths))
    for column, start in ((0, 0.0), (1, math.log(4.0))):
        np.testing.assert_allclose(walk.log_norm2_mean[:, column] - start, -2.5 * total, rtol=1e-9)
        np.testing.assert_allclose(walk.log_norm2_variance[:, column], 5 * total, rtol=1e-9)


def test_linear_tiny_angle_adds_one_chi_square_ratio_per_layer():
    # per layer ln sin^2 moves by -1/n with variance 4/n, whatever the layer before
    walk = kernel_propagation(mlp((100,) * 5, "linear"), InputGram(1.0, 1.0, 1e-7))
    layers = np.arange(1, 6)
    np.testing.assert_allclose(walk.log_sin2_mean - 2 * math.log(1e-7), -layers / 100, atol=1e-9)
    np.testing.assert_allclose(walk.log_sin2_variance, 4 * layers / 100, rtol=1e-9)


def test_homogeneous_nets_without_bias_ignore_norms_and_weight_variance():
    reference = kernel_propagation(mlp((64,) * 5, "relu"), InputGram(1.0, 1.0, 0.4))
    other = kernel_propagation(mlp((64,) * 5, "relu", 0.3), InputGram(5.0, 0.01, 0.4))
    np.testing.assert_allclose(other.log_sin2_mean, reference.log_sin2_mean, rtol=1e-8)
    np.testing.assert_allclose(other.log_sin2_variance, reference.log_sin2_variance, rtol=1e-8)


@pytest.mark.parametrize("name", ["tanh", "relu", "gelu"])
def test_exchanging_the_inputs_exchanges_the_norms_only(name):
    spec = mlp((64,) * 4, name, 1.3, 0.1)
    one, two = (
        kernel_propagation(spec, InputGram(*norms, 0.7)) for norms in ((1.0, 0.3), (0.3, 1.0))
    )
    np.testing.assert_allclose(one.log_sin2_mean, two.log_sin2_mean, rtol=1e-6)
    np.testing.assert_allclose(one.log_sin2_variance, two.log_sin2_variance, rtol=1e-6)
    np.testing.assert_allclose(one.log_norm2_mean, two.log_norm2_mean[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(one.log_norm2_variance, two.log_norm2_variance[:, ::-1], rtol=1e-6)


def test_odd_activation_sees_opposite_inputs_as_equal():
    spec = mlp((64,) * 5, "tanh", 1.4)
    acute, obtuse = (
        kernel_propagation(spec, InputGram(1.0, 0.6, angle)) for angle in (0.4, math.pi - 0.4)
    )
    np.testing.assert_allclose(acute.log_sin2_mean, obtuse.log_sin2_mean, rtol=1e-7)
    np.testing.assert_allclose(acute.state_mean[:, 2], -obtuse.state_mean[:, 2], rtol=1e-7)


@pytest.mark.slow
def test_differences_have_converged(monkeypatch):
    spec, gram = CASES[2]
    coarse = kernel_propagation(spec, gram)
    monkeypatch.setattr(kernel_layer, "_STEP", 0.015)
    fine = kernel_propagation(spec, gram)
    np.testing.assert_allclose(coarse.state_mean, fine.state_mean, rtol=1e-6)
    np.testing.assert_allclose(coarse.state_covariance, fine.state_covariance, rtol=1e-6)


def test_tiny_angles_keep_their_digits_and_bias_parts_parallel_inputs():
    spec = mlp((64,) * 4, "tanh", 1.2, 0.1)
    near, nearer = (kernel_propagation(spec, InputGram(1.0, 1.0, angle)) for angle in (1e-6, 1e-9))
    np.testing.assert_allclose(
        near.log_sin2_mean - nearer.log_sin2_mean, 2 * math.log(1e3), rtol=1e-6
    )
    np.testing.assert_allclose(near.log_sin2_variance, nearer.log_sin2_variance, rtol=1e-5)
    parallel = kernel_propagation(spec, InputGram(1.0, 4.0, 0.0))
    assert np.all(np.isfinite(parallel.log_sin2_mean))
    assert np.all(parallel.log_sin2_mean < 0)


def test_scalings_that_give_equal_entry_variances_give_equal_walks():
    gram = InputGram(1.0, 1.0, 0.5, dimension=64)
    walks = [
        kernel_propagation(MLP((64,) * 4, "tanh", weight_law=law), gram).log_sin2_mean
        for law in (normal(1.2), normal(1.2 / 64, "absolute"), normal(4.8, "depth"))
    ]
    np.testing.assert_allclose(walks[1], walks[0], rtol=1e-12)
    np.testing.assert_allclose(walks[2], walks[0], rtol=1e-12)


def test_every_pair_of_inputs():
    spec = mlp((64,) * 3, "gelu", 1.8, 0.02)
    rows = inputs.from_arrays(
        np.array([[1.0, 2.0, 0.0], [0.5, 0.5, 0.5]]), np.array([[1.0, 0.0, 1.0], [0.1, 1.0, -1.0]])
    )
    mean, variance = log_sin2_kernel_walk(spec, rows)
    assert mean.shape == variance.shape == (3, 2)
    grams = input_grams(rows)
    assert grams[0] == pytest.approx(
        (5 / 3, 2 / 3, math.acos(1 / math.sqrt(10)), 3, math.log(2 / 5))
    )
    np.testing.assert_array_equal(mean[:, 1], kernel_propagation(spec, grams[1]).log_sin2_mean)
    np.testing.assert_array_equal(
        kernel_propagation(spec, (5 / 3, 2 / 3, grams[0].angle)).log_sin2_mean.shape, (3,)
    )


def test_a_users_function_walks_like_the_builtin():
    gram = InputGram(1.0, 0.5, 0.6)
    user, builtin = (
        kernel_propagation(mlp((64,) * 2, fn, 1.2), gram) for fn in (user_tanh, activations.tanh)
    )
    np.testing.assert_allclose(user.state_mean, builtin.state_mean, rtol=1e-9)
    np.testing.assert_allclose(user.state_covariance, builtin.state_covariance, rtol=1e-8)


def test_where_first_order_fails_the_walk_ends():
    # GELU at ReLU's critical variance loses its norms, the faster the smaller they are.
    walk = kernel_propagation(MLP(widths=(256,) * 32, activation="gelu"), (0.5, 0.5, math.pi / 2))
    defined = np.isfinite(walk.log_sin2_mean)
    assert 10 < defined.sum() < 32
    assert not defined[defined.sum() :].any()
    assert np.diagonal(walk.state_covariance[defined], axis1=1, axis2=2).max() <= 4
    assert np.abs(walk.log_sin2_mean[defined]).max() < 4


def test_refusals():
    spec, gram = mlp((64,), "tanh", 1.0), InputGram(1.0, 1.0, 0.5)
    with pytest.raises(SpecError, match="positive mean squares"):
        kernel_propagation(spec, InputGram(0.0, 1.0, 0.5))
    with pytest.raises(SpecError, match="angle in"):
        kernel_propagation(spec, InputGram(1.0, 1.0, 4.0))
    with pytest.raises(SpecError, match="collinear"):
        kernel_propagation(spec, InputGram(1.0, 1.0, 0.0))
    with pytest.raises(SpecError, match="collinear"):
        kernel_propagation(mlp((64,), "relu"), InputGram(1.0, 2.0, 0.0))
    with pytest.raises(SpecError, match="collinear"):
        kernel_propagation(mlp((64,), "linear"), InputGram(1.0, 2.0, math.pi))
    with pytest.raises(SpecError, match="orthogonal"):
        kernel_propagation(MLP((64,), "tanh", weight_law=orthogonal(1.0)), gram)
    with pytest.raises(SpecError, match="variance 0"):
        kernel_propagation(MLP((64,), "tanh", weight_law=normal(0.0)), gram)
    with pytest.raises(SpecError, match="bias law"):
        kernel_propagation(MLP((64,), "tanh", bias_law=uniform(0.1, "absolute")), gram)
    with pytest.raises(SpecError, match="dimension"):
        kernel_propagation(MLP((64,), "tanh", weight_law=normal(0.1, "absolute")), gram)


@pytest.mark.parametrize("weight_var", [0.81, 1.0])
@pytest.mark.slow_cases("0.81")
def test_biases_and_small_angles_have_the_drift_of_close_inputs(weight_var):
    """Against the independent walk of the distance of close inputs, to first order.

    Without the norms' difference the drift is -1.76 / width.
    """
    width, depth = 4096, 40
    walk = kernel_propagation(
        mlp((width,) * depth, "tanh", weight_var, 0.09), InputGram(1.0, 1.0, 0.45)
    )
    law = ordered_cutoff("tanh", weight_var, width, 1.0, bias_var=0.09)
    late = np.diff(walk.log_sin2_mean)[-5:]
    assert walk.log_sin2_mean[-1] < -14  # an angle of less than 0.001
    np.testing.assert_allclose(late, 2.0 * law.drift, atol=0.01 / width)
    np.testing.assert_allclose(np.diff(walk.log_sin2_variance)[-5:], 4.0 * law.variance, rtol=0.01)
