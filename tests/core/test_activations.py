import dataclasses

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import deepinit as di
from deepinit.core import activations, gaussian
from deepinit.core.errors import SpecError

ALL = [factory() for factory in activations.BUILTIN.values()]
REFERENCE = {
    "tanh": mpmath.tanh,
    "erf": mpmath.erf,
    "sin": mpmath.sin,
    "gelu": lambda x: x * mpmath.ncdf(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}


@pytest.mark.parametrize("activation", ALL, ids=repr)
@pytest.mark.slow_cases("gelu")
def test_numpy_and_jax_agree_and_the_derivative_is_the_derivative(activation):
    x = np.linspace(-3.0, 3.0, 41) + 0.01
    np.testing.assert_allclose(
        np.asarray(activation(jnp.asarray(x, jnp.float32))), activation(x), rtol=2e-5, atol=1e-6
    )
    automatic = jax.vmap(jax.grad(lambda value: activation(value)))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(
        np.asarray(automatic), activation.derivative(x), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("name", REFERENCE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_difference_keeps_its_digits(name, dtype):
    activation = activations.as_activation(name)
    mpmath.mp.dps = 40
    points, steps = (
        np.array([-2.0, -0.3, 0.0, 0.7, 3.0], dtype),
        np.array([1e-12, -1e-6, 0.01, 0.4, -1.5], dtype),
    )
    for x in points:
        exact = [
            float(
                REFERENCE[name](mpmath.mpf(float(x)) + mpmath.mpf(float(d)))
                - REFERENCE[name](float(x))
            )
            for d in steps
        ]
        computed = np.asarray(activation.difference(np.full(5, x), steps), np.float64)
        if dtype == np.float32:
            computed = np.asarray(
                activation.difference(jnp.full(5, x), jnp.asarray(steps)), np.float64
            )
        small = np.abs(steps) < 0.5
        tolerance = 3e-6 if dtype == np.float32 else 2e-9
        np.testing.assert_allclose(computed[small], np.array(exact)[small], rtol=tolerance)
        np.testing.assert_allclose(
            computed[~small], np.array(exact)[~small], rtol=tolerance, atol=tolerance
        )
    # the rival: the plain difference has no digit left at 1e-12
    plain = np.asarray(activation(points + steps[0]) - activation(points), np.float64)
    assert (
        np.max(np.abs(plain / np.asarray(activation.difference(points, np.full(5, steps[0]))) - 1))
        > 1e-5
    )


@pytest.mark.parametrize("slope", [0.0, 0.1, -1.0, 1.0])
def test_difference_across_a_kink(slope):
    activation = activations.leaky_relu(slope)
    x, dx = np.array([1e-9, -1e-9, 2.0, -2.0]), np.array([-3e-9, 3e-9, 1e-9, 1e-9])
    exact = np.array([slope * -2e-9 - 1e-9, 2e-9 + slope * 1e-9, 1e-9, slope * 1e-9])
    np.testing.assert_allclose(activation.difference(x, dx), exact, rtol=1e-12)


def hard_tanh(x):
    return jnp.clip(x, -1.0, 1.0)


@pytest.mark.slow
def test_a_users_function_with_kinks():
    activation = activations.from_function(hard_tanh, kinks=(-1.0, 1.0))
    x = jnp.asarray([0.5, 0.9, 1.5, -1.2])
    dx = jnp.asarray([1e-10, 0.3, 1e-10, 0.3])
    np.testing.assert_allclose(
        np.asarray(activation.difference(x, dx)), [1e-10, 0.1, 0.0, 0.1], rtol=1e-6
    )


def test_a_users_importable_function_survives_json():
    activation = activations.from_function(jax.nn.hard_tanh)
    assert activation.name == "jax._src.nn.functions:hard_tanh"
    assert activations.from_json(activation.to_json()) == activation
    with pytest.raises(SpecError, match="cannot be applied to one float array"):
        activations.from_json({"name": "math:tanh"})


@pytest.mark.parametrize("activation", ALL, ids=repr)
def test_builtins_survive_json(activation):
    assert activations.from_json(activation.to_json()) == activation


def test_unknown_activation_and_unreachable_function_are_refused():
    for given in ("relo", 3.0, {"name": "no_such_module:phi"}):
        with pytest.raises(SpecError, match="Check the spelling"):
            activations.as_activation(given)
    with pytest.raises(SpecError, match="no import can reach"):
        activations.as_activation(lambda x: x).to_json()


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ({"name": "relu", "z": 1}, "no parameters"),
        ({"name": "leaky_relu", "negative_slope": 1, "z": 2}, "leaky_relu with negative_slope"),
        ({"name": "jax.nn:hard_tanh", "z": 2}, "no parameters"),
        ({"name": "rounded", "rho": 0.1}, "rounded with activation, rho, rounding"),
    ],
)
def test_records_with_wrong_parameters_are_refused(given, parameters):
    with pytest.raises(SpecError, match=f"activation '{given['name']}' with .*{parameters}"):
        di.MLP((3,), given)


@pytest.mark.parametrize("kinks", ["a", (np.nan,), [[0.0], [1.0, 2.0]], None])
def test_declared_kinks_are_finite_numbers(kinks):
    with pytest.raises(SpecError, match=r"kinks.*Write kinks=\(0\.0,\)"):
        activations.from_function(lambda x: x * jnp.tanh(x), kinks=kinks)


def test_networks_are_copied_by_replace_or_json_but_not_by_asdict():
    net = di.MLP((3,), "tanh")
    with pytest.raises(SpecError, match=r"'tanh' with fn, .*dataclasses.replace\(net\)"):
        di.MLP(**dataclasses.asdict(net))
    assert di.spec_from_json(net.to_json()) == dataclasses.replace(net) == net


def test_gaussian_rules_against_exact_moments():
    assert abs(gaussian.expectation(activations.relu, 2) - 0.5) < 1e-14
    assert abs(gaussian.expectation(activations.relu, 1) - 1 / np.sqrt(2 * np.pi)) < 1e-14
    assert (
        abs(gaussian.expectation(activations.sin, 2, variance=4.0) - 0.5 * (1 - np.exp(-8.0)))
        < 1e-13
    )
    exact = 2 / np.pi * np.arcsin(2 * 1.5 / (1 + 2 * 1.5))  # E erf(sqrt(v) Z)^2
    assert abs(gaussian.expectation(activations.erf, 2, variance=1.5) - exact) < 1e-13
    mpmath.mp.dps = 20
    reference = mpmath.quad(lambda x: mpmath.tanh(x) ** 2 * mpmath.npdf(x), [-12, -2, 0, 2, 12])
    assert abs(gaussian.expectation(activations.tanh, 2) - float(reference)) < 1e-14


def test_default_weight_variances():
    assert gaussian.default_weight_var(activations.relu) == 2.0
    assert abs(gaussian.default_weight_var(activations.leaky_relu(0.1)) - 2 / 1.01) < 1e-15
    assert abs(gaussian.default_weight_var(activations.tanh) - 1.0) < 1e-12
    assert abs(gaussian.default_weight_var(activations.erf) - np.pi / 4) < 1e-12
    sigmoid = activations.as_activation("sigmoid")
    assert (
        abs(gaussian.default_weight_var(sigmoid) * gaussian.expectation(sigmoid, 2) - 1) < 1.6e-13
    )  # half a unit of 13 digits


def test_a_default_variance_that_quadrature_does_not_resolve_is_refused():
    bump = di.from_function(lambda x: x + 5.0 * jnp.exp(-(((x - 0.51) * 200.0) ** 2)))
    assert not gaussian.is_odd(bump)
    with pytest.raises(SpecError, match=r"1\.00352 or 1\.07.*weight_law=di\.normal"):
        di.MLP((3,), bump)
    assert di.MLP((3,), bump, di.normal(0.9)).weight_law.variance == 0.9
