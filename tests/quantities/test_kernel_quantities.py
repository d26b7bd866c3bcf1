"""Second moments, tangent kernels, gradients, singular values: three routes, diffusion limit."""

import numpy as np
import pytest
from statistical import assert_mean, assert_value

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities
RESIDUAL = di.ResNet(5, 64, block="shallow", activation="linear", bias_law=di.normal(0.25, "depth"))
TWO = di.inputs.points(np.outer([1.0, -0.5], np.ones(5)) + 0.2 * np.eye(2, 5))


def z_of(comparison, route):
    return comparison.dataset["z"].sel(theory=route).values


@pytest.mark.exhaustive
def test_second_moments_of_a_residual_network_have_the_mean_and_variance_of_its_diffusion():
    # phi = id: first moments of the network are (1 + kappa / L)^L, not e^kappa: off by 1 / L
    spec = di.ResNet(
        5, 256, block="shallow", activation="linear", bias_law=di.normal(0.25, "depth")
    )
    sim, pred = (
        di.simulate(spec, Q.nngp, TWO, num_seeds=2000),
        di.predict(spec, Q.nngp, TWO, "infinite_depth"),
    )
    compared = di.compare(
        sim, pred, di.predict(spec, Q.nngp, TWO, "exact"), di.infinite(spec, Q.nngp, TWO)
    )
    # the mean is the same at every width; the rival: a quarter more
    for theory in (pred, di.predict(spec, Q.nngp, TWO, "exact"), di.infinite(spec, Q.nngp, TWO)):
        assert_mean(sim, theory.mean, rejects=1.25 * theory.mean)
        assert np.abs(z_of(compared, theory.name)).max() < 5
    ratio = sim.variance[-1] / pred.variance[-1]
    assert np.all(np.abs(ratio - 1) < 0.4)
    biased = di.normal(0.25, "depth")
    twice = di.ResNet(10, 256, block="shallow", activation="linear", bias_law=biased)
    points = di.inputs.points(np.hstack([TWO.points, TWO.points]))
    double = di.predict(twice, Q.nngp, points, "infinite_depth")
    assert np.all(sim.variance[-1] / double.variance[-1] > 1.5)  # twice the width: rejected


@pytest.mark.exhaustive
def test_tangent_kernels_of_a_residual_network():
    for quantity in (Q.ntk, Q.bias_ntk):
        sim, pred = (
            di.simulate(RESIDUAL, quantity, TWO, num_seeds=3000),
            di.predict(RESIDUAL, quantity, TWO),
        )
        error = sim.standard_error
        assert np.all(np.abs(sim.mean - pred.mean) < 5 * error + 0.04 * pred.mean)  # 1 / L = 1.6 %
    assert np.all(np.abs(sim.variance / pred.variance - 1) < 0.4)
    limit = di.infinite(RESIDUAL, Q.ntk, TWO)
    sim = di.simulate(RESIDUAL, Q.ntk, TWO, num_seeds=3000)
    # exact at L = 64; the rival: the kernel of biases alone
    assert_mean(sim, limit.mean, rejects=di.infinite(RESIDUAL, Q.bias_ntk, TWO).mean)


