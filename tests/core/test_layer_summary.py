import dataclasses
import math

import numpy as np
import pytest

import deepinit as di
from deepinit.core import layers as L
from deepinit.core.errors import SpecError
from deepinit.core.layers.layer import SHAPES
from deepinit.core.layers.parameters import parameters, placed_leaves

BIAS = di.normal(0.1, "absolute")


def sizes(layer, shape):
    return {parameter.name: parameter.shape for parameter in parameters(layer, shape)}


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (L.Dense(4, bias=BIAS), L.Shape((5,), 6), {"weight": (4, 6), "bias": (4,)}),
        (L.MeanDense(4), L.Shape((5,), 6), {"weight": (4, 6)}),
        (L.Conv(4, 3, bias=BIAS), L.Shape((8, 8), 6), {"weight": (4, 54), "bias": (4,)}),
        (L.Conv(4, 3), L.Shape((8,), 6), {"weight": (4, 18)}),
        (L.Embed(4), L.Shape((5,), 3, True), {"weight": (4, 3)}),
        (L.Positions(), L.Shape((5,), 6), {"positions": (5, 6)}),
        (L.Positions("sinusoidal"), L.Shape((5,), 6), {}),
        (L.RMSNorm(), L.Shape((), 6), {"gain": (6,)}),
        (L.LayerNorm(), L.Shape((), 6), {"gain": (6,), "bias": (6,)}),
        (L.BatchNorm(gain=False), L.Shape((), 6), {}),
        (L.GroupNorm(2), L.Shape((4,), 6), {"gain": (6,), "bias": (6,)}),
        (L.Activation("relu"), L.Shape((), 6), {}),
        (L.Pool(), L.Shape((4,), 6), {}),
        (
            L.Attention(3, head_width=4),
            L.Shape((5,), 6),
            {"query": (12, 6), "key": (12, 6), "value": (12, 6), "output": (6, 12)},
        ),
    ],
)
def test_parameters_of_a_layer(layer, shape, expected):
    assert sizes(layer, shape) == expected
    assert L.num_parameters(layer, shape) == sum(map(math.prod, expected.values()))


def test_repeats_have_parameters_each_time_and_tied_layers_once():
    dense, shape = L.Dense(6, bias=BIAS), L.Shape((), 6)
    assert L.num_parameters(L.Repeat(dense, 5), shape) == 5 * 42
    assert L.num_parameters(L.Tied(dense, 5), shape) == 42
    nested = L.Repeat(L.Sequential(dense, L.Tied(L.Repeat(dense, 2), 3)), 4)
    assert L.num_parameters(nested, shape) == 4 * (42 + 2 * 42)
    tied = placed_leaves(nested, shape)[1]
    assert (tied.path, tied.times, tied.uses) == ("block.1..4.tied.1..3.1..2", 8, 3)


def test_parameters_of_a_repeat_of_one_use_the_width_of_its_input():
    assert L.num_parameters(L.Repeat(L.Dense(9), 1), L.Shape((), 4)) == 36


def test_residual_skips_have_parameters():
    net = L.Residual(L.Dense(9), L.Sequential(L.Dense(9), L.LayerNorm()))
    assert L.num_parameters(net, L.Shape((), 4)) == 36 + 36 + 18


@pytest.mark.parametrize(
    ("law", "num_rows", "drawn"),
    [
        (di.normal(), 8, "conditional: 8 rows <= 32 / 4"),
        (di.normal(), 9, "explicit: 9 rows > 32 / 4"),
        (di.uniform(), 1, "explicit: law uniform"),
        (di.orthogonal(), 1, "explicit: law orthogonal"),
        (di.matrix_normal(output_cov=[[1.0]], input_cov=np.eye(32)), 1, "conditional: 1 row <="),
        (di.gaussian_matrix(np.eye(32), np.zeros((1, 32))), 1, "explicit: law gaussian_matrix"),
    ],
)
def test_draws_are_conditional_for_few_rows_and_gaussian_laws(law, num_rows, drawn):
    assert L.is_conditional(law, num_rows, 32) == drawn.startswith("conditional")
    row = L.Dense(1, law).summary(L.Shape((), 32), num_rows).rows[0]
    assert row.drawn.startswith(drawn)


