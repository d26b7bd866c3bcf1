"""Streams far below what a dtype squares: norms lift them, or their loss is an event."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Block,
    Dense,
    Positions,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
)
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.outline import is_homogeneous, random_maps

SHRINK = Repeat(Block(Dense(8, di.normal(1e-12)), Activation("linear")), 10)  # by e^-138


def network(eps):
    return Sequential(Dense(8), SHRINK, Residual(Sequential(RMSNorm(eps=eps), Dense(8))))


@pytest.mark.slow
def test_a_branch_after_a_norm_is_added_to_a_stream_of_any_size():
    # the stream is lost beside W h / |h|: E |x'|^2 / n = 1 at every size of h
    norms = di.simulate(network(0.0), di.quantities.log_norm, di.inputs.ones(4), num_seeds=4000)
    assert norms.num_excluded.sum() == 0
    skip = Dense(8, di.normal(1e-20))
    block = Residual(Sequential(RMSNorm(eps=0.0), Dense(8)), skip=skip)
    one = Sequential(Dense(8), block)
    small = di.simulate(one, di.quantities.log_norm, di.inputs.ones(4), num_seeds=4000, key=1)
    error = np.hypot(norms.standard_error[-1], small.standard_error[-1])
    assert abs(norms.mean[-1] - small.mean[-1]) < 5 * error
    assert abs(norms.mean[-1] - small.mean[-1] - 0.1) > 5 * error  # the rival


@pytest.mark.slow
def test_an_eps_that_the_dtype_cannot_hold_is_an_event():
    norms = di.simulate(network(1e-6), di.quantities.log_norm, di.inputs.ones(4), num_seeds=20)
    assert norms.events["not_finite"][-1, 0] == 20
    assert norms.num_excluded[:-1].sum() == 0


def test_positions_of_another_law_have_no_conditional_map():
    inputs = di.inputs.arranged(np.ones((1, 2, 3)))
    net = Sequential(Positions(law=di.uniform(1.0, "absolute")), Dense(4))
    with pytest.raises(SpecError, match="uniform"):
        di.simulate(net, di.quantities.nngp, inputs, linear_map="conditional", num_seeds=2)
    assert {used.law.name for used in random_maps(net, Shape((2,), 3))} == {"uniform", "normal"}


def test_a_kind_that_nobody_declared_is_not_homogeneous():
    class Unknown(Layer):
        pass

    assert is_homogeneous(Sequential(Dense(4), Activation("relu")))
    assert not is_homogeneous(Unknown())
