import condensation_network as network
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.activations import as_activation, leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.condensation import (
    cnn_orientations,
    homogeneous_orientations,
    layer_orientation,
    multi_output_orientations,
    predict_orientations,
)


def classes():
    rng = np.random.default_rng(2)
    labels = np.arange(30) % 3
    means = np.array([[2.0, 0.0, 0.3], [-0.6, 1.0, 0.0], [-0.8, -0.5, 1.0]])
    return means[labels] + 0.5 * rng.standard_normal((30, 3)), labels


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_networks_with_three_outputs(loss):
    x, labels = classes()
    z = network.with_one(x)
    onehot = np.eye(3)[labels]
    targets = (
        onehot @ np.array([[1.0, 0.2, 0.0], [0.0, -1.0, 0.5], [0.3, 0.0, 2.0]])
        if loss == "squared"
        else labels
    )
    result = multi_output_orientations(x, targets, "tanh", loss=loss)
    rng = np.random.default_rng(0)
    a, w = 1e-7 * rng.standard_normal((50, 3)), 1e-7 * rng.standard_normal((50, 4))
    start = w
    misses = []
    for _ in range(3000):
        f = np.tanh(w @ z.T).T @ a
        shares = np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)
        error = f - targets if loss == "squared" else shares - onehot
        hidden = np.tanh(w @ z.T)
        da, dw = hidden @ error / 30, ((a @ error.T) / np.cosh(w @ z.T) ** 2) @ z / 30
        rate = 0.02 / result.rate
        a, w = a - rate * da, w - rate * dw
        growth = np.linalg.norm(w) / np.linalg.norm(start)
        across = np.linalg.norm(
            w - np.outer(w @ result.directions[0], result.directions[0]), axis=1
        )
        if growth > 30 * 10 ** len(misses) and len(misses) < 3:
            misses.append((np.log(growth), np.log(np.median(across / np.linalg.norm(w, axis=1)))))
        if growth > 1e5:
            break
    cosine, which = network.nearest(w, result.directions)
    assert np.median(cosine) > 0.998
    aligned = cosine > 0.98
    assert (
        (a / np.linalg.norm(a, axis=1, keepdims=True) * result.outputs[which]).sum(axis=1)[aligned]
        > 0.97
    ).all()
    # misalignment falls like a power of the growth: kappa, once the third singular value is out
    (x1, y1), (x2, y2) = misses[1:]
    assert (y1 - y2) / (x2 - x1) == pytest.approx(result.kappa, abs=0.05)


def test_one_output_is_the_two_layer_network():
    x, y = network.paper_data(3, 0)
    several, one = (
        multi_output_orientations(x, y[:, None], "tanh"),
        predict_orientations(x, y, "tanh"),
    )
    order = np.argsort(-(several.directions @ one.directions[0]))
    np.testing.assert_allclose(several.directions[order], one.directions, atol=1e-12)
    np.testing.assert_allclose(several.outputs[order, 0], one.output_sign)
    assert several.kappa == 1.0
    onehot = np.eye(2)[[0, 1, 1]]
    points = [[1.0], [2.0], [4.0]]
    for first, second in zip(
        multi_output_orientations(points, [0, 1, 1], "tanh", loss="cross_entropy"),
        multi_output_orientations(points, onehot, "tanh", loss="cross_entropy"),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)


def image_patches():
    rng = np.random.default_rng(4)
    images = rng.standard_normal((25, 6))
    return np.lib.stride_tricks.sliding_window_view(
        images, 3, axis=1
    ), images @ rng.standard_normal(6) + 0.5


