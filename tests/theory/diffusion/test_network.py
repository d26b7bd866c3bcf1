import itertools
import math

import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import linear_model, linear_network, network_kernels


def test_kernels_of_the_complete_network():
    products, w, b, t, z, y = np.array([[1.5, 0.3], [0.3, 0.8]]), 1.1, 0.4, 0.9, 0.5, 1.7
    c, r, e = w * t, b / w, math.exp(w * t)
    limit = network_kernels("tanh", products, w, b, t, embedding_var=z, readout_var=y)
    assert limit.nngp == pytest.approx(y * (z * e * products + r * (e - 1)), rel=1e-13)
    assert limit.ntk == pytest.approx(
        y * (z * (c + 2) * e * products + r * (c * e + e - 1)), rel=1e-13
    )
    assert limit.ntk == pytest.approx(limit.readout + limit.blocks + limit.embedding)
    for size in (1, 2, 3):
        for trained in itertools.combinations(("readout", "blocks", "embedding"), size):
            settings = {"embedding_var": z, "readout_var": y, "trained": trained}
            kernel = network_kernels("tanh", products, w, b, t, **settings).ntk
            model = linear_model("tanh", w, b, t, **settings)
            assert kernel == pytest.approx(
                model.intercept_var + model.slope_var * products, rel=1e-13
            )
    bayes = linear_model("tanh", w, b, t, embedding_var=z, readout_var=y)
    assert bayes == pytest.approx((y * r * (e - 1), y * z * e))
    no_bias = network_kernels("tanh", products, 0.0, b, t)
    assert no_bias.nngp == pytest.approx(products + b * t)


def test_shares_of_finite_linear_networks_tend_to_those_of_the_complete_network():
    deep = linear_network(0.15, 10**7, 1.21, 0.36)
    limit = network_kernels("linear", 0.15, 1.21, 0.36)
    shares = (limit.readout[0, 0], limit.blocks[0, 0], limit.embedding[0, 0])
    expected = (deep.overlap[0, 0], deep.block_kernel[0, 0], 0.15 * deep.jacobian_mean_square)
    assert shares == pytest.approx(expected, rel=1e-6)


def test_with_curvature_the_kernel_is_not_affine():
    # four inputs on a line: an affine function of the inner product has no third difference in z
    z = np.array([0.0, 0.5, 1.0, 1.5])

    def third_difference(activation):
        row = network_kernels(activation, np.outer(z, z), 1.0, 0.5, 0.5).nngp[1]
        return row[3] - 3 * row[2] + 3 * row[1] - row[0]

    assert abs(third_difference("tanh")) < 1e-12
    assert abs(third_difference("silu")) > 1e-4


def test_both_kernels_predict_as_least_squares_with_intercept_when_noise_vanishes():
    points = np.array([[1.0, 0.2], [-0.4, 0.9], [0.3, -1.2], [0.8, 0.8], [-1.0, -0.1], [0.1, 0.3]])
    targets = np.array([0.3, -1.0, 0.7, 0.2, 1.1, -0.6])
    design = np.column_stack([np.ones(6), points])
    fitted = design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    kernels = network_kernels("tanh", points @ points.T, 1.0, 0.5)
    predictions = [
        k @ np.linalg.solve(k + 1e-8 * np.eye(6), targets) for k in (kernels.nngp, kernels.ntk)
    ]
    assert predictions == [pytest.approx(fitted, abs=1e-6)] * 2
    noisy = [k @ np.linalg.solve(k + np.eye(6), targets) for k in (kernels.nngp, kernels.ntk)]
    assert abs(noisy[0] - noisy[1]).max() > 1e-2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: network_kernels("tanh", np.eye(2), 1.0, trained=("head",)),
            "readout, blocks, embedding",
        ),
        (lambda: network_kernels("tanh", np.eye(2), 1.0, trained=()), "one or more"),
        (lambda: network_kernels("tanh", np.eye(2), 1.0, embedding_var=0.0), "embedding_var=0.0"),
        (lambda: network_kernels("silu", 16.0 * np.eye(2), 1.0, 1.0, 5.0), "explodes"),
        (lambda: linear_model("silu", 1.0), r"phi''\(0\)"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(SpecError, match=message):
        call()
