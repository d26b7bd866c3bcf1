"""Token shifts: rows against a matrix on positions, the law by both maps, the limit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Dense, Sequential, Shape, layer_from_json
from deepinit.core.layers.token_shift import TokenShift
from deepinit.networks.interpreter import ROWS

SHARE, LENGTH, WIDTH = 0.3, 4, 3
MATRIX = (1 - SHARE) * np.eye(LENGTH) + SHARE * np.eye(LENGTH, k=-1)
INPUTS = di.inputs.arranged(np.random.default_rng(1).standard_normal((2, LENGTH, WIDTH)), LENGTH)


def network(width):
    return Sequential(Dense(width), TokenShift(SHARE), Dense(width), Activation("relu"), Dense(1))


def test_rows_are_mixed_by_the_matrix():
    from deepinit.networks.rules.token_shift import shifted

    x = np.random.default_rng(0).standard_normal((LENGTH, WIDTH)).astype(np.float32)
    rows = shifted(TokenShift(SHARE), Shape((LENGTH,), WIDTH), jnp.asarray(x.ravel()), 0.0)
    np.testing.assert_allclose(rows.reshape(LENGTH, WIDTH), MATRIX @ x, rtol=1e-6)
    assert ROWS.get(TokenShift()) is not None


@pytest.mark.slow
def test_the_mean_overlap_of_shifted_gaussian_rows_is_exact_at_every_width():
    # E <z, z'> / size = tr(P G P^T) / T for z = P X W^T; without P it is tr(G) / T
    net, points = Sequential(Dense(4), TokenShift(SHARE)), INPUTS.points.reshape(2, LENGTH, WIDTH)
    measured = di.simulate(net, di.quantities.nngp, INPUTS, num_seeds=20_000)
    grams = np.einsum("apn,bqn->abpq", points, points)[np.triu_indices(2)] / WIDTH
    plain = np.einsum("epp->e", grams) / LENGTH
    exact = np.einsum("sp,epq,sq->e", MATRIX, grams, MATRIX) / LENGTH
    np.testing.assert_allclose(di.infinite(net, di.quantities.nngp, INPUTS).mean[-1], exact)
    z = lambda value: np.abs((measured.mean[-1] - value) / measured.standard_error[-1]).max()
    assert z(exact) < 5 < z(plain)


@pytest.mark.exhaustive_cases("log_gradient_norm", "ntk")
@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["log_norm", "ntk", "log_gradient_norm"])
def test_both_maps_have_one_law(quantity):
    quantity, net = getattr(di.quantities, quantity), network(6)
    rival = Sequential(
        *(TokenShift(0.0) if layer == net.layers[1] else layer for layer in net.layers)
    )
    first, second, other = (
        di.simulate(spec, quantity, INPUTS, num_seeds=4000, key=key, linear_map=name)
        for spec, key, name in ((net, 0, "conditional"), (net, 1, "explicit"), (rival, 2, "auto"))
    )

    def z(a, b):
        return np.abs((a.mean - b.mean) / np.hypot(a.standard_error, b.standard_error)).max()

    assert z(first, second) < 5 < z(first, other)


def test_the_tangent_kernel_at_infinite_width():
    # readout of relu of a Dense of shifted rows: R = P K P^T, Theta_R = R + P Theta P^T
    points = INPUTS.points.reshape(2, LENGTH, WIDTH)
    rows = (MATRIX @ points).reshape(-1, WIDTH) / WIDTH**0.5
    gram = rows @ rows.T
    size = np.sqrt(np.diag(gram))
    cosine = np.clip(gram / np.outer(size, size), -1, 1)
    angle = np.arccos(cosine)
    outer = np.outer(size, size) / (2 * np.pi)
    after = outer * (np.sin(angle) + (np.pi - angle) * cosine)
    theta = after + (np.pi - angle) / (2 * np.pi) * (gram + gram)
    last = np.array([LENGTH - 1, 2 * LENGTH - 1])
    expected = theta[np.ix_(last, last)][np.triu_indices(2)]
    found = di.infinite(network(64), di.quantities.ntk, INPUTS).mean[0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_layer_is_data():
    layer = TokenShift(0.25)
    assert layer_from_json(layer.to_json()) == layer
    assert di.layers.TokenShift is TokenShift
    assert di.coverage().kinds["TokenShift"] == ("rule",) * len(di.coverage().routes)
    with pytest.raises(SpecError, match="share"):
        TokenShift(1.5)
    with pytest.raises(SpecError, match="tokenshift"):
        di.simulate(Sequential(Dense(4), TokenShift()), di.quantities.log_norm, di.inputs.ones(3))


def test_gradients_are_those_of_the_matrix():
    from deepinit.networks.rules.token_shift import shifted

    layer, shape = TokenShift(SHARE), Shape((LENGTH,), WIDTH)
    jacobian = jax.jacobian(lambda x: shifted(layer, shape, x, 0.0))(jnp.zeros(LENGTH * WIDTH))
    np.testing.assert_allclose(jacobian, np.kron(MATRIX, np.eye(WIDTH)), rtol=1e-6)
