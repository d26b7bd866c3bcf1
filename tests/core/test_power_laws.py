"""Power laws of activations near 0 and far out, and values beyond the range of floats.

The forward pass and the random maps agree.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core import activations
from deepinit.core.activations import as_activation
from deepinit.core.power_laws import Orders, gains, power_laws
from deepinit.networks.activate import activate
from deepinit.networks.rows import frames_at, points_alone
from deepinit.random_maps.scaled import Scaled, added, log_norm
from deepinit.random_maps.scaled_activations import scaled_activation, scaled_derivative

BENT = [
    activations.from_function(jax.nn.selu, kinks=(0.0,)),
    activations.from_function(lambda x: jnp.where(x > 0, x, x * x), kinks=(0.0,)),
]
VECTOR = np.array([0.9, -0.6, 0.3, -0.1, 0.5])


@pytest.mark.parametrize(
    ("activation", "near", "far", "vanishes"),
    [
        ("relu", 1, 1, True),
        ("tanh", 1, 0, True),
        ("sin", 1, 0, True),
        ("gelu", 1, 1, True),
        ("sigmoid", 1, 0, False),
        ("softplus", 1, 1, False),
        ("x_tanh", 2, 1, True),
        ("x2_tanh", 3, 2, True),
        (di.rounded("x_tanh", 1e-3), 2, 1, True),
        (jnp.arctan, 1, 0, True),
        (jnp.exp, 1, 0, False),
        (jnp.cos, 2, 0, False),
        (lambda x: 1 - jnp.cos(x), 2, 0, True),
        (lambda x: jnp.exp(-x * x), 2, 0, False),
        (lambda x: jnp.abs(x) ** 1.5, 0, 1.5, True),
        (lambda x: jnp.where(x > 0, x, 2 * x), 1, 1, True),
    ],
)
@pytest.mark.slow_cases("<lambda>-0-1.5-True", "exp-1-0-False")
def test_orders_near_zero_and_far_out(activation, near, far, vanishes):
    laws = power_laws(as_activation(activation))
    assert laws.differences == Orders((near, near), (far, far))
    assert laws.values == Orders((near if vanishes else 0,) * 2, (far, far))


@pytest.mark.slow
def test_orders_of_each_side():
    assert power_laws(as_activation(jax.nn.selu)).values.far == (0, 1)
    bent = as_activation(lambda x: jnp.where(x > 0, x, x * x))
    assert power_laws(bent).values == Orders((2, 1), (2, 1))
    assert (
        jax.jit(lambda x: x * power_laws(as_activation(jnp.arcsinh)).values.near[0])(2.0) == 2.0
    )  # while traced


def test_gain_of_a_row_is_that_of_its_largest_live_entries():
    x, images = (
        np.array([[1.0, -1.0, 2.0], [1.0, -1.0, -3.0]]),
        np.array([[1.0, 1.0, 2.0], [0.0, 1.0, 9.0]]),
    )
    row, entries = gains(Orders((2, 1), (2, 1)), np.array([-10.0, -10.0]), images, x)
    np.testing.assert_array_equal(row, [-10.0, -20.0])
    np.testing.assert_array_equal(entries, [[0.0, -10.0, 0.0], [0.0, 0.0, 0.0]])
    across, _ = gains(Orders((0, 0), (0, 1)), np.array([10.0, 10.0]), images, -abs(x), x)
    np.testing.assert_array_equal(across, [10.0, 0.0])


@pytest.mark.slow_cases("both-tanh--30")
@pytest.mark.parametrize("log2_size", [-3000, -60, -30, -10, 0, 3, 25, 70, 3000])
@pytest.mark.parametrize(
    "activation",
    ["tanh", "gelu", "softplus", "x_tanh", "x2_tanh", *BENT, jnp.cos],
    ids=["tanh", "gelu", "softplus", "x_tanh", "x2_tanh", "selu", "bent", "cos"],
)
@pytest.mark.parametrize("vector", [VECTOR, -np.abs(VECTOR)], ids=["both", "negative"])
@pytest.mark.slow_cases("both-bent--60", "both-gelu--60", "both-selu--60", "both-tanh--60")
@pytest.mark.exhaustive_cases(
    "both-bent--3000", "both-gelu--3000", "both-selu--3000", "both-tanh--3000"
)
@pytest.mark.exhaustive_cases("both-tanh--60")
def test_forward_pass_and_observables_agree_at_every_size(activation, vector, log2_size):
    """Values, directional derivatives and small differences under both kinds of scale."""
    activation = as_activation(activation)
    if activation.name.endswith("cos") and log2_size > 0:
        pytest.skip("its phase has no digits")
    vector, step = (
        np.asarray(vector, np.float32),
        np.array([0.3, -0.4, 0.25, 0.5, 0.35], np.float32),
    )
    z, moved = (Scaled(jnp.asarray(x), jnp.int32(log2_size)) for x in (vector, vector + step))
    image, other = scaled_activation(activation, z), scaled_activation(activation, moved)
    one = np.zeros(1, np.float32)
    rows = dataclasses.replace(
        frames_at(jnp.asarray(vector[None]), jnp.ones((1, 1, 5), jnp.float32)),
        point_scales=jnp.full(1, log2_size * np.log(2.0), jnp.float32),
        displacements=jnp.asarray(step[None]),
        displacement_scales=one,
        partner_scales=one,
        bases=(0,),
    )
    after = activate(rows, activation)
    _same(image, after.points[0], after.point_scales[0])
    _same(scaled_derivative(activation, z), after.tangents[0, 0], after.log_norm_growths[0, 0])
    scale = after.point_scales[0] + after.displacement_scales[0]
    size = float(log_norm(image))  # the difference of two values carries their rounding
    _same(
        added(other, Scaled(-image.mantissa, image.exponent)), after.displacements[0], scale, size
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("activation", "order"), [("gelu", 1), ("x_tanh", 2), ("x2_tanh", 3)])
@pytest.mark.slow_cases("x_tanh-2-float64")
@pytest.mark.exhaustive_cases("gelu-1-float64")
def test_small_displacements_of_small_points_act_through_the_derivative(activation, order, dtype):
    with jax.enable_x64(dtype == "float64"):
        rows = points_alone(jnp.asarray(VECTOR[None], dtype))
        one, step = jnp.ones(1, dtype), jnp.asarray(VECTOR[None, ::-1], dtype)
        shift = {
            "displacements": step,
            "displacement_scales": -12 * one,
            "partner_scales": 0 * one,
            "bases": (0,),
        }
        after = activate(
            dataclasses.replace(rows, point_scales=-300 * one, **shift), as_activation(activation)
        )
        assert after.point_scales[0] + jnp.log(jnp.abs(after.points[0, 0])) == pytest.approx(
            order * (np.log(VECTOR[0]) - 300) + np.log(0.5 if order == 1 else 1.0), rel=1e-6
        )
        moved = (
            np.exp(float(after.displacement_scales[0])) * after.displacements[0] / after.points[0]
        )
        expected = (1 + np.exp(-12.0) * VECTOR[::-1] / VECTOR) ** order - 1
        np.testing.assert_allclose(moved, expected, rtol=1e-4 if dtype == "float32" else 1e-9)


def _same(scaled, row, scale, size_of_terms=-np.inf):
    row, log_size = np.asarray(row, float), float(log_norm(scaled))
    mantissa = np.asarray(scaled.mantissa, float)
    size = np.linalg.norm(row)
    if size_of_terms > log_size + 10:
        return  # no digits are left
    if size == 0 or log_size == -np.inf:
        assert size == 0
        assert log_size < -80  # a tail underflows
        return
    # a floating log-scale rounds, an exponent does not
    tolerance = 1e-5 * max(1.0, np.exp(size_of_terms - log_size)) + 1e-6 * abs(float(scale))
    np.testing.assert_allclose(float(scale) + np.log(size), log_size, atol=tolerance)
    np.testing.assert_allclose(row / size, mantissa / np.linalg.norm(mantissa), atol=tolerance)
