"""What the diffusions refuse, and what the refusal says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diffusions import coupled_errors, drift_and_noise, jacobian_fn, path_fn

SPEC = di.ResNet(3, 4, block="shallow")


def _swish(bias_var=1.0, **more):
    laws = {
        "weight_law": di.normal(1.0, "depth"),
        "bias_law": di.normal(bias_var, "depth") if bias_var else None,
    }
    return di.ResNet(5, 4, activation=di.silu, block="shallow", **laws, **more)


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


@pytest.mark.slow
@pytest.mark.exhaustive
def test_float64_in_64_bit_mode_is_float64():
    with jax.enable_x64(True):
        assert (
            jax.jit(path_fn(SPEC, np.ones(3), dtype="float64"))(jax.random.key(0)).states.dtype
            == np.float64
        )


EXPLODING = {  # the closed form of the double limit: 0.941622 for the second row
    "copied": (_swish(), np.array([[3.0] * 5, [4.0] * 5]), ("input 1", "0.94162")),
    "inner": (_swish(inner_activation=di.relu), 5.0 * np.ones((1, 5)), ("input 0", "explodes")),
    "superlinear": (
        di.ResNet(5, 4, block="shallow", inner_activation=lambda x: x**2),
        np.ones((1, 5)),
        ("0.46794",),
    ),
    "embedded": (
        _swish(embedding_law=di.normal(2.0)),
        9.0 * np.ones((1, 3)),
        ("input 0", "explodes"),
    ),
}


@pytest.mark.parametrize("case", EXPLODING)
@pytest.mark.slow_cases("superlinear")
def test_horizons_beyond_the_explosion_are_refused_with_its_time(case):
    spec, rows, words = EXPLODING[case]
    for call in (
        lambda: path_fn(spec, rows),
        lambda: jacobian_fn(spec, rows),
        lambda: coupled_errors(spec, rows),
    ):
        with pytest.raises(
            SpecError, match=r"Got horizon=1, while the limit explodes.*Allowed: horizons below"
        ) as found:
            call()
        assert all(word in str(found.value) for word in words)
    with pytest.raises(SpecError, match="allow_explosion=True"):
        path_fn(spec, rows)
    path_fn(spec, rows, allow_explosion=True)
    jacobian_fn(spec, rows, allow_explosion=True)


def test_horizons_before_the_explosion_and_laws_without_a_known_time_pass():
    path_fn(_swish(), 4.0 * np.ones(5), horizon=0.94)
    path_fn(_swish(inner_activation=di.tanh), 1e6 * np.ones(5), horizon=1e6)
    path_fn(di.ResNet(5, 4, block="shallow"), 1e6 * np.ones(5), horizon=1e6)
    path_fn(_swish(bias_var=0.0), np.zeros(5), horizon=1e6)
    correlated = di.matrix_normal(np.eye(5), np.eye(5))
    path_fn(
        di.ResNet(5, 4, activation=di.silu, weight_law=correlated, block="shallow"),
        1e6 * np.ones(5),
    )


def test_explosion_times_of_images_count_every_position_of_the_patch():
    # constant images with a circular filter of 3: 3 sigma_w^2 in place of sigma_w^2
    images = np.full((1, 8), 2.0)
    convolution = di.ConvResNet(
        (4,), 2, 4, activation=di.silu, weight_law=di.normal(1 / 3, "depth")
    )
    alike = di.ResNet(8, 4, activation=di.silu, weight_law=di.normal(1.0, "depth"), block="shallow")
    for spec in (convolution, alike):
        with pytest.raises(SpecError, match=r"at the time 1\.8483"):
            path_fn(spec, images, horizon=1.9)
        path_fn(spec, images, horizon=1.8)


@pytest.mark.parametrize("given", [1, "yes", None])
def test_allow_explosion_is_a_bool(given):
    with pytest.raises(SpecError, match="allow_explosion="):
        path_fn(SPEC, np.ones(3), allow_explosion=given)


@pytest.mark.exhaustive
def test_orders_of_linear_networks_and_of_inputs_that_stay_are_refused():
    linear = di.ResNet(3, 4, activation=di.linear, block="shallow")
    with pytest.raises(SpecError, match=r"outer activation linear.*activations that bend"):
        coupled_errors(linear, np.ones(3), (2, 4), num_seeds=2)
    with pytest.raises(SpecError, match=r"input 1, where network and diffusion coincide"):
        coupled_errors(SPEC, np.stack([np.ones(3), np.zeros(3)]), (2, 4), num_seeds=2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: path_fn(SPEC, np.ones(3), form=np.ones(2)), "form="),
        (lambda: path_fn(SPEC, np.ones(3), brownian=np.ones(2)), "brownian="),
        (lambda: path_fn(SPEC, np.ones(3), horizon=[[1, 2], [3]]), "horizon="),
        (lambda: path_fn(SPEC, np.ones(3), times=1e308), "times="),
        (lambda: drift_and_noise(SPEC, 1, brownian=np.ones(2)), "brownian=.*True or False"),
        (lambda: coupled_errors(SPEC, np.ones(3), [[1, 2], [3]]), "depths="),
        (lambda: coupled_errors(SPEC, np.ones(3), "ab"), "depths="),
    ],
)
def test_arguments_of_another_kind_are_refused(call, words):
    with pytest.raises(SpecError, match=words):
        call()
