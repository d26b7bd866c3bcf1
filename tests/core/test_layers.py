"""Layers as data: records, texts, shapes, and refusals of shapes that do not fit."""

import dataclasses
import json

import numpy as np
import pytest

import deepinit as di
from deepinit.core import activations, laws
from deepinit.core import layers as L
from deepinit.core.errors import SpecError
from deepinit.core.layers.program import expanded
from deepinit.core.layers.records import layer_kinds

IMAGE, SEQUENCE, VECTOR = L.Shape((8, 8), 6), L.Shape((5,), 6), L.Shape((), 6)
TOKENS = L.Shape((5,), 3, True)

LAYERS = [
    L.Dense(4),
    L.Dense(4, laws.orthogonal(2.0), laws.normal(0.1, "absolute")),
    L.Dense(2, di.matrix_normal(output_cov=np.eye(2), input_cov=np.eye(3))),
    L.MeanDense(3, laws.sparse(1.0, density=0.5)),
    L.Conv(4),
    L.Conv(4, 2, 2, "valid", laws.uniform(2.0), laws.constant(0.5)),
    L.Embed(8, laws.normal(4e-4, "absolute")),
    L.Positions(),
    L.Positions("sinusoidal"),
    L.Attention(2),
    L.Attention(
        2, "mup", "causal", True, 2.0, 4, 10000.0, laws.normal(2.0), None, None, laws.uniform(3.0)
    ),
    L.Attention(1, 0.25),
    L.AttentionMix(L.Attention(2), 3, (1.0, 2.0, 3.0)),
    L.Activation("relu"),
    L.Activation(di.leaky_relu(0.1)),
    L.Gate(di.silu),
    L.Dropout(0.1, shared=False),
    L.RMSNorm(),
    L.LayerNorm(0.0, gain=False),
    L.BatchNorm(),
    L.GroupNorm(3, eps=1e-3),
    L.Pool(),
    L.Pool("max", 3, 2, 1),
    L.Flatten(),
    L.Sequential(L.Dense(4), L.Activation("relu"), name="stem", keys=(None, 3)),
    L.Block(L.Dense(4), L.Activation("tanh")),
    L.Residual(L.Dense(4)),
    L.Residual(L.Dense(4), L.Dense(4, laws.normal(2.0)), "1/sqrt(depth)", "mixer"),
    L.Repeat(L.Residual(L.Dense(4)), 3, "layer", 2),
    L.Tied(L.Dense(4), 2),
]
NAMES = {
    **{name: getattr(L, name) for name in L.__all__},
    **{name: getattr(laws, name) for name in laws.LAW_NAMES},
    **{name: getattr(activations, name) for name in activations.BUILTIN},
}


def test_every_kind_of_layer_is_tested_here():
    built_in = {
        name
        for name, kind in layer_kinds().items()
        if kind.__module__.startswith("deepinit.core.layers") and name in L.__all__
    }
    assert {type(layer).__name__ for layer in LAYERS} == built_in


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_layers_are_hashable_data_with_a_record(layer):
    record = json.loads(json.dumps(layer.to_json()))
    back = L.layer_from_json(record)
    assert back == layer
    assert hash(back) == hash(layer)
    assert back.to_json() == layer.to_json()
    if not isinstance(layer, L.Sequential):  # *layers has no keyword
        assert dataclasses.replace(layer) == layer
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.name = "other"


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_texts_of_layers_are_their_constructors(layer):
    text = repr(layer)
    assert "\n" not in text
    has_text_only = "matrix_normal" in text or (isinstance(layer, L.Sequential) and layer.name)
    if not has_text_only:  # covariances and keys are left out
        assert eval(text, NAMES) == layer


def test_a_record_of_an_unknown_layer_is_refused():
    with pytest.raises(SpecError, match="the layer 'Whitening'"):
        L.layer_from_json({"type": "Whitening"})


