"""What the diffusions refuse, and what the refusal says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diffusions import coupled_errors, drift_and_noise, jacobian_fn, path_fn

SPEC = di.ResNet(3, 4, block="shallow")


@pytest.mark.parametrize(
    "call",
    [
        lambda dtype: drift_and_noise(SPEC, 1, dtype=dtype),
        lambda dtype: path_fn(SPEC, np.ones(3), dtype=dtype),
        lambda dtype: jacobian_fn(SPEC, np.ones(3), dtype=dtype),
        lambda dtype: coupled_errors(SPEC, np.ones(3), (2, 4), num_seeds=2, dtype=dtype),
    ],
)
def test_unknown_dtypes_and_float64_outside_64_bit_mode_are_refused(call):
    for dtype in ("float99", "int32", "float16", jnp.float32, None, 64, ["float32"]):
        with pytest.raises(SpecError, match=r"Got dtype=.*Allowed: float32, float64"):
            call(dtype)
    with pytest.raises(SpecError, match=r"64-bit mode off.*enable_x64"):
        call("float64")


def test_float64_in_64_bit_mode_is_float64():
    with jax.enable_x64(True):
        assert path_fn(SPEC, np.ones(3), dtype="float64")(jax.random.key(0)).states.dtype == np.float64
