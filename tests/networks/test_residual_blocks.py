"""Residual blocks of every kind, against plain NumPy; the two linear maps have one law."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_mean, assert_value

import deepinit as di
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone

RNG = np.random.default_rng(0)
MEAN, OUTPUT, INPUT = RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))
BIAS = di.normal(0.25, "depth")
FULL = RNG.normal(size=(9, 9))
CONV = di.ConvResNet(
    (5,), 2, 3, bias_law=BIAS, weight_law=di.normal(0.5, "depth"), inner_activation="tanh"
)
SQUARE = di.ConvResNet(
    (3, 3), 2, 3, padding="zero", bias_law=BIAS, embedding_law=di.normal(1.0), output_width=2
)
SPECS = {
    "shallow": di.ResNet(
        3, 4, block="shallow", activation="silu", inner_activation="tanh", bias_law=BIAS
    ),
    "pre-activation": di.ResNet(
        3,
        4,
        block="shallow",
        activation="linear",
        inner_activation="relu",
        embedding_law=di.normal(1.0),
        output_width=1,
    ),
    "two layers": di.ResNet(3, 4, 2, inner_activation="tanh"),
    "correlated": di.ResNet(
        3,
        4,
        block="shallow",
        weight_law=di.matrix_normal(OUTPUT @ OUTPUT.T, INPUT @ INPUT.T / 3, MEAN),
        bias_law=di.vector_normal(np.eye(3), [1.0, 0.0, -1.0]),
    ),
    "convolution": CONV,
    "convolution, zero padding": SQUARE,
}
WIDTHS = {"convolution": 10, "convolution, zero padding": 9}


def outputs(spec, x, name, num, key=0):
    """[num, len(x), width] of independent networks."""
    x = jnp.asarray(x, jnp.float32)

    def one(key):
        _, rows = random_forward(
            spec, points_alone(x), key, lambda state: (), linear_map=FUNCTIONS[name]
        )
        return jnp.exp(rows.point_scales)[:, None] * rows.points

    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(jnp.arange(num))
    return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.slow_cases("shallow")
@pytest.mark.exhaustive_cases(
    "convolution", "convolution, zero padding", "correlated", "pre-activation", "two layers"
)
@pytest.mark.exhaustive_cases("shallow")
def test_explicit_and_conditional_maps_of_blocks_have_one_law(name):
    spec, num = SPECS[name], 4000
    x = 0.5 * np.random.default_rng(1).normal(size=(2, WIDTHS.get(name, 3)))
    first, second = (
        outputs(spec, x, kind, num).reshape(num, -1) for kind in ("explicit", "conditional")
    )
    columns = slice(0, 8)

    def moments(values):
        values = values[:, columns]
        products = values[:, :, None] * values[:, None, :]
        return np.concatenate(
            [
                values,
                np.sqrt(np.abs(products.reshape(num, -1))) * np.sign(products.reshape(num, -1)),
            ],
            1,
        )

    one, other = moments(first), moments(second)
    error = np.sqrt((one.var(0) + other.var(0)) / num)
    # the rival: outputs larger by a fifth
    assert_value(one.mean(0), error, other.mean(0), rejects=1.2 * other.mean(0))


def numpy_forward(spec, parameters, x):
    """The formula of the block, with loops over positions."""
    params = [jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), part) for part in parameters]
    stream = np.asarray(x, np.float64)
    is_conv = isinstance(spec, di.ConvResNet)
    image = spec.image_shape if is_conv else (1,)
    stream = stream.reshape(*image, -1)
    if spec.embedding_law is not None:
        stream = stream @ params.pop(0)["weights"].T
    output = params.pop() if spec.output_width is not None else None
    reach = range(-(spec.kernel_size // 2), spec.kernel_size // 2 + 1) if is_conv else (0,)
    for layer in range(spec.depth):
        run = jax.tree.map(lambda leaf, layer=layer: leaf[layer], params[0])
        seen, after = spec.inner_activation(stream), stream.copy()
        for place in itertools.product(*map(range, image)):
            patch = []
            for offset in itertools.product(reach, repeat=len(image)):
                there = tuple(p + d for p, d in zip(place, offset, strict=True))
                inside = all(0 <= p < n for p, n in zip(there, image, strict=True))
                wrapped = tuple(p % n for p, n in zip(there, image, strict=True))
                zero = is_conv and spec.padding == "zero" and not inside
                patch.append(np.zeros_like(seen[wrapped]) if zero else seen[wrapped])
            h = run["inner"]["weights"] @ np.concatenate(patch) + run["inner"].get("biases", 0.0)
            branch = spec.activation(h)
            after[place] += run["outer"]["weights"] @ branch if "outer" in run else branch
        stream = after
    if output is None:
        return stream.reshape(-1)
    return output["weights"] @ stream.reshape(-1, stream.shape[-1]).mean(0) + output.get(
        "biases", 0.0
    )


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.slow_cases("correlated")
@pytest.mark.exhaustive_cases(
    "convolution", "convolution, zero padding", "pre-activation", "shallow", "two layers"
)
def test_apply_is_the_formula_of_the_block_and_the_network_that_simulation_draws(name):
    spec, width, key = SPECS[name], WIDTHS.get(name, 3), jax.random.key(7)
    x = np.random.default_rng(2).normal(size=width)
    init, apply, *_ = di.network(spec)
    parameters = init(key, width)
    expected = numpy_forward(spec, parameters, x)
    np.testing.assert_allclose(apply(parameters, x), expected, rtol=3e-5, atol=3e-6)
    _, rows = random_forward(
        spec,
        points_alone(jnp.asarray(x, jnp.float32)[None]),
        key,
        lambda state: (),
        linear_map=FUNCTIONS["explicit"],
    )
    np.testing.assert_allclose(
        np.exp(rows.point_scales[0]) * rows.points[0], expected, rtol=3e-5, atol=3e-6
    )


def test_matrices_have_the_covariance_and_the_drift_of_their_law():
    depth, num = 3, 20_000
    law = di.matrix_normal(OUTPUT @ OUTPUT.T, INPUT @ INPUT.T, MEAN)
    general = di.gaussian_matrix(FULL @ FULL.T, MEAN)
    for one, covariance in (
        (law, np.kron(OUTPUT @ OUTPUT.T, INPUT @ INPUT.T)),
        (general, FULL @ FULL.T),
    ):
        keys = jax.random.split(jax.random.key(1), num)
        drawn = np.asarray(
            jax.jit(jax.vmap(lambda key, law=one: law.sample(key, (3, 3), depth=depth)))(keys)
        ).reshape(num, -1)
        error = np.sqrt(np.diag(covariance) / depth / num)
        assert_mean(drawn, MEAN.reshape(-1) / depth, rejects=0.0, standard_error=error)
        correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
        error = (1 - 0.99 * correlation**2) / np.sqrt(num)
        # the rival: independent entries
        assert_value(np.corrcoef(drawn.T), error, correlation, rejects=np.eye(9))
