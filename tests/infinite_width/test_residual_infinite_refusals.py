"""Residual networks at infinite width: what is refused, and with which words."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.infinite_width.residual import position_kernels, residual_layers

PAIR = np.array([[1.0, 0.5, -0.2], [0.3, -1.0, 0.8]])
EMBEDDING = di.normal(1.3)


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        (
            di.ResNet(3, 2, block="shallow", weight_law=di.matrix_normal(np.eye(3), np.eye(3))),
            "correlated",
        ),
        (di.ResNet(3, 2, bias_law=di.uniform(0.1, "absolute")), "biases of the law 'uniform'"),
        (di.ResNet(3, 2, bias_law=di.constant(0.1)), "biases of the law 'constant'"),
        (
            di.ResNet(3, 2, block="shallow", activation="linear", bias_law=di.constant(0.1)),
            "constant biases",
        ),
        (
            di.ResNet(3, 2, inner_activation="relu", embedding_law=di.uniform(1.0)),
            "an embedding of the law 'uniform'",
        ),
        (di.ResNet(5, 2), "inputs of dimension 3"),
    ],
)
def test_what_has_no_such_limit_is_refused(spec, given):
    with pytest.raises(SpecError, match=given):
        kernel_layers(spec, PAIR)


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        (di.ResNet(3, 2, block="shallow", embedding_law=EMBEDDING), r"shallow blocks x \+ tanh"),
        (di.ConvResNet((3,), 1, 2, embedding_law=EMBEDDING), r"shallow blocks x \+ tanh"),
        (di.ResNet(3, 2), "without an embedding"),
    ],
)
def test_what_neural_tangents_cannot_express_is_refused(spec, given):
    with pytest.raises(SpecError, match=given):
        nngp_and_ntk(spec, PAIR)


def test_unknown_groups_of_parameters_and_bad_rows_are_refused():
    spec = di.ResNet(3, 2)
    with pytest.raises(SpecError, match="embedding, weights, branch, biases, output"):
        residual_layers(spec, PAIR, trained=("readout",))
    with pytest.raises(SpecError, match="finite"):
        residual_layers(spec, np.array([[1.0, np.nan, 0.0]]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: residual_layers(di.MLP((2,)), np.eye(2)), "type MLP"),
        (lambda: kernel_layers(None, np.eye(2)), "of NoneType"),
        (lambda: position_kernels(di.ResNet(2, 2, block="shallow"), "a"), "real numbers"),
        (
            lambda: residual_layers(di.ResNet(2, 2, block="shallow"), np.eye(2), trained="biases"),
            "trained='biases'",
        ),
        (
            lambda: residual_layers(di.ResNet(2, 2, block="shallow"), np.eye(2), trained=5),
            "trained=5",
        ),
    ],
)
def test_what_is_no_network_no_rows_or_no_group_is_refused(call, words):
    with pytest.raises(SpecError, match=words):
        call()
