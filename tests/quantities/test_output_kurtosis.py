"""Excess kurtosis of outputs: three routes, outputs themselves, the exact law of ReLU."""

import numpy as np
import pytest
from statistical import assert_mean, assert_value

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.ensembles import statistics
from deepinit.quantities.routes import finished_estimate
from deepinit.runs.experiment import Case

KURTOSIS = di.quantities.output_kurtosis
ONE = di.inputs.points(np.ones((1, 3)))


@pytest.mark.slow
def test_relu_networks_have_the_exact_kurtosis_at_every_layer_and_not_the_first_order_one():
    widths = (16, 24, 16)
    spec = di.MLP(widths, output_width=1, output_law=di.normal(1.7))
    sim = di.simulate(spec, KURTOSIS, ONE, num_seeds=60_000)
    inverse = 1.0 / np.array(widths)
    exact = 3.0 * (np.cumprod(1 + 5 * inverse) - 1)[:, None]
    first = di.predict(spec, KURTOSIS, ONE, "first_order").mean
    np.testing.assert_allclose(first, 15 * np.cumsum(inverse)[:, None], rtol=1e-9)
    assert_mean(sim, exact, rejects=first)
    last = sim.mean[-1], sim.standard_error[-1]
    assert_value(*last, exact[-1], rejects=first[-1], resolves=0.3)
    assert np.all(di.infinite(spec, KURTOSIS, ONE).mean == 0.0)


@pytest.mark.exhaustive
def test_smooth_networks_with_biases_have_the_kurtosis_of_the_outputs_that_are_drawn():
    spec = di.MLP((6, 5), "tanh", di.normal(1.5), di.normal(0.3, "absolute"), output_width=1)
    sim = di.simulate(spec, KURTOSIS, ONE, num_seeds=40_000)
    outputs = drawn_outputs(spec, 200_000)
    drawn = np.mean(outputs**4) / np.mean(outputs**2) ** 2 - 3
    error = np.hypot(np.sqrt(24 / len(outputs)) * 2, sim.standard_error[-1, 0])
    # the rivals: infinite width, which is Gaussian; biases left out of the kernel
    without = 3 * (sim_variance(spec) / sim_mean(spec) ** 2)
    assert sim.mean[-1, 0] > 5 * sim.standard_error[-1, 0]
    assert abs(without - sim.mean[-1, 0]) > 5 * sim.standard_error[-1, 0]
    assert_value(drawn, error, sim.mean[-1, 0], rejects=without)


def drawn_outputs(spec, num):
    rng, x = np.random.default_rng(0), np.ones((num, 3))
    for width, variance in zip((*spec.widths, 1), (1.5, 1.5, 1.0), strict=True):
        weights = rng.normal(size=(num, width, x.shape[1])) * np.sqrt(variance / x.shape[1])
        z = np.einsum("rij,rj->ri", weights, x) + np.sqrt(0.3) * rng.normal(size=(num, width))
        x = np.tanh(z)
    return z[:, 0]


def sim_mean(spec):
    return di.simulate(spec, di.quantities.nngp, ONE, num_seeds=4000).mean[-1, 0]


def sim_variance(spec):
    return di.simulate(spec, di.quantities.nngp, ONE, num_seeds=4000).variance[-1, 0]


def test_first_order_is_the_value_worked_out_by_hand():
    spec = di.MLP(
        (40, 30),
        "tanh",
        di.normal(1.5),
        di.normal(0.05, "absolute"),
        output_width=1,
        output_law=di.normal(1.5),
    )
    x = di.inputs.points([[np.sqrt((1 - 0.05) / 1.5)]])
    assert di.predict(spec, KURTOSIS, x, "first_order").mean[-1, 0] == pytest.approx(
        0.07312, rel=0.02
    )


@pytest.mark.slow
def test_error_bars_are_those_of_repeated_runs():
    spec = di.MLP((8,), "tanh")
    samples = di.simulate(spec, KURTOSIS, ONE, num_seeds=100_000, keep_samples=True).samples
    assert samples.shape == (100_000, 1, 1)  # of single networks: of the kernel
    runs = []
    for part in samples.reshape(100, 1000, 1, 1):
        merged = statistics.statistics(part, np.zeros(part.shape, int), len(KURTOSIS.events))
        runs.append(finished_estimate(spec, KURTOSIS, ONE, merged, None, {}))
    spread = np.std([run.mean for run in runs], ddof=1)
    stated = np.mean([run.standard_error for run in runs])
    assert 0.65 < spread / stated < 1.35  # 100 runs: 7 %


@pytest.mark.exhaustive
def test_residual_networks_tend_to_the_kurtosis_of_their_diffusion():
    spec = di.ResNet(4, 128, block="shallow", activation="linear")
    x = di.inputs.points(np.ones((1, 4)))
    sim, pred = di.simulate(spec, KURTOSIS, x, num_seeds=20_000), di.predict(spec, KURTOSIS, x)
    # the rival: infinite width, which is Gaussian
    assert_value(sim.mean[::16], sim.standard_error[::16], pred.mean[::16], rejects=0.0)
    assert sim.mean[-1, 0] > 10 * sim.standard_error[-1, 0]


@pytest.mark.slow
def test_pairs_have_an_entry_for_every_point_and_partner():
    sim = di.simulate(di.MLP((8, 8), "tanh"), KURTOSIS, di.inputs.pair(0.5), num_seeds=50)
    assert sim.mean.shape == (2, 2)
    assert sim.entries == ("1", "2")


@pytest.mark.parametrize("law", [di.uniform(1.0), di.orthogonal(1.0)])
def test_other_laws_than_gaussian_are_refused_before_anything_is_drawn(law):
    spec = di.MLP((8,), weight_law=law)
    with pytest.raises(SpecError, match="Gaussian weights and biases"):
        di.simulate(spec, KURTOSIS, ONE)
    with pytest.raises(SpecError, match="Gaussian weights and biases"):
        Case("uniform", spec, KURTOSIS, ONE, 10)


def test_kernels_beyond_float64_are_refused_and_large_ones_have_the_kurtosis_of_others():
    spec = di.MLP((9, 8), output_width=1)
    large, usual = (
        di.predict(spec, KURTOSIS, di.inputs.points([[size, 1.0]])).mean for size in (1e30, 1.0)
    )
    assert large == pytest.approx(usual, rel=1e-12)
    with pytest.raises(SpecError, match="whose squares overflow"):
        di.predict(spec, KURTOSIS, di.inputs.points([[1e80, 1.0]]))


def test_relu_networks_are_predicted_exactly_at_several_inputs_each_by_itself():
    spec, two = di.MLP((6, 6)), di.inputs.points(np.eye(2, 3))
    both = di.predict(spec, KURTOSIS, two)
    assert both.name == "exact"
    alone = di.predict(spec, KURTOSIS, ONE)
    np.testing.assert_allclose(both.mean, np.repeat(alone.mean, 2, axis=1), rtol=1e-12)
