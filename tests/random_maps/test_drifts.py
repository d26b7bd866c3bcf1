"""Drifts and tangent growth against exact values: digamma, binomial mixtures, width-1 laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import digamma, polygamma
from scipy.stats import binom

from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.random_maps import metrics
from deepinit.random_maps.drifts import drift, drift_of_increments, metric_drift
from deepinit.random_maps.iterates import (
    drawn_iterates,
    forward_iterates,
    log_jacobian_determinants,
    tangent_iterates,
)
from deepinit.random_maps.scaled import Scaled

GATE = 5.0
KEYS = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(400))


def gaussian_walks(activation, variance, width, depth, keys=KEYS, start=1.0):
    def one(key):
        def draw(t):
            with sequential_bits():
                normals = jax.random.normal(jax.random.fold_in(key, t), (width, width))
            return np.sqrt(variance / width) * normals, None

        return drawn_iterates(draw, depth, activation, start * jnp.ones(width))

    return jax.jit(jax.vmap(one))(keys)


def z_score(found, exact):
    return abs(found.mean - exact) / found.standard_error


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.slow
def test_linear_drift_is_the_digamma_function(width):
    """400 networks of 100 layers: error sqrt(psi_1(n/2) / 4 / 40 000); rejects the drift 0."""
    result = drift_of_increments(np.asarray(gaussian_walks("linear", 1.0, width, 100).increments))
    exact = 0.5 * (digamma(width / 2) + np.log(2 / width))
    assert z_score(result, exact) < GATE
    assert z_score(result, 0.0) > 3 * GATE
    assert result.standard_error == pytest.approx(
        np.sqrt(polygamma(1, width / 2) / 4 / 40_000), rel=0.2
    )


@pytest.mark.slow
def test_tanh_near_0_has_the_linear_drift_and_both_estimators_agree():
    walks = gaussian_walks("tanh", 0.25, 4, 200, start=1e-3)
    exact = 0.5 * (digamma(2) + np.log(2 * 0.25 / 4))
    for result in (
        drift_of_increments(np.asarray(walks.increments)),
        drift(np.asarray(walks.log_norms)),
    ):
        assert z_score(result, exact) < GATE
        assert z_score(result, 0.5 * np.log(0.25)) > 3 * GATE  # infinite width


@pytest.mark.slow
def test_relu_drift_is_a_binomial_mixture_given_survival():
    """Increments of surviving layers, one per network; rejects the drift 0 of E|x|^2."""
    width = 4
    increments = np.asarray(
        gaussian_walks(
            "relu", 2.0, width, 1, keys=jax.random.split(jax.random.key(1), 20_000)
        ).increments
    )
    result = drift_of_increments(increments)
    alive = np.arange(1, width + 1)
    weights = binom.pmf(alive, width, 0.5) / (1 - 0.5**width)
    exact = float(np.sum(weights * 0.5 * (digamma(alive / 2) + np.log(4 / width))))
    assert exact == pytest.approx(-0.35829, abs=1e-5)
    assert z_score(result, exact) < GATE
    assert z_score(result, 0.0) > 3 * GATE
    assert abs(result.num_excluded / 20_000 - 2.0**-width) < GATE * np.sqrt(2.0**-width / 20_000)


@pytest.mark.exhaustive
def test_thompson_drift_and_sup_growth_differ_where_the_decaying_coordinate_is_faster():
    weights = np.broadcast_to(np.diag([2.0, 0.125]).astype(np.float32), (400, 2, 2))
    iterates = forward_iterates(weights, "linear", np.ones(2, np.float32))
    assert drift(np.asarray(iterates.log_norms)[None]).mean == pytest.approx(np.log(2), rel=1e-5)
    shallow = Scaled(
        *(array[:30, None] for array in iterates.states)
    )  # 2^-116: the small coordinate is still a float beside the large one
    assert metric_drift(metrics.thompson, shallow).mean == pytest.approx(np.log(8), rel=1e-4)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_positive_linear_networks_have_a_drift_below_the_logarithm_of_the_mean():
    """W_ij = exp(g) / 8: 0.4873(13) from an independent simulation, below ln E = 0.5."""

    def one(key):
        def draw(t):
            with sequential_bits():
                return jnp.exp(jax.random.normal(jax.random.fold_in(key, t), (8, 8))) / 8, None

        return drawn_iterates(draw, 200, "linear", jnp.ones(8)).states

    states = jax.jit(jax.vmap(one, out_axes=1))(KEYS)
    result = metric_drift(metrics.thompson, states)
    assert abs(result.mean - 0.4873) < GATE * np.hypot(result.standard_error, 0.0013)
    assert z_score(result, 0.5) > GATE


@pytest.mark.slow
def test_the_norm_drift_of_orthogonal_identity_layers_is_the_mean_bias():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        weights, biases = (
            np.broadcast_to(np.eye(4), (2000, 4, 4)),
            1 + rng.standard_normal((2000, 4)),
        )
        states = forward_iterates(weights, "relu", np.zeros(4), biases=biases).states
        found = np.asarray(states.mantissa[-1]) * 2.0 ** int(states.exponent[-1]) / 2000
    np.testing.assert_allclose(found, 1, atol=5 / np.sqrt(2000) + 0.01)


def width_one(amplitude, key, depth=4000):
    with sequential_bits():
        return jax.random.uniform(key, (depth, 1, 1), minval=-amplitude, maxval=amplitude)


@pytest.mark.slow
def test_exponents_of_width_one_disagree_at_0_and_at_typical_inputs():
    """tanh, weights uniform on (-4, 4): ln 4 - 1 at 0, -1.107 at typical inputs."""
    at_zero, typical = [], []
    for key in KEYS[:40]:
        weights = width_one(4.0, key)
        at_zero.append(float(tangent_growth(weights, jnp.zeros(1)).mean()))
        typical.append(float(tangent_growth(weights, jnp.array([0.5]))[50:].mean()))
    for values, exact in ((at_zero, np.log(4) - 1), (typical, -1.107)):
        assert abs(np.mean(values) - exact) < GATE * np.std(values, ddof=1) / np.sqrt(40) + 0.0005
    assert np.mean(at_zero) > 0 > np.mean(typical)


@jax.jit
def tangent_growth(weights, x):
    """[T], ln |v_t| - ln |v_{t-1}| of one tangent vector under tanh."""
    return tangent_iterates(weights, "tanh", x, jnp.ones_like(x))[1]


@pytest.mark.exhaustive
def test_jacobian_distortion_of_width_one_grows_at_the_stated_rate():
    """2 ln cosh(w x) under the stationary law: 1.488(3) per layer at (-4, 4)."""
    points, rates = jnp.array([[0.0], [0.5], [1.0]]), []
    for key in KEYS[:20]:
        logs = log_jacobian_determinants(width_one(4.0, key), "tanh", points)
        rates.append(float(metrics.distortion(logs[-1], logs[-1] * 0) / 4000))
    assert abs(np.mean(rates) - 1.488) < GATE * np.hypot(np.std(rates, ddof=1) / np.sqrt(20), 0.003)


@pytest.mark.slow
def test_the_exponent_at_0_of_gaussian_layers_is_the_linear_drift():
    """N(0, A^2/n), A = 1.5, n = 2: ln A + psi(1) / 2 = 0.117; infinite width: ln A = 0.405."""

    def one(key):
        with sequential_bits():
            weights = 1.5 / jnp.sqrt(2.0) * jax.random.normal(key, (1500, 2, 2))
        return tangent_growth(weights, jnp.zeros(2)).mean()

    values = np.asarray(jax.jit(jax.vmap(one))(KEYS[:60]))
    error = values.std(ddof=1) / np.sqrt(60)
    assert abs(values.mean() - (np.log(1.5) + 0.5 * digamma(1))) < GATE * error
    assert abs(values.mean() - np.log(1.5)) > 3 * GATE * error


def test_drifts_count_what_they_exclude_and_refuse_wrong_shapes():
    result = drift(np.array([[0.0, 1, 2, 3], [0.0, 1, -np.inf, -np.inf], [0.0, 2, 4, 6]]))
    assert (result.mean, result.num_networks, result.num_excluded) == (1.5, 3, 1)
    assert result.standard_error == pytest.approx(0.5)
    assert np.isnan(drift(np.array([[0.0, 1.0]])).standard_error)
    for bad in (np.zeros(4), np.zeros((2, 1)), np.zeros((0, 4))):
        with pytest.raises(SpecError, match="networks"):
            drift(bad)
    with pytest.raises(SpecError, match="start"):
        drift(np.zeros((2, 4)), start=3)
    with pytest.raises(SpecError, match="networks"):
        drift_of_increments(np.zeros(3))
