import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferred_arrays import deferred_arrays, reasons
from two_samples import assert_same_law, samples

from deepinit.deferral.function import transformed

KEY = jax.random.key(7)

CASES = {  # shapes of images and kernels, parameters
    "plain": ((1, 3, 7, 6), (4, 3, 3, 2), {}),
    "strides": ((4, 3, 8, 7), (4, 3, 3, 2), {"window_strides": (2, 3)}),
    "padding": ((1, 2, 5, 6), (5, 2, 3, 3), {"padding": ((2, 1), (-1, 2))}),
    "dilation": ((3, 2, 9, 8), (4, 2, 3, 3), {"rhs_dilation": (2, 3)}),
    "transposed": ((1, 3, 2, 3), (3, 3, 3, 3), {"lhs_dilation": (2, 2), "padding": ((2, 2),) * 2}),
    "channels last": (
        (2, 7, 6, 3),
        (3, 2, 3, 4),
        {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "window_strides": (2, 1)},
    ),
    "mixed axes": ((6, 3, 1, 9), (2, 4, 3, 3), {"dimension_numbers": ("HCNW", "WOIH", "CWNH")}),
    "one axis": ((4, 9, 3), (5, 3, 5), {"dimension_numbers": ("NWC", "WIO", "NWC")}),
    "one by one": ((1, 8, 4, 4), (9, 8, 1, 1), {}),
    "one channel": ((17, 1, 9, 9), (1, 1, 8, 8), {}),
}


def convolution(case):
    image, kernel, params = CASES[case]
    params = {"window_strides": (1,) * (len(image) - 2), "padding": "VALID"} | params
    return image, kernel, functools.partial(jax.lax.conv_general_dilated, **params)


def assert_close(a, b):
    assert np.max(np.abs(a - b)) < 1e-4 * np.max(np.abs(b))


ORDERS = [
    pytest.param(case, first, marks=() if case == "strides" else pytest.mark.slow, id=f"{case}{at}")
    for case in CASES
    for first, at in ((False, ""), (True, ", backward first"))
]


@pytest.mark.parametrize(("case", "is_backward_first"), ORDERS)
def test_images_and_cotangents_see_one_kernel(case, is_backward_first):
    shape, of_kernel, convolve = convolution(case)
    keys = jax.random.split(KEY, 3)
    first, second = (jax.random.normal(key, shape) for key in keys[:2])
    forward = lambda kernel: lambda image: convolve(image, kernel)
    cotangent = jax.random.normal(
        keys[2], jax.eval_shape(convolve, first, jnp.zeros(of_kernel)).shape
    )

    def f(key, first, second, cotangent):
        one = forward(jax.random.normal(key, of_kernel))
        backward = lambda: jax.linear_transpose(one, second)(cotangent)[0]
        pulled = backward() if is_backward_first else None
        return one(first), one(second), backward() if pulled is None else pulled

    args = KEY, first, second, cotangent
    assert len(deferred_arrays(f, *args)) == 1
    found, other, pulled = transformed(f, share=math.inf)(*args)
    units = jnp.eye(np.prod(of_kernel)).reshape(-1, *of_kernel)
    design = jax.vmap(lambda unit: convolve(first, unit).reshape(-1))(units)
    solution, _, rank, _ = np.linalg.lstsq(np.float64(design.T), np.float64(found).ravel())
    assert rank == np.prod(of_kernel)
    kernel = jnp.asarray(solution.reshape(of_kernel), jnp.float32)
    assert 0.5 < np.std(kernel) < 1.5
    assert_close(convolve(first, kernel), found)
    assert_close(convolve(second, kernel), other)
    assert_close(jax.linear_transpose(forward(kernel), second)(cotangent)[0], pulled)


