"""Limits of layers on raw inputs, whose few coordinates no width averages, are refused by path."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Attention,
    Dense,
    Dropout,
    Embed,
    GroupNorm,
    Positions,
    Residual,
    Sequential,
)

VECTORS = di.inputs.points([[1.5, 0.0], [0.0, 1.5]])
TOKENS = di.inputs.tokens(4)
SEQUENCES = di.inputs.arranged(np.random.default_rng(0).normal(size=(2, 2, 16)))
AFTER = (Activation("tanh"), Dense(1))
LAW = di.uniform(1.0)
ABSOLUTE = di.uniform(1.0, "absolute")


@pytest.mark.parametrize(
    ("network", "inputs", "path"),
    [
        (Sequential(Dense(64, di.uniform(1.0)), *AFTER), VECTORS, "dense"),
        (Sequential(Dense(64, di.sparse(1.0, density=0.25)), *AFTER), VECTORS, "dense"),
        (Sequential(Embed(64, ABSOLUTE), *AFTER), TOKENS, "embed"),
        (
            Sequential(Attention(4, query_law=LAW, key_law=LAW, value_law=LAW), Dense(1)),
            SEQUENCES,
            "attention",
        ),
        (Sequential(GroupNorm(2), Dense(64), *AFTER), SEQUENCES, "groupnorm"),
        (Sequential(Dropout(0.5), Dense(64), *AFTER), VECTORS, "dropout"),
        (Sequential(Positions(), Dense(64), *AFTER), SEQUENCES, "positions"),
        (
            Sequential(Residual(Sequential(Dense(2, di.uniform(1.0)))), Dense(1)),
            VECTORS,
            "mlp.branch.dense",
        ),
    ],
)
def test_what_is_not_gaussian_on_raw_inputs_is_refused(network, inputs, path):
    with pytest.raises(SpecError, match=rf"(^| ){path}(_1)? "):
        di.infinite(network, di.quantities.nngp, inputs)


@pytest.mark.slow
@pytest.mark.parametrize("law", [LAW])
def test_later_layers_may_have_any_law(law):
    networks = [
        Sequential(Dense(64), Activation("relu"), Dense(64, each), *AFTER) for each in (law, None)
    ]
    first, second = (di.infinite(net, di.quantities.nngp, VECTORS).mean for net in networks)
    np.testing.assert_allclose(first, second, rtol=1e-12)