@pytest.mark.exhaustive
def test_tangent_kernel_tends_to_infinite_width_and_its_variance_falls_like_one_over_width():
    inputs, variances = di.inputs.pair(1.0), []
    for width in (16, 64):
        spec = di.MLP(
            (width,) * 3, "tanh", di.normal(2.0), di.normal(0.1, "absolute"), output_width=1
        )
        sim, limit = (
            di.simulate(spec, Q.ntk, inputs, num_seeds=4000),
            di.infinite(spec, Q.ntk, inputs),
        )
        variances.append(sim.variance[0])
    # tanh: the mean differs by less than 0.2 / width (measured at width 16: 0.002(10) of 4.5)
    assert np.all(
        np.abs(sim.mean - limit.mean) < 5 * sim.standard_error + 0.2 / 64 * np.abs(limit.mean)
    )
    assert np.all((variances[0] > 3 * variances[1]) & (variances[0] < 6 * variances[1]))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_gradients_of_a_residual_network_are_log_normal():
    spec = di.ResNet(4, 200, block="shallow")
    inputs = di.inputs.points(
        0.05 * np.ones(4)
    )  # small: tanh is nearly linear, no bias of 1 / depth from it
    sim, pred = (
        di.simulate(spec, Q.log_gradient_norm, inputs, num_seeds=4000),
        di.predict(spec, Q.log_gradient_norm, inputs),
    )
    z = (sim.mean - pred.mean)[:-1] / sim.standard_error[:-1]
    assert np.abs(z).max() < 5
    # the rival is kappa T, infinite width: without 2 kappa T / D
    assert_value(sim.mean[0], sim.standard_error[0], pred.mean[0], rejects=1.0)
    assert np.abs((sim.mean[0] - 1.0) / sim.standard_error[0]).max() > 20
    assert np.all(np.abs(sim.variance[0] / pred.variance[0] - 1) < 0.15)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.slow_cases("1")
@pytest.mark.exhaustive_cases("2", "4")
def test_volumes_of_a_residual_network_are_log_normal(size):
    spec = di.ResNet(4, 200, block="shallow")
    frame = di.frames.at(0.05 * np.ones((1, 4)), np.eye(4)[None, :size])
    sim, pred = (
        di.simulate(spec, Q.log_volume, frame, num_seeds=3000),
        di.predict(spec, Q.log_volume, frame),
    )
    # the rival: infinite width
    assert_value(sim.mean[-1], sim.standard_error[-1], pred.mean[-1], rejects=0.5 * size)
    assert np.all(np.abs(sim.variance[-1] / pred.variance[-1] - 1) < 0.2)


@pytest.mark.exhaustive
def test_singular_values_are_those_of_numpy_and_multiply_to_the_determinant():
    from deepinit.observables.singular_values import log_singular_values

    rng = np.random.default_rng(0)
    for shape in ((5, 5), (3, 7), (7, 4), (1, 3)):
        matrix = rng.normal(size=shape)
        scales = rng.normal(size=shape[0])
        expected = np.linalg.svd(np.exp(scales)[:, None] * matrix, compute_uv=False)
        found = np.exp(
            np.asarray(log_singular_values(matrix.astype(np.float32), scales.astype(np.float32)))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4)
    spec, inputs = di.ResNet(4, 100, block="shallow"), di.inputs.points(0.05 * np.ones(4))
    sim = di.simulate(spec, Q.log_singular_values, inputs, num_seeds=2000, keep_samples=True)
    # the rival: no drift
    assert_mean(sim.samples[:, 0].sum(axis=1), -0.5, rejects=0.0, resolves=0.25)
    assert np.all(np.diff(sim.mean[0]) < 0)


@pytest.mark.parametrize(
    "spec",
    [
        di.MLP((40, 48), "tanh", di.normal(2.0), di.normal(0.1, "absolute"), output_width=1),
        di.MLP((48, 40), output_width=1),
        di.MLP((40, 48), "gelu", di.normal(1.8), di.normal(0.05, "absolute"), output_width=1),
    ],
    ids=str,
)
@pytest.mark.exhaustive
def test_first_order_in_one_over_width_says_more_of_kernels_than_infinite_width(spec):
    inputs = di.inputs.points([[1.0, 0.2, 0.4], [0.3, -0.6, 0.8]])
    for quantity in (Q.nngp, Q.ntk):
        sim, pred = (
            di.simulate(spec, quantity, inputs, num_seeds=6000),
            di.predict(spec, quantity, inputs),
        )
        limit = di.infinite(spec, quantity, inputs)
        # what is left out is O(r^2), r = 0.046: a few percent of the shift and of the variance
        assert np.all(
            np.abs(sim.mean - pred.mean)
            < 5 * sim.standard_error + 0.2 * np.abs(pred.mean - limit.mean)
        )
        allowed = 5 * sim.variance_standard_error + 0.35 * pred.variance
        assert np.all(np.abs(sim.variance - pred.variance) < allowed)
        assert np.all(sim.variance > 5 * sim.variance_standard_error)  # not the 0 of infinite width
        ratio = (
            di.predict(di.MLP((400, 480), *_rest(spec)), quantity, inputs).variance / pred.variance
        )
        assert np.all((ratio > 0.05) & (ratio < 0.2))  # about a tenth at ten times the width