@pytest.mark.parametrize("readout", ["average", "position"])
def test_convolutional_networks(readout):
    patches, y = image_patches()
    result = cnn_orientations(patches, y, "tanh", readout=readout)
    z = np.concatenate([patches, np.ones((25, 4, 1))], axis=2)
    rng = np.random.default_rng(0)
    a, w = 1e-9 * rng.standard_normal((40, 4)), 1e-9 * rng.standard_normal((40, 4))
    if readout == "average":
        a = a[:, :1] @ np.ones((1, 4)) / 4
    for _ in range(60_000):
        value = np.tanh(np.einsum("jd,nkd->jnk", w, z))
        error = np.einsum("jk,jnk->n", a, value) - y
        da = np.einsum("n,jnk->jk", error, value) / 25
        dw = np.einsum("n,jk,jnk,nkd->jd", error, a, 1 - value**2, z) / 25
        if readout == "average":
            da = da.mean(axis=1, keepdims=True) @ np.ones((1, 4)) / 4
        a, w = a - 0.1 * da, w - 0.1 * dw
        if np.linalg.norm(w) > 1e-3:
            break
    cosine, _ = network.nearest(w, result.directions)
    assert np.median(cosine) > 0.999
    if readout == "position":
        matrix = np.tensordot(y, z, axes=1) / 25
        values = np.linalg.svd(matrix)[1]
        assert result.rate == pytest.approx(values[0], rel=1e-12)
        assert result.kappa == pytest.approx(1 - values[1] / values[0], rel=1e-12)
        assert result.outputs.shape == (2, 4)
    else:
        v = np.tensordot(y, z.mean(axis=1), axes=1)
        np.testing.assert_allclose(result.directions[0], v / np.linalg.norm(v), atol=1e-12)


def test_average_pooling_with_a_higher_multiplicity():
    patches, y = image_patches()
    result = cnn_orientations(patches, y, lambda s: s * jnp.tanh(s))
    rows = np.concatenate([patches, np.ones((25, 4, 1))], axis=2)
    matrix = np.einsum("n,nkd,nke->de", y, rows, rows) / 100
    eigenvalues = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(
        sorted({round(v, 10) for v in result.values}), eigenvalues[[0, -1]], atol=1e-9
    )


def test_second_layer_follows_the_first_or_its_bias():
    x = np.random.default_rng(0).standard_normal((30, 3))
    y = x @ [1.0, -0.5, 0.2]
    y -= y.mean()
    for bias, offset in ((False, 0.0), (True, 0.5)):
        rng = np.random.default_rng(1)
        first, second, output = (
            1e-4 * rng.standard_normal(shape) for shape in ((30, 4), (30, 31), 30)
        )
        z = network.with_one(x)
        for _ in range(60_000):
            h1 = np.tanh(z @ first.T)
            rows = np.column_stack([h1, np.full(30, float(bias))])
            h2 = np.tanh(rows @ second.T)
            error = h2 @ output - y - offset
            back = error[:, None] * output * (1 - h2**2)
            steps = (
                back.T @ rows / 30,
                (back @ second[:, :30] * (1 - h1**2)).T @ z / 30,
                h2.T @ error / 30,
            )
            second, first, output = (
                second - 0.5 * steps[0],
                first - 0.5 * steps[1],
                output - 0.5 * steps[2],
            )
            if np.abs(second).max() > (0.02 if bias else 0.1):
                break
        predicted = layer_orientation(np.tanh(z @ first.T), y + offset, bias=bias)
        rows = second[:, : 30 + bias]
        grown = np.linalg.norm(rows, axis=1) > 0.2 * np.linalg.norm(rows, axis=1).max()
        cosine = np.abs(rows @ predicted.direction) / np.linalg.norm(rows, axis=1)
        assert predicted.bias_share > 0.99 if bias else predicted.bias_share == 0.0
        assert np.median(cosine[grown]) > 0.95
        v = y @ z / np.linalg.norm(y @ z)
        aligned = np.median(np.abs(first @ v) / np.linalg.norm(first, axis=1))
        assert (
            aligned < 0.9 if bias else aligned > 0.95
        )  # the bias is fitted before the first layer turns


@pytest.mark.parametrize("activation", ["relu", "absolute", leaky_relu(0.3), leaky_relu(-0.4)])
def test_homogeneous_against_a_fine_grid(activation):
    sigma = as_activation(activation)
    angles = 2 * np.pi * (np.arange(100_000) + 0.5) / 100_000
    u = np.column_stack([np.cos(angles), np.sin(angles)])
    for seed in range(5):
        x, y = network.paper_data(1, seed, n=9)
        height = np.abs(sigma(u @ network.with_one(x).T) @ y / 9)
        tops = (height > np.roll(height, 1)) & (height >= np.roll(height, -1)) & (height > 1e-9)
        resolved = np.pi / 100_000 * np.abs(y) @ np.hypot(x[:, 0], 1.0) / 9
        result = homogeneous_orientations(x, y, activation)
        assert len(result.values) == tops.sum()
        assert (network.nearest(u[tops], result.directions)[0] > 1 - 1e-8).all()
        np.testing.assert_allclose(
            np.sort(np.abs(result.values)), np.sort(height[tops]), atol=resolved, rtol=0
        )


