"""`deferred` under transformations, and functions of any arguments and results."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import (
    ALWAYS,
    KEY,
    ROWS,
    WIDTH,
    assert_law,
    deferred_shapes,
    forward_backward,
    matrices,
    matrix,
    values,
)
from scipy import stats
from two_samples import SIGMAS, farthest

import deepinit as di
from deepinit.deferral.function import transformed

N = WIDTH
SQUARE = (N, N)


def network(key, x):
    weights = matrices(key, 2, N, N)

    def f(x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return x

    return forward_backward(f, x)


deferred = transformed(network, share=ALWAYS)
KEYS = jax.random.split(KEY, 40)


@pytest.fixture(scope="module")
def one_by_one():
    assert deferred_shapes(network, ROWS) == [SQUARE] * 2
    call = jax.jit(deferred)
    return np.stack([call(key, ROWS) for key in KEYS])


def assert_equal(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_function_of_the_key(one_by_one):
    np.testing.assert_array_equal(deferred(KEYS[3], ROWS), one_by_one[3])
    np.testing.assert_array_equal(transformed(network, share=ALWAYS)(KEYS[3], ROWS), one_by_one[3])
    assert not np.allclose(one_by_one[3], one_by_one[4])


def nested_vmaps(g):
    pairs = jax.vmap(jax.vmap(g, (0, None)), (0, None))
    return lambda keys, x: pairs(keys.reshape(8, 5), x).reshape(40, -1)


SEVERAL = {
    "vmap": lambda g: jax.vmap(g, (0, None)),
    "vmap_of_both": lambda g: lambda keys, x: jax.vmap(g)(keys, jnp.stack([x] * len(keys))),
    "nested_vmaps": nested_vmaps,
    "map": lambda g: lambda keys, x: jax.lax.map(lambda key: g(key, x), keys),
    "map_of_vmap": lambda g: lambda keys, x: jax.lax.map(lambda key: g(key, x), keys, batch_size=7),
    "scan": lambda g: lambda keys, x: jax.lax.scan(lambda c, key: (c, g(key, x)), 0, keys)[1],
    "checkpoint": lambda g: jax.vmap(jax.checkpoint(g), (0, None)),
}


@pytest.mark.slow_cases("vmap_of_both", "nested_vmaps", "map_of_vmap", "checkpoint")
@pytest.mark.parametrize("name", SEVERAL)
def test_transformations_give_the_same_values(one_by_one, name):
    assert_equal(jax.jit(SEVERAL[name](deferred))(KEYS, ROWS), one_by_one)


@pytest.mark.slow
def test_of_a_deferred_function_is_itself_in_law():
    twice = transformed(deferred, share=ALWAYS)
    sample = lambda g, seed: np.asarray(
        jax.jit(lambda keys: jax.lax.map(lambda key: g(key, ROWS), keys, batch_size=200))(
            jax.random.split(jax.random.key(seed), 1000)
        ),
        np.float64,
    )[:, :-1]
    assert farthest(sample(twice, 0), sample(network, 1)) < SIGMAS


@pytest.mark.slow
def test_float64():
    with jax.enable_x64(True):
        x = jnp.asarray(ROWS, jnp.float64)

        def f(key, x):
            a, b = (jax.random.normal(own, SQUARE) * N**-0.5 for own in jax.random.split(key))
            return forward_backward(lambda x: jnp.tanh(jnp.tanh(x @ a) @ b) @ a.T, x)

        found = transformed(f, share=ALWAYS)(KEY, x)
        assert found.dtype == jnp.float64
        assert abs(found[-1] - 1) < 1e-12
        assert deferred_shapes(f, x) == [SQUARE] * 2


@pytest.mark.slow
def test_law_in_float64():
    with jax.enable_x64(True):
        assert_law(network, jnp.asarray(ROWS, jnp.float64), deferred=[SQUARE] * 2, num=1000)


def test_float32_matrices_in_float64_layers():
    with jax.enable_x64(True):

        def f(key, x):
            w = jax.random.normal(key, SQUARE, jnp.float32).astype(jnp.float64) * N**-0.5
            return forward_backward(lambda x: jnp.tanh(jnp.tanh(x @ w) @ w.T), x)

        found = transformed(f, share=ALWAYS)(KEY, jnp.asarray(ROWS, jnp.float64))
        assert found.dtype == jnp.float64
        assert abs(found[-1] - 1) < 1e-5


def test_trees_keywords_numbers_and_static_arguments():
    def f(key, batch, depth, *, scale, train=True, activation=jnp.tanh, name="net", extra=None):
        assert isinstance(train, bool)
        x = batch["x"] * scale + depth
        for own in jax.random.split(key, 2 if train else 1):
            x = activation(x @ matrix(own, *SQUARE))
        return {"y": x, "n": (batch["ids"].sum(), name == "net", None)}

    g = transformed(f, share=ALWAYS)
    batch = {"x": ROWS, "ids": np.arange(3)}
    for arguments in ({}, {"train": False}, {"activation": jax.nn.relu, "extra": None}):
        found = g(KEY, batch, 3, scale=0.5, **arguments)
        expected = f(KEY, batch, 3, scale=0.5, **arguments)
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        shapes = lambda tree: jax.tree.map(
            lambda leaf: (jnp.shape(leaf), jnp.asarray(leaf).dtype), tree
        )
        assert shapes(found) == shapes(expected)
    assert not np.array_equal(
        g(KEY, batch, 3, scale=0.5)["y"], g(KEY, batch, 3, scale=0.5, train=False)["y"]
    )


def test_arrays_from_outside():
    """Closed over: known, traced by an outer function, and keys."""

    def outer(key, x, scale):
        f = lambda key: values(jnp.tanh(ROWS @ matrix(key, *SQUARE)) * scale + x)
        return transformed(f, share=ALWAYS)(key)

    found = jax.jit(outer)(KEY, ROWS, 2.0)
    np.testing.assert_allclose(found, outer(KEY, ROWS, 2.0), rtol=1e-5)


def test_results_that_are_matrices_are_those_of_f():
    f = lambda key, x: (matrix(key, *SQUARE), x @ matrix(key, *SQUARE))
    with pytest.warns(UserWarning, match="returned"):
        found = transformed(f, share=ALWAYS)(KEY, ROWS)
    jax.tree.map(np.testing.assert_array_equal, found, jax.jit(f)(KEY, ROWS))


def test_outputs_of_one_call_are_of_one_network():
    """Activations, gradients and combinations of rows."""

    def f(key, x):
        w = matrix(key, *SQUARE)
        return x @ w, (2 * x[0] - x[1]) @ w, w @ x[2], x[3] @ w @ x[3]

    y, combined, column, form = transformed(f, share=ALWAYS)(KEY, ROWS)
    np.testing.assert_allclose(ROWS[1] @ column, y[1] @ ROWS[2], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(combined, 2 * y[0] - y[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(form, y[3] @ ROWS[3], rtol=1e-4, atol=1e-4)


def test_gaussianized_arrays_have_mean_and_variance():
    def f(key, x):
        one, other, third = jax.random.split(key, 3)
        a = jax.random.uniform(one, SQUARE, minval=-0.1, maxval=0.3)
        b = jax.random.truncated_normal(other, -1.0, 2.0, SQUARE) / N
        c = jax.nn.initializers.lecun_normal()(third, SQUARE)
        return values(jnp.tanh(jnp.tanh(x @ a) @ b) @ c)

    def gaussian(key, x):
        one, other, third = jax.random.split(key, 3)
        normal = jax.random.normal
        a = 0.1 + 0.4 / 12**0.5 * normal(one, SQUARE)
        exact = stats.truncnorm(-1.0, 2.0)
        b = (exact.mean() + exact.std() * normal(other, SQUARE)) / N
        c = normal(third, SQUARE) * N**-0.5
        return values(jnp.tanh(jnp.tanh(x @ a) @ b) @ c)

    assert deferred_shapes(f, ROWS) == []
    assert_law(f, ROWS, deferred=[SQUARE] * 3, gaussianize=True, explicit=gaussian, adjoint=False)


def test_partial_functions_and_methods():
    class Net:
        def __call__(self, key, x):
            return values(x @ matrix(key, *SQUARE))

    for f in (Net(), functools.partial(lambda key, x, n: values(x @ matrix(key, n, n)), n=N)):
        assert di.deferred(f)(KEY, ROWS[:1]).shape == (3,)


def test_a_failure_after_planning_gives_the_values_of_f(monkeypatch):
    def broken(*args):
        raise AssertionError("not as planned")

    monkeypatch.setattr("deepinit.deferral.function.run", broken)
    f = lambda key, x: values(x @ matrix(key, *SQUARE))
    with pytest.warns(UserWarning, match="planning failed.*not as planned"):
        found = transformed(f, share=ALWAYS)(KEY, ROWS)
    np.testing.assert_array_equal(found, jax.jit(f)(KEY, ROWS))
