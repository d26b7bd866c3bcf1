"""The infinite-width interpreter: reference values, recursions, sites, refusals."""

import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import activations as act
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import normal_rule
from deepinit.core.laws import constant, normal, uniform
from deepinit.core.layers import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Embed,
    Flatten,
    Gate,
    LayerNorm,
    Pool,
    Positions,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    program,
    sites,
)
from deepinit.core.specs import MLP
from deepinit.infinite_width.interpreter import interpret
from deepinit.infinite_width.programs import _compiled
from deepinit.infinite_width.recursion import kernel_layers

PAIR = np.array([[1.0, 0.3], [0.3, 1.0]])
TRIPLE = np.array([[1.0, 0.3, 0.1], [0.3, 1.0, 0.5], [0.1, 0.5, 1.2]])
BIAS = normal(0.1, "absolute")
ROWS = np.random.default_rng(0).standard_normal((5, 6))
ROWS[3], ROWS[4] = ROWS[0], -ROWS[1]


def inputs_with(gram, width):
    """Rows of this Gram matrix over width."""
    return np.sqrt(width) * np.linalg.cholesky(gram) @ np.eye(len(gram), width)


def output(net, gram, width, positions=()):
    rows = inputs_with(gram, width)
    if positions:
        rows = rows.reshape(1, len(gram), width)
    return interpret(program(net, Shape(positions, width)), rows).output


def cosine(cov):
    return cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])


def pre_norm(*branch):
    return Repeat(Residual(Sequential(*branch)), 4)


def norm_net(norm):
    return Repeat(Sequential(Dense(96), norm, Activation("gelu")), 4)


GELU_BRANCH = (LayerNorm(0.0), Dense(64), Activation("gelu"), Dense(32, normal(2.0)))
# Monte Carlo and quadrature values of the layer rules: network, width, cosine, ln q
REFERENCES = {
    "pre_norm": (pre_norm(*GELU_BRANCH), 32, 0.375460, None),
    "shallow": (pre_norm(RMSNorm(0.0), Dense(32), Activation("gelu")), 32, 0.611314, 1.399891),
    "swiglu": (
        pre_norm(RMSNorm(0.0), Dense(128), Gate("silu"), Dense(32, normal(3.0))),
        32,
        0.100641,
        None,
    ),
    "wide_swiglu": (
        pre_norm(RMSNorm(0.0), Dense(1024), Gate("silu"), Dense(256, normal(2.0))),
        256,
        0.122391,
        1.347087,
    ),
    "layer_norm": (norm_net(LayerNorm(0.0)), 96, 0.526117, -0.855145),
    "rms_norm": (norm_net(RMSNorm(0.0)), 96, 0.526117, -0.855145),
}


@pytest.mark.parametrize("name", REFERENCES)
@pytest.mark.slow_cases("swiglu", "wide_swiglu")
def test_reference_values_of_composed_networks(name):
    net, width, exact, log_square = REFERENCES[name]
    rows = inputs_with(PAIR, width)
    limit = interpret(program(net, Shape((), width)), rows, ntk=False, at_sites=False)
    cov = limit.output.cov[..., 0, 0]
    assert limit.output.ntk is None
    assert cosine(cov) == pytest.approx(exact, abs=6e-7)
    if log_square is not None:
        assert np.log(cov[0, 0]) == pytest.approx(log_square, abs=6e-7)


@pytest.mark.slow
def test_reference_values_of_a_convolution():
    layer = Conv(48, 2, 1, "valid", normal(1.5), normal(0.05, "absolute"))
    net = Repeat(Sequential(layer, Activation("tanh")), 4)
    with pytest.raises(SpecError, match="keeps the shape"):
        program(net, Shape((3,), 48))
    # offsets {0, 1} on a ring of 3 are a circular patch of 3 with one weight left out: by hand
    cov = TRIPLE
    for _ in range(4):
        cov = 0.75 * (cov + np.roll(cov, (-1, -1), (0, 1))) + 0.05
        dense = Dense(48, normal(1.0))
        lower = np.linalg.cholesky(cov)
        net = Sequential(dense, Activation("tanh"))
        rows = np.sqrt(48) * lower @ np.eye(3, 48)
        cov = interpret(program(net, Shape((), 48)), rows).output.cov[..., 0, 0]
    assert cosine(cov) == pytest.approx(0.397514, abs=6e-7)
    assert np.log(cov.mean()) == pytest.approx(-1.807071, abs=6e-7)


