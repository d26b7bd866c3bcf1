"""Sweeps: points of a grid or list, fields by dotted names."""

import pytest

import deepinit as di
from deepinit.core.addresses import addresses, with_field
from deepinit.core.errors import SpecError

NET = di.MLP((8, 8), di.leaky_relu(0.1), bias_law=di.normal(0.1, "absolute"))
GPT = di.zoo.gpt2(width=16, depth=2, heads=2)


def test_a_grid_has_every_combination_with_the_last_name_fastest():
    sweep = di.Sweep(NET, over={"weight_law.variance": [1, 2.0], "widths": [(4,), (5, 5), (6,)]})
    assert (len(sweep), sweep.shape) == (6, (2, 3))
    assert sweep.at(4) == {"weight_law.variance": 2.0, "widths": (5, 5)}
    network = sweep.networks[4]
    assert (network.widths, network.weight_law.variance) == ((5, 5), 2.0)
    assert network.activation == NET.activation
    assert "weight_law.variance (2) x widths (3)" in repr(sweep)


def test_a_list_has_its_points():
    points = [{"bias_law.variance": v, "activation.negative_slope": v / 2} for v in (0.2, 0.4)]
    sweep = di.Sweep(NET, points=points)
    assert sweep.shape == (2,)
    network = sweep.networks[1]
    assert (network.bias_law.variance, network.activation.slopes) == (0.4, (0.2, 1.0))


def test_layers_have_the_paths_of_the_summary():
    rows = GPT.summary(di.layers.Shape((4,), 50, True)).rows
    known = addresses(GPT)
    for row in rows:
        assert any(name.startswith(f"{row.path}.") for name in known), row.path
    for path in (
        "block.1..2.mlp.branch.dense_1.law.variance",
        "block.mlp.branch.dense_1.law.variance",
    ):
        changed = with_field(GPT, path, 0.5)
        layer = changed.layers[2].layer.layers[1].branch.layers[1]
        assert layer.law.variance == 0.5
        assert with_field(changed, path, 0.02**2) == GPT
    assert with_field(GPT, "block.times", 5).layers[2].times == 5
    assert with_field(GPT, "block.mlp.scale", 0.5).layers[2].layer.layers[1].scale == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"over": {"weight_law.varience": [1.0]}}, r"Allowed: weight_law\.variance"),
        ({"over": {"depth": [1]}}, "the field 'depth' of MLP"),
        ({"over": {"weight_law.variance": []}}, "a list of values"),
        ({"over": {"weight_law.variance": 2.0}}, "a list of values"),
        ({"over": {}}, "a dictionary of name: values"),
        ({"over": {"weight_law.variance": [1.0, -1.0]}}, "variance=-1.0"),
        ({"points": [{"widths": (4,)}, {"width": 4}]}, "the same names at every point"),
        ({"points": []}, "a list of dictionaries"),
        ({}, "one of the two"),
        ({"over": {"widths": [(4,)]}, "points": [{"widths": (4,)}]}, "one of the two"),
    ],
)
def test_sweeps_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        di.Sweep(NET, **arguments)


def test_inputs_are_made_at_every_point():
    sweep = di.Sweep(NET, over={"inputs.angle": [0.1, 0.2]})
    assert sweep.inputs(1, di.inputs.pair).angles == pytest.approx([0.2])
    with pytest.raises(SpecError, match="a function of that argument"):
        sweep.inputs(0, di.inputs.pair(0.1))
    with pytest.raises(SpecError, match="inputs of the arguments angle"):
        sweep.inputs(0, di.inputs.ones)
    with pytest.raises(SpecError, match=r"theta=9.* This is the point inputs\.angle = 9"):
        di.Sweep(NET, over={"inputs.angle": [0.1, 9]}).inputs(1, di.inputs.pair)


def test_a_point_that_is_refused_is_named():
    sweep = di.Sweep(di.ResNet(4, 2), over={"bias_law": [None, di.normal(0.1, "absolute")]})
    assert sweep.networks[1].bias_law is not None
    base, sizes = di.ConvResNet((4,), 2, 2), [3, 1, 9]
    assert len(di.Sweep(base, over={"image_shape": [(9,), (10,)], "kernel_size": sizes})) == 6
    with pytest.raises(SpecError, match=r"This is the point image_shape = \(4,\), kernel_size = 9"):
        di.Sweep(base, over={"image_shape": [(9,), (4,)], "kernel_size": sizes})
