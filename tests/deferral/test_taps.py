import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferred_arrays import deferred_arrays
from tapped_models import KEY, MLP, NORMAL, ROWS, applied, assert_close, plain
from two_samples import assert_same_law, samples

import deepinit as di
from deepinit.deferral.function import transformed


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        attention = nn.MultiHeadDotProductAttention(2, kernel_init=NORMAL, use_bias=False)
        x = x + attention(nn.LayerNorm()(x))
        return x + nn.Dense(16, kernel_init=NORMAL, use_bias=False)(nn.gelu(x)), None


class Transformer(nn.Module):
    @nn.compact
    def __call__(self, ids):
        x = nn.Embed(20, 16, embedding_init=nn.initializers.normal(1.0))(ids)
        axes = {"params": 0, "intermediates": 0}
        block = nn.scan(Block, variable_axes=axes, split_rngs={"params": True}, length=3)
        return block(name="blocks")(x, None)[0]


IDS = jnp.array([[3, 1, 4, 1]])
ATTENTION = "Transformer/blocks/MultiHeadDotProductAttention_0"


def test_taps_in_scanned_blocks_are_stacked_layer_by_layer():
    net = Transformer()
    _, values = di.taps(applied(net))(KEY, IDS)
    parts = [f"{ATTENTION}/{part}" for part in ("query", "key", "value", "out")]
    assert list(values) == ["Transformer/Embed_0", *parts, "Transformer/blocks/Dense_0"]
    _, state = net.apply(
        net.init(KEY, IDS), IDS, capture_intermediates=True, mutable=["intermediates"]
    )
    found = state["intermediates"]
    inner = found["blocks"]["MultiHeadDotProductAttention_0"]
    assert_close(values["Transformer/Embed_0"], found["Embed_0"]["__call__"][0])
    assert_close(values["Transformer/blocks/Dense_0"], found["blocks"]["Dense_0"]["__call__"][0])
    for part in parts:
        assert values[part].shape[0] == 3
        assert_close(values[part], inner[part.split("/")[-1]]["__call__"][0])


class Perturbed(nn.Module):
    @nn.compact
    def __call__(self, x):
        for layer in range(2):
            x = self.perturb(f"z{layer}", nn.Dense(16, use_bias=False)(x))
            x = nn.tanh(x)
        return x


def test_cotangents_are_those_of_perturbations_in_linen():
    net = Perturbed()

    def f(key, x):
        return net.apply({"params": net.init(key, x)["params"]}, x)

    scalar = lambda y: jnp.sum(y**2)
    _, found = di.taps(f, gradients=scalar)(KEY, ROWS)
    variables = net.init(KEY, ROWS)

    def of_perturbations(zeros):
        return scalar(net.apply({"params": variables["params"], "perturbations": zeros}, ROWS))

    expected = jax.grad(of_perturbations)(variables["perturbations"])
    for layer in range(2):
        assert_close(found[f"Perturbed/Dense_{layer}"].cotangent, expected[f"z{layer}"])


def test_a_weight_used_twice_is_tapped_twice_and_its_backward_use_too():
    def f(key, x):
        weights = jax.random.normal(key, (16, 16)) / 4

        @jax.named_scope("tied")
        def layer(x):
            return jnp.tanh(x @ weights)

        y, backward = jax.vjp(lambda x: layer(layer(x)), x)
        return y, backward(y)[0]

    assert list(di.taps(lambda key, x: f(key, x)[0])(KEY, ROWS)[1]) == ["tied", "tied#2"]
    (_, gradient), values = di.taps(f)(KEY, ROWS)
    assert list(values) == ["tied", "tied#2", "tied#3", "tied#4"]
    assert_close(values["tied#4"], gradient)


def test_uses_of_an_updated_weight_are_tapped():
    def f(key, x):
        weights = jax.random.normal(key, (16, 16)) / 4

        def step(weights, _):
            loss, slope = jax.value_and_grad(lambda w: jnp.mean(jnp.tanh(x @ w) ** 2))(weights)
            return weights - slope, loss

        return jax.lax.scan(step, weights, None, length=4)

    (_, losses), values = di.taps(f)(KEY, ROWS)
    (value,) = values.values()
    assert value.shape == (4, 3, 16)
    assert_close(jnp.mean(jnp.tanh(value) ** 2, axis=(1, 2)), losses)


def test_values_of_other_uses():
    ids = jnp.array([5, 2, 5])

    def f(key, x, image):
        first, second, third, fourth = jax.random.split(key, 4)
        experts = jax.random.normal(first, (2, 16, 8))
        kernel = jax.random.normal(second, (3, 3, 2, 4))
        table = jax.random.normal(third, (6, 16))
        fused = jax.random.normal(fourth, (16, 24))
        left, right = jnp.split(fused, 2, axis=1)
        dimensions = ("NCHW", "HWIO", "NCHW")
        convolved = jax.lax.conv_general_dilated(
            image, kernel, (1, 1), "SAME", dimension_numbers=dimensions
        )
        mixed = jnp.einsum("beh,ehd->bed", jnp.stack([x, x], axis=1), experts)
        return convolved, mixed, table[ids], x @ left, x @ right

    image = jax.random.normal(KEY, (3, 2, 5, 5))
    outputs, values = di.taps(f)(KEY, ROWS, image)
    assert list(values) == [
        "normal_3x3x2x4", "normal_2x16x8", "normal_6x16", "normal_16x24", "normal_16x24#2",
    ]  # fmt: skip
    convolved, mixed, *rest = values.values()
    assert_close(convolved, jnp.moveaxis(outputs[0], 1, -1))
    assert_close(mixed, jnp.moveaxis(outputs[1], 1, 0))
    for value, output in zip(rest, outputs[2:], strict=True):
        assert_close(value, output)


