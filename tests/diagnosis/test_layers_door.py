"""Scores of specs and networks of layers against NumPy loops with the same parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import plain_stack
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.core.errors import ResourceError, SpecError
from deepinit.core.layers import Shape
from deepinit.diagnosis.doors.layers import layers_probe, site_paths
from deepinit.diagnosis.estimates import estimate
from deepinit.diagnosis.one_network import measured, random_cotangent
from deepinit.diagnosis.probe import Batch
from deepinit.diagnosis.scores import scores

WIDTH, DEPTH, INPUTS, CLASSES, ROWS = 7, 4, 5, 3, 6
KEY = jax.random.key(3)
MLP = di.MLP(
    (WIDTH,) * DEPTH, di.tanh, di.normal(1.5), di.normal(0.1, "absolute"), output_width=CLASSES
)
L = di.layers


def inputs():
    return np.random.default_rng(1).standard_normal((ROWS, INPUTS))


def plain(parameters):
    """Parameters of the MLP as `plain_stack` has them."""
    first, *rest = parameters["body"]
    parts = [jax.tree.map(lambda leaf: np.asarray(leaf, float), each[0]) for each in (first, *rest)]
    first_weights = parts[0]["weights"].reshape(-1, INPUTS)
    later = np.concatenate([part["weights"].reshape(-1, WIDTH, WIDTH) for part in parts[1:]])
    biases = np.concatenate([part["biases"].reshape(-1, WIDTH) for part in parts])
    readout = parameters["readout"]
    return {
        "first": first_weights,
        "first_bias": biases[0],
        "weights": later,
        "biases": biases[1:],
        "readout": np.asarray(readout["weights"], float),
        "readout_bias": np.zeros(CLASSES),
    }


@pytest.mark.slow
def test_an_mlp_has_the_scores_of_the_loop():
    x = inputs()
    probe = layers_probe(MLP, Shape((), INPUTS))
    batch = Batch(jnp.asarray(x, "float32"))
    found = jax.jit(lambda key: measured(probe, batch, key))(KEY)
    parameters = plain(probe.draw(jax.random.fold_in(KEY, 0)).parameters)
    back = np.asarray(random_cotangent(KEY, jnp.zeros((ROWS, CLASSES))))
    slope = lambda z: 1 / np.cosh(z) ** 2
    by_row, states = [], []
    for row, c in zip(x, back, strict=True):
        deltas, _ = plain_stack.gradients_of(parameters, row, c, np.tanh, slope, 0.0, 1.0)
        own, _ = plain_stack.states_of(parameters, row, np.tanh, 0.0, 1.0)
        # states of an MLP are h = phi(z): dL/dh^l = W^T delta^(l+1)
        matrices = [*parameters["weights"], parameters["readout"]]
        after = [*deltas[1:], c]
        by_row.append([m.T @ d for m, d in zip(matrices, after, strict=True)])
        states.append([np.tanh(z) for z in own])
    squares = np.sum(np.square(by_row), axis=(0, 2))
    np.testing.assert_allclose(found["log_gradient2"], np.log(squares), atol=3e-5)
    rms = np.sqrt(np.mean(np.square(states), axis=(0, 2)))
    np.testing.assert_allclose(found["log_norm"], np.log(rms), atol=3e-5)
    assert site_paths(MLP, Shape((), INPUTS)) == (
        "block_1.1",
        "block_2.1",
        "block_2.2",
        "block_2.3",
    )


@pytest.mark.slow
def test_repeats_of_two_sites_are_in_order():
    """A Repeat of two residual layers against the same layers written out."""
    branch = lambda width: L.Sequential(L.Dense(width), L.Activation("tanh"), L.Dense(6))
    pair = L.Sequential(L.Residual(branch(5)), L.Residual(branch(4), scale=0.5))
    scanned = L.Sequential(L.Dense(6), L.Repeat(pair, 3), L.Dense(2))
    shape, batch = Shape((), INPUTS), Batch(jnp.asarray(inputs(), "float32"))
    probe = layers_probe(scanned, shape)
    found = jax.jit(lambda key: measured(probe, batch, key))(KEY)
    drawn = probe.draw(jax.random.fold_in(KEY, 0)).parameters
    z = batch.inputs @ drawn["body"][0]["weights"].T

    def rest(z, first, states=None):
        for number in range(first, 6):
            parts = jax.tree.map(lambda leaf: leaf[number // 2], drawn["body"][1])[number % 2]  # noqa: B023
            h = jnp.tanh(z @ parts[0]["weights"].T) @ parts[2]["weights"].T
            z = z + (0.5 if number % 2 else 1.0) * h
            if states is not None:
                states.append(z)
        return z @ drawn["readout"]["weights"].T

    states = [z]
    outputs = rest(z, 0, states)
    back = random_cotangent(KEY, outputs)
    gradients = [
        jax.vjp(lambda z: rest(z, number), state)[1](back)[0]  # noqa: B023
        for number, state in enumerate(states)
    ]
    squares = np.array([np.sum(np.square(g)) for g in gradients])
    np.testing.assert_allclose(found["log_gradient2"], np.log(squares), atol=3e-5)
    rms = np.array([np.sqrt(np.mean(np.square(z))) for z in states])
    np.testing.assert_allclose(found["log_norm"], np.log(rms), atol=3e-5)
    assert len(set(np.round(np.asarray(found["log_norm"]), 3))) == 7  # another order fails


@pytest.mark.slow
def test_orthogonal_linear_networks_change_nothing():
    net = di.MLP((32,) * 6, di.linear, di.orthogonal(1.0), output_width=3)
    found = scores(net, np.random.default_rng(0).standard_normal((8, 20)), num_seeds=8).scores
    for name in ("collapse", "stretch", "gradient_slope"):
        assert abs(found[name].mean) < 1e-5
    assert "signal_efficiency" not in found


@pytest.mark.slow
def test_spread_of_he_relu():
    """sqrt(5 L / n) of one input, L = 15 layers between the first and the last state."""
    net = di.MLP((64,) * 16, di.relu, output_width=2)
    probe = layers_probe(net, Shape((), 10))
    batch = Batch(jnp.ones((1, 10)))

    def first(key):
        drawn = probe.draw(key)
        states = drawn.forward(drawn.parameters, batch.inputs, None).states
        zeros = jax.tree.map(jnp.zeros_like, states)
        run = lambda shifts: drawn.forward(drawn.parameters, batch.inputs, shifts).outputs
        slopes = jax.vjp(run, zeros)[1](jnp.ones((1, 2)))[0]
        found = jnp.concatenate(slopes)
        return jnp.log(jnp.sum(found[0] ** 2)) - jnp.log(jnp.sum(found[-1] ** 2))

    keys = jax.random.split(jax.random.key(0), 3000)
    variance = estimate(
        (lambda v: (v - v.mean()) ** 2)(np.asarray(jax.lax.map(first, keys, batch_size=100)))
    )
    expected = 5 * 15 / 64
    linear = 2 * 15 / 64
    error = np.hypot(variance.standard_error, 0.05 * expected)  # terms of order (L/n) / n
    assert_value(variance.mean, error, expected, rejects=linear)


def test_refusals():
    x = np.ones((4, 5))
    with pytest.raises(SpecError, match="different rows"):
        scores(MLP, x)
    with pytest.raises(SpecError, match="4 rows or more"):
        scores(MLP, inputs()[:2])
    with pytest.raises(SpecError, match="labels of shape"):
        scores(MLP, inputs(), np.ones(3, int))
    with pytest.raises(SpecError, match="network"):
        scores((64, 64), inputs())
    tied = L.Sequential(L.Dense(5), L.Tied(L.Dense(5), 2), L.Dense(2))
    with pytest.raises(SpecError, match="weights of their own"):
        scores(tied, inputs())
    with pytest.raises(SpecError, match="without hidden layers"):
        scores(L.Sequential(L.Activation("tanh"), L.Dense(2)), inputs())
    with pytest.raises(ResourceError, match=r"2\.4e\+08 parameters"):
        scores(di.MLP((11_000,) * 3, di.relu, output_width=2), inputs(), linear_map="explicit")


@pytest.mark.slow
def test_deferred_matrices_have_the_law_of_explicit_ones():
    net = di.MLP((96,) * 5, di.gelu, di.normal(1.9), output_width=3)
    x = np.random.default_rng(0).standard_normal((5, 30))
    explicit = scores(net, x, num_seeds=256, linear_map="explicit").scores
    deferred = scores(net, x, num_seeds=256, linear_map="deferred", key=1).scores
    assert "ntk_condition" in explicit
    assert "ntk_condition" not in deferred
    for name in ("collapse", "stretch", "gradient_slope", "gradient_spread", "forward_range"):
        one, other = explicit[name], deferred[name]
        assert abs(one.mean - other.mean) < 5 * np.hypot(one.standard_error, other.standard_error)
    rival = scores(
        di.MLP((16,) * 5, di.gelu, di.normal(1.9), output_width=3), x, num_seeds=256, key=2
    ).scores["gradient_spread"]
    own = deferred["gradient_spread"]
    error = np.hypot(rival.standard_error, own.standard_error)
    assert abs(rival.mean - own.mean) > 5 * error  # of another width
