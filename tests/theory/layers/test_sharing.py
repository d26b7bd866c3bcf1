"""Steps that are compiled once for all widths and variances."""

import time

import numpy as np
import pytest

import deepinit as di
from deepinit.theory.layers import sharing

L, Q = di.layers, di.quantities
POINT = di.inputs.points([[1.0, 0.5]])
TOKENS = di.inputs.arranged(np.random.default_rng(0).normal(size=(1, 2, 6)))


@pytest.fixture
def compiled(monkeypatch):
    """Steps compiled in a test."""
    found, program = [], sharing._program

    def counted(step, structure, *rest):
        found.append(structure)
        return program(step, structure, *rest)

    monkeypatch.setattr(sharing, "_program", counted)
    return found


def predicted(net, quantity=Q.nngp, inputs=POINT):
    return di.predict(net, quantity, inputs, "first_order")


def test_linear_layers_of_all_widths_are_one(compiled):
    """Var q = 2 v^2 q_0^2 / n, q_0 = 0.625."""
    steps = []
    for width, variance in [(8, 2.0), (24, 0.7), (5, 3.0)]:
        found = predicted(L.Sequential(L.Dense(width, di.normal(variance))))
        size = variance * 0.625
        np.testing.assert_allclose(found.mean, size, rtol=1e-12)
        np.testing.assert_allclose(found.variance, 2 * size**2 / width, rtol=1e-12)
        steps.append(len(compiled))
    assert steps[0] == steps[-1] <= 2


@pytest.mark.slow
def test_sizes_of_arrays_are_compiled_for(compiled):
    """Sinusoids of the neurons: sin^2 + cos^2 = 1 of a position, at even widths."""
    for width in (4, 6):
        net = L.Sequential(L.Embed(width), L.Positions("sinusoidal"))
        found = predicted(net, Q.log_norm, di.inputs.tokens(2))
        assert (found.mean > 0).all()
    asked = [spec for spec in compiled if any(isinstance(part, L.Positions) for part in spec)]
    assert len(asked) == 2


def transformer(width, variance, blocks):
    attention = L.Residual(L.Sequential(L.RMSNorm(), L.Attention(4)))
    hidden = L.RMSNorm(), L.Dense(2 * width), L.Activation("gelu"), L.Dense(width, variance)
    block = L.Sequential(attention, L.Residual(L.Sequential(*hidden)))
    return L.Sequential(L.Dense(width), L.Repeat(block, blocks))


@pytest.mark.slow
def test_a_deep_transformer_of_another_width_compiles_nothing(compiled):
    """Two seconds of the processor, of another width, variance and input."""
    first = predicted(transformer(64, di.normal(2.0), 24), Q.log_norm, TOKENS)
    assert compiled
    compiled.clear()
    begin = time.process_time()
    other = di.inputs.arranged(np.random.default_rng(1).normal(size=(1, 2, 6)))
    second = predicted(transformer(128, di.normal(1.7), 24), Q.log_norm, other)
    assert time.process_time() - begin < 2.0
    assert not compiled
    assert not np.isclose(first.variance[-1], second.variance[-1], rtol=0.1)


@pytest.mark.slow
def test_constants_in_code_give_the_same(monkeypatch):
    """Numbers as arguments against numbers in the code."""
    nets = [transformer(width, di.normal(1.5), 2) for width in (16, 48)]
    shared = [predicted(net, Q.log_norm, TOKENS) for net in nets]
    traced = sharing._traced
    in_code = lambda recorder, at: recorder.given[at]
    apart = lambda step, structure, given, arrays: traced(step, structure, given, arrays, in_code)
    monkeypatch.setattr(sharing, "_program", apart)
    sharing._programs.cache_clear()
    from deepinit.quantities import layer_expansions

    layer_expansions._expanded.cache_clear()
    for net, found in zip(nets[1:], shared[1:], strict=True):
        alone = predicted(net, Q.log_norm, TOKENS)
        np.testing.assert_allclose(found.mean, alone.mean, rtol=1e-12)
        np.testing.assert_allclose(found.variance, alone.variance, rtol=1e-12)
    sharing._programs.cache_clear()