def test_a_summary_names_shapes_laws_parameters_and_draws():
    block = L.Residual(L.Sequential(L.RMSNorm(), L.Attention(4, value_law=di.normal(2.0))))
    net = L.Sequential(L.Embed(64), L.Repeat(block, 3), L.Pool(), L.Dense(10, di.uniform()))
    table = net.summary(di.inputs.token_pairs(5, 0.4))
    assert [row.path for row in table.rows] == [
        "embed",
        "block.1..3.branch.rmsnorm",
        "block.1..3.branch.attention",
        "pool",
        "dense",
    ]
    embed, norm, attention, pool, dense = table.rows
    distinct = 5 + 3
    assert embed.num_parameters == 64 * distinct
    assert (norm.num_parameters, norm.times, norm.drawn) == (3 * 64, 3, "")
    assert attention.num_parameters == 3 * 4 * 64 * 64
    assert attention.laws == "query, key normal(1); value normal(2); output normal(1)"
    assert attention.drawn == "query, key, value, output conditional: 10 rows <= 64 / 4"
    assert pool.output == L.Shape((), 64)
    assert (dense.laws, dense.drawn) == ("uniform(1)", "explicit: law uniform")
    assert table.num_parameters == 64 * 8 + 3 * 64 + 3 * 4 * 64**2 + 640
    assert L.num_parameters(net, di.inputs.token_pairs(5, 0.4)) == table.num_parameters
    text = str(table)
    assert "3 x 16,384" in text
    assert text.endswith(f"{table.num_parameters:,} parameters; 2 rows per network")
    assert len({line.index("Attention") for line in text.splitlines() if "Attention" in line}) == 1


def test_rows_of_a_measurement_decide_over_draws():
    net = L.Sequential(L.Conv(8, 3), L.Flatten(), L.Dense(4))
    shape = L.Shape((6, 6), 32)
    drawn = lambda num_rows: [row.drawn for row in net.summary(shape, num_rows).rows]
    assert drawn(1) == ["conditional: 36 rows <= 288 / 4", "", "conditional: 1 row <= 288 / 4"]
    assert drawn(3) == ["explicit: 108 rows > 288 / 4", "", "conditional: 3 rows <= 288 / 4"]
    strided = L.Sequential(L.Conv(8, 3, 2), L.Flatten())
    assert strided.summary(shape, 3).rows[0].drawn == "conditional: 27 rows <= 288 / 4"


def test_all_uses_of_tied_weights_count_as_rows():
    net = L.Tied(L.Dense(32), 4)
    assert net.summary(L.Shape((), 32), 2).rows[0].drawn == "conditional: 8 rows <= 32 / 4"
    assert net.summary(L.Shape((), 32), 3).rows[0].drawn == "explicit: 12 rows > 32 / 4"


def test_named_architectures_have_summaries():
    class Named:
        def layers(self, shape):
            body = L.Repeat(L.Residual(L.Dense(6)), 2)
            return L.Program(shape, L.Dense(6), body, L.Dense(1), 0, 3, 2)

    table = L.summary(Named(), di.inputs.pair(0.1, 4))
    assert [row.path for row in table.rows] == ["embedding", "block.1..2.branch", "readout"]
    assert table.num_parameters == 24 + 2 * 36 + 6
    assert [row.drawn for row in table.rows] == ["", "", ""]  # chosen once for all layers


def test_layers_without_a_rule_of_parameters_are_marked():
    @dataclasses.dataclass(frozen=True, repr=False)
    class Shift(L.Layer):
        by: float = 1.0

    SHAPES.rule(Shift)(lambda layer, shape, path: shape)
    net = L.Sequential(L.Dense(3), Shift(), L.Dense(1))
    row = net.summary(L.Shape((), 3)).rows[1]
    assert (row.path, row.num_parameters) == ("shift", None)
    assert "?" in str(net.summary(L.Shape((), 3))).splitlines()[3]
    with pytest.raises(SpecError, match="on the route 'parameters'"):
        L.num_parameters(net, L.Shape((), 3))


def test_summaries_need_known_shapes():
    for shape in (L.Shape(None, 3), L.Shape((), None)):
        with pytest.raises(SpecError, match="known positions and width"):
            L.summary(L.Dense(3), shape)
    with pytest.raises(SpecError, match="num_rows=0"):
        L.summary(L.Dense(3), L.Shape((), 3), 0)
