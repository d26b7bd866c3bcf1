"""Evidence of affine kernels in weight space, its gradient, and empirical Bayes."""

import numpy as np
import pytest
from scipy.optimize import differential_evolution

import deepinit as di
from deepinit.theory import diffusion

INF = di.inference
RNG = np.random.default_rng(5)
X = RNG.normal(size=(30, 4))
Y = (0.5 + X @ [1.0, -0.5, 0.0, 2.0] + 0.3 * RNG.normal(size=30))[:, None] * [1.0, 0.7]


@pytest.mark.parametrize(("num", "dimension"), [(3, 4), (5, 4), (30, 4), (4, 1)])
def test_weight_space_evidence_is_that_of_the_kernel(num, dimension):
    x, y = X[:num, :dimension], Y[:num]
    for parameters in ((1.3, 0.4, 0.2), (0.0, 2.0, 0.05), (5.0, 0.0, 1.0)):
        intercept, slope, noise = parameters
        right = INF.log_marginal(intercept + slope * x @ x.T, y, noise)
        data = INF.spectrum(x, y)
        found = INF.linear_log_marginal(data, *parameters)
        assert found.value == pytest.approx(right, rel=1e-10)
        for k in range(3):
            step = 1e-5 * np.eye(3)[k]
            if parameters[k] > 0:
                high, low = (
                    INF.linear_log_marginal(data, *(np.array(parameters) + s * step)).value
                    for s in (1, -1)
                )
                assert found.gradient[k] == pytest.approx((high - low) / 2e-5, rel=1e-5, abs=1e-6)


def test_evidence_without_noise_where_the_kernel_has_full_rank():
    x, y = X[:3], Y[:3]
    found = INF.linear_log_marginal(INF.spectrum(x, y), 1.0, 1.0, 0.0)
    assert found.value == pytest.approx(INF.log_marginal(1.0 + x @ x.T, y), rel=1e-9)


@pytest.mark.slow
def test_empirical_bayes_finds_what_a_population_search_finds():
    found = INF.empirical_bayes(X, Y)
    data = INF.spectrum(X, Y)
    rival = differential_evolution(
        lambda logs: -INF.linear_log_marginal(data, *np.exp(logs)).value,
        [(-8, 8)] * 3,
        rng=1,
        tol=1e-10,
        polish=False,
        maxiter=200,
    )
    assert found.log_marginal == pytest.approx(-rival.fun, abs=1e-5)
    assert np.log([found.intercept_var, found.slope_var, found.noise]) == pytest.approx(
        rival.x, abs=0.01
    )
    assert found.num_agreeing == 8
    assert found.at_bound == ()
    assert found.negative_per_target == pytest.approx(-found.log_marginal / 60)
    # the generating noise, as seen by 60 residuals of two scaled copies: to 30 %
    assert 0.04 < found.noise < 0.12


@pytest.mark.slow
def test_the_network_of_the_optimum_has_its_variances_and_one_flat_direction():
    found = INF.empirical_bayes(
        X, Y, "erf", noise=0.1, weight_var=0.8, horizon=1.5, readout_var=2.0
    )
    model = diffusion.linear_model(
        "erf",
        found.weight_var,
        found.bias_var,
        1.5,
        embedding_var=found.embedding_var,
        readout_var=2.0,
    )
    assert model == pytest.approx((found.intercept_var, found.slope_var), rel=1e-10)
    assert found.noise == 0.1
    assert found.parameters == ("weight_var", "bias_var", "embedding_var")
    assert abs(found.curvatures[0]) < 1e-9
    assert found.curvatures[1] > 1e-3
    flat = found.flat_direction / np.linalg.norm(found.flat_direction)
    assert abs(flat @ found.directions[0]) == pytest.approx(1.0, abs=1e-6)
    # a finite step along the flat family: another weight variance, the same evidence
    other = INF.empirical_bayes(
        X, Y, "erf", noise=0.1, weight_var=2.0, horizon=1.5, readout_var=2.0
    )
    assert other.log_marginal == pytest.approx(found.log_marginal, abs=1e-9)
    assert other.bias_var < 0.8 * found.bias_var
    near = INF.empirical_bayes(
        X, Y, "erf", noise=0.1, weight_var=0.8 * 1.001, horizon=1.5, readout_var=2.0
    )
    moved = np.log(
        [near.bias_var / found.bias_var, near.embedding_var / found.embedding_var]
    ) / np.log(1.001)
    assert moved == pytest.approx(found.flat_direction[1:], rel=2e-3)


def test_the_flat_direction_of_small_weights_keeps_its_digits():
    found = INF.empirical_bayes(X, Y, noise=0.1, weight_var=1e-20)  # C E / (E - 1) -> 1
    assert found.flat_direction == pytest.approx([1.0, 0.0, -1e-20], abs=1e-30)
    assert np.all(np.isfinite(found.curvatures))


def test_targets_without_an_intercept_say_that_it_has_no_optimum_of_its_own():
    x = np.concatenate([X, -X])
    y = np.concatenate([X @ [1.0, 2.0, 0.0, 0.0], -(X @ [1.0, 2.0, 0.0, 0.0])])
    found = INF.empirical_bayes(x, y, noise=0.01)
    assert found.at_bound == ("intercept_var",)


def test_thousands_of_inputs_cost_one_decomposition():
    x = RNG.normal(size=(3000, 20))
    y = x[:, 0] + 0.1 * RNG.normal(size=3000)
    assert INF.empirical_bayes(x, y).noise == pytest.approx(
        0.01, rel=0.15
    )  # 5 standard errors of a variance from 3000
