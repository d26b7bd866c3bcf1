"""Names of what is tapped."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from tapped_models import KEY, MLP, ROWS, applied, assert_close, plain

import deepinit as di
from deepinit.core.errors import SpecError


def test_linen_names_and_values_are_those_of_captured_intermediates():
    net = MLP()
    outputs, values = di.taps(applied(net))(KEY, ROWS)
    expected, state = net.apply(
        net.init(KEY, ROWS), ROWS, capture_intermediates=True, mutable=["intermediates"]
    )
    assert_close(outputs, expected)
    assert list(values) == ["MLP/Dense_0", "MLP/Dense_1", "MLP/head"]
    for name, value in values.items():
        layer = name.split("/")[1]
        assert_close(value, state["intermediates"][layer]["__call__"][0])


class Stack(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(16, 24, rngs=rngs)
        self.last = nnx.Linear(24, 16, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.first(x)))


def test_nnx_layers_are_named_by_their_draws():
    _, values = di.taps(lambda key, x: Stack(nnx.Rngs(key))(x))(KEY, ROWS)
    assert list(values) == ["truncated_normal_16x24", "truncated_normal_24x16"]
    net = Stack(nnx.Rngs(KEY))
    assert_close(values["truncated_normal_16x24"], ROWS @ net.first.kernel[...])


def test_equinox_layers_have_rows_first():
    f = lambda key, x: jax.vmap(eqx.nn.MLP(16, 8, 24, 1, key=key))(x)
    _, values = di.taps(f)(KEY, ROWS)
    name = "eqx.nn.MLP/eqx.nn.Linear"
    assert {key: value.shape for key, value in values.items()} == {
        name: (3, 24),
        f"{name}#2": (3, 8),
    }
    net = eqx.nn.MLP(16, 8, 24, 1, key=KEY)
    assert_close(values[name], ROWS @ net.layers[0].weight.T)


def test_plain_functions_are_named_by_scopes_and_only_weights_are_tapped():
    for x in (ROWS, ROWS[:1]):
        _, values = di.taps(plain)(KEY, x)
        shapes = {name: value.shape for name, value in values.items()}
        assert shapes == {"body/dense": (3, len(x), 16), "normal_16": (len(x),)}
    weights = jax.random.normal(jax.random.split(KEY, 4)[0], (3, 16, 16)) / 4
    assert_close(values["body/dense"][1], jnp.tanh(ROWS[:1] @ weights[0]) @ weights[1])


def test_names_are_matched():
    f = applied(MLP())
    assert list(di.taps(f, "*Dense*")(KEY, ROWS)[1]) == ["MLP/Dense_0", "MLP/Dense_1"]
    head = lambda name: name.endswith("head")
    _, found = di.taps(f, head, gradients=jnp.sum)(KEY, ROWS)
    assert list(found) == ["MLP/head"]
    assert_close(found["MLP/head"].cotangent, jnp.ones((3, 2)))
    with pytest.raises(SpecError, match="MLP/Dense_0, MLP/Dense_1, MLP/head"):
        di.taps(f, "Dense_0")(KEY, ROWS)
    with pytest.raises(SpecError, match="none: no drawn array acts"):
        di.taps(lambda key, x: x, "Dense_0")(KEY, ROWS)


def test_bad_arguments_are_refused():
    for call in (
        lambda: di.taps(3),
        lambda: di.taps(plain, 3),
        lambda: di.taps(plain, gradients="loss"),
        lambda: di.taps(plain, gradients=True)(KEY, ROWS),
        lambda: di.taps(plain, gradients=lambda y: (y[0], y[1]))(KEY, ROWS),
        lambda: di.taps(plain, gradients=lambda y: jnp.argmax(y))(KEY, ROWS),
    ):
        with pytest.raises(SpecError):
            call()
