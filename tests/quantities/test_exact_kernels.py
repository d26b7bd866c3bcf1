"""Kernels of homogeneous networks of width 2 to 8: exact moments hold, first order is rejected."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory.kernel_corrections import homogeneous_kernel_moment

Q, GATE = di.quantities, 5.0
ONE = di.inputs.points([[0.6, -1.0, 0.4]])
TWO = di.inputs.points([[0.6, -1.0, 0.4], [0.3, 0.5, 1.1]])


def _spec(widths, activation="relu", variance=2.0, **others):
    return di.MLP(widths, activation, di.normal(variance), output_width=1, **others)


@pytest.mark.parametrize(
    "spec",
    [_spec((3, 3)), _spec((8, 5), variance=1.7), _spec((2, 7), "linear", 1.2)],
    ids=["relu", "relu 1.7", "linear"],
)
@pytest.mark.slow
@pytest.mark.exhaustive_cases("linear", "relu 1.7")
def test_second_moments_at_every_width(spec):
    num_seeds = 100_000
    sim, pred = di.simulate(spec, Q.nngp, ONE, num_seeds=num_seeds), di.predict(spec, Q.nngp, ONE)
    assert pred.name == "exact"
    mean, variance = pred.mean[:, 0], pred.variance[:, 0]
    assert np.abs((sim.mean[:, 0] - mean) / np.sqrt(variance / num_seeds)).max() < GATE
    # error of a second moment from the exact fourth one: a sample's own misses heavy tails
    weight_var, first = spec.weight_law.variance, spec.weight_law.variance * np.mean(ONE.points**2)
    second = (sim.variance + sim.mean**2)[:, 0]
    for layer, width in enumerate(spec.widths):
        done = spec.widths[: layer + 1]
        scale = first / weight_var
        moments = [
            scale**power * homogeneous_kernel_moment(spec.activation, done, weight_var, power)
            for power in (2, 4)
        ]
        assert moments[0] == pytest.approx(mean[layer] ** 2 + variance[layer], rel=1e-12), width
        error = np.sqrt((moments[1] - moments[0] ** 2) / num_seeds)
        assert abs(second[layer] - moments[0]) < GATE * error
    if spec.widths == (3, 3):  # 1 + 10/3 instead of (1 + 5/3)^2
        rival = di.predict(spec, Q.nngp, ONE, "first_order")
        assert rival.mean == pytest.approx(pred.mean)
        expected = rival.mean[-1, 0] ** 2 + rival.variance[-1, 0]
        assert second[-1] - expected > GATE * error


@pytest.mark.parametrize(
    "spec",
    [_spec((3, 3)), _spec((8, 4, 6), "absolute", 1.0), _spec((2, 5), "linear", 1.3)],
    ids=["relu", "absolute", "linear"],
)
@pytest.mark.exhaustive
def test_tangent_kernels_at_every_width(spec):
    # z of the sample variance at 2 or 3 layers: -0.3 +- 1.0 in 20 runs of a fifth of this size
    sim, pred = di.simulate(spec, Q.ntk, ONE, num_seeds=100_000), di.predict(spec, Q.ntk, ONE)
    assert pred.name == "exact"
    error = np.sqrt(pred.variance / sim.num_seeds)
    assert np.abs((sim.mean - pred.mean) / error).max() < GATE
    assert np.abs((sim.variance - pred.variance) / sim.variance_standard_error).max() < GATE
    if spec.widths == (3, 3):
        rival = di.predict(spec, Q.ntk, ONE, "first_order")
        assert rival.mean == pytest.approx(pred.mean)
        assert np.all(sim.variance - rival.variance > GATE * sim.variance_standard_error)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_linear_networks_at_several_inputs():
    spec = di.MLP((3, 4), "linear", di.normal(1.1))
    sim, pred = di.simulate(spec, Q.nngp, TWO, num_seeds=100_000), di.predict(spec, Q.nngp, TWO)
    assert pred.name == "exact"
    assert np.abs((sim.mean - pred.mean) / np.sqrt(pred.variance / sim.num_seeds)).max() < GATE
    assert np.abs((sim.variance - pred.variance) / sim.variance_standard_error).max() < GATE
    rival = di.predict(spec, Q.nngp, TWO, "first_order")
    assert (
        np.abs((sim.variance - rival.variance)[-1] / sim.variance_standard_error[-1]).min() > GATE
    )
    copies = di.inputs.points(
        np.repeat(ONE.points, 2, axis=0)
    )  # singular kernels are no obstacle here
    same, alone = (di.predict(spec, Q.nngp, each) for each in (copies, ONE))
    assert same.variance == pytest.approx(np.repeat(alone.variance, 3, axis=1), rel=1e-12)


@pytest.mark.exhaustive
def test_the_default_always_holds():
    relu, tanh, narrow = _spec((9, 8)), _spec((9, 8), "tanh"), _spec((2,) * 8)
    zeros = _spec((9, 8), bias_law=di.normal(0.0, "absolute"))
    for quantity in (Q.nngp, Q.ntk):
        names = [
            di.predict(spec, quantity, inputs).name
            for spec in (relu, zeros, tanh)
            for inputs in (ONE, TWO)
        ]
        assert names == ["exact", "first_order"] * 2 + ["first_order"] * 2
        assert quantity.applicable(relu, ONE) == ("exact", "first_order", "infinite_width")
        assert quantity.applicable(relu, TWO) == ("first_order", "infinite_width")
        assert quantity.applicable(narrow, ONE) == (
            "exact",
            "infinite_width",
        )  # sum of 1/width is 4
        assert quantity.applicable(narrow, TWO) == ("infinite_width",)
        biased = _spec((9,), bias_law=di.normal(0.1, "absolute"))
        assert quantity.applicable(biased, ONE) == ("first_order", "infinite_width")
        with pytest.raises(SpecError, match="that of one input, not of 2"):
            di.predict(relu, quantity, TWO, "exact")
        with pytest.raises(SpecError, match="sum of 1/width is 4"):
            di.predict(narrow, quantity, TWO)
    assert di.predict(zeros, Q.nngp, ONE).variance == pytest.approx(
        di.predict(relu, Q.nngp, ONE).variance
    )
    linear = _spec((9, 8), "linear", 1.0)
    assert (di.predict(linear, Q.nngp, TWO).name, di.predict(linear, Q.ntk, TWO).name) == (
        "exact",
        "first_order",
    )


@pytest.mark.exhaustive
def test_tangent_kernel_of_the_biases_of_an_mlp():
    spec = di.MLP((32, 32, 48), "relu", di.normal(2.0), di.normal(0.1, "absolute"), output_width=1)
    sim, pred = (
        di.simulate(spec, Q.bias_ntk, TWO, num_seeds=40_000),
        di.predict(spec, Q.bias_ntk, TWO),
    )
    wide = di.predict(di.MLP((10**6,) * 3, *_rest(spec)), Q.bias_ntk, TWO)
    left_out = 2.5 * (2 / 32 + 1 / 48)  # O(r), with the constant of ReLU's variances
    allowed = GATE * sim.standard_error + left_out * np.abs(pred.mean - wide.mean)
    assert np.all(np.abs(sim.mean - pred.mean) < allowed)
    # infinite width: two inputs share more gates than they do there, by 3 %
    assert (sim.mean - wide.mean)[0, 1] > GATE * sim.standard_error[0, 1]
    assert np.all(
        np.abs(sim.variance - pred.variance)
        < GATE * sim.variance_standard_error + left_out * pred.variance
    )
    assert np.all(
        di.predict(spec, Q.ntk, TWO).variance > 3 * pred.variance
    )  # not the whole tangent kernel
    assert Q.bias_ntk.applicable(_spec((9,)), TWO) == ("infinite_width",)


def _rest(spec):
    return spec.activation, spec.weight_law, spec.bias_law, spec.output_width


def test_both_forms_agree_at_large_width():
    spec = _spec((10**6, 10**6))
    for quantity in (Q.nngp, Q.ntk):
        one, two = (di.predict(spec, quantity, ONE, form) for form in ("exact", "first_order"))
        assert one.mean == pytest.approx(two.mean, rel=1e-12)
        assert one.variance == pytest.approx(two.variance, rel=1e-5)
    assert "Relative variance in the last layer 1e-05" in di.predict(spec, Q.nngp, ONE).valid_for
