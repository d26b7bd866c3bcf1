import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Dense, Repeat, Residual, Sequential
from deepinit.core.layers.containers import leaves
from deepinit.init import Laws, Place


def linear_leaves(network):
    return [leaf for leaf in leaves(network) if hasattr(leaf, "bias")]


def test_an_mlp_of_one_law_stays_an_mlp():
    spec = di.MLP((64,) * 4, "relu", output_width=3)
    he = di.init.apply(spec, di.init.he(), 10)
    assert he == di.MLP((64,) * 4, "relu", output_width=3, output_law=di.normal(2.0))
    flax = di.init.apply(spec, di.init.flax(), 10)
    assert flax.weight_law == flax.output_law == di.truncated_normal(1.0)
    assert di.init.apply(spec, di.init.pytorch(), 64).bias_law.entry_variance(1) == 1 / (3 * 64)


def test_laws_by_fan_become_layers():
    net = di.init.apply(di.MLP((64,) * 4, "relu", output_width=3), di.init.pytorch(), 10)
    assert isinstance(net, Sequential)
    biases = [leaf.bias.variance for leaf in linear_leaves(net)]
    assert biases == [1 / 30, 1 / (3 * 64), 1 / (3 * 64)]  # first, the Repeat, readout
    fans = [10, 64, 64, 64, 64]
    glorot = di.init.apply(di.MLP((64,) * 4, "relu", output_width=3), di.init.glorot(), 10)
    shapes = di.layers.outline(glorot, di.layers.Shape((), 10)).maps
    found = [m.law.entry_variance(m.fan_in) for m in shapes for _ in range(m.uses)]
    outs = [*fans[1:], 3]
    expected = [2 / (a + b) for a, b in zip(fans, outs, strict=True)]
    assert found == pytest.approx(expected)


def test_a_first_layer_of_a_repeat_is_taken_out():
    spec = di.MLP((32,) * 5, "gelu")
    net = di.init.apply(spec, di.init.critical("gelu", mean_square=2.0), 32)
    first, rest = linear_leaves(net)
    point = di.critical("gelu")
    assert first.law.variance == pytest.approx(point.first_weight_var / 2.0)
    assert rest.law.variance == point.weight_var
    (hidden,) = [leaf for leaf in net.layers[0].layers if isinstance(leaf, Repeat)]
    assert hidden.times == 4


def test_places_count_branches():
    branch = Sequential(Dense(8), Activation("relu"), Dense(8))
    net = Sequential(Dense(8), Repeat(Residual(branch), 5), Dense(2))
    found = di.init.places(net, 3)
    assert [place.is_first for place in found] == [True, False, False, False]
    assert [place.ends_branch for place in found] == [False, False, True, False]
    assert [place.branch_maps for place in found] == [0, 2, 2, 0]
    assert {place.residual_layers for place in found} == {5}
    assert found[-1].is_readout
    assert found[0] == Place("dense", 8, 3, is_first=True, residual_layers=5)


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (di.zoo.gpt2(width=32, depth=2, heads=2), di.inputs.tokens(11, 6)),
        (di.zoo.resnet18(8, outputs=4), di.layers.Shape((32, 32), 3)),
        (di.zoo.vit(32, 2, 2, 4), di.layers.Shape((16, 16), 3)),
    ],
)
def test_a_scheme_without_laws_changes_nothing(network, inputs):
    assert di.init.apply(network, lambda place: None, inputs) == network


@pytest.mark.slow
def test_specs_keep_their_law_as_layers():
    inputs = di.inputs.pair(0.5, dimension=16)
    for spec in (di.ResNet(16, 3), di.ConvResNet((4,), 4, 3, output_width=2)):
        net = di.init.apply(spec, lambda place: None, inputs)
        shape = di.layers.Shape((4,), 4) if isinstance(spec, di.ConvResNet) else inputs
        old = di.simulate(spec, di.quantities.log_norm, inputs, num_seeds=400)
        arranged = (
            inputs
            if shape is inputs
            else di.inputs.arranged(np.asarray(inputs.points).reshape(-1, 4, 4))
        )
        new = di.simulate(net, di.quantities.log_norm, arranged, num_seeds=400)
        last = lambda e: (np.ravel(e.mean)[2], np.ravel(e.standard_error)[2])
        (a, e), (b, f) = last(old), last(new)
        assert abs(a - b) < 5 * np.hypot(e, f)


def test_fixup_scales_branches_and_starts_as_the_stream():
    branch = Sequential(*[Dense(64), Activation("relu")] * 2, Dense(64))
    net = Sequential(Dense(64), Repeat(Residual(branch), 16), Dense(1))
    fixup = di.init.apply(net, di.init.fixup(), 4)
    variances = [leaf.law.variance for leaf in linear_leaves(fixup)]
    assert variances == pytest.approx([2.0, 2 * 16 ** (-2 / 4), 2 * 16 ** (-2 / 4), 0.0, 0.0])
    inputs = di.inputs.pair(0.5, dimension=4)
    value = di.simulate(fixup, di.quantities.log_norm, inputs, num_seeds=20)
    norms = np.asarray(value.mean).reshape(17, -1)[:, 0]
    assert np.ptp(norms) < 1e-5
    with pytest.raises(SpecError, match="attention"):
        di.init.apply(
            di.zoo.gpt2(width=32, depth=2, heads=2), di.init.fixup(), di.inputs.tokens(11, 6)
        )


def test_bad_arguments():
    spec = di.MLP((8,))
    for call in (
        lambda: di.init.apply(spec, "he", 8),
        lambda: di.init.apply(spec, di.init.he(), "eight"),
        lambda: di.init.apply(spec, di.init.he(), 0),
        lambda: di.init.he("cauchy"),
        lambda: di.init.critical("softplus"),
    ):
        with pytest.raises(SpecError):
            call()


def test_own_schemes_are_functions():
    scheme = lambda place: Laws(di.normal(3.0 if place.is_first else 2.0))
    net = di.init.apply(di.MLP((16, 8, 8)), scheme, 4)  # 4 to 16, 16 to 8, 8 to 8
    assert [leaf.law.variance for leaf in linear_leaves(net)] == [3.0, 2.0, 2.0]
