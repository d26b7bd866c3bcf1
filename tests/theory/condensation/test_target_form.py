import math

import condensation_network as network
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from deepinit.core.errors import SpecError
from deepinit.theory.condensation import condensation_exponent, predict_orientations, target_form


def x_tanh(s):
    return s * jnp.tanh(s)


def cube(s):
    return s**3


def fourth(s):
    return s**4


def one_dimensional():
    x = np.linspace(-1.0, 1.5, 40)
    return x[:, None], np.sin(3.0 * x) + 0.5 * np.sin(6.0 * x)


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_form_and_its_derivatives(p):
    x, y = network.paper_data(2, 0, n=7)
    form = target_form(x, y, p, 0.7)
    rng = np.random.default_rng(0)
    u = rng.standard_normal((3, 3))
    for row in u:
        direct = (
            0.7 / 7 * sum(yi * (row[:2] @ xi + row[2]) ** p for xi, yi in zip(x, y, strict=True))
        )
        assert form.value(row) == pytest.approx(direct, rel=1e-12)
        step = 1e-5
        differences = [
            (form.value(row + step * e) - form.value(row - step * e)) / (2 * step)
            for e in np.eye(3)
        ]
        np.testing.assert_allclose(
            form.gradient(row), differences, rtol=1e-6, atol=1e-6 * form.size
        )
        bends = [
            (form.gradient(row + step * e) - form.gradient(row - step * e)) / (2 * step)
            for e in np.eye(3)
        ]
        np.testing.assert_allclose(form.hessian(row), bends, rtol=1e-6, atol=1e-6 * form.size)
        assert row @ form.gradient(row) == pytest.approx(p * form.value(row), rel=1e-12)  # Euler
    np.testing.assert_allclose(form.value(u), [form.value(row) for row in u], rtol=1e-14)
    assert target_form(x, y, p, bias=False).dimension == 2


def test_velocity_is_the_gradient_of_the_loss_at_tiny_weights():
    x, y = network.paper_data(2, 3, n=9)
    z = network.with_one(x)
    for p, sigma in ((1, "tanh"), (2, "x tanh"), (3, "x^2 tanh")):
        a, w = network.initial(4, 3, 1e-4, 0)
        da, dw, _ = network.gradients(sigma, a, w, z, y)
        form = target_form(x, y, p)
        predicted = form.value(w), a[:, None] * form.gradient(w)
        np.testing.assert_allclose(-da, predicted[0], atol=1e-5 * np.abs(da).max())
        np.testing.assert_allclose(-dw, predicted[1], atol=1e-5 * np.abs(dw).max())


@pytest.mark.parametrize(("p", "which"), [(2, 0), (3, 0), (3, 2), (4, 0)])
def test_misalignment_falls_with_the_condensation_exponent(p, which):
    x, y = network.paper_data(5, 1)
    form = target_form(x, y / 100.0, p)
    result = predict_orientations(x, y, {2: x_tanh, 3: cube, 4: fourth}[p])
    u, kappa = result.directions[which], result.kappa[which]
    assert kappa == pytest.approx(condensation_exponent(form, u), rel=1e-9)
    # the slowest direction across u
    tangent = np.linalg.svd(u[None])[2][1:]
    bends = result.output_sign[which] * tangent @ form.hessian(u) @ tangent.T
    start = u + 1e-4 * tangent.T @ np.linalg.eigh(bends)[1][:, -1]

    def velocity(_, theta):
        a, w = form.value(theta[None, 1:]), theta[:1, None] * form.gradient(theta[None, 1:])
        return np.concatenate([a, w[0]])

    def grown(_, theta):
        return np.linalg.norm(theta[1:]) - 3.0

    grown.terminal = True
    first = np.concatenate([[result.output_sign[which] / math.sqrt(p)], start])
    path = solve_ivp(
        velocity, (0, 1e6), first, rtol=1e-11, atol=1e-13, events=grown, method="DOP853"
    )
    end = path.y[1:, -1]
    shrunk = np.linalg.norm(end / np.linalg.norm(end) - u) / 1e-4
    assert -math.log(shrunk) / math.log(3.0) == pytest.approx(kappa, abs=1e-3)


def test_published_exponents_of_one_data_set():
    for seed, activation, kappas in (
        (0, x_tanh, [0.144, 0.488]),
        (7, cube, [0.16, 0.55, 0.73, 0.77]),
    ):
        result = predict_orientations(*network.paper_data(5, seed), activation)
        np.testing.assert_allclose(np.sort(result.kappa[::2]), kappas, atol=0.005)


@pytest.mark.parametrize(
    "u", [np.ones(3), 1.0, "x", [[1.0, 0.0], [1.0]], [math.nan, 1.0], [np.inf, 1.0]], ids=str
)
@pytest.mark.parametrize("method", ["value", "gradient", "sphere_gradient", "hessian"])
@pytest.mark.parametrize("p", [1, 2])
def test_forms_refuse_what_is_no_vector_of_their_dimension(method, u, p):
    form = target_form(*one_dimensional(), p)
    with pytest.raises(SpecError, match="A neuron's bias is the last coordinate"):
        getattr(form, method)(u)


def test_forms_take_lists_and_one_vector_for_the_hessian():
    form = target_form(*one_dimensional(), 2)
    np.testing.assert_array_equal(
        form.sphere_gradient([0.6, 0.8]), form.sphere_gradient(np.array([0.6, 0.8]))
    )
    with pytest.raises(SpecError, match="Call once per vector"):
        form.hessian(np.ones((3, 2)))
