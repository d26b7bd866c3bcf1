"""What is read of JAX's traced programs; run with every version of JAX that is supported."""

import math
import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.deferral import draws, function, program, versions
from deepinit.deferral.rules import RULES
from deepinit.deferral.scans import layout_of

N = 32
KEY = jax.random.key(5)
X = jnp.cos(jnp.arange(2.0 * N)).reshape(2, N)


def normal(key, *shape):
    return jax.random.normal(key, shape) / math.sqrt(N)


def product(key, x):
    return x @ normal(key, N, N)


def looped(key, x):
    stack = normal(key, 3, N, N)
    return jax.lax.scan(lambda c, w: (jnp.tanh(c @ w), None), x, stack)[0]


# What differs between versions


def test_this_version_is_understood():
    assert versions.misread() == ""


@pytest.mark.parametrize(
    "initializer",
    [
        jax.nn.initializers.normal(0.1),
        jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
        lambda key, shape: math.sqrt(2) * jax.lax.erf_inv(open_uniform(key, shape)),
    ],
)
def test_initializers_are_normal_draws(initializer):
    def f(key, x):
        return x @ initializer(key, (N, N))

    (row,) = di.explain(f)(KEY, X).rows
    assert (row.law, row.kind) == ("normal", "deferred")
    keys = jax.random.split(KEY, 4000)
    found, expected = (jax.vmap(own, (0, None))(keys, X[:1]) for own in (di.deferred(f), f))
    ratio = jnp.mean(found**2) / jnp.mean(expected**2)
    error = math.sqrt(2 * 2 / found.size)
    assert abs(ratio - 1) < 5 * error
    assert 5 * error < 0.5  # the rival: erf_inv of a uniform array has variance 1/2


def open_uniform(key, shape):
    return jax.random.uniform(key, shape, minval=np.nextafter(np.float32(-1), np.float32(0)))


def test_uniform_arrays_on_other_intervals_are_no_normal_draws():
    f = lambda key, x: x @ jax.lax.erf_inv(jax.random.uniform(key, (N, N)))
    (row,) = di.explain(f)(KEY, X).rows
    assert (row.law, row.kind) == ("uniform", "explicit")


@pytest.mark.parametrize(("reverse", "unroll"), [(False, 1), (True, 2)])
def test_layout_of_scans(reverse, unroll):
    def f(a, b, c, xs):
        def step(carry, slices):
            return (carry[0] + slices[0] @ a, carry[1] * b), slices[1]

        return jax.lax.scan(step, (c, 1.0), xs, reverse=reverse, unroll=unroll)

    shapes = (N, N), (), (2, N), ((4, 2, N), (4, 3))
    leaves, tree = jax.tree.flatten(shapes, is_leaf=lambda x: x == () or isinstance(x[0], int))
    args = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(own, jnp.float32) for own in leaves])
    (scan,) = (eqn for eqn in jax.make_jaxpr(f)(*args).eqns if eqn.primitive.name == "scan")
    assert layout_of(scan) == (2, 2, 4, reverse, unroll)


@pytest.mark.parametrize("axis", [0, 1])
def test_layers_of_a_stack_are_deferred(axis):
    """By iteration, which JAX 0.12 traces as `unstack`."""

    def f(key, x):
        stack = normal(key, 3, N, N) if axis == 0 else normal(key, N, 3, N)
        for w in jnp.moveaxis(stack, axis, 0):
            x = jnp.tanh(x @ w)
        return x

    (row,) = di.explain(f)(KEY, X).rows
    assert (row.kind, row.rows_right, row.drawn) == ("deferred", 2, 3 * 2 * N)
    keys = jax.random.split(KEY, 3000)
    norm = lambda f: jnp.log(jnp.sum(jax.vmap(f, (0, None))(keys, X) ** 2, axis=(1, 2)))
    found, expected = norm(di.deferred(f)), norm(f)
    error = jnp.hypot(jnp.std(found), jnp.std(expected)) / math.sqrt(len(keys))
    assert abs(jnp.mean(found) - jnp.mean(expected)) < 5 * error


def test_scans_forward_and_backward_are_deferred():
    def f(key, x):
        y, back = jax.vjp(lambda x: looped(key, x), x)
        return y, back(y)

    def remat(key, x):
        stack = normal(key, 3, N, N)
        step = jax.checkpoint(lambda c, w: (jnp.tanh(c @ w), None))
        return jax.grad(lambda x: jnp.sum(jax.lax.scan(step, x, stack)[0]))(x)

    for own, rows in ((f, 2), (remat, 4)):  # recomputed rows act again
        (row,) = di.explain(own)(KEY, X).rows
        assert (row.rows_right, row.rows_left, row.drawn) == (rows, 2, 3 * (rows + 2) * N)


def test_values_of_scans_are_those_of_unrolled_layers_in_law():
    def unrolled(key, x):
        for w in normal(key, 3, N, N):
            x = jnp.tanh(x @ w)
        return x

    keys = jax.random.split(KEY, 2000)
    norm = lambda f: jnp.log(jnp.sum(jax.vmap(f, (0, None))(keys, X) ** 2, axis=(1, 2)))
    found, expected = norm(di.deferred(looped)), norm(unrolled)
    error = jnp.hypot(jnp.std(found), jnp.std(expected)) / math.sqrt(len(keys))
    assert abs(jnp.mean(found) - jnp.mean(expected)) < 5 * error
    assert 5 * error < 0.1


