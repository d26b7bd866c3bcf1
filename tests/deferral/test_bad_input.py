"""What `deferred` does with functions that it cannot defer, or that mean something else."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import deepinit as di

N = 32
KEY = jax.random.key(3)
X = jnp.sin(jnp.arange(2.0 * N)).reshape(2, N)


def normal(key, *shape):
    return jax.random.normal(key, shape) / math.sqrt(N)


def quiet(f, *args, **options):
    """The values of `deferred(f)`, which may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return di.deferred(f, **options)(*args)


def whys(f, *args):
    return {row.why for row in di.explain(f)(*args).rows}


def assert_explicit(f, *args, why):
    """Every array is explicit for the reason, and values are those of f."""
    (found,) = whys(f, *args)
    assert why in found
    jax.tree.map(np.testing.assert_array_equal, quiet(f, *args), jax.jit(f)(*args))


def test_not_a_function():
    with pytest.raises(ValueError, match=r"f\(key, \*args\)"):
        di.deferred(jnp.ones(3))


def test_errors_of_the_function_are_its_own():
    with pytest.raises(TypeError, match="dot_general"):
        di.deferred(lambda key, x: x @ normal(key, N + 1, N))(KEY, X)
    with pytest.raises(ZeroDivisionError):
        di.explain(lambda key, x: 1 // 0)(KEY, X)


# Nothing to defer


def test_nothing_is_drawn():
    g = di.deferred(lambda key, x: jnp.tanh(x))
    text = (
        r"no normal or uniform array is drawn with jax.random; see di.explain\(f\)\(key, \.\.\.\)$"
    )
    with pytest.warns(UserWarning, match=text):
        y = g(KEY, X)
    np.testing.assert_array_equal(y, jax.jit(jnp.tanh)(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g(KEY, X[:1])  # another shape: warned once for each function


def test_nothing_is_deferred_warns_once_at_the_line_that_called():
    g = di.deferred(lambda key, x: x @ jax.random.uniform(key, (N, N)))
    text = r"no matrix is deferred \(uniform law\); .*gaussianize=True.*; see di\.explain"
    with pytest.warns(UserWarning, match=text) as found:
        g(KEY, X)
    assert [warning.filename for warning in found] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g(KEY, X[:1])
        di.deferred(lambda key, x: x @ normal(key, N, N))(KEY, X)  # something is deferred
        di.deferred(lambda key, x: x * normal(key, N))(KEY, X)  # nothing worth deferring
    other = jax.vmap(di.deferred(lambda key: jax.random.uniform(key, (N, N)).sum()))
    with pytest.warns(UserWarning, match="no matrix is deferred") as found:
        other(jax.random.split(KEY))
    assert [warning.filename for warning in found] == [__file__]


def test_stock_initializers_give_the_values_of_the_function():
    net = nn.Dense(N)
    f = lambda key, x: net.apply(net.init(key, x), x)
    assert_explicit(f, KEY, X, why="truncated normal law")


# Keys


def test_a_key_for_two_weights_is_one_array():
    f = lambda key, x: (x @ normal(key, N, N), jnp.concatenate([x[::-1], -x]) @ normal(key, N, N))
    first, second = di.deferred(f)(KEY, X)
    np.testing.assert_allclose(second, jnp.concatenate([first[::-1], -first]), atol=1e-6)
    two = lambda key, x: (x @ normal(key, N, N), x @ normal(jax.random.fold_in(key, 1), N, N))
    first, second = di.deferred(two)(KEY, X)
    assert jnp.abs(first - second).max() > 0.1  # the rival: two keys
    assert di.explain(f)(KEY, X).share == di.explain(two)(KEY, X).share == 1


def test_a_key_for_two_shapes_or_laws():
    f = lambda key, x: x @ normal(key, N, N) + x @ normal(key, N, 2 * N)[:, :N]
    assert_explicit(f, KEY, X, why="its key draws several arrays")
    g = lambda key, x: x @ normal(key, N, N) + x @ jax.random.uniform(key, (N, N))
    assert "its key draws several arrays" in whys(g, KEY, X)
    np.testing.assert_array_equal(quiet(g, KEY, X), jax.jit(g)(KEY, X))


@pytest.mark.parametrize("second", ["equal", "another", "outside"])
def test_a_key_for_two_loops(second):
    def stack(key, rows, scale):
        draw = lambda _, key: (None, scale * normal(key, N, N))
        return rows @ jax.lax.scan(draw, None, jax.random.split(key, 3))[1][0] / scale

    def f(key, x):
        rows = jnp.concatenate([x * x, x])
        if second == "outside":
            other = rows @ normal(jax.random.split(key, 3)[0], N, N)
        else:
            other = stack(key, rows, 1 if second == "equal" else 2)
        return stack(key, x, 1) - other[2:]

    np.testing.assert_allclose(quiet(f, KEY, X), 0, atol=1e-6)  # of two stacks: order 1
    rival = lambda key, x: f(key, x) + stack(jax.random.fold_in(key, 1), x, 1)
    assert jnp.abs(quiet(rival, KEY, X)).max() > 0.1


def test_a_key_inside_and_outside_of_a_loop():
    def f(key, x):
        step = lambda c, _: (jnp.tanh(c @ normal(key, N, N)), None)
        return jax.lax.scan(step, x, None, length=3)[0], x @ normal(key, N, N)

    assert_explicit(f, KEY, X, why="its key draws several arrays")


@pytest.mark.parametrize("carried", [True, False])
def test_one_key_in_every_step_of_a_loop(carried):
    def f(key, x):
        def step(carry, _):
            own, c = carry
            return (own, jnp.tanh(c @ normal(own if carried else key, N, N))), None

        return jax.lax.scan(step, (key, x), None, length=3)[0][1]

    assert_explicit(f, KEY, X, why="key")


def test_a_key_split_in_every_step_is_deferred():
    def f(key, x):
        def step(carry, _):
            key, own = jax.random.split(carry[0])
            return (key, jnp.tanh(carry[1] @ normal(own, N, N))), None

        return jax.lax.scan(step, (key, x), None, length=3)[0][1]

    assert di.explain(f)(KEY, X).share == 1


def test_constant_keys_are_not_random():
    teacher = jax.random.key(7)
    closed = lambda key, x: x @ normal(teacher, N, N)
    inside = lambda key, x: x @ normal(jax.random.fold_in(jax.random.key(7), 1), N, N)

    def looped(key, x):
        draw = lambda c, key: (jnp.tanh(c @ normal(key, N, N)), None)
        return jax.lax.scan(draw, x, jax.random.split(jax.random.key(1), 3))[0]

    for f in (closed, inside, looped):
        assert_explicit(f, KEY, X, why="drawn from a constant key")


def test_a_traced_key_from_outside_is_random():
    keys = jax.random.split(KEY)
    f = lambda key: di.deferred(lambda _, x: x @ normal(key, N, N))(KEY, X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first, second = jax.vmap(f)(keys)
    assert jnp.abs(first - second).max() > 0.1


# Derivatives


def test_derivatives_outside_raise_and_inside_work():
    f = lambda key, x: jnp.sum(jnp.tanh(x @ normal(key, N, N)))
    g = di.deferred(f)
    for outside in (
        lambda: jax.grad(g, argnums=1)(KEY, X),
        lambda: jax.jvp(lambda x: g(KEY, x), (X,), (X,)),
        lambda: jax.jacrev(lambda x: g(KEY, x))(X),
        lambda: jax.hessian(lambda x: g(KEY, x))(X),
    ):
        with pytest.raises(TypeError, match="differentiate inside: deferred"):
            outside()
    inside = di.deferred(lambda key, x: jax.grad(lambda x: f(key, x))(x))(KEY, X)
    assert inside.shape == X.shape
    assert jnp.all(jnp.isfinite(inside))


# Costs


def test_many_rows_are_explicit_with_the_values_of_the_function():
    f = lambda key, x: jnp.tanh(x @ normal(key, N, N))
    rows = jax.random.normal(KEY, (N, N))
    assert_explicit(f, KEY, rows, why="its uses cost more")
    assert di.explain(f)(KEY, rows[:4]).share == 1


def test_elementwise_optimizers_are_explicit():
    def f(key, x):
        optimizer, w = optax.adam(0.1), normal(key, N, N)
        loss = lambda w: jnp.mean(jnp.tanh(x @ w) ** 2)
        state, losses = optimizer.init(w), []
        for _ in range(2):
            value, gradient = jax.value_and_grad(loss)(w)
            update, state = optimizer.update(gradient, state, w)
            w = optax.apply_updates(w, update)
            losses.append(value)
        return jnp.stack([*losses, loss(w)])

    (why,) = whys(f, KEY, X)
    assert why == "added to an array"
    np.testing.assert_allclose(quiet(f, KEY, X), jax.jit(f)(KEY, X), rtol=1e-5)


# Dtypes


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_draws_are_explicit(dtype):
    f = lambda key, x: x.astype(dtype) @ jax.random.normal(key, (N, N), dtype)
    assert_explicit(f, KEY, X, why=f"drawn in {dtype}")
    initializer = jax.nn.initializers.normal(0.1, dtype)
    g = lambda key, x: x.astype(dtype) @ initializer(key, (N, N))
    assert_explicit(g, KEY, X, why=f"drawn in {dtype}")


# Other random numbers, other primitives


def test_dropout_masks_are_those_of_the_function():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            y = nn.Dense(N, kernel_init=nn.initializers.normal(1.0))(x)
            return nn.Dropout(0.5, deterministic=False)(y)

    net = Net()

    def f(key, x):
        params, mask = jax.random.split(key)
        return net.apply(net.init(params, x), x, rngs={"dropout": mask})

    assert di.explain(f)(KEY, X).share == 1
    masks = [np.asarray(own(KEY, X) == 0) for own in (f, di.deferred(f))]
    np.testing.assert_array_equal(*masks)
    assert 0.2 < masks[0].mean() < 0.8
    assert np.abs(f(KEY, X) - di.deferred(f)(KEY, X)).max() > 0.1  # the weights are other ones


def test_draws_inside_of_a_branch():
    def f(key, x):
        draw = lambda key: x @ normal(key, N, N)
        return jax.lax.cond(x[0, 0] > 0, draw, lambda key: x, key)

    assert_explicit(f, KEY, X, why="drawn inside cond")

    def g(key, x):
        step = lambda carry: (carry[0] + 1, carry[1] @ normal(key, N, N))
        return jax.lax.while_loop(lambda carry: carry[0] < 3, step, (0, x))[1]

    assert_explicit(g, KEY, X, why="drawn inside while")


def test_equations_without_a_rule_are_explicit():
    def f(key, x):
        w = normal(key, N, N)
        return x @ w + jnp.linalg.norm(jnp.sort(w))

    assert_explicit(f, KEY, X, why="no rule for sort")


def test_raw_keys():
    f = lambda key, x: x @ normal(key, N, N)
    raw = jax.random.PRNGKey(3)
    assert di.explain(f)(raw, X).share == 1
    assert np.isfinite(di.deferred(f)(raw, X)).all()


def test_disabled_jit():
    with jax.disable_jit():
        assert di.explain(lambda key, x: x @ normal(key, N, N))(KEY, X).share == 1
