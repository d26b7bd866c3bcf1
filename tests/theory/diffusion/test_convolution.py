import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import convolution_limit, double_limit, linear_model, patch_indices

IMAGE = np.array([1.0, 0.2, -0.5, 0.3, 0.8, -0.1])


def test_values_of_a_circular_image():
    result = convolution_limit("tanh", np.outer(IMAGE, IMAGE), (6,), 3, 0.49, 0.16)
    expected = (2.6566, 0.5608, -0.5392, 1.2339, 1.7678, 0.2878)
    assert result.overlap[0, 0, 0] == pytest.approx(expected, abs=6e-5)
    zero = convolution_limit("tanh", np.outer(IMAGE, IMAGE), (6,), 3, 0.49, 0.16, padding="zero")
    assert abs(zero.overlap[0, 0, 0] - expected).max() > 0.1


def test_constant_images_grow_with_the_area_of_the_filter():
    result = convolution_limit("tanh", np.ones((25, 25)), (5, 5), 3, 1.0)
    assert result.overlap == pytest.approx(np.full((1, 1, 25, 25), math.exp(9.0)), rel=1e-13)
    assert math.exp(9.0) == pytest.approx(8.1e3, rel=1e-3)


def read(image, offset, shape, padding):
    """The image moved by an offset, written without index maps."""
    moved = np.zeros(shape)
    for u in range(shape[0]):
        for v in range(shape[1]):
            a, b = u + offset[0], v + offset[1]
            if padding == "circular":
                moved[u, v] = image[a % shape[0], b % shape[1]]
            elif 0 <= a < shape[0] and 0 <= b < shape[1]:
                moved[u, v] = image[a, b]
    return moved


@pytest.mark.parametrize("padding", ["circular", "zero"])
def test_plane_images_against_the_dense_exponential(padding):
    shape, weight, bias, horizon, a2 = (3, 4), 0.3, 0.4, 0.8, 4.0 / math.pi
    rng = np.random.default_rng(1)  # one gram matrix, nothing is estimated
    rows = rng.normal(size=(2, 12, 3))
    flat = rows.reshape(24, 3)
    gram = flat @ flat.T / 3
    offsets = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    shifts = []
    for offset in offsets:
        basis = np.eye(12).reshape(12, *shape)
        shifts.append(np.array([read(one, offset, shape, padding).ravel() for one in basis]).T)
    generator = a2 * weight * sum(np.kron(shift, shift) for shift in shifts)
    source = np.full(144, a2 * bias)
    whole = np.zeros((145, 145))
    whole[:144, :144], whole[:144, 144] = generator, source
    result = convolution_limit("erf", gram, shape, 3, weight, bias, horizon, padding)
    exponential = expm(horizon * whole)
    for i, j in ((0, 0), (0, 1), (1, 0)):
        start = gram[12 * i : 12 * i + 12, 12 * j : 12 * j + 12].ravel()
        expected = exponential @ np.append(start, 1.0)
        assert result.overlap[i, j].ravel() == pytest.approx(expected[:144], rel=1e-10, abs=1e-12)

    def rates(_, state):
        overlap, kernel = state.reshape(2, 144)
        return np.concatenate(
            [generator @ overlap + source, generator @ (overlap + kernel) + source]
        )

    start = np.append(gram[:12, 12:].ravel(), np.zeros(144))
    end = solve_ivp(rates, (0.0, horizon), start, "DOP853", rtol=1e-12, atol=1e-12).y[144:, -1]
    assert result.block_kernel[0, 1].ravel() == pytest.approx(end, rel=1e-9)
    assert result.pooled[0, 1] == pytest.approx(result.overlap[0, 1].mean())
    assert result.pooled_block_kernel[0, 1] == pytest.approx(end.mean(), rel=1e-9)


def test_filters_of_one_position_are_fully_connected():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(2 * 4, 5))
    gram = rows @ rows.T / 5
    limit = double_limit("sin", gram, 1.3, 0.6, 0.7)
    result = convolution_limit("sin", gram, (4,), 1, 1.3, 0.6, 0.7)
    assert result.overlap.transpose(0, 2, 1, 3).reshape(8, 8) == pytest.approx(
        limit.overlap, rel=1e-12
    )
    assert result.block_kernel.transpose(0, 2, 1, 3).reshape(8, 8) == pytest.approx(
        limit.block_kernel, rel=1e-12
    )


def test_the_kernel_is_affine_in_the_images():
    other = IMAGE[::-1] + 0.2
    cross = convolution_limit("tanh", np.outer(IMAGE, IMAGE), (6,), 3, 0.5).overlap
    stacked = np.concatenate([IMAGE, other])
    both = convolution_limit("tanh", np.outer(stacked, stacked), (6,), 3, 0.5).overlap
    double = np.concatenate([IMAGE, other + IMAGE])
    total = convolution_limit("tanh", np.outer(double, double), (6,), 3, 0.5).overlap
    assert total[0, 1] == pytest.approx(both[0, 1] + cross[0, 0], rel=1e-11)


@pytest.mark.parametrize(("padding", "agrees"), [("circular", True), ("zero", False)])
def test_the_pooled_kernel_of_circular_images_sees_their_means_alone(padding, agrees):
    images = np.random.default_rng(3).normal(size=(3, 20))
    gram = np.outer(images.ravel(), images.ravel())
    pooled = convolution_limit("tanh", gram, (4, 5), 3, 0.3, 0.2, padding=padding).pooled
    intercept, slope = linear_model("tanh", 9 * 0.3, 0.2)
    of_means = intercept + slope * np.outer(images.mean(axis=1), images.mean(axis=1))
    assert np.allclose(pooled, of_means, rtol=1e-11, atol=0.0) == agrees


def test_index_maps():
    assert patch_indices((4,), 3).tolist() == [[3, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 0]]
    assert patch_indices((4,), 3, "zero").tolist() == [[4, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 4]]
    assert np.array_equal(patch_indices((3, 5), 3, "same"), patch_indices((3, 5), 3, "zero"))
    assert patch_indices((3, 5), 3).shape == (9, 15)
    assert patch_indices((1, 1), 1).tolist() == [[0]]
    assert (patch_indices((2, 3), 1) == np.arange(6)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: patch_indices((4,), 3, "reflect"), "padding='reflect'"),
        (lambda: patch_indices((4,), 5), "filter_size=5"),
        (lambda: patch_indices((7, 3), 5), "filter_size=5"),
        (lambda: patch_indices((4,), 2), "odd filter"),
        (lambda: patch_indices((2, 2, 2), 1), "one or two sides"),
        (lambda: patch_indices((0,), 1), "image_shape=0"),
        (lambda: patch_indices((4,), 0), "filter_size=0"),
        (lambda: convolution_limit("tanh", np.eye(6), (4,), 3, 1.0), "4 positions"),
        (lambda: convolution_limit("tanh", -np.eye(4), (4,), 3, 1.0), "semidefinite"),
        (lambda: convolution_limit("silu", np.eye(4), (4,), 3, 1.0), r"phi''\(0\)"),
        (lambda: convolution_limit("tanh", np.eye(4), (4,), 3, -1.0), "weight_var"),
        (lambda: convolution_limit("tanh", np.eye(4), (2, 2), 1, 1.0, 0.1, -2.0), "horizon"),
        (lambda: convolution_limit("tanh", np.eye(16), (4, 4), 3, 90.0), "growth exponent"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(SpecError, match=message):
        call()
