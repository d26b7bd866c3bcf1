"""Drifts, exponents and horofunctions against exact values: digamma, binomial mixtures, integrals over width-1 laws."""

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
from deepinit.random_maps.horofunctions import (
    at_point,
    euclidean_horofunction,
    hilbert_horofunction,
    thompson_horofunction,
)
from deepinit.random_maps.iterates import (
    drawn_iterates,
    forward_iterates,
    log_jacobian_determinants,
)
from deepinit.random_maps.lyapunov import (
    exponent_at_inputs,
    exponent_at_zero,
    exponent_supremum,
    log_lipschitz,
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
    """400 networks of 100 layers resolve sqrt(psi_1(n/2) / 4 / 40 000), 0.003 at width 2; the drift 0 of infinite width is rejected."""
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
    """Increments of layers that survive, one per network; the drift 0 of E|x|^2 under He initialization is rejected."""
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
    horofunction = thompson_horofunction(shallow)
    assert int(horofunction.carriers[-1, 0]) == 1
    assert not bool(horofunction.grows[-1, 0])


@pytest.mark.slow
def test_positive_linear_networks_have_a_drift_below_the_logarithm_of_the_mean():
    """W_ij = exp(g) / 8: 0.4873 from an independent simulation (standard error 0.0013), below ln E = 0.5."""

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
    """tanh, weights uniform on (-4, 4): ln 4 - 1 at 0, -1.107 at typical inputs; 40 networks of 4 000 layers."""
    at_zero, typical = [], []
    for key in KEYS[:40]:
        weights = width_one(4.0, key)
        at_zero.append(float(JIT_ZERO(weights)))
        typical.append(float(JIT_INPUT(weights)))
    for values, exact in ((at_zero, np.log(4) - 1), (typical, -1.107)):
        assert abs(np.mean(values) - exact) < GATE * np.std(values, ddof=1) / np.sqrt(40) + 0.0005
    assert np.mean(at_zero) > 0 > np.mean(typical)


JIT_ZERO = jax.jit(lambda weights: exponent_at_zero(weights, "tanh"))
JIT_INPUT = jax.jit(
    lambda weights: exponent_at_inputs(weights, "tanh", jnp.array([0.5]), jnp.ones(1), burn_in=50)
)


@pytest.mark.exhaustive
def test_jacobian_distortion_of_width_one_grows_at_the_stated_rate():
    """2 ln cosh(w x) under the stationary law: 1.488(3) per layer at (-4, 4), extremes at x = 0 and x = 1."""
    points, rates = jnp.array([[0.0], [0.5], [1.0]]), []
    for key in KEYS[:20]:
        logs = log_jacobian_determinants(width_one(4.0, key), "tanh", points)
        rates.append(float(metrics.distortion(logs[-1], logs[-1] * 0) / 4000))
    assert abs(np.mean(rates) - 1.488) < GATE * np.hypot(np.std(rates, ddof=1) / np.sqrt(20), 0.003)


@pytest.mark.exhaustive
def test_log_lipschitz_is_the_operator_norm_of_the_jacobian():
    rng = np.random.default_rng(3)
    weights, biases = rng.standard_normal((6, 4, 4)), rng.standard_normal((6, 4))
    with jax.enable_x64(True):
        for activation, function in (
            ("tanh", jnp.tanh),
            ("gelu", lambda x: jax.nn.gelu(x, approximate=False)),
        ):

            def network(x, function=function):
                for w, b in zip(weights, biases, strict=True):
                    x = function(jnp.asarray(w) @ x + b)
                return x

            x = jnp.asarray(rng.standard_normal(4))
            expected = np.log(np.linalg.norm(np.asarray(jax.jacfwd(network)(x)), 2))
            assert float(log_lipschitz(weights, activation, x, biases=biases)) == pytest.approx(
                expected, abs=1e-6
            )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_supremum_of_the_exponent_is_at_least_that_of_a_grid_and_of_0():
    rng = np.random.default_rng(0)
    weights = (1.5 * rng.standard_normal((20, 2, 2)) / np.sqrt(2)).astype(np.float32)
    best = exponent_supremum(jax.random.key(0), weights, "tanh", num_starts=4, num_steps=8)
    axis = np.linspace(-1, 1, 21, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    values = jax.jit(jax.vmap(lambda x: log_lipschitz(weights, "tanh", x)))(grid) / 20
    assert float(best.value) >= float(best.at_zero)
    assert float(best.value) >= float(values.max()) - 1e-3
    assert float(best.at_zero) == pytest.approx(float(exponent_at_zero(weights, "tanh")), abs=1e-6)
    np.testing.assert_allclose(
        log_lipschitz(weights, "tanh", best.point) / 20, best.value, rtol=1e-5
    )


@pytest.mark.slow
def test_the_exponent_at_0_of_gaussian_layers_is_the_linear_drift():
    """N(0, A^2/n), A = 1.5, n = 2: ln A + (psi(1) + ln 1) / 2 = 0.117; infinite width has ln A = 0.405."""

    def one(key):
        with sequential_bits():
            return exponent_at_zero(
                1.5 / jnp.sqrt(2.0) * jax.random.normal(key, (1500, 2, 2)), "tanh"
            )

    values = np.asarray(jax.jit(jax.vmap(one))(KEYS[:60]))
    error = values.std(ddof=1) / np.sqrt(60)
    assert abs(values.mean() - (np.log(1.5) + 0.5 * digamma(1))) < GATE * error + np.log(2) / 1500
    assert abs(values.mean() - np.log(1.5)) > 3 * GATE * error


@pytest.mark.slow
def test_horofunctions_are_limits_of_differences_of_distances():
    rng = np.random.default_rng(0)
    y, z = np.exp(rng.standard_normal((2, 4))).astype(np.float32)
    ones = np.ones(4, np.float32)
    horofunction = thompson_horofunction(y)
    assert float(jnp.maximum(horofunction.log_u, horofunction.log_v).max()) == 0
    expected = float(metrics.thompson(z, y) - metrics.thompson(ones, y))
    assert float(at_point(horofunction, z)) == pytest.approx(expected, abs=1e-5)
    assert float(at_point(horofunction, ones)) == pytest.approx(0, abs=1e-6)
    assert float(hilbert_horofunction(y, ones)) == pytest.approx(0, abs=1e-6)
    far = 1e6 * y.astype(float)
    assert float(euclidean_horofunction(y, z)) == pytest.approx(
        np.linalg.norm(z - far) - np.linalg.norm(far), abs=1e-4
    )
    with pytest.raises(SpecError, match="positive"):
        thompson_horofunction(-y)


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
    with pytest.raises(SpecError, match="exponent_at_inputs"):
        exponent_at_zero(np.zeros((3, 2, 2)), "relu")
    with pytest.raises(SpecError, match="burn_in"):
        exponent_at_inputs(np.zeros((3, 2, 2)), "tanh", np.ones(2), np.ones(2), burn_in=3)
