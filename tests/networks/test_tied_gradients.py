"""Gradients through tied layers by conditional maps: one matrix, used from both sides."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_network import assert_one_law, explicit_matches

import deepinit as di
from deepinit.core.layers import Activation, Block, Conv, Dense, Sequential, Shape, Tied
from deepinit.networks.backward import random_gradients
from deepinit.networks.linear_layers import LinearLayer
from deepinit.networks.linear_maps import conditional_with_residuals
from deepinit.networks.rows import points_alone
from deepinit.networks.rules import tied

BIAS = di.normal(0.3, "absolute")


def gradients(net, x, key, name, functions, points, shape=None):
    """(values, cotangents, kernel) at true size."""
    found = random_gradients(
        net, points_alone(x), key, functions, points, linear_map=name, shape=shape
    )
    size = lambda scales: jnp.exp(scales)[:, None]
    into = size(found.inputs.log_scales) * found.inputs.vectors
    return size(found.output_scales) * found.outputs, into, found.ntk


def sample(net, width, points, name, num=10_000, key=0):
    """[num, rows, width]: cotangents of two functions, values of points, log kernels."""
    rng = np.random.default_rng(4)
    x, functions = rng.normal(size=(2, 2, width)).astype(np.float32)

    def one(key):
        at = (0, points - 1)
        values, into, kernel = gradients(net, x[:points], key, name, functions, at)
        kernels = jnp.repeat(jnp.log(jnp.diag(kernel))[:, None], width, axis=1)
        return jnp.concatenate([into, values, kernels])

    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(jnp.arange(num))
    return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)


def moments(drawn):
    """Of values and cotangents: E, two mixed fourth moments, covariances of both."""
    into, values = drawn[:, :2], drawn[:, 2]
    return np.concatenate(
        [
            into.reshape(len(into), -1),
            (into[:, 0] ** 2 * into[:, 1] ** 2),
            (into[:, 0] ** 2 * into[:, 0, ::-1] ** 2),
            (values[:, :, None] * into[:, 0, None, :]).reshape(len(into), -1),
        ],
        axis=1,
    )


# rivals: what backward uses forget
FORGOTTEN = {
    "cotangents": lambda rows, known: (rows, None),
    "all": lambda rows, known: (jax.tree.map(jnp.zeros_like, rows), None),
}


def forget(monkeypatch, what):
    use = tied.cotangent_use

    def short(*given, rows, known, **at):
        rows, known = FORGOTTEN[what](rows, known)
        return use(*given, rows=rows, known=known, **at)

    monkeypatch.setattr(tied, "cotangent_use", short)


@pytest.mark.exhaustive_cases("2-2-all", "3-1-cotangents")
@pytest.mark.exhaustive_cases("8-2-all")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "points", "what"), [(3, 1, "cotangents"), (2, 2, "all"), (8, 2, "all")]
)
def test_conditional_gradients_have_the_law_of_explicit_ones(width, points, what, monkeypatch):
    net = Tied(Sequential(Dense(width, bias=BIAS), Activation("tanh")), 2)
    explicit = sample(net, width, points, "explicit")
    ours = sample(net, width, points, "conditional", key=1)
    forget(monkeypatch, what)
    rival = sample(net, width, points, "conditional", key=2)
    assert_one_law(explicit, ours, rival)
    first, second, wrong = (moments(drawn) for drawn in (explicit, ours, rival))

    def distance(other):
        error = np.sqrt((first.var(0) + other.var(0)) / len(first))
        return np.max(np.abs(first.mean(0) - other.mean(0)) / error)

    assert distance(second) < 5 < distance(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("width", [2, 6])
def test_uses_of_both_sides_have_the_moments_of_a_matrix(width):
    # h -> W h, W tanh, W^T tanh, W^T tanh; the rival forgets the third use
    num, h = 100_000, jnp.asarray(np.random.default_rng(8).normal(size=(1, width)), jnp.float32)
    layer = LinearLayer(width, di.normal(1.0), None, 1)

    def drawn(forgetful, key):
        rows = lambda h, number, known: conditional_with_residuals(
            jax.random.fold_in(key, number), points_alone(h), layer.weight_law, width, 1, "", known
        )
        z, first = rows(h, 0, None)
        y, second = rows(jnp.tanh(z), 1, first)
        both = jax.tree.map(
            lambda *parts: jnp.concatenate(parts), first._replace(factor=None), second
        )
        back = lambda u, use, known: tied.cotangent_use(key, u, layer, width, both, known, use)
        a, third = back(jnp.tanh(y), 0, None)
        return z, y, a, back(jnp.tanh(a), 1, None if forgetful else third)[0]

    def explicit(key):
        matrix = jax.random.normal(key, (width, width)) / np.sqrt(width)
        z = h @ matrix.T
        y = jnp.tanh(z) @ matrix.T
        a = jnp.tanh(y) @ matrix
        return z, y, a, jnp.tanh(a) @ matrix

    def features(one, seed):
        z, y, a, b = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), num))
        dot = lambda *pair: jnp.sum(pair[0] * pair[1], axis=(1, 2))
        aa, ab = dot(a, a), dot(a, b)
        each = [aa, dot(b, b), dot(a, h), dot(b, h), ab, dot(a, jnp.tanh(z)), dot(b, y), aa**2]
        return np.asarray(jnp.stack([*each, ab**2], axis=1), np.float64)

    ours, exact, rival = (
        features(functools.partial(drawn, False), 0),
        features(explicit, 1),
        features(functools.partial(drawn, True), 2),
    )
    error = np.sqrt(2 * exact.var(0) / num)
    distance = lambda other: np.max(np.abs(other.mean(0) - exact.mean(0)) / error)
    assert distance(ours) < 5
    # two rows are the whole matrix at width 2
    assert (distance(rival) > 5) == (width > 2)


CORRELATED = di.matrix_normal(np.eye(4) + 0.5, np.eye(4) + 0.3, np.diag([0.5, -1.0, 0.2, 0.0]))
HOMOGENEOUS = {
    "dense": (Sequential(Dense(6), Activation("relu"), Dense(4)), Shape((), 4)),
    "correlated": (Sequential(Dense(4, CORRELATED), Activation("relu")), Shape((), 4)),
    "convolution": (Sequential(Conv(2, 3, 1, "circular"), Activation("relu")), Shape((3,), 2)),
}


@pytest.mark.exhaustive_cases("dense")
@pytest.mark.slow
@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_cotangents_are_those_of_the_drawn_network(name, monkeypatch):
    # f(x) = f'(x) x without biases, network by network; without the rows it does not hold
    inner, shape = HOMOGENEOUS[name]
    net, rng = Tied(inner, 3), np.random.default_rng(6)
    x, functions = rng.normal(size=(2, 2, shape.size))

    def gap():
        draw = lambda key: gradients(net, x, key, "conditional", functions, (0, 1), shape)
        keys = jax.random.split(jax.random.key(3), 20)
        values, into, _ = jax.jit(jax.vmap(draw))(keys)
        forward, back = (functions * values).sum(-1), (into * x).sum(-1)
        return np.max(np.abs(forward - back)) / np.max(np.abs(forward))

    with jax.enable_x64(True):
        assert gap() < 1e-12
        forget(monkeypatch, "all")
        assert gap() > 1e-2


@pytest.mark.slow
def test_kernels_of_conditional_maps_count_every_use(monkeypatch):
    # 4 uses of 3 rows at width 3: rows and images are the whole matrix
    matrices, calls, use = {}, itertools.count(), tied.cotangent_use

    def watched(*given, rows, **others):
        place = next(calls) % 2  # the second map is the first one backward
        keep = lambda *parts: matrices.__setitem__(place, np.sum(np.float64(parts), axis=0))
        matrix = rows.normals.T @ rows.directions
        first = matrix.astype(jnp.float32)  # callbacks cut float64
        jax.debug.callback(keep, first, (matrix - first).astype(jnp.float32))
        return use(*given, rows=rows, **others)

    def prepare(reference):
        for place, path in enumerate([(2, "weights"), (0, "weights")]):
            reference.parameters[path] = matrices[place]

    monkeypatch.setattr(tied, "cotangent_use", watched)
    net = Tied(Sequential(Dense(3, bias=BIAS), Activation("tanh"), Dense(3)), 4)
    explicit_matches(net, Shape((), 3), prepare=prepare, linear_map="conditional")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_auto_counts_rows_of_both_sides():
    run = lambda width, name: gradients(
        Tied(Dense(width), 2), jnp.ones((1, width)), jax.random.key(0), name, np.eye(1, width), (0,)
    )
    same = lambda one, other: all(map(np.array_equal, one, other))
    assert same(run(15, "auto"), run(15, "explicit"))
    assert same(run(16, "auto"), run(16, "conditional"))
    assert not same(run(16, "conditional"), run(16, "explicit"))


@pytest.mark.exhaustive_cases("ntk")
@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["ntk", "log_gradient_norm", "log_singular_values"])
@pytest.mark.exhaustive_cases("log_singular_values")
def test_quantities_of_gradients_have_one_law(quantity):
    net = Sequential(Dense(6), Tied(Block(Activation("tanh"), Dense(6)), 3), Dense(2))
    points = di.inputs.points(np.random.default_rng(5).normal(size=(1, 4)))
    first, second = (
        di.simulate(
            net, getattr(di.quantities, quantity), points, num_seeds=2000, key=key, linear_map=name
        )
        for key, name in enumerate(("conditional", "explicit"))
    )
    error = np.hypot(first.standard_error, second.standard_error)
    assert np.all(np.abs(first.mean - second.mean) < 5 * error)


@pytest.mark.slow
def test_a_tied_layer_may_act_on_the_inputs():
    net = Sequential(Tied(Block(Activation("tanh"), Dense(6)), 2), Dense(1))
    points = di.inputs.points(np.random.default_rng(0).normal(size=(2, 6)))
    assert np.all(di.simulate(net, di.quantities.ntk, points, num_seeds=5).mean[-1, [0, 2]] > 0)
