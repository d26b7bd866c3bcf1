"""Posteriors and trained networks: small exact cases, least squares, an ODE, kernels of specs."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import multivariate_normal

import deepinit as di
from deepinit.theory import diffusion

INF = di.inference
RNG = np.random.default_rng(3)
X, NEW = RNG.normal(size=(12, 3)), RNG.normal(size=(5, 3))
Y = RNG.normal(size=(12, 2))
ROWS = np.concatenate([X, NEW])
# NNGP and NTK: their ratios of intercept to slope differ
MODELS = {
    name: diffusion.linear_model("tanh", 1.3, 0.7, trained=parts)
    for name, parts in {"nngp": ("readout",), "ntk": ("readout", "blocks", "embedding")}.items()
}


def affine_blocks(model, rows=ROWS, num_train=12):
    return INF.blocks_of(model.intercept_var + model.slope_var * rows @ rows.T, num_train)


def least_squares(x, y, new):
    weights, *_ = np.linalg.lstsq(np.c_[np.ones(len(x)), x], y, rcond=None)
    return np.c_[np.ones(len(new)), new] @ weights


def test_posterior_is_the_conditional_of_the_joint_gaussian():
    root = RNG.normal(size=(6, 6))
    kernel, noise, y = root @ root.T, 0.3, RNG.normal(size=4)
    found = INF.posterior(*INF.blocks_of(kernel, 4), y, noise)
    # from the inverse of the joint covariance of (y, f_new): last block, minus the other over it
    joint = kernel + np.diag([noise] * 4 + [0.0] * 2)
    precision = np.linalg.inv(joint)
    covariance = np.linalg.inv(precision[4:, 4:])
    assert np.allclose(found.covariance, covariance, atol=1e-10)
    assert np.allclose(found.mean, -covariance @ precision[4:, :4] @ y, atol=1e-10)
    assert found.mean.shape == (2,)
    assert np.allclose(found.deviation, np.sqrt(np.diag(covariance)))


@pytest.mark.parametrize("kernel", MODELS)
def test_kernels_of_both_regimes_tend_to_least_squares_with_intercept_as_noise_vanishes(kernel):
    model = MODELS[kernel]
    blocks, right = affine_blocks(model), least_squares(X, Y, NEW)
    errors = [
        np.abs(INF.posterior(*blocks, Y, noise).mean - right).max() for noise in (1e-2, 1e-4, 1e-6)
    ]
    assert errors[2] < 1e-6
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.05)  # linear in the noise
    assert errors[0] > 1e-4
    linear = INF.linear_model(X, Y, NEW, *model)
    assert np.allclose(linear.mean, right, atol=1e-12)
    assert np.allclose(linear.variance, 0.0, atol=1e-20)
    gone = INF.trained(blocks.train, blocks.cross, Y, time=None, noise=1e-7)
    assert np.allclose(gone.mean, right, atol=1e-6)


@pytest.mark.parametrize("num", [2, 4, 12])
def test_weight_space_is_kernel_space(num):
    model, noise = MODELS["nngp"], 0.05
    blocks = affine_blocks(model, np.concatenate([X[:num], NEW]), num)
    kernel = INF.posterior(*blocks, Y[:num], noise)
    linear = INF.linear_model(X[:num], Y[:num], NEW, *model, noise)
    assert np.allclose(linear.mean, kernel.mean, atol=1e-12)
    assert np.allclose(linear.variance, np.diag(kernel.covariance), atol=1e-12)
    features = np.c_[np.ones(5), NEW]
    assert np.allclose(
        features @ linear.weight_covariance @ features.T, kernel.covariance, atol=1e-12
    )
    assert linear.rank == min(num, 4)
    one = INF.linear_model(X[:num], Y[:num, 0], NEW, *model, noise)
    assert one.slopes.shape == (3,)
    assert np.allclose(one.intercept + NEW @ one.slopes, linear.mean[:, 0])


def test_weight_space_keeps_its_digits_where_the_kernel_has_lost_them():
    x, new = RNG.normal(size=(2000, 3)), NEW
    truth = np.array([1.0, -2.0, 0.5])
    y = 3.0 + x @ truth
    for noise in (0.0, 1e-14):
        found = INF.linear_model(x, y, new, 1.0, 1.0, noise)
        assert np.allclose(found.slopes, truth, rtol=1e-12)
        assert found.intercept == pytest.approx(3.0, rel=1e-12)
    # fewer inputs than weights: through the points, by the smallest weights
    few = INF.linear_model(x[:2], y[:2], x[:2], 1.0, 1.0)
    assert np.allclose(few.mean, y[:2])
    assert few.rank == 2
    assert np.allclose(few.variance, 0.0, atol=1e-15)
    assert few.weight_covariance.trace() == pytest.approx(
        2.0
    )  # two of four directions are not seen


@pytest.mark.parametrize(("time", "noise"), [(0.0, 0.0), (0.3, 0.0), (2.0, 0.1), (40.0, 0.0)])
def test_gradient_flow_formula_against_the_equation_of_motion(time, noise):
    features = RNG.normal(
        size=(7, 5)
    )  # rows: 4 training, 3 test inputs; fewer inputs than parameters
    prior_cov = np.diag(
        RNG.uniform(0.3, 2.0, 5)
    )  # initial parameters: the prior is another kernel than the tangent kernel
    y = RNG.normal(size=4)
    train, test = features[:4], features[4:]

    def moves(
        _, flat
    ):  # parameters that start at 0, and the derivative of parameters by their start
        flat = flat.reshape(5, 6)
        start = np.concatenate([np.zeros((5, 1)), np.eye(5)], axis=1)
        right = np.zeros((4, 6))
        right[:, 0] = y
        return (-train.T @ (train @ flat - right) - noise * (flat - start)).ravel()

    start = np.concatenate([np.zeros((5, 1)), np.eye(5)], axis=1)
    end = solve_ivp(moves, (0, time), start.ravel(), rtol=1e-10, atol=1e-12).y[:, -1].reshape(5, 6)
    tangent = INF.blocks_of(features @ features.T, 4)
    prior = INF.blocks_of(features @ prior_cov @ features.T, 4)
    found = INF.trained(tangent.train, tangent.cross, y, prior=prior, time=time, noise=noise)
    assert np.allclose(found.mean, test @ end[:, 0], atol=1e-8)
    spread = test @ end[:, 1:]
    assert np.allclose(found.covariance, spread @ prior_cov @ spread.T, atol=1e-8)
    silent = INF.trained(tangent.train, tangent.cross, y, time=time, noise=noise)
    assert np.array_equal(silent.mean, found.mean)
    assert not silent.covariance.any()
    if time == 40.0:  # the posterior of another kernel is not what this network becomes
        assert np.abs(INF.posterior(*prior, y).mean - found.mean).max() > 0.01


def test_training_the_readout_alone_is_the_posterior_and_long_times_are_the_limit():
    root = RNG.normal(size=(6, 9))
    nngp = INF.blocks_of(root @ root.T, 4)
    y = RNG.normal(size=4)
    end = INF.trained(nngp.train, nngp.cross, y, prior=nngp)
    bayes = INF.posterior(*nngp, y)
    assert np.allclose(end.mean, bayes.mean)
    assert np.allclose(end.covariance, bayes.covariance, atol=1e-10)
    late = INF.trained(nngp.train, nngp.cross, y, prior=nngp, time=1e4)
    assert np.allclose(late.covariance, end.covariance, atol=1e-8)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kernels_of_a_network_come_in_blocks_and_engines_agree():
    spec = di.MLP((64,) * 2, "relu", di.normal(2.0), output_width=1)
    ours, theirs = (
        INF.kernel_for(spec, X, NEW, engine=engine) for engine in ("recursion", "neural_tangents")
    )
    for kernel, other in zip(ours, theirs, strict=True):
        assert kernel.train.shape == (12, 12)
        assert kernel.cross.shape == (5, 12)
        for block, same in zip(kernel, other, strict=True):
            assert np.allclose(block, same, rtol=1e-6)
    # one pair by hand: first test and second training input, from a kernel of just these two
    pair = INF.kernel_for(spec, X[1:2], NEW[:1])
    assert pair.nngp.cross[0, 0] == pytest.approx(ours.nngp.cross[0, 1], rel=1e-10)
    assert pair.ntk.cross[0, 0] == pytest.approx(ours.ntk.cross[0, 1], rel=1e-10)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_deep_residual_network_predicts_as_the_linear_model_of_its_limit():
    model = diffusion.linear_model("tanh", 0.2, 0.1, embedding_var=1 / 3)
    bias, embedding = di.normal(0.1, "depth"), di.normal(1.0)
    right = INF.linear_model(X, Y, NEW, *model, 0.1).mean
    errors = []
    for depth in (128, 512):
        spec = di.ResNet(
            64,
            depth,
            block="shallow",
            weight_law=di.normal(0.2, scaling="depth"),
            bias_law=bias,
            embedding_law=embedding,
            output_width=1,
        )
        blocks = INF.kernel_for(spec, X, NEW)
        errors.append(np.abs(INF.posterior(*blocks.nngp, Y, 0.1).mean - right).max())
    assert errors[0] / errors[1] == pytest.approx(
        4.0, rel=0.06
    )  # first order in 1 / depth, 3 % of second
    assert errors[1] < 0.002


def test_affine_part_finds_affine_kernels_and_nothing_else():
    products = X @ X.T
    whole = INF.affine_part(0.7 + 0.2 * products, products)
    assert whole[:3] == pytest.approx((0.7, 0.2, 1.0), rel=1e-10)
    assert whole.centred_share == pytest.approx(1.0)
    odd = products**2
    part = INF.affine_part(odd, products)
    residual = odd - part.intercept_var - part.slope_var * products
    assert 0.0 < part.share < 0.99
    assert part.share == pytest.approx(1.0 - (residual**2).sum() / (odd**2).sum())
    # no other affine kernel is nearer
    for step in ((1e-3, 0.0), (-1e-3, 0.0), (0.0, 1e-3), (0.0, -1e-3)):
        other = odd - (part.intercept_var + step[0]) - (part.slope_var + step[1]) * products
        if min(part.intercept_var + step[0], part.slope_var + step[1]) >= 0:
            assert (other**2).sum() > (residual**2).sum()
    falling = INF.affine_part(np.eye(12), products)
    assert min(falling.intercept_var, falling.slope_var) >= 0.0


def test_log_marginal_is_the_gaussian_density():
    root = RNG.normal(size=(12, 12))
    kernel = root @ root.T
    right = sum(multivariate_normal(np.zeros(12), kernel + 0.2 * np.eye(12)).logpdf(y) for y in Y.T)
    assert INF.log_marginal(kernel, Y, 0.2) == pytest.approx(right, rel=1e-10)


@pytest.mark.parametrize(
    ("kernel", "products"),
    [
        (np.full((3, 3), 0.1), X[:3] @ X[:3].T),
        (X[:3] @ X[:3].T, np.full((3, 3), 0.1)),
        (np.eye(1), np.eye(1)),
    ],
)
def test_centred_share_is_nan_where_nothing_tells_inputs_apart(kernel, products):
    found = INF.affine_part(kernel, products)
    assert np.isnan(found.centred_share)
    assert np.isfinite(found[:3]).all()


def test_affine_part_scales_with_the_kernel_also_where_squares_underflow():
    products, odd = X @ X.T, (X @ X.T) ** 2
    one, small = INF.affine_part(odd, products), INF.affine_part(1e-200 * odd, 1e60 * products)
    assert small.slope_var == pytest.approx(1e-260 * one.slope_var, rel=1e-9)
    assert small[2:] == pytest.approx(one[2:], rel=1e-9)
