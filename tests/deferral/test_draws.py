"""Which calls are known as draws, and of what law."""

import jax
import jax.numpy as jnp
import pytest
from deferral_laws import ROWS, WIDTH, assert_law, decisions, values

N = WIDTH
SQUARE = (N, N)
random, initializers = jax.random, jax.nn.initializers
DRAWS = {
    "normal": lambda key: random.normal(key, SQUARE),
    "scaled": lambda key: initializers.variance_scaling(1.0, "fan_in", "normal")(key, SQUARE),
    "raw key": lambda key: random.normal(random.key_data(key), SQUARE),
    "uniform": lambda key: random.uniform(key, SQUARE),
    "between numbers": lambda key: random.uniform(key, SQUARE, minval=-3, maxval=jnp.sqrt(2.0)),
    "he": lambda key: initializers.he_uniform()(key, SQUARE),
    "truncated": lambda key: random.truncated_normal(key, -2, 2, SQUARE),
    "between floats": lambda key: random.truncated_normal(key, -2.0, jnp.float32(1), SQUARE),
    "lecun": lambda key: initializers.lecun_normal()(key, SQUARE),
    "vmap": lambda key: jax.vmap(lambda k: random.normal(k, SQUARE))(random.split(key, 3)),
    "vmap of lecun": lambda key: jax.vmap(lambda k: initializers.lecun_normal()(k, SQUARE))(
        random.split(key, 3)
    ),
    "jit": lambda key: jax.jit(lambda key: random.normal(key, SQUARE))(key),
}
UNIFORM, TRUNCATED = ("uniform", "between numbers", "he"), ("truncated", "between floats", "lecun")


@pytest.mark.parametrize("name", DRAWS)
def test_laws(name):
    law = "uniform" if name in UNIFORM else "normal"
    law = "truncated_normal" if name in (*TRUNCATED, "vmap of lecun") else law
    (drawn,) = decisions(lambda key: DRAWS[name](key)).drawn.values()
    assert (drawn.law, drawn.shape[-2:]) == (law, SQUARE)


def test_a_function_of_the_same_name_is_not_a_draw():
    """Its law is that of its own equations."""

    @jax.jit
    def _normal(key):
        return 3 * random.uniform(key, SQUARE)

    @jax.jit
    def _truncated_normal(key, low, high):
        return random.normal(key, SQUARE) * (high - low)

    def f(key, x):
        one, other = random.split(key)
        return values(jnp.tanh(x @ _truncated_normal(one, -0.1, 0.1)) @ _normal(other))

    assert [drawn.law for drawn in decisions(f, ROWS).drawn.values()] == ["normal", "uniform"]
    assert_law(f, ROWS, deferred=[SQUARE], adjoint=False, num=1000)


def test_other_laws_are_drawn_by_their_equations():
    for draw in (
        random.laplace,
        lambda key, shape: random.t(key, 4.0, shape),
        lambda key, shape: random.gamma(key, 2.0, shape),
        random.rademacher,
        lambda key, shape: random.choice(key, jnp.arange(3.0), shape),
        lambda key, shape: random.normal(key, shape, jnp.complex64).real,
    ):
        found = decisions(lambda key, x, draw=draw: x @ draw(key, SQUARE).astype(x.dtype), ROWS)
        assert set(found.drawn) <= set(found.explicit)


def test_draws_of_a_differentiated_loop():
    """JAX computes what is the same in every step before the loop: the draw has more operands."""

    def f(key, x):
        step = lambda x, key: (jnp.tanh(x @ random.normal(key, SQUARE)), None)
        return jax.grad(lambda x: jax.lax.scan(step, x, random.split(key, 3))[0].sum())(x)

    (drawn,) = decisions(f, ROWS).drawn.values()
    assert (drawn.law, drawn.copies) == ("normal", 3)
    assert not decisions(f, ROWS).explicit


def test_keys_of_other_kinds():
    for impl in ("rbg", "unsafe_rbg"):
        words = jax.random.key_data(jax.random.key(0, impl=impl)).size

        def f(key, x, impl=impl, words=words):
            data = random.bits(key, (words,), jnp.uint32)
            return x @ random.normal(random.wrap_key_data(data, impl=impl), SQUARE)

        found = decisions(f, ROWS)
        assert len(set(found.drawn) - set(found.explicit)) == 1