def _rest(spec):
    return spec.activation, spec.weight_law, spec.bias_law, spec.output_width


PAIR = di.inputs.pair(1.0)
REFUSED = {
    "no theory": (lambda: di.predict(di.ResNet(2, 2), Q.ntk, PAIR), "finite-width prediction"),
    "no output layer": (lambda: di.infinite(di.MLP((4,)), Q.ntk, PAIR), "output_width=1"),
    "two points": (
        lambda: di.simulate(di.MLP((4,)), Q.log_singular_values, PAIR, num_seeds=2),
        "one point",
    ),
    "Haar": (
        lambda: di.simulate(
            di.MLP((4,), weight_law=di.orthogonal(2.0)), Q.ntk, PAIR, linear_map="conditional"
        ),
        "orthogonal",
    ),
    "images": (
        lambda: di.infinite(di.ConvResNet((3,), 2, 2), Q.nngp, di.inputs.points(np.ones(6))),
        "position_kernels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.slow_cases("no theory")
def test_refused(name):
    call, words = REFUSED[name]
    with pytest.raises(SpecError, match=words):
        call()


@pytest.mark.parametrize("quantity", [Q.nngp, Q.ntk, Q.log_gradient_norm])
def test_inputs_of_another_width_have_no_prediction(quantity):
    with pytest.raises(SpecError, match="dimension 3"):
        di.predict(RESIDUAL, quantity, di.inputs.points(np.eye(3)))


@pytest.mark.parametrize("block", ["shallow", "two_layer"])
@pytest.mark.slow
def test_one_block_is_simulated(block):
    spec = di.ResNet(5, 1, block=block)
    sim = di.simulate(spec, Q.nngp, TWO, num_seeds=200)
    assert (
        np.abs(sim.mean - di.infinite(spec, Q.nngp, TWO).mean).max()
        < 5 * sim.standard_error.max() + 0.05
    )


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.slow
def test_tangent_kernel_of_biases_at_infinite_width_is_that_of_theory_for_very_wide_networks(
    activation,
):
    widths, laws = (10**7,) * 3, (di.normal(1.7), di.normal(0.1, "absolute"))
    spec = di.MLP(widths, activation, *laws, output_width=1)
    limit, theory = di.infinite(spec, Q.bias_ntk, TWO), di.predict(spec, Q.bias_ntk, TWO)
    np.testing.assert_allclose(limit.mean, theory.mean, rtol=1e-5)
    assert np.all(np.abs(limit.mean) < 0.5 * np.abs(di.infinite(spec, Q.ntk, TWO).mean))


@pytest.mark.exhaustive
def test_tangent_kernel_of_biases_of_residual_networks_is_that_of_infinite_width_at_their_depth():
    wide = di.inputs.points(np.outer([1.0, -0.5], np.ones(64)))
    completed = di.ResNet(
        64, 5, block="shallow", activation="erf", bias_law=di.normal(0.5, "depth"), output_width=1
    )  # 0.4 % of its mean is of order 1 / width
    for spec, inputs in ((RESIDUAL, TWO), (completed, wide)):
        sim, limit = (
            di.simulate(spec, Q.bias_ntk, inputs, num_seeds=3000),
            di.infinite(spec, Q.bias_ntk, inputs),
        )
        rival = di.infinite(spec, Q.ntk, inputs).mean
        assert_mean(sim, limit.mean, rejects=rival)
        assert np.abs((sim.mean - rival) / sim.standard_error).max() > 20
