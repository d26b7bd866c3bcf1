"""The rows of layer 0 of curves and frames."""

import jax
import numpy as np
import pytest
from statistical import assert_mean

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.networks import forward  # noqa: F401 (makes Rows a pytree)
from deepinit.networks.input_rows import input_rows

CURVES = {
    "circle": di.curves.circle(3, radius=2.0),
    "line": di.curves.line([1.0, -2.0, 0.5], [0.0, 1.0, 2.0]),
    "off centre": di.curves.circle_through([1.0, 0.3, -0.5], [-0.2, 1.1, 0.4], [0.5, -0.8, 1.3]),
}
NUM_NODES, NUM_NETS = 5, 4000
RELU = di.MLP(widths=(8,))


def places_of(curve, points):
    """Parameters of points of the curve, from 0 to 1."""
    if curve.kind == "line":
        start, velocity = curve.coefficients
        return (points - start) @ velocity / (velocity @ velocity)
    centre, first, second = curve.coefficients
    return np.arctan2((points - centre) @ second, (points - centre) @ first) / (2 * np.pi) % 1.0


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.slow
def test_random_nodes_are_uniform_in_every_piece_and_carry_unit_tangents(name):
    curve = CURVES[name]
    start = input_rows(RELU, di.curves.sampled(curve, NUM_NODES), "float32")
    rows = jax.jit(jax.vmap(start))(jax.random.split(jax.random.key(0), NUM_NETS))
    points, tangents = (
        np.asarray(rows.points, np.float64),
        np.asarray(rows.tangents, np.float64)[:, :, 0],
    )
    places = places_of(curve, points)
    offsets = NUM_NODES * places - np.arange(NUM_NODES)
    assert offsets.min() > -1e-5
    assert offsets.max() < 1 + 1e-5
    # every moment up to the second, and no correlation between pieces; the rival: the middle
    error = np.sqrt(np.array([1 / 12, 4 / 45]) / NUM_NETS)
    for order, exact in ((1, 0.5), (2, 1 / 3)):
        rival = 0.55 if order == 1 else 0.5**order
        assert_mean(offsets**order, exact, rejects=rival, standard_error=error[order - 1])
    correlations = np.corrcoef(offsets.T)[np.triu_indices(NUM_NODES, k=1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(NUM_NETS)
    t = curve.start + (curve.stop - curve.start) * places.ravel()
    np.testing.assert_allclose(tangents.reshape(-1, 3), curve.tangents(t) / curve.speed, atol=5e-6)
    np.testing.assert_allclose(np.linalg.norm(tangents, axis=2), 1.0, atol=1e-6)
    np.testing.assert_array_equal(rows.log_norm_growths, 0.0)
    assert np.abs(offsets.mean(axis=0) - 0.45).min() > 5 / np.sqrt(
        12 * NUM_NETS
    )  # the rival: cells off by 5 %


@pytest.mark.slow
def test_nodes_are_drawn_anew_for_every_network_and_not_with_the_keys_of_layers():
    start = input_rows(RELU, di.curves.sampled(di.curves.circle(), 4), "float32")
    key = jax.random.key(1)
    assert not np.array_equal(start(key).points, start(jax.random.key(2)).points)
    np.testing.assert_array_equal(start(key).points, start(key).points)
    with jax.threefry_partitionable(True):
        np.testing.assert_array_equal(start(key).points, start(jax.random.key(1)).points)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("num_nodes", [1, 7, 5000])
def test_chords_in_float32_are_those_of_float64(name, num_nodes):
    curve = CURVES[name]
    polygon = di.curves.sampled(curve, num_nodes, method="polygon")
    rows = input_rows(RELU, polygon, "float32")(None)
    scales = np.asarray(rows.point_scales, np.float64) + np.asarray(
        rows.displacement_scales, np.float64
    )
    chords = np.exp(scales)[:, None] * np.asarray(rows.displacements, np.float64)
    corners = curve.points(
        np.linspace(curve.start, curve.stop, num_nodes + 1).astype(np.longdouble)
    )
    exact = np.diff(corners, axis=0).astype(np.float64)
    size = np.abs(exact).max()
    # float32 accuracy of the chords, which a difference of float32 points would lose
    np.testing.assert_allclose(chords, exact, rtol=0, atol=5e-7 * size + 1e-15)
    if num_nodes == 5000:
        rounded = np.diff(corners.astype(np.float32), axis=0)
        assert np.abs(rounded - exact).max() > 1e-5 * size
    points = np.exp(np.asarray(rows.point_scales, np.float64))[:, None] * np.asarray(
        rows.points, np.float64
    )
    np.testing.assert_allclose(
        points, corners[:-1].astype(np.float64), rtol=0, atol=5e-7 * np.abs(corners).max()
    )


def test_frames_start_as_they_are():
    frames = di.frames.random(4, 2, num_points=3)
    rows = input_rows(RELU, frames, "float32")(None)
    np.testing.assert_allclose(rows.points, frames.points, atol=1e-7)
    np.testing.assert_allclose(rows.tangents, frames.tangents, atol=1e-7)
    assert rows.frame_bases == (0, 1, 2)


AT_ZERO = di.frames.at(np.zeros(3), np.eye(3)[0])
BIAS = di.normal(0.3, "absolute")


@pytest.mark.parametrize(
    ("spec", "inputs", "words"),
    [
        (RELU, AT_ZERO, r"tangent at the point 0.*kink of relu"),
        (di.MLP(widths=(8,), activation=di.leaky_relu(0.1)), AT_ZERO, "tangent at the point 0"),
        (
            di.MLP(widths=(4, 2)),
            di.frames.random(4, 3),
            r"3 vectors through a layer of 2 neurons.*exactly 0",
        ),
        (
            di.MLP(widths=(4, 4), output_width=1),
            di.frames.random(4, 2),
            r"2 vectors through a layer of 1 neurons",
        ),
        (di.ResNet(width=5, depth=1), di.frames.random(3), "inputs of dimension 3.*width 5"),
        (
            di.ResNet(width=5, depth=1),
            di.curves.sampled(di.curves.circle(3)),
            "inputs of dimension 3.*width 5",
        ),
        (
            RELU,
            di.curves.sampled(di.curves.circle(radius=1e25)),
            r"points of size 1e\+25 in float32.*float64",
        ),
        (
            RELU,
            di.curves.sampled(di.curves.circle(radius=1e-25)),
            r"points of size 1e-25 in float32",
        ),
        (
            RELU,
            di.curves.sampled(di.curves.line([0.0, 0.0], [0.0, 1e20])),
            r"points of size 1e\+20",
        ),
        (
            RELU,
            di.curves.sampled(di.curves.circle(radius=1e25), method="polygon"),
            r"points of size 1e\+25",
        ),
        (RELU, di.frames.at([1e-25, 0.0], [1.0, 0.0]), "points of size 1e-25 in float32"),
        (RELU, di.frames.at([0.0, 1e25], [1.0, 0.0]), r"points of size 1e\+25 in float32"),
    ],
)
def test_what_has_no_defined_image_is_refused(spec, inputs, words):
    with pytest.raises(SpecError, match=words):
        input_rows(spec, inputs, "float32")


def test_biases_and_smooth_activations_have_no_tie_at_the_origin():
    for spec in (di.MLP(widths=(8,), bias_law=BIAS), di.MLP(widths=(8,), activation=di.tanh)):
        np.testing.assert_array_equal(input_rows(spec, AT_ZERO, "float32")(None).points, 0.0)


def test_float64_takes_what_float32_does_not():
    for inputs in (
        di.frames.at([1e-25, 0.0], [1.0, 0.0]),
        di.curves.sampled(di.curves.circle(radius=1e25)),
    ):
        input_rows(RELU, inputs, "float64")
