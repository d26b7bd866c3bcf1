"""`explain`: counts against hand and against the computed program, names, text."""

import functools
import math

import jax
import jax.numpy as jnp
import optax
import pytest
from explained_models import KEY, N, X, linen, normal
from flax import linen as nn
from flax import nnx

import deepinit as di


def rows(plan):
    return {row.name: row for row in plan.rows}


def normals_in(f, *args):
    """Entries of the results of draws, which have the name `_normal`."""

    def counted(jaxpr):
        total = 0
        for eqn in jaxpr.eqns:
            if eqn.params.get("name") == "_normal":
                total += math.prod(eqn.outvars[0].aval.shape)
                continue
            for value in eqn.params.values():
                for inner in value if isinstance(value, tuple | list) else (value,):
                    if hasattr(inner, "eqns"):
                        total += eqn.params.get("length", 1) * counted(inner)
        return total

    return counted(jax.make_jaxpr(f)(*args))


def two_layers(key, x):
    first, second = jax.random.split(key)
    a, b = normal(first, N, 2 * N), normal(second, 2 * N, N)
    y, back = jax.vjp(lambda x: jnp.tanh(x @ a) @ b, x)
    return y, back(y)


def parts(key, x):
    q, k, v = jnp.split(x @ normal(key, N, 3 * N), 3, axis=-1)
    w = normal(jax.random.fold_in(key, 1), 3, N, N)
    return jnp.tanh(jnp.tanh(jnp.tanh(q * k + v) @ w[0]) @ w[1]) @ w[2]


def drawn_in_scan(key, x):
    step = lambda _, key: (None, normal(key, N, N))
    stack = jax.lax.scan(step, None, jax.random.split(key, 5))[1]
    return jax.lax.scan(lambda c, w: (jnp.tanh(c @ w), None), x, stack)[0]


def test_rows_of_two_layers_with_gradient():
    plan = di.explain(two_layers)(KEY, X)
    first, second = plan.rows
    assert (first.rows_right, first.rows_left) == (second.rows_right, second.rows_left) == (2, 2)
    assert first.drawn == second.drawn == 2 * (N + 2 * N)
    assert first.size == second.size == 2 * N * N
    assert plan.share == 1


@pytest.mark.parametrize("f", [two_layers, parts, drawn_in_scan])
def test_numbers_drawn_are_those_of_the_computation(f):
    plan = di.explain(f)(KEY, X)
    assert sum(row.drawn for row in plan.rows) == normals_in(di.deferred(f), KEY, X)
    assert sum(row.size for row in plan.rows) == normals_in(f, KEY, X)  # the rival: all of f's
    assert plan.share == 1


def test_a_deferred_function_is_explained_as_its_source():
    assert di.explain(di.deferred(two_layers))(KEY, X).rows == di.explain(two_layers)(KEY, X).rows
    uniform = lambda key, x: x @ jax.random.uniform(key, (N, N))
    deferred = di.deferred(uniform, gaussianize=True)
    for f in (deferred, di.deferred(di.deferred(two_layers))):
        assert di.explain(f)(KEY, X).share == 1
    assert di.explain(uniform)(KEY, X).share == 0
    twice = functools.wraps(deferred)(lambda key, x: 2 * uniform(key, x))
    assert di.explain(twice)(KEY, X).share == 0  # another function with its attributes


def test_draws_in_a_loop_are_one_row():
    (row,) = di.explain(drawn_in_scan)(KEY, X).rows
    assert (row.shape, row.copies, row.size) == ((N, N), 5, 5 * N * N)
    assert (row.rows_right, row.rows_left, row.drawn) == (2, 0, 5 * 2 * N)
    assert "5 x [32, 32]" in str(di.explain(drawn_in_scan)(KEY, X))


def test_parts_count_as_parts():
    assert [row.rows_right for row in di.explain(parts)(KEY, X).rows] == [2, 2]


def test_names_of_linen_and_small_arrays_and_masks():
    plan = di.explain(linen(nn.initializers.normal(0.1)))(KEY, X)
    kinds = {row.name: row.kind for row in plan.rows if row.kind != "mask"}
    assert kinds == {"Net/up": "deferred", "Net/Dense_0": "deferred", "Net/Dense_0 [32]": "small"}
    (mask,) = plan.of_kind("mask")
    assert (mask.law, mask.size) == ("uniform", 2 * 2 * N)
    assert plan.share == 4 * N * N / (4 * N * N + N)
    text = str(plan)
    assert text.startswith("deferred 2 of 2 arrays, 99.2 % of 4128 weights; 352 numbers drawn")
    assert "small (vectors, fewer than 64 numbers): 1 array, 32 numbers" in text
    assert "(dropout): 1 array, 128 numbers" in text


