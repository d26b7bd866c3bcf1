"""Gradients of every architecture: explicit maps are autodiff, conditional ones have its law."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.networks.backward import random_gradients
from deepinit.networks.linear_layers import LinearLayer
from deepinit.networks.linear_maps import lower_factor
from deepinit.networks.rows import points_alone
from deepinit.networks.transposes import Factors, parameter_products
from deepinit.theory.cutoff import log_norm_drift

BIAS = di.normal(0.25, "depth")
MEAN = np.array([[0.3, -1.0, 0.2], [0.5, 0.1, 0.0], [-0.4, 0.2, 0.9]])
SPECS = {
    "mlp": di.MLP((3, 3, 4), "tanh", bias_law=di.normal(0.01, "absolute"), output_width=2),
    "mlp without outputs": di.MLP((3,) * 5, "gelu"),
    "two layers": di.ResNet(3, 4, 2, inner_activation="tanh", activation="silu"),
    "shallow": di.ResNet(
        3, 5, block="shallow", activation="silu", inner_activation="tanh", bias_law=BIAS
    ),
    "completed": di.ResNet(
        3, 4, block="shallow", bias_law=BIAS, embedding_law=di.normal(1.0), output_width=1
    ),
    "correlated": di.ResNet(
        3,
        4,
        block="shallow",
        weight_law=di.matrix_normal(MEAN @ MEAN.T, np.eye(3) + 0.5, MEAN),
        bias_law=di.vector_normal(np.eye(3) + 0.3, [1.0, 0.0, -1.0]),
    ),
    "convolution": di.ConvResNet(
        (4,),
        2,
        3,
        padding="zero",
        bias_law=BIAS,
        inner_activation="tanh",
        output_width=2,
        embedding_law=di.normal(1.0),
    ),
}


def points_of(name):
    width = 4 if name == "convolution" else 3
    return np.random.default_rng(2).normal(size=(2, width))


def gradients(spec, x, key, linear_map="explicit"):
    x = jnp.asarray(x, jnp.float32)
    width = spec.output_width or spec.widths[-1]
    functions = np.eye(1, width).repeat(len(x), 0)
    return random_gradients(
        spec, points_alone(x), key, functions, tuple(range(len(x))), linear_map=linear_map
    )


def matrix_products(law, depth, gradients, fan_in, patch=1):
    if isinstance(law, di.MatrixLaw):
        _, outer, inner = law.arrays(depth, np.float64)
        gradients = [
            np.einsum("oa,...oi,ib->...ab", outer, gradient, inner) for gradient in gradients
        ]
        variance = 1.0
    else:
        variance = law.entry_variance(fan_in, depth) * patch
    return variance * np.array([[np.sum(a * b) for b in gradients] for a in gradients])


def tangent_kernel(spec, by_parameters, num):
    """Of gradients [num, ...] with respect to the matrices themselves."""
    grads = [
        jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i], np.float64), list(by_parameters))
        for i in range(num)
    ]
    total, depth = np.zeros((num, num)), spec.depth
    if getattr(spec, "embedding_law", None) is not None:
        first = [one.pop(0)["weights"] for one in grads]
        total += matrix_products(spec.embedding_law, depth, first, first[0].shape[1])
    if spec.output_width is not None:
        last = [one.pop() for one in grads]
        total += matrix_products(
            spec.output_law, depth, [one["weights"] for one in last], last[0]["weights"].shape[1]
        )
        if "biases" in last[0]:
            total += matrix_products(
                spec.bias_law, depth, [one["biases"][:, None] for one in last], 1
            )
    for runs in zip(*grads, strict=True):
        inner = [run["inner"] for run in runs]
        patch = getattr(spec, "patch_size", 1)
        total += matrix_products(
            spec.weight_law,
            depth,
            [one["weights"] for one in inner],
            inner[0]["weights"].shape[2],
            patch,
        )
        if "biases" in inner[0]:
            total += matrix_products(
                spec.bias_law, depth, [one["biases"][..., None] for one in inner], 1
            )
        if "outer" in runs[0]:
            outer = [run["outer"]["weights"] for run in runs]
            total += matrix_products(spec.branch_law, depth, outer, outer[0].shape[2])
    return total


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.exhaustive
def test_explicit_gradients_are_those_of_automatic_differentiation(name):
    spec, x, key = SPECS[name], points_of(name), jax.random.key(7)
    init, apply, *_ = di.network(spec)
    xs = jnp.asarray(x, jnp.float32)

    def automatic(key):
        parameters = init(key, x.shape[1])
        first = lambda parameters, point: apply(parameters, point)[0]
        by_parameters, by_inputs = jax.vmap(jax.grad(first, (0, 1)), (None, 0))(parameters, xs)
        return jax.vmap(lambda point: apply(parameters, point))(xs), by_parameters, by_inputs

    found, (values, by_parameters, by_inputs) = jax.jit(
        lambda key: (gradients(spec, x, key), automatic(key))
    )(key)
    np.testing.assert_allclose(
        np.exp(found.output_scales)[:, None] * found.outputs, values, rtol=1e-4, atol=1e-5
    )
    ours = np.exp(found.inputs.log_scales)[:, None] * found.inputs.vectors
    np.testing.assert_allclose(ours, by_inputs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        found.ntk, tangent_kernel(spec, by_parameters, len(x)), rtol=1e-4, atol=1e-4
    )
    assert found.layers.shape == (spec.depth, 2)


@pytest.mark.parametrize("name", ["mlp", "completed", "correlated", "convolution"])
@pytest.mark.exhaustive
def test_conditional_gradients_have_the_joint_law_of_explicit_ones(name):
    spec, x, num = SPECS[name], points_of(name), 3000

    def measured(linear_map, root):
        def one(key):
            found = gradients(spec, x, key, linear_map)
            outputs = jnp.exp(found.output_scales) * found.outputs[:, 0]
            vectors = jnp.exp(found.inputs.log_scales)[:, None] * found.inputs.vectors
            inputs, along = vectors[:, :2].reshape(-1), vectors[0] @ x[0]
            kernel = found.ntk[jnp.array([0, 0, 1]), jnp.array([0, 1, 1])]
            single = jnp.concatenate(
                [outputs, inputs, jnp.sqrt(jnp.abs(kernel)) * jnp.sign(kernel)]
            )
            products = (single[:, None] * single[None])[jnp.triu_indices(len(single))]
            # square roots: their tails are lighter
            return jnp.concatenate(
                [
                    single,
                    jnp.sqrt(jnp.abs(products)) * jnp.sign(products),
                    found.layers.reshape(-1),
                    along[None],
                ]
            )

        keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(root), seed))(
            jnp.arange(num)
        )
        return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)

    one, other = measured("explicit", 0), measured("conditional", 1)
    error = np.sqrt((one.var(0) + other.var(0)) / num)
    with np.errstate(
        invalid="ignore"
    ):  # the last gradient is the function itself where there is no output layer
        z = (one.mean(0) - other.mean(0)) / error
    assert np.nanmax(np.abs(z)) < 5
    # rival: gradients independent of the forward pass, with f and x . grad f uncorrelated
    f, along = other[:, 0], other[:, -1]
    assert np.corrcoef(f, along)[0, 1] * np.sqrt(num) > 5
    assert abs(np.corrcoef(f, np.roll(along, 1))[0, 1]) * np.sqrt(num) < 5


@pytest.mark.exhaustive
def test_nothing_overflows_at_depth_three_thousand():
    spec = di.MLP((8,) * 3000, di.leaky_relu(0.5), di.normal(4.0))
    found = jax.jit(lambda key: gradients(spec, np.eye(2, 8), key, "conditional"))(
        jax.random.key(0)
    )
    norms, law = np.asarray(found.layers, np.float64), log_norm_drift(di.leaky_relu(0.5), 8, 4.0)
    assert np.isfinite(norms).all()
    assert norms[0, 0] > 1000  # ln |gradient|^2, which no float32 holds
    # the rival: infinite width
    error, wide = 2 * np.sqrt(2999 * law.variance), 2999 * np.log(4.0 * 0.625)
    assert_value(norms[0, 0], error, 2 * 2999 * law.drift, rejects=wide, resolves=0.5)


@pytest.mark.exhaustive
def test_memory_has_a_bound_at_every_depth():
    def peak(depth):
        spec = di.ResNet(64, depth, block="shallow")
        lowered = jax.jit(
            lambda key: gradients(spec, np.ones((2, 64)), key, "conditional").ntk
        ).lower(jax.random.key(0))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    sizes = {depth: peak(depth) for depth in (250, 4000, 64_000)}
    # beside the rows: the key of a layer (8 bytes), its number (4), copies while it is hashed
    assert all(size - 20 * depth < 1.2 * 2**19 for depth, size in sizes.items()), sizes
    assert 64_000 * 64 * 2 * 4 > 60 * 2**19  # the rows alone of all layers


@pytest.mark.parametrize("name", ["mlp without outputs", "two layers"])
@pytest.mark.exhaustive
def test_gradients_are_the_same_however_layers_are_divided(name, monkeypatch):
    spec = {"mlp without outputs": di.MLP((3,) * 23, "gelu"), "two layers": di.ResNet(3, 23, 2)}[
        name
    ]
    found = []
    for shapes in ([(23,)], [(2, 11), (1,)], [(2, 3, 3), (1, 5)]):
        monkeypatch.setattr(
            "deepinit.networks.backward.checkpoint_shapes", lambda *_, shapes=shapes: shapes
        )
        found.append(
            jax.jit(lambda key: gradients(spec, np.eye(2, 3), key, "conditional"))(
                jax.random.key(3)
            )
        )
    for other in found[1:]:
        jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-6), other, found[0])


@pytest.mark.exhaustive
def test_a_general_covariance_that_is_a_product_has_the_gradients_of_the_product():
    # the symmetric root of a Kronecker product is the product of roots: one network, two forms
    outer, inner = MEAN @ MEAN.T + np.eye(3), np.eye(3) + 0.5
    laws = di.matrix_normal(outer, inner, MEAN), di.gaussian_matrix(np.kron(outer, inner), MEAN)
    biases = di.vector_normal(outer), di.gaussian_matrix(outer, np.zeros((3, 1)))
    x, key = points_of("dense"), jax.random.key(4)
    product, general = (
        gradients(
            di.ResNet(3, 4, block="shallow", activation="silu", weight_law=law, bias_law=bias_law),
            x,
            key,
        )
        for law, bias_law in zip(laws, biases, strict=True)
    )
    assert np.asarray(general.outputs) == pytest.approx(
        np.asarray(product.outputs), rel=1e-4, abs=1e-5
    )
    assert np.asarray(general.weights) == pytest.approx(np.asarray(product.weights), rel=1e-4)
    assert np.asarray(general.biases) == pytest.approx(np.asarray(product.biases), rel=1e-4)
    assert np.asarray(general.layers) == pytest.approx(np.asarray(product.layers), abs=1e-4)


def test_products_from_factors_are_those_of_the_gradients():
    """At several positions and repeated points, also where rows are dependent."""
    generator = np.random.default_rng(3)
    rows, vectors = generator.normal(size=(3 * 2, 7)), generator.normal(size=(4 * 2, 5))
    rows[4] = rows[1]
    rows, vectors = jnp.asarray(rows, jnp.float32), jnp.asarray(vectors, jnp.float32)
    layer, points = LinearLayer(5, di.normal(1.7), None, 1), (0, 2, 2, 1)
    factors = Factors(lower_factor(vectors), lower_factor(rows))
    products = lambda at, factors: parameter_products(layer, rows, vectors, at, 4, 3, factors)[0]
    one, other = products(points, factors), products(points, None)
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
    assert np.abs(one - products((0, 1, 2, 1), None)).max() > 0.1  # another point