@pytest.mark.parametrize(
    ("layer", "shape", "after"),
    [
        (L.Dense(4), SEQUENCE, ((5,), 4)),
        (L.MeanDense(4), SEQUENCE, ((), 4)),
        (L.Embed(7), TOKENS, ((5,), 7)),
        (L.Conv(4), IMAGE, ((8, 8), 4)),
        (L.Conv(4, 7, 2), L.Shape((224, 224), 3), ((112, 112), 4)),
        (L.Conv(4, 3, 2, "circular"), L.Shape((7, 8), 3), ((4, 4), 4)),
        (L.Conv(4, 4, 4, "valid"), IMAGE, ((2, 2), 4)),
        (L.Conv(4, 5, 2, "valid"), L.Shape((9,), 3), ((3,), 4)),
        (L.Pool("max", 3, 2, 1), L.Shape((112, 112), 6), ((56, 56), 6)),
        (L.Pool(size=2), IMAGE, ((4, 4), 6)),
        (L.Pool(), IMAGE, ((), 6)),
        (L.Flatten(), IMAGE, ((), 384)),
        (L.Gate("silu"), SEQUENCE, ((5,), 3)),
        (L.Attention(2), IMAGE, ((8, 8), 6)),
        (L.Attention(4, head_width=5), SEQUENCE, ((5,), 6)),
        (L.Residual(L.Dense(9), L.Dense(9)), VECTOR, ((), 9)),
        (L.Repeat(L.Residual(L.Dense(6)), 3), VECTOR, ((), 6)),
        (L.Repeat(L.Dense(9), 1), VECTOR, ((), 9)),
    ],
)
def test_shapes_after_layers(layer, shape, after):
    assert L.output_shape(layer, shape) == L.Shape(*after)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(L.Embed(6), TOKENS), (L.Attention(3), SEQUENCE), (L.Attention(2, head_width=4), IMAGE)],
)
def test_expansions_keep_the_shape_and_the_number_of_parameters(layer, shape):
    simpler = expanded(layer, shape)
    assert (
        L.output_shape(layer, shape)[:2]
        == L.output_shape(simpler, shape._replace(tokens=False))[:2]
    )
    assert L.num_parameters(simpler, shape._replace(tokens=False)) == L.num_parameters(layer, shape)


