"""Our kernels against neural-tangents: the stated difference, and what it tells apart."""

import dataclasses

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.infinite_width import agreement as module
from deepinit.infinite_width.agreement import agreement, largest_difference

L = di.layers
PAIR = di.inputs.pair(0.5, dimension=4)
LAW, BIAS = di.normal(1.3), di.normal(0.1, "absolute")
BRANCH = L.Sequential(L.LayerNorm(gain=False), L.Dense(8), L.Activation("relu"), L.Dense(8, LAW))
RESIDUAL = L.Sequential(
    L.Dense(8), L.Repeat(L.Residual(BRANCH), 2), L.Activation("relu"), L.Dense(1, LAW, BIAS)
)


def test_differences_are_shares_of_the_diagonal():
    theirs = np.array([[4.0, 0.0], [0.0, 1.0]])
    assert largest_difference(theirs, theirs) == 0
    assert largest_difference(theirs + np.array([[0, 0.5], [0, 0]]), theirs) == pytest.approx(0.25)
    zero = np.array([[4.0, 0.0], [0.0, 0.0]])
    assert largest_difference(zero, zero) == 0
    assert largest_difference(zero + 1.0, zero) == np.inf


@pytest.mark.slow
def test_at_large_variances_the_difference_is_the_error_of_their_quadrature():
    rows = np.array([[-2.0, -2.0], [-1.3, -1.3], [-0.6, -0.5]])
    net = di.MLP((8,) * 3, "tanh", weight_law=di.normal(2.0))
    found = agreement(net, di.inputs.points(rows))
    assert found.quadrature == ("tanh",)
    assert found.nngp > 1e-6
    exact = rows @ rows.T  # 2 x.x' / 2
    for _ in range(2):
        exact = 2.0 * _tanh_products(exact)
    ours = module.kernel_layers(net, rows).nngp[-1]
    np.testing.assert_allclose(ours, exact, rtol=1e-10)


def _tanh_products(kernel):
    """E[tanh(u) tanh(v)] by the trapezoidal rule, which converges geometrically."""
    nodes = np.linspace(-9.0, 9.0, 601)
    weights = np.exp(-(nodes**2) / 2)
    weights /= weights.sum()
    sds = np.sqrt(np.diag(kernel))
    result = np.empty_like(kernel)
    for i, j in np.ndindex(kernel.shape):
        cosine = min(1.0, kernel[i, j] / (sds[i] * sds[j]))
        second = cosine * nodes[:, None] + np.sqrt(1.0 - cosine**2) * nodes
        inner = np.tanh(sds[j] * second) @ weights
        result[i, j] = weights @ (np.tanh(sds[i] * nodes) * inner)
    return result


@pytest.mark.slow
def test_an_mlp_and_a_planted_wrong_recursion(monkeypatch):
    net = di.MLP((8,) * 3, "relu")
    right = agreement(net, PAIR)
    assert max(right.nngp, right.ntk) < 1e-8
    assert right.num_inputs == 2
    recursion = module.kernel_layers

    def wrong(spec, rows, **options):  # the recursion of another variance
        return recursion(dataclasses.replace(spec, weight_law=di.normal(2.02)), rows, **options)

    monkeypatch.setattr(module, "kernel_layers", wrong)
    assert agreement(net, PAIR).nngp == pytest.approx(1.01**3 - 1, rel=1e-6)


@pytest.mark.slow
def test_networks_of_layers(monkeypatch):
    right = agreement(RESIDUAL, PAIR)
    assert max(right.nngp, right.ntk) < 1e-8
    wrong = L.Sequential(*RESIDUAL.layers[:-1], L.Dense(1, di.normal(1.31), BIAS))
    matrices = module.kernel_matrices
    monkeypatch.setattr(module, "kernel_matrices", lambda net, *a, **k: matrices(wrong, *a, **k))
    assert agreement(RESIDUAL, PAIR).nngp > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["circular", "zero", "valid"])
@pytest.mark.parametrize("head", [L.Pool(), L.Flatten()])
def test_convolutions(padding, head):
    rows = np.random.default_rng(0).standard_normal((3, 50))
    images = dataclasses.replace(di.inputs.points(rows), positions=(5, 5))
    conv = L.Conv(4, 3, 1, padding, LAW, BIAS)
    net = L.Sequential(conv, L.Activation("relu"), conv, L.Activation("erf"), head, L.Dense(1))
    found = agreement(net, images)
    assert max(found.nngp, found.ntk) < 1e-7


@pytest.mark.parametrize(
    ("layer", "word"),
    [
        (L.RMSNorm(), "RMSNorm|rmsnorm"),
        (L.LayerNorm(), "trained|trainable"),
        (L.Residual(L.Dense(8), scale=0.5), "scale"),
        (L.Residual(L.Sequential(L.Dense(8), L.Activation("relu"))), "fresh"),
        (L.Gate("silu"), "counterpart"),
    ],
)
def test_what_it_lacks_is_refused_by_name(layer, word):
    net = L.Sequential(L.Dense(8), layer, L.Dense(1))
    with pytest.raises(SpecError, match=word):
        agreement(net, PAIR)