@pytest.mark.parametrize(
    "initializer",
    [normal, jax.nn.initializers.normal(0.2), jax.nn.initializers.he_uniform()],
    ids=["normal", "initializer", "uniform"],
)
def test_draws_in_a_differentiated_loop(initializer):
    """JAX computes bounds of their uniform numbers before the loop."""

    def drawn(key, *shape):
        return initializer(key, *shape) if initializer is normal else initializer(key, shape)

    def f(key, x):
        step = lambda c, own: (jnp.tanh(c @ drawn(own, N, N)), None)
        norm = lambda x: jnp.sum(jax.lax.scan(step, x, jax.random.split(key, 3))[0] ** 2)
        return jax.grad(norm)(x)

    (row,) = di.explain(f, gaussianize=True)(KEY, X).rows
    assert (row.kind, row.copies, row.rows_right, row.rows_left) == ("deferred", 3, 2, 2)
    keys = jax.random.split(KEY, 1500)
    norm = lambda f: jnp.log(jnp.sum(jax.vmap(f, (0, None))(keys, X) ** 2, axis=(1, 2)))
    found, expected = norm(di.deferred(f, gaussianize=True)), norm(f)
    error = jnp.hypot(jnp.std(found), jnp.std(expected)) / math.sqrt(len(keys))
    assert abs(jnp.mean(found) - jnp.mean(expected)) < 5 * error
    assert 5 * error < 0.5  # the rival: erf_inv alone has half of the variance, in 3 layers


def test_bounds_that_are_arguments_are_no_length():
    def f(key, x, low, high):
        w = jax.random.uniform(key, (N, N), minval=low[None, None], maxval=high[None, None])
        return x @ w

    args = KEY, X, jnp.float32(1), jnp.float32(3)
    assert di.explain(f, gaussianize=True)(*args).share == 1
    keys = jax.random.split(KEY, 2000)
    found = jax.vmap(di.deferred(f, gaussianize=True), (0, None, None, None))(keys, *args[1:])
    error = jnp.std(found, axis=0) / math.sqrt(len(keys))
    assert jnp.all(abs(jnp.mean(found, axis=0) - 2 * jnp.sum(X, axis=1)[:, None]) < 5 * error)
    assert jnp.all(5 * error < 0.5 * abs(jnp.sum(X, axis=1))[:, None])  # the rival: high - low = 2


# A version that is not understood


def quiet(f, *args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return di.deferred(f)(*args)


def test_unknown_parameters_of_scan_are_refused():
    params = {"length": 3, "reverse": False, "groups": (1, 2, 3)}
    with pytest.raises(ValueError, match="groups"):
        layout_of(types.SimpleNamespace(params=params))


def test_loops_that_cannot_be_read_stay_as_they_are(monkeypatch):
    def unreadable(equation):
        raise ValueError("scan with parameters ['new']")

    monkeypatch.setattr(program, "layout_of", unreadable)
    (row,) = di.explain(looped)(KEY, X).rows
    assert (row.kind, row.why) == ("explicit", "loop with parameters of an unknown form")
    np.testing.assert_array_equal(quiet(looped, KEY, X), jax.jit(looped)(KEY, X))
    assert di.explain(product)(KEY, X).share == 1


def test_missing_parameters_of_an_equation(monkeypatch):
    monkeypatch.setitem(RULES, "transpose", lambda session, number, eqn, values: eqn.params["axes"])
    f = lambda key, x: x @ normal(key, N, N).T
    (row,) = di.explain(f)(KEY, X).rows
    assert row.why == f"no parameter 'axes' in JAX {jax.__version__}"
    np.testing.assert_array_equal(quiet(f, KEY, X), jax.jit(f)(KEY, X))


def test_a_failure_of_planning_is_a_warning(monkeypatch):
    def rule(session, number, equation, values):
        raise RuntimeError("broken")

    monkeypatch.setitem(RULES, "dot_general", rule)
    with pytest.warns(UserWarning, match="planning failed.*RuntimeError: broken.*di.explain"):
        found = di.deferred(product)(KEY, X)
    np.testing.assert_array_equal(found, jax.jit(product)(KEY, X))
    assert "nothing is deferred: RuntimeError: broken" in str(di.explain(product)(KEY, X))


@pytest.mark.parametrize("names", [{}, {"_uniform": "uniform"}])
def test_draws_under_other_names_are_noticed(monkeypatch, names):
    monkeypatch.setattr(draws, "_BY_NAME", names)
    found = versions.misread_in(lambda key, x: x @ jax.random.normal(key, (16, 16)))
    assert found == ("" if names else "jax.random.normal is not recognized")


def test_unread_loops_are_noticed(monkeypatch):
    monkeypatch.setattr(program, "layout_of", lambda equation: equation.params["no such name"])
    assert versions.misread_in(versions._model) == "loop with parameters of an unknown form"


def test_the_self_test_warns_once_with_the_version(monkeypatch):
    monkeypatch.setattr(draws, "_BY_NAME", {})
    versions.misread.cache_clear()
    try:
        version = rf"programs of JAX {jax.__version__} \(jax.random.normal is not recognized\)"
        with pytest.warns(UserWarning, match=version):
            found = di.deferred(product)(KEY, X)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            di.deferred(looped)(KEY, X)
        np.testing.assert_array_equal(found, jax.jit(product)(KEY, X))
        assert "not recognized" in str(di.explain(product)(KEY, X))
    finally:
        versions.misread.cache_clear()


def test_the_self_test_is_that_of_deferred(monkeypatch):
    monkeypatch.setattr(function, "misread", lambda: "other")
    np.testing.assert_array_equal(quiet(product, KEY, X), jax.jit(product)(KEY, X))
