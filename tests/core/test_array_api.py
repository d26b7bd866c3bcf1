import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import validate
from deepinit.core.array_api import array_namespace, as_floats, is_traced
from deepinit.core.errors import SpecError


def one(value):
    return as_floats(array_namespace(value), value)[0]


@pytest.mark.parametrize(
    "value", [jnp.asarray(0.1), jnp.int32(3), jnp.asarray(True), jnp.float32(0.1)]
)
def test_what_has_no_float_dtype_of_its_own_becomes_float32(value):
    found = one(value)
    assert found.dtype == jnp.float32
    assert not found.weak_type
    assert float(found) == pytest.approx(float(value), rel=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_strong_floats_keep_their_dtype(dtype):
    assert one(jnp.asarray(0.1, dtype)).dtype == dtype
    assert as_floats(jnp, jnp.asarray(0.1, dtype), 2.0, jnp.asarray(0.5))[1].dtype == dtype


def test_python_floats_under_transformations_are_float32():
    for transformed in (jax.jit(one), jax.vmap(one, axis_size=1, in_axes=None)):
        found = transformed(1e-12)
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, 1e-12, rtol=1e-6)
    assert jax.grad(lambda x: one(x) ** 2)(1e-4) == pytest.approx(2e-4, rel=1e-6)
    with jax.enable_x64(True):
        assert jax.jit(one)(0.1).dtype == jnp.float64
    assert as_floats(jnp, 0.1)[0].dtype == jnp.float32


def test_numpy_is_float64():
    assert one(np.float32(0.5)).dtype == one(3).dtype == np.float64


@pytest.mark.parametrize("value", ["a", "0.1", None, [1.0, "b"], 1j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(SpecError, match="real numbers"):
        as_floats(np, value)


def test_tracers_are_told_from_arrays():
    assert not is_traced(0.1, np.ones(2), jnp.ones(2))
    assert jax.jit(lambda x: jnp.asarray(is_traced(1, x)))(0.1)


def test_angles_are_checked_once_for_all():
    for angle in (0.0, math.pi, np.float32(math.pi), jnp.float32(math.pi), np.array([0.1, 3.0])):
        validate.angle(angle)
    jax.jit(lambda theta: validate.angle(theta))(7.0)
    for angle in (-1e-9, 3.1416, math.nan, math.inf, jnp.asarray([0.1, -0.1])):
        with pytest.raises(SpecError, match=r"angles in \[0, pi\]"):
            validate.angle(angle)
    with pytest.raises(SpecError, match="numbers in"):
        validate.angle("a")