@jax.custom_vjp
def clipped(x):
    return x


clipped.defvjp(lambda x: (x, None), lambda _, slope: (jnp.clip(slope, -0.01, 0.01),))


def test_cotangents_are_derivatives_by_perturbations_under_own_derivative_rules():
    def f(key, x, zeros=(0.0, 0.0)):
        first, second = jax.random.normal(key, (2, 16, 16)) / 4
        hidden = clipped(jax.nn.silu(x @ first + zeros[0]))
        return jnp.sum((hidden @ second + zeros[1]) ** 3)

    _, found = di.taps(lambda key, x: f(key, x), gradients=True)(KEY, ROWS)
    expected = jax.grad(lambda zeros: f(KEY, ROWS, zeros))((jnp.zeros((3, 16)),) * 2)
    for tap, slope in zip(found.values(), expected, strict=True):
        assert_close(tap.cotangent, slope)
    assert np.max(np.abs(expected[0])) < 0.012  # without the rule: two orders larger
    assert np.max(np.abs(expected[1])) > 1


def test_uses_inside_functions_with_own_derivative_rules_are_tapped():
    @jax.custom_jvp
    def layer(x, weights):
        return clipped(x) @ weights

    layer.defjvp(lambda primals, tangents: (layer(*primals), layer(tangents[0], primals[1])))

    def f(key, x):
        weights = jax.random.normal(key, (16, 16)) / 4
        return jnp.sum(jnp.tanh(layer(x, weights)))

    _, found = di.taps(f, gradients=True)(KEY, ROWS)
    (tap,) = found.values()
    assert_close(tap.cotangent, 1 - jnp.tanh(tap.value) ** 2)


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint])
def test_taps_within_calls(wrap):
    f = lambda key, x: wrap(plain)(key, x)
    outputs, found = di.taps(f, gradients=jnp.sum)(KEY, ROWS)
    expected, same = di.taps(plain, gradients=jnp.sum)(KEY, ROWS)
    assert_close(outputs, expected)
    assert list(found) == list(same)
    for name, tap in found.items():
        assert_close(tap.cotangent, same[name].cotangent)


def test_many_networks_at_once():
    keys = jax.random.split(KEY, 4)
    g = di.taps(plain, gradients=jnp.sum)
    _, found = jax.jit(jax.vmap(g, in_axes=(0, None)))(keys, ROWS)
    _, one = g(keys[2], ROWS)
    for name, tap in found.items():
        assert_close(tap.value[2], one[name].value)
        assert_close(tap.cotangent[2], one[name].cotangent)


def test_what_is_tapped_is_deferred_as_before():
    for f, x, count in ((applied(Transformer()), IDS, 6), (plain, ROWS, 1)):
        expected = deferred_arrays(f, KEY, x)
        assert len(expected) == count
        assert deferred_arrays(di.taps(f), KEY, x) == expected
        assert deferred_arrays(di.taps(f, gradients=jnp.sum), KEY, x) == expected


def statistics(values, cotangents):
    """Of taps of a transformer; cotangents may be those of another, a rival."""
    of = lambda taps, end: next(tap for name, tap in taps.items() if name.endswith(end))
    embedded, query, dense = (of(values, end).value for end in ("Embed_0", "query", "Dense_0"))
    slope, to_query = (of(cotangents, end).cotangent for end in ("Embed_0", "query"))
    return jnp.stack(
        [
            jnp.sum(embedded * slope),
            jnp.log(jnp.sum(to_query[0] ** 2)),
            jnp.sum(query[0] * to_query[0]),
            jnp.sum(dense[0, 0, 0] * dense[2, 0, 0]),
            jnp.sum(slope[0, 1] * slope[0, 3]),
            jnp.sum(embedded[0, 0] * query[2, 0, 0].reshape(-1)),
            jnp.sum(to_query[1, 0].reshape(4, 16) * slope[0]),
        ]
    )


@pytest.mark.slow
def test_taps_of_a_deferred_transformer_are_in_law_those_of_the_explicit_one():
    tapped = di.taps(applied(Transformer()), gradients=lambda y: jnp.sum(y[0, 0] ** 2))

    def of(g, stream):
        def f(key):
            taps = g(key, IDS)[1]
            return statistics(taps, g(jax.random.fold_in(key, 1), IDS)[1] if stream else taps)

        return f

    draw = lambda f, seed: samples(f, num=3000, seed=seed)
    deferred = draw(of(transformed(tapped, share=9.0), 0), 2)
    assert_same_law(deferred, draw(of(tapped, 0), 1), rejects=draw(of(tapped, 1), 3))


def test_edited_products_flow_on_and_are_recorded_as_before():
    net = MLP()
    params = net.init(KEY, ROWS)["params"]
    outputs, values = di.taps(applied(net), "*/Dense_0", edit=lambda z: 3 * z)(KEY, ROWS)
    first = ROWS @ params["Dense_0"]["kernel"]
    assert_close(values["MLP/Dense_0"], first)
    second = nn.relu(nn.relu(3 * first) @ params["Dense_1"]["kernel"])
    assert_close(outputs, second @ params["head"]["kernel"])
    cut = di.taps(applied(net), edit=jax.lax.stop_gradient)
    _, change = jax.jvp(lambda x: cut(KEY, x), (ROWS,), (jnp.ones_like(ROWS),))
    sizes = [float(jnp.abs(value).max()) for value in change[1].values()]
    assert sizes[0] > 0
    assert sizes[1:] == [0.0, 0.0]
