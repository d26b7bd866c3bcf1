"""Control variates of tangent kernels: mean 0, what they save, the first order, refusals."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.ensembles import blocks, keys
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.programs import seed_fn_of
from deepinit.theory.layers import tangents

NTK = di.quantities.ntk
PAIR = di.inputs.points(2**0.5 * np.linalg.cholesky([[1.0, 0.3], [0.3, 1.2]]))
BIAS = di.normal(0.1, "absolute")
LAW = di.normal(1.7)
NETS = {
    "tanh": lambda n: di.MLP((n, n), "tanh", LAW, output_width=1),
    "biases": lambda n: di.MLP((n, 2 * n, n), "gelu", LAW, BIAS, output_width=2),
    "relu": lambda n: di.MLP((n,) * 3, "relu", di.normal(2.0), output_width=1),
}
SAVED = {"tanh": 200.0, "biases": 40.0, "relu": 25.0}  # of variances, at width 64


def drawn(net, networks, linear_map="auto"):
    """The control, its block, and plain values [networks, entries]."""
    control, _ = choose_control(net, NTK, PAIR, "theory")
    seed_fn, _ = seed_fn_of(net, NTK, PAIR, control=control, linear_map=linear_map)
    measured = blocks.compile_ensemble(seed_fn, networks, block_size=networks).block_fn(
        keys.root_key(0), 0
    )
    return control, measured


def scores(control, measured):
    found = control.of_block(measured.columns).mean
    return np.abs(found.mean(axis=0)) / (found.std(axis=0) / len(found) ** 0.5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("linear_map", ["auto", "explicit"])
def test_controls_have_mean_zero(linear_map, width, name):
    found = drawn(NETS[name](width), 8000, linear_map)
    assert scores(*found).max() < 5


@pytest.mark.slow
def test_a_wrong_mean_is_rejected(monkeypatch):
    """E phi' phi' off by 5 %."""
    found = drawn(NETS["tanh"](16), 8000)
    assert scores(*found).max() < 5
    right = tangents.means
    monkeypatch.setattr(tangents, "means", lambda *z: (right(*z)[0], 1.05 * right(*z)[1]))
    assert scores(*found).max() > 5


@pytest.mark.exhaustive
def test_weights_drawn_anew_on_the_way_back_are_rejected(monkeypatch):
    found = drawn(NETS["tanh"](6), 60_000)
    assert scores(*found).max() < 5

    def anew(layers, drawn, variance, at):
        return layers.weights[at] * drawn.slopes[:, at - 1] * drawn.cotangents[:, at]

    monkeypatch.setattr(tangents, "_cotangents", anew)
    assert scores(*found).max() > 5


@pytest.mark.slow
@pytest.mark.exhaustive_cases("biases")
@pytest.mark.parametrize("name", NETS)
def test_the_controlled_mean_is_the_first_order(name):
    """Of width 64; the limit is rejected, and errors are smaller."""
    net = NETS[name](64)
    found = di.simulate(net, NTK, PAIR, num_seeds=8000, control="theory")
    assert found.variance_saved.min() > SAVED[name]
    limit = di.infinite(net, NTK, PAIR).mean
    shift = di.predict(net, NTK, PAIR, "first_order").mean - limit
    error = 5 * found.standard_error + 10 / 64 * np.abs(shift).max()
    assert (np.abs(found.mean - limit - shift) < error).all()
    assert name == "tanh" or (np.abs(found.mean - limit) > 5 * found.standard_error).any()
    np.testing.assert_allclose(found.variance, found.plain.variance, rtol=1e-2)  # no control


REFUSED = {
    "no output layer": di.MLP((8, 8), "tanh"),
    "laws that are not normal": di.MLP((8, 8), "tanh", di.uniform(1.0), output_width=1),
    "with kinks": di.MLP((8, 8), di.hard_swish, output_width=1),
    "ResNet": di.ResNet(2, 2, output_width=1),
}


@pytest.mark.parametrize("words", REFUSED)
def test_networks_without_controls_are_refused(words):
    with pytest.raises(SpecError, match=f"control variates of ntk: .*{words}"):
        choose_control(REFUSED[words], NTK, PAIR, "theory")


def test_parallel_inputs_are_refused():
    with pytest.raises(SpecError, match="parallel"):
        choose_control(NETS["tanh"](8), NTK, di.inputs.pair(1e-4), "theory")