def transformer(heads=3, mask=None, width=6):
    branch = L.Sequential(L.LayerNorm(), L.Attention(heads, mask=mask))
    return L.Sequential(L.Dense(width), L.Repeat(L.Residual(branch), 2), L.Dense(1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: L.Conv(4, 2), r"size=2 and padding='zero'.*an odd size"),
        (lambda: L.Conv(4, 4, padding="circular"), "size=4 and padding='circular'"),
        (lambda: transformer(heads=4), r"block\.1\.branch\.attention.*4 heads of 6"),
        (
            lambda: L.Sequential(L.Dense(8), L.Residual(L.Dense(9)), L.Dense(1)),
            r"mlp \(Residual\): a branch to .*9 beside the identity to .*8",
        ),
        (
            lambda: L.Sequential(L.Dense(8), L.Residual(L.Dense(9), L.Dense(7))),
            r"a branch to .*9 beside the skip to .*7",
        ),
        (
            lambda: L.Sequential(L.Dense(4), L.Repeat(L.Dense(5), 2)),
            r"block \(Repeat\): a layer from .*4 to .*5.*keeps the shape",
        ),
        (lambda: L.Sequential(L.Dense(4), L.Tied(L.Dense(5), 2)), r"tied \(Tied\)"),
        (lambda: L.Sequential(L.Dense(5), L.Gate("relu")), r"gate \(Gate\): 5 neurons"),
        (lambda: L.Sequential(L.Dense(5), L.GroupNorm(2)), r"groupnorm \(GroupNorm\): 2 groups"),
        (
            lambda: L.Sequential(L.Dense(6), L.Attention(2, rotary=1e4)),
            r"attention \(Attention\): rotary with heads of width 3",
        ),
        (lambda: L.Attention(0), "heads=0"),
        (lambda: L.Pool(size=3, padding=2), "padding=2 of Pool"),
        (lambda: L.Sequential(), "Sequential of no layers"),
        (lambda: L.Sequential(L.Dense(3), "relu"), "layer 1 of Sequential of type str"),
        (lambda: L.Residual(L.Dense), "the branch of Residual"),
        (lambda: L.Repeat(L.Dense(3), 0), "times of Repeat=0"),
        (lambda: L.Residual(L.Dense(3), name="a.b"), r"name='a\.b'"),
    ],
)
def test_networks_that_do_not_fit_are_refused_where_they_are_built(build, message):
    with pytest.raises(SpecError, match=message) as caught:
        build()
    assert "Allowed: " in str(caught.value)


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        (transformer(mask="causal"), IMAGE, r"block\.1\.branch\.attention.*on images"),
        (transformer(), VECTOR, r"block\.1\.branch\.attention.*without positions"),
        (transformer(), TOKENS, r"dense_1 \(Dense\): an input of tokens.*Embed"),
        (L.Sequential(L.Embed(4), L.Dense(1)), SEQUENCE, r"embed \(Embed\): an input of vectors"),
        (L.Sequential(L.Conv(4), L.Pool()), VECTOR, r"conv \(Conv\): an input without positions"),
        (L.Sequential(L.Dense(4), L.Pool()), VECTOR, r"pool \(Pool\): an input without positions"),
        (L.Sequential(L.Dense(4), L.Positions()), VECTOR, r"positions \(Positions\)"),
        (L.Sequential(L.Residual(L.Dense(4)), L.Dense(1)), VECTOR, r"mlp \(Residual\): a branch"),
        (
            L.Sequential(L.Pool(size=4), L.Conv(4, 3, padding="valid")),
            IMAGE,
            r"conv \(Conv\): patches of size 3 on 2 x 2 positions",
        ),
        (
            L.Sequential(L.Conv(4, 9, padding="circular"), L.Flatten()),
            IMAGE,
            r"patches of size 9 on 8 x 8",
        ),
        (
            L.Sequential(L.Conv(4, 3, 2), L.Residual(L.Conv(4, 3, 2))),
            IMAGE,
            r"conv_2 \(Residual\): a branch to 2 x 2 positions x 4 beside the identity to 4 x 4",
        ),
        (L.Sequential(L.Pool("max", 9), L.Dense(1)), IMAGE, r"pool \(Pool\): windows of size 9"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_path(network, shape, message):
    for refused in (lambda: L.program(network, shape), lambda: network.summary(shape)):
        with pytest.raises(SpecError, match=message) as caught:
            refused()
        assert "Allowed: " in str(caught.value)


def test_batches_of_one_row_are_refused():
    norm = L.Sequential(L.Dense(4), L.Residual(L.Sequential(L.BatchNorm(), L.Dense(4))))
    path = r"mlp\.branch\.batchnorm \(BatchNorm\): a batch of one row"
    with pytest.raises(SpecError, match=path):
        L.check_batches(norm, di.inputs.ones(3))
    with pytest.raises(SpecError, match=path):
        L.check_batches(norm, di.frames.random(3, 2))
    L.check_batches(norm, di.frames.random(3, num_points=2))
    L.check_batches(norm, di.curves.sampled(di.curves.circle(3), 8))
    L.check_batches(norm, di.inputs.pair(0.1, 3))
    L.check_batches(norm, di.inputs.points(np.eye(2, 3)))
    L.check_batches(norm, di.inputs.arranged(np.ones((1, 2, 3))))
    pooled = L.Sequential(L.Dense(4), L.Pool(), L.BatchNorm(), L.Dense(1))
    with pytest.raises(SpecError, match=r"^Got batchnorm \(BatchNorm\): a batch of one row"):
        L.check_batches(pooled, di.inputs.arranged(np.ones((1, 2, 3))))
