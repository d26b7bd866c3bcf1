"""Specs, laws and activations read back from JSON, pickles and copies."""

import copy
import dataclasses
import json
import pickle

import numpy as np
import pytest
from small_specs import MATRIX, conv, mlp, shallow

import deepinit as di
from deepinit.core.activations import BUILTIN, as_activation, from_json
from deepinit.core.matrix_laws import law_from_json
from deepinit.core.specs import spec_from_json
from deepinit.store.canonical import canonical_json

LAWS = [
    di.normal(1.3),
    di.normal(0.1, "absolute"),
    di.normal(0.1, "depth"),
    di.truncated_normal(1 / 3),
    di.uniform(2.0),
    di.orthogonal(1.0),
    di.sparse(1.0, density=0.3),
    di.constant(0.1),
    di.matrix_normal(MATRIX, np.eye(3)),
    di.matrix_normal(MATRIX, np.eye(3) / 3, np.ones((3, 3))),
    di.gaussian_matrix(np.eye(9) / 7, np.zeros((3, 3))),
    di.vector_normal(np.eye(3), [1.0, 2.0, 1 / 3]),
]
ACTIVATIONS = [
    *(make() for make in BUILTIN.values()),
    di.leaky_relu(0.1),
    di.rounded("relu", 1e-3),
    di.rounded(di.leaky_relu(1 / 3), 0.1, "truncate"),
]
SPECS = [
    mlp(),
    di.MLP((3,)),
    di.MLP((3, 2), "gelu", output_width=2),
    *(mlp(weight_law=law, output_width=2, output_law=law) for law in LAWS[:2] + LAWS[3:7]),
    mlp(bias_law=LAWS[1]),
    mlp(bias_law=LAWS[7], output_width=1),
    *(mlp(activation=activation) for activation in ACTIVATIONS),
    di.ResNet(3, 2),
    di.ResNet(
        3,
        2,
        5,
        "tanh",
        di.normal(1.5),
        di.uniform(0.1),
        di.normal(0.1, "absolute"),
        2,
        di.normal(3.0),
    ),
    di.ResNet(3, 2, inner_activation="relu", embedding_law=di.normal(1.0)),
    shallow(),
    shallow(weight_law=LAWS[9], bias_law=LAWS[11], activation=di.linear, inner_activation="sin"),
    shallow(weight_law=LAWS[10], bias_law=di.normal(0.1, "depth")),
    conv(),
    conv(
        image_shape=(4,),
        kernel_size=1,
        padding="zero",
        embedding_law=di.uniform(1.0),
        output_width=1,
    ),
    conv(
        weight_law=di.normal(0.1, "absolute"),
        bias_law=LAWS[11],
        inner_activation=di.rounded("tanh", 0.1),
    ),
]


def text_of(spec):
    return canonical_json(spec.to_json())


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_r29_specs_read_back(spec):
    copies = (
        spec_from_json(spec.to_json()),
        spec_from_json(json.dumps(spec.to_json())),
        pickle.loads(pickle.dumps(spec)),
        copy.deepcopy(spec),
        dataclasses.replace(spec),
    )
    for other in copies:
        assert other == spec
        assert hash(other) == hash(spec)
        assert text_of(other) == text_of(spec)
        assert repr(other) == repr(spec)


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_r29_laws_read_back(law):
    for other in (
        law_from_json(json.loads(json.dumps(law.to_json()))),
        pickle.loads(pickle.dumps(law)),
    ):
        assert other == law
        assert hash(other) == hash(law)
        assert canonical_json(other.to_json()) == canonical_json(law.to_json())


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_r29_activations_read_back(activation):
    for other in (
        from_json(json.loads(json.dumps(activation.to_json()))),
        as_activation(activation.to_json()),
        pickle.loads(pickle.dumps(activation)),
    ):
        assert other == activation
        assert hash(other) == hash(activation)
