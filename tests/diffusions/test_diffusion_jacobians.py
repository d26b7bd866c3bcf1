import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusion_networks import sampled, shallow
from scipy import stats
from statistical import assert_mean, assert_value, assert_variance

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diffusions.jacobians import jacobian_fn
from deepinit.diffusions.paths import path_fn
from deepinit.theory import diffusion as theory


def _correlated(psi):
    rng = np.random.default_rng(2)
    outer, inner, bias = (root @ root.T for root in rng.standard_normal((3, 4, 4)) / 2)
    weight_law = di.matrix_normal(outer, inner, rng.standard_normal((4, 4)))
    return di.ResNet(
        4,
        16,
        None,
        di.silu,
        weight_law,
        None,
        di.vector_normal(bias),
        block="shallow",
        inner_activation=psi,
    )


@pytest.mark.exhaustive
def test_forward_jacobian_is_the_derivative_of_the_path_in_its_start():
    spec, points = _correlated(di.tanh), np.random.default_rng(0).standard_normal((2, 4))
    # the path's start is fixed when it is built, so each derivative is a difference in float64
    with jax.enable_x64(True):
        key64, step = jax.random.key(1), 1e-6
        base = jax.jit(jacobian_fn(spec, points, dtype="float64"))(key64)
        moved = jax.jit(
            path_fn(spec, points + step * np.eye(4)[1], form="driving", dtype="float64")
        )(key64)
        column = (np.asarray(moved.states[-1]) - np.asarray(base.states[-1])) / step
        np.testing.assert_allclose(base.forward[-1, :, :, 1], column, rtol=2e-5)
    assert np.abs(column - np.eye(4)[1]).max() > 0.1


@pytest.mark.slow
@pytest.mark.exhaustive
def test_inverse_and_determinant_follow_the_jacobian_of_correlated_weights_up_to_the_step():
    # strong order 1/2: 16 times the steps, a quarter of the distance (order 1: a sixteenth)
    spec, distances = _correlated(di.tanh), []
    for steps in (64, 1024):
        draws = sampled(jacobian_fn(spec, np.ones(4), num_steps=steps), 128)
        g, inverse = (
            draws.forward[:, -1, 0].astype(np.float64),
            draws.inverse[:, -1, 0].astype(np.float64),
        )
        product = np.linalg.norm(inverse @ g - np.eye(4), axis=(1, 2))
        logs = np.abs(np.linalg.slogdet(g)[1] - draws.log_determinants[:, -1, 0])
        distances.append((np.median(product), np.median(logs)))
    ratios = np.divide(*distances)
    assert (ratios > 2.5).all()
    assert (ratios < 6.5).all()


@pytest.mark.exhaustive
def test_linear_diffusion_has_the_exact_jacobian_laws():
    # effect: log |det g| to 0.1, norms to 3 %; kappa = 0.5, g independent of the state
    width, kappa, depth = 6, 0.5, 64
    draws = sampled(
        jacobian_fn(shallow(width, depth, kappa, 0.25), 0.7 * np.ones(width), times=[0.5, 1.0]),
        3000,
        key=2,
    )
    g = draws.forward[:, -1, 0].astype(np.float64)
    # E tr(g^T g) / D of Euler's steps, e^kappa of the diffusion; the rivals: no noise, no sign
    growth = (1 + kappa / depth) ** depth
    assert_mean(np.sum(g**2, axis=(1, 2)) / width, growth, rejects=1.0, resolves=0.03)
    assert_mean(g, np.eye(width), rejects=0.0)
    logs = draws.log_determinants[:, -1, 0].astype(np.float64)
    assert stats.kstest((logs + 0.5 * kappa) / math.sqrt(kappa), "norm").pvalue > 1e-6
    # the rivals: no drift; one direction of the matrix alone
    assert_mean(logs, -0.5 * kappa, rejects=0.0, resolves=0.3)
    assert_variance(logs, kappa, rejects=kappa / width, resolves=0.2)
    between = jax.vmap(lambda one: one.between(0, 1))(draws)[:, 0]
    gradient = np.log(
        np.sum(np.asarray(between, np.float64)[:, 0] ** 2, axis=1)
    )  # of J^T e_1 over half the time
    law = theory.log_mean_square_law("tanh", width, kappa, 0.5)  # the same law as that of |g v|^2
    # the rival: the whole time
    assert_mean(gradient, law.mean, rejects=2 * law.mean, resolves=0.3)
    assert_variance(gradient, law.variance, rejects=2 * law.variance, resolves=0.2)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_jacobian_of_the_network_of_200_blocks_has_the_law_of_the_diffusion():
    # effect: tr g / D to 1.3 %, tr g^T g / D to 3 %, log |det g| to 0.06
    spec = shallow(4, 200, 1.96, 0.25, di.silu, inner_activation=di.tanh)
    diffusion = sampled(jacobian_fn(spec, 0.7 * np.ones(4)), 6000, key=3)
    init, apply, *_ = di.network(spec)
    jacobian = lambda key: jax.jacfwd(lambda x: apply(init(key, 4), x))(0.7 * jnp.ones(4))
    samples = []
    for g in (
        diffusion.forward[:, -1, 0].astype(np.float64),
        sampled(jacobian, 2000, key=4).astype(np.float64),
    ):
        trace, square = np.trace(g, axis1=1, axis2=2) / 4, np.sum(g**2, axis=(1, 2)) / 4
        samples.append(np.stack([trace, square, np.linalg.slogdet(g)[1]], axis=1))
    means = [sample.mean(axis=0) for sample in samples]
    errors = [sample.std(axis=0) / math.sqrt(len(sample)) for sample in samples]
    # the rival: a volume that is preserved
    assert_value(means[0], np.hypot(*errors), means[1], rejects=1.0)
    np.testing.assert_allclose(means, [[1.0866, 1.413, 0.212]] * 2, rtol=0.03, atol=0.05)
    without_curvature = sampled(
        jacobian_fn(
            shallow(4, 200, 1.96 / 4, 0.25 / 4, di.tanh, inner_activation=di.tanh), 0.7 * np.ones(4)
        ),
        2000,
    )
    trace = np.trace(without_curvature.forward[:, -1, 0], axis1=1, axis2=2) / 4
    assert abs(trace.mean() - means[1][0]) > 5 * trace.std() / math.sqrt(2000)


def test_convolutions_are_refused():
    with pytest.raises(SpecError, match="fully connected"):
        jacobian_fn(di.ConvResNet((4,), 2, 5), np.ones(8))
