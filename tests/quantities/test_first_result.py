"""What a session waits for: imports and compilations of the first table."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory.angles import log_sin2_moments, log_sin2_propagation
from tests.support.compilations import compilations

ANGLE = di.quantities.log_sin2_angle
SESSION = """
import sys, deepinit as di
early = [name for name in ("jax", "numpy", "scipy", "matplotlib", "xarray", "pandas")
         if name in sys.modules]
net, pair, angle = di.MLP((8,) * 2), di.inputs.pair(angle=0.1), di.quantities.log_sin2_angle
fin = di.predict(net, angle, pair)
late = ("jax", "scipy.interpolate", "scipy.stats", "matplotlib", "xarray", "flax", "optax")
print(early, [name for name in late if name in sys.modules])
"""


def test_what_a_session_imports():
    """Importing deepinit loads nothing heavy, and a prediction of angles neither JAX."""
    command = [sys.executable, "-c", SESSION]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_limits_of_angles_and_distances_compile_one_program():
    """Inputs are prepared in NumPy: every eager operation would be a program of its own."""
    net = di.MLP((16,) * 7, activation="leaky_relu")
    for quantity in (ANGLE, di.quantities.log_distance):
        pairs = di.inputs.pairs((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
        jax.clear_caches()
        with compilations() as first:
            di.infinite(net, quantity, pairs)
        with compilations() as second:
            di.infinite(net, quantity, pairs)
        assert (first.number, second.number) == (1, 0), quantity.name
    with compilations() as rival:
        jnp.mean(jnp.ones((7, 13)) ** 2, axis=1)
    assert rival.number >= 2


def test_a_second_prediction_is_remembered(monkeypatch):
    net, pair = di.MLP((24,) * 5), di.inputs.pair(angle=0.37)
    first = di.predict(net, ANGLE, pair)
    monkeypatch.setattr("deepinit.theory.angles.propagation._walk", None)  # not called
    second = di.predict(di.MLP((24,) * 5), ANGLE, di.inputs.pair(angle=0.37))
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.variance, second.variance)
    for other in (di.MLP((24,) * 6), di.MLP((24,) * 5, activation="leaky_relu")):
        with pytest.raises(TypeError):  # another question is computed
            di.predict(other, ANGLE, pair)
    with pytest.raises(TypeError):
        di.predict(net, ANGLE, di.inputs.pair(angle=0.38))


def test_remembered_moments_cannot_be_changed():
    widths = (20,) * 3
    mean, variance = log_sin2_moments(0.41, widths, "tapered")
    walk = log_sin2_propagation(0.41, widths, "tapered")
    np.testing.assert_array_equal(mean, walk.mean)
    np.testing.assert_array_equal(variance, walk.variance)
    for array in (mean, variance):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.0
    prediction = di.predict(di.MLP(widths), ANGLE, di.inputs.pair(angle=0.41))
    prediction.mean[0] = 7.0  # the caller's own
    again = di.predict(di.MLP(widths), ANGLE, di.inputs.pair(angle=0.41))
    assert again.mean[0, 0] == mean[0]
    with pytest.raises(SpecError):
        log_sin2_moments(0.0, widths)
