"""Numbers of a run's identity have the same last bits on every processor."""

import hashlib

import mpmath
import numpy as np
import pytest

import deepinit as di
from deepinit.core import targets
from deepinit.core.reproducible import cosine, norm, orthonormalized, sine

INPUTS = {
    "pairs": lambda: di.inputs.pairs(tuple(np.arange(1, 60) / 20.0)),
    "circle": lambda: di.inputs.circle(28),
    "frames": lambda: di.frames.random(64, 3, num_points=2),
    "digits": lambda: di.frames.images(5),
    "curve": lambda: di.curves.image_circle(3),
}
TARGETS = {
    "two circles": lambda: targets.two_circles(64).inputs,
    "two sines": lambda: targets.two_sines(80).targets,
    "sum of sines": lambda: targets.sum_of_sines(3, amplitude=4.0, frequency=12.0).targets,
}
HALF_STABLE = {name: di.critical(name) for name in ("gelu", "silu")}
DIGESTS = {
    "pairs": "8fb3d1f8d48e6158",
    "circle": "6d2a30a32241323f",
    "frames": "7278c3fc7d242143",
    "digits": "27e8f4f4975b846f",
    "curve": "c523f19601864f86",
    "two circles": "bcb696d25d32940b",
    "two sines": "e79c6502ec931d90",
    "sum of sines": "4031a8b3db49d89b",
}
VARIANCES = {
    "gelu": "2.351715614073",
    "silu": "2.810761124074",
    "softplus": "1.085486502988",
    "elu": "1.550518808068",
}
CRITICAL = {
    "gelu": "(1.983058257438, 0.172922390756, 3.38863042205)",
    "silu": "(1.988004678269, 0.555143170722, 13.7650304473)",
}


def digest(array):
    return hashlib.sha256(array.astype("<f8").tobytes()).hexdigest()


def test_inputs_and_targets_are_the_same_on_every_processor():
    found = {name: make().digest for name, make in INPUTS.items()}
    found |= {name: digest(make()) for name, make in TARGETS.items()}
    assert {name: value[:16] for name, value in found.items()} == DIGESTS


def test_variances_that_were_computed_are_the_same_on_every_processor():
    found = {
        name: repr(di.MLP((4,), name).weight_law.variance)
        for name in ("gelu", "silu", "softplus", "elu")
    }
    assert found == VARIANCES
    found = {
        name: repr((at.weight_var, at.bias_var, at.first_weight_var))
        for name, at in HALF_STABLE.items()
    }
    assert found == CRITICAL


def test_sines_are_rounded_correctly():
    angles = np.concatenate(
        [np.random.default_rng(0).uniform(-60.0, 60.0, 300), [0.0, 1e-300, 5e-324, np.pi, 1e9]]
    )
    with mpmath.workdps(50):
        for ours, exact in ((sine, mpmath.sin), (cosine, mpmath.cos)):
            assert ours(angles).tolist() == [
                float(exact(mpmath.mpf(float(angle)))) for angle in angles
            ]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_frames_are_orthonormal_and_name_what_is_dependent(scale):
    vectors = np.random.default_rng(1).standard_normal((4, 6))
    vectors[3] = vectors[0] - vectors[2] + 1e-7 * vectors[3]
    rows, shares = orthonormalized(scale * vectors)
    np.testing.assert_allclose(rows @ rows.T, np.eye(4), atol=1e-15)
    np.testing.assert_allclose(rows[0] * norm(vectors[0]), vectors[0], rtol=1e-15)
    assert shares[0] == pytest.approx(1.0, abs=1e-15)
    assert 1e-8 < shares[3] < 1e-6
    assert orthonormalized(np.array([[1.0, 2.0], [0.0, 0.0], [2.0, 4.0]]))[1][1:].max() < 1e-15