@pytest.mark.parametrize(
    ("net", "exact"),
    [
        (
            Sequential(
                Repeat(Sequential(Dense(32, normal(1.8)), LayerNorm(0.0), Activation("tanh")), 2),
                Dense(1),
            ),
            (2.651845, 1.072289),
        ),
        (
            Sequential(
                Repeat(
                    Residual(
                        Sequential(
                            RMSNorm(0.0, gain=False),
                            Dense(64),
                            Activation("gelu"),
                            Dense(32, normal(2.0)),
                        )
                    ),
                    3,
                ),
                Dense(1),
            ),
            (11.188675, 3.454862),
        ),
    ],
    ids=["trained_gains", "residual"],
)
@pytest.mark.slow_cases("trained_gains")
def test_reference_values_of_the_tangent_kernel(net, exact):
    ntk = output(net, PAIR, 32).ntk[..., 0, 0]
    np.testing.assert_allclose(ntk[0], exact, atol=3e-6)
    np.testing.assert_allclose(ntk, ntk.T, rtol=1e-15)


def hidden(activation):
    return Sequential(Dense(8, normal(1.3), BIAS), Activation(activation))


@pytest.mark.parametrize("activation", ["relu", "erf", "sin", "gelu", "tanh", "elu"])
@pytest.mark.slow_cases("erf", "sin", "gelu", "tanh", "elu")
def test_the_recursion_of_an_mlp(activation):
    """Also equal and opposite rows; every site, in a scan."""
    spec = MLP((8,) * 3, activation, normal(1.3), bias_law=BIAS, output_width=1)
    first, rest = hidden(activation), Sequential(*hidden(activation).layers[::-1])
    net = Sequential(first.layers[0], Repeat(rest, 2), first.layers[1], Dense(1, bias=BIAS))
    whole = program(net, Shape((), 6))
    limit = interpret(whole, ROWS)
    exact = kernel_layers(spec, ROWS)
    tolerance = 1e-12 if activation in ("relu", "erf", "sin", "gelu") else 1e-9
    preactivations = [limit.sites[place] for place in (0, 2, 4)] + [limit.output]
    for layer, found in enumerate(preactivations):
        np.testing.assert_allclose(found.cov[..., 0, 0], exact.nngp[layer], atol=tolerance)
        np.testing.assert_allclose(found.ntk[..., 0, 0], exact.ntk[layer], atol=tolerance)
    cov = limit.output.cov[..., 0, 0]
    assert cov[0, 3] == cov[0, 0] == cov[3, 3]  # equal rows, to the last bit
    assert limit.paths == tuple(site.path for site in sites(whole.body, whole.shape))


def quadrature(function, cov):
    """E f(u, v) by a product rule."""
    nodes, weights = normal_rule()
    lower = np.linalg.cholesky(cov)
    u = lower[0, 0] * nodes[:, None]
    v = lower[1, 0] * nodes[:, None] + lower[1, 1] * nodes
    return weights @ function(u, v) @ weights


def test_gates_and_dropout_by_quadrature():
    cov = np.array([[1.0, 0.3], [0.3, 0.8]])
    net = Sequential(Dense(16), Gate("silu"), Dropout(0.2, shared=False))
    found = output(net, cov, 8).cov[..., 0, 0]
    silu = lambda x: x / (1.0 + np.exp(-x))
    moment = lambda u, v: silu(u) * silu(v)
    assert found[0, 1] == pytest.approx(0.3 * quadrature(moment, cov), abs=1e-11)
    square = quadrature(lambda u, v: silu(u) ** 2 + 0.0 * v, cov)
    assert found[0, 0] == pytest.approx(square / 0.8, abs=1e-11)
    assert found[0, 1] == pytest.approx(0.034832924, abs=1e-9)  # and by 1e6 draws


@pytest.mark.parametrize("activation", [act.gelu, act.tanh], ids=repr)
@pytest.mark.slow
def test_a_trained_gain_before_a_function_of_neurons_stays_inside(activation):
    """Theta' = E[phi' phi'] Theta + E[u phi'(u) v phi'(v)]; not E[phi' phi'] (Theta + cov)."""
    net = Sequential(Dense(8), RMSNorm(0.0), Activation(activation))
    found = output(net, PAIR, 8).ntk[0, 1, 0, 0]
    slope = activation.derivative
    slopes = quadrature(lambda u, v: slope(u) * slope(v), PAIR)
    gains = quadrature(lambda u, v: u * slope(u) * v * slope(v), PAIR)
    assert found == pytest.approx(slopes * 0.3 + gains, abs=1e-10)
    assert abs(slopes * 0.6 - found) > 0.01