def test_names_from_first_uses_and_from_shapes():
    def f(key, x):
        ws = [normal(own, N, N) for own in jax.random.split(key, 4)]
        with jax.named_scope("encoder"):
            x = x @ (2 * ws[0]).T
        with jax.named_scope("decoder"):
            x = x @ ws[1] @ ws[0].T
        return jnp.tanh(x @ ws[2]) @ ws[3] @ normal(jax.random.fold_in(key, 7), N, 2 * N)

    names = [row.name for row in di.explain(f)(KEY, X).rows]
    assert names == [
        "encoder",
        "decoder",
        "normal#1 [32, 32]",
        "normal#2 [32, 32]",
        "normal [32, 64]",
    ]


def test_nnx_has_no_names():
    class Two(nnx.Module):
        def __init__(self, rngs):
            kernel = nnx.initializers.normal(0.1)
            self.first = nnx.Linear(N, N, rngs=rngs, kernel_init=kernel)
            self.second = nnx.Linear(N, N, rngs=rngs, kernel_init=kernel)

        def __call__(self, x):
            return self.second(nnx.relu(self.first(x)))

    plan = di.explain(lambda key, x: Two(nnx.Rngs(key))(x))(KEY, X)
    assert [row.name for row in plan.rows] == ["normal#1 [32, 32]", "normal#2 [32, 32]"]
    assert plan.share == 1


def test_rounding_that_is_left_out_is_shown():
    text = str(di.explain(linen(nn.initializers.normal(0.1), jnp.bfloat16))(KEY, X))
    assert "1 array (Net/up): the rounding of its entries to bfloat16 is left out" in text


def test_a_key_for_two_weights_is_shown():
    def f(key, x):
        with jax.named_scope("query"):
            query = normal(key, N, N)
        with jax.named_scope("value"):
            value = normal(key, N, N)
        return x @ query, jnp.tanh(x) @ value

    plan = di.explain(f)(KEY, X)
    (row,) = plan.rows
    assert (row.name, row.weights) == ("query", 2)
    assert "one array: 2 equal draws with one key (query)" in str(plan)


def test_one_initialization_evaluated_twice_is_no_remark():
    net = nn.Dense(N, kernel_init=nn.initializers.normal(0.1))
    f = lambda key, x: net.apply(net.init(key, x), x) - net.apply(net.init(key, x + 1), x)
    plan = di.explain(f)(KEY, X)
    assert [row.weights for row in plan.rows] == [1]


def gpt(key, x, layers=96):
    d = x.shape[-1]
    shapes = dict.fromkeys("qkvo", (d, d)) | {"up": (d, 4 * d), "down": (4 * d, d)}
    keys = dict(zip(shapes, jax.random.split(key, len(shapes)), strict=True))
    weights = {name: 0.02 * jax.random.normal(keys[name], (layers, *shapes[name])) for name in keys}

    def block(x, w):
        q, k, v = (jnp.reshape(x @ w[name], (len(x), 96, -1)) for name in "qkv")
        attention = jax.nn.softmax(jnp.einsum("ihc,jhc->hij", q, k))
        x = x + jnp.einsum("hij,jhc->ihc", attention, v).reshape(x.shape) @ w["o"]
        return x + jax.nn.gelu(x @ w["up"]) @ w["down"], None

    return jax.lax.scan(block, x, weights)[0]


def test_of_the_largest_models_from_shapes_alone():
    plan = di.explain(gpt)(KEY, jax.ShapeDtypeStruct((8, 12288), jnp.float32))
    assert plan.num_weights == 96 * 12 * 12288**2
    assert plan.share == 1
    assert sum(row.drawn for row in plan.rows) == 96 * 8 * 9 * 12288
    assert str(plan).startswith("deferred 6 of 6 arrays, 100 % of 174e9 weights; 84.9e6 numbers")


def test_unrolled_layers_split_into_heads_are_all_deferred():
    def f(key, x):
        for own in jax.random.split(key, 30):
            w = normal(own, N, N)
            x = jnp.tanh(jnp.einsum("in,nhc->ihc", x, w.reshape(N, 4, 8))).reshape(x.shape)
        return x

    assert len(di.explain(f)(KEY, X).of_kind("deferred")) == 30


def test_nothing_drawn_and_random_bits():
    text = str(di.explain(lambda key, x: x + jax.random.permutation(key, 2)[:, None])(KEY, X))
    assert text.startswith("nothing to defer")
    assert "random bits (randint, permutation, ...): drawn 1 times" in text


def test_adam_is_explicit_and_sgd_is_deferred():
    def f(key, x, optimizer):
        params = normal(key, N, N)
        loss = lambda w: jnp.mean(jnp.tanh(x @ w) ** 2)
        updates, _ = optimizer.update(jax.grad(loss)(params), optimizer.init(params), params)
        return loss(optax.apply_updates(params, updates))

    for optimizer, share in ((optax.sgd(0.1), 1), (optax.adam(0.1), 0)):
        plan = di.explain(lambda key, x, own=optimizer: f(key, x, own))(KEY, X)
        assert plan.share == share


def test_arguments_of_python_and_keywords():
    f = lambda key, x, scale, *, shift: scale * x @ normal(key, N, N) + shift
    assert di.explain(f)(KEY, X, 2.0, shift=1).share == 1
    with pytest.raises(ValueError, match="a function f"):
        di.explain(3)