@pytest.mark.filterwarnings("ignore:deferred")
def test_other_uses_of_kernels_are_explicit():
    image = jax.random.normal(KEY, (1, 5, 5, 4))
    numbers = ("NHWC", "HWIO", "NHWC")

    def grouped(key):
        kernel = jax.random.normal(key, (3, 3, 2, 8))
        return jax.lax.conv_general_dilated(
            image, kernel, (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=2
        )

    def reversed_matrix(key):
        return image.reshape(25, 4) @ jnp.flip(jax.random.normal(key, (4, 16)), 0)

    def noise(key):
        kernel = jnp.ones((3, 3, 4, 2))
        noise = jax.random.normal(key, image.shape)
        return jax.lax.conv_general_dilated(
            noise, kernel, (1, 1), "SAME", dimension_numbers=numbers
        )

    for f, reason in (
        (grouped, "convolved in groups"),
        (reversed_matrix, "no rule for dot_general reversed"),
        (noise, "convolved as an image"),
        (lambda key: jnp.flip(jax.random.normal(key, (9, 9)), 1), "reversed"),
    ):
        assert reasons(f, KEY) == {reason}
        np.testing.assert_array_equal(transformed(f)(KEY), jax.jit(f)(KEY))


class ConvNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        init = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        x = nn.relu(nn.Conv(8, (3, 3), kernel_init=init)(x))
        x = x + nn.Conv(8, (3, 3), strides=1, kernel_init=init)(nn.relu(x))
        x = nn.relu(nn.Conv(12, (2, 2), strides=2, padding="VALID", kernel_init=init)(x))
        return nn.Dense(8, kernel_init=init)(x.reshape(len(x), -1))


IMAGES = jax.random.normal(KEY, (2, 4, 4, 3))


@pytest.mark.slow
def test_a_network_and_its_gradient_are_in_law_those_of_explicit_kernels():
    net = ConvNet()

    def f(key, rival=0):
        params = net.init(key, IMAGES)
        outputs, pull = jax.vjp(lambda x: net.apply(params, x), IMAGES)
        other = net.init(jax.random.fold_in(key, 1), IMAGES) if rival else params
        back = jax.vjp(lambda x: net.apply(other, x), IMAGES)[1] if rival else pull
        (slope,) = back(outputs)
        along = jax.jvp(lambda x: net.apply(params, x), (IMAGES,), (slope,))[1]
        return jnp.stack(
            [
                outputs[0, 0],
                outputs[0] @ outputs[1],
                jnp.log(jnp.sum(slope**2)),
                jnp.sum(slope * IMAGES),
                jnp.sum(slope[0, 1, 1] * slope[1, 1, 2]),
                jnp.sum(along * outputs),
            ]
        )

    assert len(deferred_arrays(f, KEY)) == 4
    draw = lambda f, seed: samples(f, num=1500, seed=seed)
    deferred = draw(transformed(f, share=math.inf), 1)
    assert_same_law(deferred, draw(f, 2), rejects=draw(lambda key: f(key, rival=1), 3))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kernels_of_tangents_are_in_law_those_of_explicit_kernels():
    images = IMAGES[:, :3, :3]

    def f(key, scale=1.0):
        first, second = jax.random.split(key)
        params = [
            jax.random.normal(first, (3, 3, 3, 32)),
            jax.random.normal(second, (3, 3, 32, 48)),
        ]

        def net(params):
            x = images
            for kernel in params:
                x = jax.lax.conv_general_dilated(
                    jnp.tanh(x),
                    kernel / 9,
                    (1, 1),
                    "VALID" if kernel is params[1] else "SAME",
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )
            return jnp.sum(x[..., :5], axis=(1, 2, 3))

        slopes = jax.jacrev(net)(params)
        kernel = sum(jnp.einsum("a...,b...->ab", slope, slope) for slope in slopes) * scale
        updated = jax.tree.map(lambda w, slope: w - slope[0], params, slopes)
        return jnp.stack([kernel[0, 0], kernel[0, 1], net(updated)[1]])

    # the first is explicit: two patches of 27 numbers are no less than a row of its gradient
    assert [shape for _, shape in deferred_arrays(f, KEY)] == [(3, 3, 32, 48)]
    draw = lambda f, seed: samples(f, num=800, seed=seed)
    deferred = draw(transformed(f, share=math.inf), 1)
    assert_same_law(deferred, draw(f, 2), rejects=draw(lambda key: f(key, scale=0.9), 3))
