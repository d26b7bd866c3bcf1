"""Tied layers: the same weights at every use, in both linear maps and backward."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_network import assert_one_law, explicit_matches, outputs, pair_rows, tangents_match

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    BatchNorm,
    Block,
    Conv,
    Dense,
    LayerNorm,
    Repeat,
    Residual,
    Sequential,
    Shape,
    Tied,
)
from deepinit.networks.backward import random_gradients
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone
from deepinit.networks.rules import tied

BIAS = di.normal(0.3, "absolute")
VECTORS, SEQUENCE = Shape((), 3), Shape((3,), 2)


def cell(width, *layers):
    return Sequential(Dense(width, bias=BIAS), Activation("tanh"), *layers)


@pytest.mark.slow
def test_values_cotangents_and_kernel_count_every_use():
    # weights, biases and gains: products of gradients with cross terms of the uses
    inner = Residual(Sequential(LayerNorm(), *cell(4, Dense(4)).layers), scale=0.5)
    net = Sequential(Dense(4), Tied(inner, 3), Dense(2))
    explicit_matches(net, SEQUENCE)
    tangents_match(net, SEQUENCE)


@pytest.mark.slow
def test_gradients_through_tied_convolutions_and_nested_repeats():
    inner = Sequential(Conv(2, 3, 1, "zero"), Repeat(cell(2), 2))
    explicit_matches(Sequential(Tied(inner, 2), Dense(2)), SEQUENCE)


@pytest.mark.parametrize("width", [2, 3, 8])
@pytest.mark.slow
def test_a_square_has_its_exact_moments(width):
    # E h.W^2 h = |h|^2 / n and E |W^2 h|^2 = |h|^2 (1 + 2 / n^2): independent weights have 0 and 1
    h = np.random.default_rng(1).normal(size=(1, width))
    norm2, num = np.sum(h**2), 8000
    found = outputs(
        Tied(Dense(width), 2), pair_rows(h, h[:0]), "conditional", num, Shape((), width)
    )[:, 0]
    for values, exact, rival in (
        (found @ h[0] / norm2, 1 / width, 0.0),
        # light tails: the expectation of a log ratio has no closed form, of the norm it has
        ((found**2).sum(1) / norm2, 1 + 2 / width**2, 1.0 if width < 8 else 2.0),
    ):
        error = values.std() / np.sqrt(num)
        assert abs(values.mean() - exact) < 5 * error
        assert abs(values.mean() - rival) > 5 * error


@pytest.mark.slow
@pytest.mark.parametrize("width", [3, 8])
def test_conditional_and_explicit_maps_have_one_law(width):
    # 3 uses of 3 rows (a pair's difference among them): more rows than neurons at width 3
    x = np.random.default_rng(3).normal(size=(2, width))
    rows, shape = pair_rows(x, 0.3 * x[:1], (0,)), Shape((), width)
    net, rival = (kind(cell(width, Dense(width)), 3) for kind in (Tied, Repeat))
    drawn = [
        outputs(net, rows, "explicit", 8000, shape),
        outputs(net, rows, "conditional", 8000, shape, key=1),
        outputs(rival, rows, "conditional", 8000, shape, key=2),
    ]
    assert_one_law(*drawn)


@pytest.mark.slow
def test_auto_conditions_where_all_uses_fit_and_draws_matrices_elsewhere():
    run = lambda width, name: outputs(
        Tied(Dense(width), 3),
        pair_rows(np.ones((1, width)), np.ones((0, width))),
        name,
        1,
        Shape((), width),
    )
    np.testing.assert_array_equal(run(8, "auto"), run(8, "explicit"))
    np.testing.assert_array_equal(run(12, "auto"), run(12, "conditional"))
    assert np.any(run(12, "conditional") != run(12, "explicit"))


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
    short = lambda *given: use(*given[:-3], *FORGOTTEN[what](*given[-3:-1]), given[-1])
    monkeypatch.setattr(tied, "cotangent_use", short)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "points", "what"), [(3, 1, "cotangents"), (2, 2, "all"), (8, 2, "all")]
)
def test_conditional_gradients_have_the_law_of_explicit_ones(width, points, what, monkeypatch):
    net = Tied(cell(width), 2)
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


CORRELATED = di.matrix_normal(np.eye(4) + 0.5, np.eye(4) + 0.3, np.diag([0.5, -1.0, 0.2, 0.0]))
HOMOGENEOUS = {
    "dense": (Sequential(Dense(6), Activation("relu"), Dense(4)), Shape((), 4)),
    "correlated": (Sequential(Dense(4, CORRELATED), Activation("relu")), Shape((), 4)),
    "convolution": (Sequential(Conv(2, 3, 1, "circular"), Activation("relu")), Shape((3,), 2)),
}


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

    def watched(*given):
        place = next(calls) % 2  # the second map is the first one backward
        keep = lambda *parts: matrices.__setitem__(place, np.sum(np.float64(parts), axis=0))
        matrix = given[-3].normals.T @ given[-3].directions
        first = matrix.astype(jnp.float32)  # callbacks cut float64
        jax.debug.callback(keep, first, (matrix - first).astype(jnp.float32))
        return use(*given)

    def prepare(reference):
        for place, path in enumerate([(2, "weights"), (0, "weights")]):
            reference.parameters[path] = matrices[place]

    monkeypatch.setattr(tied, "cotangent_use", watched)
    net = Tied(Sequential(*cell(3, Dense(3)).layers), 4)
    explicit_matches(net, VECTORS, prepare=prepare, linear_map="conditional")


@pytest.mark.slow
def test_auto_counts_rows_of_both_sides():
    run = lambda width, name: gradients(
        Tied(Dense(width), 2), jnp.ones((1, width)), jax.random.key(0), name, np.eye(1, width), (0,)
    )
    same = lambda one, other: all(map(np.array_equal, one, other))
    assert same(run(15, "auto"), run(15, "explicit"))
    assert same(run(16, "auto"), run(16, "conditional"))
    assert not same(run(16, "conditional"), run(16, "explicit"))


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["ntk", "log_gradient_norm", "log_singular_values"])
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
def test_what_has_no_law_is_refused():
    x = points_alone(jnp.ones((2, 3)))
    run = lambda layer: random_forward(
        layer, x, jax.random.key(0), lambda state: (), linear_map=FUNCTIONS["conditional"]
    )
    with pytest.raises(SpecError, match="Repeat or Tied inside"):
        run(Tied(Repeat(cell(3), 2), 2))
    with pytest.raises(SpecError, match="the law 'orthogonal'"):
        run(Tied(Dense(3, di.orthogonal(1.0)), 2))
    net = Sequential(Tied(Sequential(Dense(3), BatchNorm()), 2), Dense(1))
    with pytest.raises(SpecError, match="gradients through BatchNorm"):
        random_gradients(net, x, jax.random.key(0), jnp.ones((1, 1)), (0,), linear_map="explicit")