def test_relu_network_on_published_directions():
    x = np.linspace(-1.0, 1.5, 40)
    y = np.sin(3 * x) + np.sin(6 * x) / 2
    result = homogeneous_orientations(x, y)
    degrees = np.rad2deg(np.arctan2(result.directions[:, 1], result.directions[:, 0])) % 360
    np.testing.assert_allclose(np.sort(degrees), [26.0, 154.6, 331.7], atol=0.06)
    z = network.with_one(x[:, None])
    a, w = network.neuron_flow("relu", *network.initial(300, 2, 1e-5, 0), z, y, 0.01)
    live = (w @ z.T > 0).any(axis=1) & (np.linalg.norm(w, axis=1) > 1e-3)
    cosine, which = network.nearest(w[live], result.directions)
    assert live.mean() > 0.5
    assert (cosine > 0.999).mean() > 0.97
    assert set(which) == {0, 1, 2}
    np.testing.assert_array_equal(np.sign(a[live]), result.output_sign[which])


def test_linear_is_the_smooth_case():
    x, y = network.paper_data(1, 0)
    smooth, homogeneous = (
        predict_orientations(x, y, "tanh"),
        homogeneous_orientations(x, y, "linear"),
    )
    order = np.argsort(-(homogeneous.directions @ smooth.directions[0]))
    np.testing.assert_allclose(homogeneous.directions[order], smooth.directions, atol=1e-12)
    np.testing.assert_allclose(homogeneous.values[order], smooth.values, rtol=1e-12)


def test_bad_arguments_are_refused():
    x, labels = classes()
    patches, y = image_patches()
    onehot = np.eye(3)[labels]
    for call, reason in (
        (lambda: multi_output_orientations(x, onehot[:5], "tanh"), "One row per sample"),
        (lambda: multi_output_orientations(x, 0 * onehot, "tanh"), "V = 0"),
        (lambda: multi_output_orientations(x, onehot, "sigmoid"), r"sigma\(0\) = 0.5"),
        (lambda: multi_output_orientations(x, onehot, "relu"), "kink"),
        (lambda: multi_output_orientations(x, onehot, lambda s: s**2), "multiplicity 2"),
        (lambda: multi_output_orientations(x, onehot, "tanh", loss="hinge"), "hinge"),
        (
            lambda: multi_output_orientations(x, labels + 0.5, "tanh", loss="cross_entropy"),
            "no classes",
        ),
        (
            lambda: multi_output_orientations(x, 0 * labels, "tanh", loss="cross_entropy"),
            "no classes",
        ),
        (
            lambda: multi_output_orientations(x, labels - 1, "tanh", loss="cross_entropy"),
            "no classes",
        ),
        (
            lambda: multi_output_orientations(x, 2 * onehot, "tanh", loss="cross_entropy"),
            "no classes",
        ),
        (
            lambda: multi_output_orientations(x, labels[:3], "tanh", loss="cross_entropy"),
            "no classes",
        ),
        (lambda: cnn_orientations(patches[0], y, "tanh"), "patches of shape"),
        (lambda: cnn_orientations(patches, y[:3], "tanh"), "one number per sample"),
        (lambda: cnn_orientations(patches, y, "tanh", readout="max"), "max"),
        (lambda: cnn_orientations(patches, 0 * y, "tanh", readout="position"), "V = 0"),
        (lambda: layer_orientation(x, labels[:4]), "one number per sample"),
        (lambda: layer_orientation(x, 0.0 * labels), "is 0 for every u"),
        (lambda: homogeneous_orientations(x, labels), "4 input weights"),
        (lambda: homogeneous_orientations(x[:, 0], labels, "tanh"), "predict_orientations"),
        (lambda: homogeneous_orientations(x[:, 0], 0.0 * labels), "H is 0"),
        (lambda: homogeneous_orientations(x[:, 0], labels[:2]), "one number per sample"),
    ):
        with pytest.raises(SpecError, match=reason):
            call()


def test_matrix_of_several_outputs_and_its_line():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    result = multi_output_orientations(x, y, "tanh")
    rows = np.hstack([x, np.ones((20, 1))])
    assert result.matrix == pytest.approx(y.T @ rows / 20, rel=1e-12)
    right = np.linalg.eigh(result.matrix.T @ result.matrix)[1][:, -1]
    assert abs(result.directions[0] @ right) == pytest.approx(1.0, rel=1e-10)
    assert result.num_lines == 1
