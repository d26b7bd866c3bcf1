import functools

import jax
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.specs import choose_linear_map

SPECS = (
    di.ResNet(8, 4),
    di.ResNet(8, 4, branch_width=3, inner_activation="tanh", embedding_law=di.normal(1.0)),
    di.ResNet(8, 4, block="shallow", bias_law=di.normal(0.3, "depth"), output_width=1),
    di.ResNet(3, 4, block="shallow", activation="linear", inner_activation="relu"),
    di.ResNet(
        2,
        4,
        block="shallow",
        weight_law=di.matrix_normal(np.eye(2), [[2.0, 1.0], [1.0, 2.0]], [[0.0, 1.0], [0.0, 0.0]]),
    ),
    di.ResNet(
        2,
        4,
        block="shallow",
        weight_law=di.gaussian_matrix(np.eye(4), np.zeros((2, 2))),
        bias_law=di.vector_normal(np.eye(2)),
    ),
    di.ConvResNet((6,), 2, 5, padding="zero"),
    di.ConvResNet(
        (4, 4),
        2,
        5,
        weight_law=di.matrix_normal(np.eye(2), np.eye(18)),
        embedding_law=di.normal(1.0),
    ),
)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_spec_comes_back_from_its_record_and_is_hashable(spec):
    assert di.spec_from_json(spec.to_json()) == spec
    assert hash(di.spec_from_json(spec.to_json())) == hash(spec)


def test_a_record_without_the_new_fields_is_a_network_of_two_layer_blocks():
    record = {
        "architecture": "ResNet",
        "width": 8,
        "depth": 4,
        "branch_width": 8,
        "activation": {"name": "relu"},
    }
    assert di.spec_from_json(record) == di.ResNet(8, 4)


def test_defaults_of_shallow_blocks_have_a_limit_of_depth():
    spec = di.ResNet(8, 100, block="shallow")
    assert spec.activation == di.tanh
    assert spec.weight_law.entry_variance(8, 100) == pytest.approx(1.0 / 800)
    assert di.ConvResNet((6,), 8, 100).weight_law == di.normal(1.0, "depth")


def test_only_a_product_covariance_acts_on_rows():
    product, general = SPECS[4], SPECS[5]
    assert choose_linear_map(product, "auto", 1) == "conditional"
    assert choose_linear_map(general, "auto", 1) == "explicit"
    with pytest.raises(SpecError, match="gaussian_matrix"):
        choose_linear_map(general, "conditional", 1)


def test_a_drift_is_not_homogeneous():
    assert di.ResNet(2, 3, block="shallow", activation="relu").is_homogeneous
    assert not di.ResNet(
        2,
        3,
        block="shallow",
        activation="relu",
        weight_law=di.matrix_normal(np.eye(2), np.eye(2), np.eye(2)),
    ).is_homogeneous


EYE = np.eye(2)
CORRELATED = di.matrix_normal(EYE, EYE)
shallow = functools.partial(di.ResNet, block="shallow")
REFUSED = {
    "an unknown block": (lambda: di.ResNet(8, 4, block="deep"), "two_layer, shallow"),
    "a branch of a shallow block": (lambda: shallow(8, 4, branch_width=3), "block='two_layer'"),
    "correlations in two-layer blocks": (
        lambda: di.ResNet(2, 4, weight_law=CORRELATED), "shallow"),
    "covariances of another size": (lambda: shallow(3, 4, weight_law=CORRELATED), r"\(3, 3\)"),
    "a filter of one position's size": (
        lambda: di.ConvResNet((6,), 2, 4, weight_law=CORRELATED), r"\(2, 6\)"),
    "a wrong padding": (lambda: di.ConvResNet((6,), 2, 4, padding="valid"), "circular, zero"),
    "an even filter": (lambda: di.ConvResNet((6,), 2, 4, kernel_size=2), "odd"),
    "a filter larger than the image": (
        lambda: di.ConvResNet((3, 6), 2, 4, kernel_size=5), "up to 3"),
    "an image of three dimensions": (lambda: di.ConvResNet((3, 3, 3), 2, 4), "height, width"),
    "inputs of another width": (lambda: di.ResNet(8, 4).matrix_shapes(3), "embedding"),
    "inputs that are no images": (
        lambda: di.ConvResNet((6,), 2, 4).matrix_shapes(11), "6 positions with 2 channels"),
    "a covariance that is not symmetric": (
        lambda: di.matrix_normal([[1.0, 0.5], [0.0, 1.0]], EYE), "symmetric"),
    "a covariance that is not positive": (
        lambda: di.matrix_normal([[1.0, 2.0], [2.0, 1.0]], EYE), "eigenvalue -1"),
    "a covariance that is not square": (lambda: di.matrix_normal(np.ones((2, 3)), EYE), "square"),
    "a mean of another shape": (lambda: di.matrix_normal(EYE, np.eye(3), EYE), r"\[2, 3\]"),
    "a general covariance of another size": (
        lambda: di.gaussian_matrix(np.eye(3), np.zeros((2, 2))), r"\[4, 4\]"),
    "a mean of biases that is no vector of numbers": (
        lambda: di.vector_normal(EYE, [[1.0, 2.0], [3.0]]), "mean of type list.*real numbers"),
    "a general covariance too large to keep": (
        lambda: di.gaussian_matrix(EYE, np.zeros((64, 64))), "matrix_normal"),
    "one variance of correlated entries": (lambda: CORRELATED.entry_variance(2), "independent"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    call, message = REFUSED[name]
    with pytest.raises(SpecError, match=message):
        call()


@pytest.mark.parametrize("given", [np.ones(2), ["shallow"], 1, None])
def test_blocks_and_paddings_are_words(given):
    with pytest.raises(SpecError, match="block="):
        di.ResNet(3, 2, block=given)
    with pytest.raises(SpecError, match="padding="):
        di.ConvResNet((3,), 2, 2, padding=given)


@pytest.mark.slow
def test_bias_laws_of_images_are_the_variance_of_one_bias_in_every_block_or_in_all():
    for scaling, variance in (("absolute", 0.5), ("depth", 0.5 / 4)):
        spec = di.ConvResNet((3,), 400, 4, bias_law=di.normal(0.5, scaling))
        biases = di.network(spec).init(jax.random.key(0), spec.width)[0]["inner"]["biases"]
        assert biases.shape == (4, 400)  # one number for each channel
        error = variance * (2 / 1600) ** 0.5
        assert_value(biases.var(), error, variance, rejects=variance / 4, resolves=0.18)
