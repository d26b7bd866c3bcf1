"""Layers without a rule at order 1/width, and rules that refuse, by path."""

import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, program
from deepinit.theory.layers import check

L = di.layers


def mlp(*layers):
    return L.Sequential(L.Dense(8), *layers)


REFUSED = {
    "activation_2 (Activation): neurons of a sum": mlp(
        L.Activation("tanh"),
        L.Residual(L.Sequential(L.Dense(8), L.Activation("relu"))),
        L.Activation("relu"),
    ),
    "activation_2 (Activation): neurons of a sum, norm": mlp(
        L.LayerNorm(), L.Activation("gelu"), L.LayerNorm(), L.Activation("gelu")
    ),
    "mlp.branch.activation (Activation): neurons of a sum, norm or mean": mlp(
        L.LayerNorm(), L.Residual(L.Sequential(L.Activation("gelu"), L.Dense(8)))
    ),
    "mlp.branch.activation (Activation): neurons of a sum": mlp(
        L.Residual(L.Sequential(L.Activation("relu"), L.Dense(8)))
    ),
    "does not end in a random linear layer": mlp(L.Residual(L.Sequential(L.Dense(8), L.RMSNorm()))),
    "batchnorm (BatchNorm): neurons of a sum": mlp(
        L.Residual(L.Sequential(L.Dense(8), L.Activation("relu"))), L.BatchNorm()
    ),
    "tied: Tied": mlp(L.Tied(L.Sequential(L.Dense(8), L.Activation("tanh")), 2)),
    "dense_2 (Dense): a law of the law 'orthogonal'": mlp(
        L.Activation("tanh"), L.Dense(8, di.orthogonal(1.0)), L.Activation("tanh")
    ),
    "after a gate or dropout": mlp(L.Dropout(0.1), L.Activation("tanh")),
}


@pytest.mark.parametrize("words", REFUSED)
def test_by_path(words):
    with pytest.raises(SpecError) as refused:
        check(program(REFUSED[words], Shape((), 4)))
    assert words in str(refused.value)


def test_rows():
    net = L.Sequential(L.Dense(8), L.Activation("tanh"))
    with pytest.raises(SpecError, match="9 rows"):
        check(program(net, Shape((9,), 4)))