def test_embeddings_positions_and_pools_of_tokens():
    tokens = np.array([[0, 1, 0], [1, 2, 0]])
    rows = np.eye(3)[tokens]
    net = Sequential(
        Embed(4, normal(2.0, "absolute")), Positions("learned", normal(0.5, "absolute"))
    )
    equal = tokens[:, None, :, None] == tokens[None, :, None, :]
    exact = 2.0 * equal + 0.5 * np.eye(3)
    limit = interpret(program(net, Shape((3,), 3, True)), rows)
    np.testing.assert_allclose(limit.output.cov, exact, atol=1e-15)
    np.testing.assert_allclose(limit.output.ntk, exact, atol=1e-15)
    for layer, expected in (
        (Pool(), exact.mean((2, 3))),
        (Flatten(), np.trace(exact, axis1=2, axis2=3) / 3),
    ):
        pooled = Sequential(*net.layers, layer, Dense(1))
        found = interpret(program(pooled, Shape((3,), 3, True)), rows).output
        np.testing.assert_allclose(found.cov[..., 0, 0], expected, atol=1e-15)
        np.testing.assert_allclose(found.ntk[..., 0, 0], 2.0 * expected, atol=1e-15)


def test_sinusoidal_positions():
    """E (e + P)(e' + P') over neurons: the embedding is independent of P."""
    rows = np.eye(2)[np.array([[0, 1, 0]])]
    net = Sequential(Embed(6), Positions("sinusoidal"))
    angles = np.arange(3)[:, None] * 10000.0 ** (-np.arange(3) / 3)
    vectors = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    found = interpret(program(net, Shape((3,), 2, True)), rows).output
    equal = np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    np.testing.assert_allclose(found.cov[0, 0], equal + vectors @ vectors.T / 6, atol=1e-15)
    np.testing.assert_allclose(found.ntk[0, 0], equal, atol=1e-15)
    np.testing.assert_allclose(found.mean[0], vectors.mean(axis=1), atol=1e-15)


SHAPE = Shape((), 6)
REFUSED = {
    "activation_1.*not Gaussian": Sequential(Activation("relu"), Dense(4), Activation("relu")),
    "activation_2.*not Gaussian": Sequential(Dense(4), Activation("relu"), Activation("relu")),
    "gate.*not Gaussian": Sequential(Dense(4), Dropout(0.1), Gate("silu")),
    "residual.*depends on the stream": Sequential(
        Dense(6), Residual(Activation("relu"), name="residual")
    ),
    "1.dense.*bias": Repeat(Sequential(Dense(6, bias=uniform(1.0, "absolute"))), 2),
    r"dense \(Dense\): a bias": Sequential(Dense(6, bias=constant(1.0)), Dense(1)),
    "trained gains": Sequential(
        Dense(6), Residual(Sequential(Dense(6), RMSNorm())), Activation("relu")
    ),
    "resolve": Sequential(Dense(6, normal(1e6)), Activation(lambda x: jnp.sin(3.0 * x))),
}


@pytest.mark.parametrize("message", REFUSED)
@pytest.mark.slow_cases("resolve")
def test_refusals_name_the_layer(message):
    net = REFUSED[message]
    with pytest.raises(SpecError, match=message):
        interpret(program(net, SHAPE), ROWS)


def test_gains_in_a_sum_are_refused_for_the_tangent_kernel_alone():
    net = REFUSED["trained gains"]
    cov = interpret(program(net, SHAPE), ROWS, ntk=False).output.cov
    assert np.isfinite(cov).all()


def test_inputs_of_another_size_are_refused():
    with pytest.raises(SpecError, match="One input a row"):
        interpret(program(Dense(3), SHAPE), ROWS[:, :5])


def test_networks_that_differ_in_numbers_share_a_compilation():
    """Also a number that code asks about: a variance 0 is another structure."""
    net = lambda variance: Sequential(Dense(3, normal(variance)), Activation("relu"), Dense(1))
    output(net(1.0), PAIR, 3)
    before = _compiled.cache_info().currsize
    found = [output(net(variance), PAIR, 3).cov[0, 1, 0, 0] for variance in (1.0, 1.7, 0.4)]
    assert _compiled.cache_info().currsize == before
    np.testing.assert_allclose(found, found[0] * np.array([1.0, 1.7, 0.4]), rtol=1e-14)
    assert not output(net(0.0), PAIR, 3).cov.any()
    assert _compiled.cache_info().currsize == before + 1
