import math

import condensation_network as network
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from deepinit.core.errors import SpecError
from deepinit.theory.condensation import (
    blow_up_time,
    condensation_exponent,
    conjectured_most_orientations,
    critical_lines,
    most_critical_lines,
    predict_orientations,
    target_form,
)


def x_tanh(s):
    return s * jnp.tanh(s)


def x2_tanh(s):
    return s**2 * jnp.tanh(s)


def cube(s):
    return s**3


def fourth(s):
    return s**4


ACTIVATIONS = {"tanh": "tanh", "x tanh": x_tanh, "x^2 tanh": x2_tanh}


def one_dimensional():
    x = np.linspace(-1.0, 1.5, 40)
    return x[:, None], np.sin(3.0 * x) + 0.5 * np.sin(6.0 * x)


def data(d):
    return one_dimensional() if d == 1 else network.paper_data(d, 1)


def test_one_and_two_have_closed_forms():
    x, y = network.paper_data(4, 2)
    z = network.with_one(x)
    v = y @ z / len(y)
    result = predict_orientations(x, y, "tanh")
    np.testing.assert_allclose(
        result.directions, [v / np.linalg.norm(v), -v / np.linalg.norm(v)], atol=1e-14
    )
    np.testing.assert_array_equal(result.output_sign, [1, -1])
    np.testing.assert_array_equal(result.kappa, [1, 1])
    values, vectors = np.linalg.eigh((z.T * y) @ z / len(y))
    result = predict_orientations(x, y, x_tanh)
    assert len(result.values) == 4
    for eigenvalue, vector, second in (
        (values[-1], vectors[:, -1], values[-2]),
        (values[0], vectors[:, 0], values[1]),
    ):
        near = np.abs(result.directions @ vector) > 1 - 1e-12
        assert near.sum() == 2
        np.testing.assert_allclose(result.values[near], eigenvalue, rtol=1e-12)
        np.testing.assert_allclose(result.kappa[near], 1 - second / eigenvalue, rtol=1e-9)
        np.testing.assert_array_equal(result.output_sign[near], np.sign(eigenvalue))


@pytest.mark.parametrize("p", [2, 3, 5])
@pytest.mark.slow_cases("5")
def test_circle_against_a_fine_grid(p):
    angles = np.pi * np.arange(2001) / 2001
    u = np.column_stack([np.cos(angles), np.sin(angles)])
    counts = set()
    for seed in range(25):
        x, y = network.paper_data(1, seed, n=30)
        form = target_form(x, y, p)
        height = form.value(u)
        around = np.concatenate([(-1.0) ** p * height[-1:], height, (-1.0) ** p * height[:1]])
        maxima = (
            (np.abs(height) > np.abs(around[:-2])) & (np.abs(height) >= np.abs(around[2:]))
        ).sum()
        critical = (np.diff(around)[1:] * np.diff(around)[:-1] <= 0).sum()
        activation = {2: x_tanh, 3: cube, 5: lambda s: s**5}[p]
        directions = predict_orientations(x, y, activation).directions
        assert len(directions) == 2 * maxima <= conjectured_most_orientations(p)
        assert len(critical_lines(form)) == critical <= p
        # the same lines as roots t = b/w of sum y (x + t)^{p-1} (1 - x t)
        t = np.tan(critical_lines(form))[:, None]
        terms = y * (x[:, 0] + t) ** (p - 1) * (1 - x[:, 0] * t)
        assert (np.abs(terms.sum(axis=1)) < 1e-9 * np.abs(terms).sum(axis=1)).all()
        counts.add((int(critical), int(maxima)))
    assert len(counts) > 1  # fewer than p lines is the rule


def test_search_finds_what_another_optimizer_finds():
    x, y = network.paper_data(3, 7)
    for p, activation in ((3, cube), (4, fourth)):
        form = target_form(x, y, p)
        directions = predict_orientations(x, y, activation).directions
        scale = np.abs(form.value(directions)).max()
        rng = np.random.default_rng(1)
        seen = set()
        near = directions + 1e-3 * rng.standard_normal(
            directions.shape
        )  # each is a maximum: they lead back
        for start in np.concatenate([rng.standard_normal((60, 4)), near]):
            sign = np.sign(form.value(start))

            def loss(
                w, sign=sign, form=form, scale=scale
            ):  # its minima lie on the rays of maximal |H|
                return -sign * form.value(w) / scale + (w @ w) ** 3 / 6

            def slope(w, sign=sign, form=form, scale=scale):
                return -sign * form.gradient(w) / scale + (w @ w) ** 2 * w

            end = minimize(
                loss,
                start / np.linalg.norm(start),
                jac=slope,
                method="BFGS",
                options={"gtol": 1e-7},
            ).x
            cosines = directions @ end / np.linalg.norm(end)
            assert cosines.max() > 1 - 1e-6
            seen.add(int(cosines.argmax()))
        assert seen == set(range(len(directions)))


@pytest.mark.parametrize("d", [1, 5])
@pytest.mark.parametrize(("sigma", "p"), [("tanh", 1), ("x tanh", 2), ("x^2 tanh", 3)])
def test_networks_condense_on_the_predicted_orientations(d, sigma, p):
    x, y = data(d)
    z = network.with_one(x)
    result = predict_orientations(x, y, ACTIVATIONS[sigma])
    assert len(result.values) == 2 * p
    a, w = network.neuron_flow(
        sigma, *network.initial(200, d + 1, 1e-5, 0), z, y, 0.001 if p == 1 else 0.01
    )
    cosine, which = network.nearest(w, result.directions)
    assert np.median(cosine) > 0.9995
    aligned = cosine > 0.97
    assert aligned.mean() > 0.95
    assert set(which[aligned]) == set(range(2 * p))
    np.testing.assert_array_equal(np.sign(a[aligned]), result.output_sign[which[aligned]])


@pytest.mark.parametrize("d", [1, 5])
@pytest.mark.parametrize(("sigma", "p"), [("tanh", 1), ("x tanh", 2), ("x^2 tanh", 3)])
@pytest.mark.slow_cases("x tanh-2-5", "x^2 tanh-3-5")
def test_adam_condenses_on_the_cube_and_not_on_the_sphere(d, sigma, p):
    x, y = data(d)
    result = predict_orientations(x, y, ACTIVATIONS[sigma], geometry="linf")
    a, w = network.adam(
        sigma, *network.initial(200, d + 1, 1e-6, 0), network.with_one(x), y, 600, 1e-5
    )
    cosine, which = network.nearest(w, result.directions)
    assert (cosine > 0.999).mean() > 0.95
    np.testing.assert_array_equal(np.sign(a), result.output_sign[which])
    # the orientations of gradient flow
    assert (
        np.median(network.nearest(w, predict_orientations(x, y, ACTIVATIONS[sigma]).directions)[0])
        < 0.997
    )


def test_small_hills_of_the_cube_are_found():
    # one maximum with a free coordinate is reached from one in 2000 random starts
    x, y = network.paper_data(5, 1)
    form = target_form(x, y, 3)
    result = predict_orientations(x, y, cube, geometry="linf")
    assert len(result.values) == 8
    corners = np.abs(result.directions) * np.sqrt(6) > 1 - 1e-9
    assert corners.all(axis=1).sum() == 4
    for u in result.directions:
        point = u / np.abs(u).max()
        sign = np.sign(form.value(point))
        for push in 1e-4 * np.random.default_rng(0).standard_normal((50, 6)):
            other = point + push
            assert sign * form.value(other / np.abs(other).max()) < sign * form.value(point)
    assert [
        int((np.abs(np.abs(f.directions) * np.sqrt(6) - 1) < 1e-9).all(axis=1).sum())
        for f in (
            predict_orientations(*network.paper_data(5, seed), cube, geometry="linf")
            for seed in (0, 2, 3)
        )
    ] == [10, 4, 16]


@pytest.mark.parametrize("sigma", ["sigmoid", "sigmoid - 1"])
@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0])
def test_a_value_at_zero_fits_the_mean_first(sigma, sign):
    """One orientation for targets with a mean, two for centred ones; sigma(0) < 0 flips outputs."""
    x = np.random.default_rng(0).standard_normal((30, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 1] + 0.4 * x[:, 0] ** 2
    y = sign * y if sign else y - y.mean()
    z = network.with_one(x)
    activation = "sigmoid" if sigma == "sigmoid" else (lambda s: jax.nn.sigmoid(s) - 1.0)
    result = predict_orientations(x, y, activation)
    assert len(result.values) == (1 if sign else 2)
    np.testing.assert_allclose(result.directions[:, -1], 0.0, atol=1e-14)
    a, w = network.initial(40, 3, 1e-5, 0)
    start = network.gradients(sigma, a, w, z, y)[2]
    a, w, _ = network.gradient_flow(sigma, a, w, z, y, 60.0, stop_at=1.0 - 0.499 * y.var() / start)
    cosine, which = network.nearest(w, result.directions)
    assert (cosine > 0.97).all()
    assert set(which) == set(range(len(result.values)))
    np.testing.assert_array_equal(np.sign(a), result.output_sign[which])


def test_cosine_keeps_the_orientations_of_one_sign():
    x = np.random.default_rng(0).standard_normal((30, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 1] + 0.4 * x[:, 0] ** 2
    result = predict_orientations(x, y, jnp.cos)
    assert len(result.values) == 2
    assert len(predict_orientations(x, y - y.mean(), jnp.cos).values) == 4
    a, w, _ = network.gradient_flow(
        "cos", *network.initial(10, 3, 1e-5, 0), network.with_one(x), y, 150.0
    )
    cosine, which = network.nearest(w, result.directions)
    assert (cosine > 0.99).all()
    np.testing.assert_array_equal(np.sign(a), result.output_sign[which])


def test_coordinates_without_force_stay_out_of_the_corner():
    x = np.array([[1.0, 2.0], [-1.0, 2.0], [1.0, -2.0], [-1.0, -2.0]])
    result = predict_orientations(x, x[:, 0], "tanh", geometry="linf")  # v = (1, 0, 0)
    np.testing.assert_array_equal(result.directions, [[1, 0, 0], [-1, 0, 0]])


@pytest.mark.parametrize(
    ("x", "y", "reason"),
    [
        (np.ones((3, 2)), np.ones(4), "one number per sample"),
        (np.ones((3, 2)), np.ones((3, 2)), "multi_output_orientations"),
        (np.ones((3, 2, 2)), np.ones(3), "x of shape"),
        (np.ones((0, 2)), np.ones(0), "not empty"),
        (np.array([[1.0], [np.nan]]), np.ones(2), "not finite"),
        (np.ones((2, 1)), [1.0, np.inf], "not finite"),
        ([[1.0], [1.0, 2.0]], [1.0, 2.0], "array of real numbers"),
        (np.ones((2, 1)), ["a", "b"], "array of real numbers"),
        (np.array([[1.0], [-1.0]]), np.zeros(2), "is 0 for every u"),
        (np.array([[1.0], [-1.0], [0.0]]), [1.0, 1.0, -2.0], "is 0 for every u"),  # v = 0
    ],
)
def test_bad_data_are_refused(x, y, reason):
    with pytest.raises(SpecError, match=reason):
        predict_orientations(x, y, "tanh")


def test_other_bad_arguments_are_refused():
    x, y = one_dimensional()
    for call, reason in (
        (lambda: predict_orientations(x, y, "relu"), "kink at 0"),
        (lambda: predict_orientations(x, y, "tanh", geometry="l1"), "geometry"),
        (lambda: predict_orientations(x, y, "tanh", bias="yes"), "bias"),
        (lambda: predict_orientations(x, np.full(40, 2.0), "sigmoid"), "minus its mean"),
        (lambda: target_form(x, y, 0), "p=0"),
        (lambda: target_form(x, y, 2.5), "p=2.5"),
        (lambda: target_form(x, y, 2, 0.0), "c=0"),
        (lambda: target_form(x, y, 2, math.nan), "c=nan"),
        (
            lambda: critical_lines(target_form(np.ones((3, 2)), np.ones(3), 2)),
            "form of 3 variables",
        ),
        (lambda: critical_lines("x"), "form of type str"),
        (lambda: condensation_exponent(None, np.ones(2)), "form of type NoneType"),
        (lambda: most_critical_lines(0, 2), "p=0"),
        (lambda: most_critical_lines(3, 0), "dimension=0"),
        (lambda: conjectured_most_orientations(0), "p=0"),
        (lambda: blow_up_time(2, 0.0, 1.0), "value=0"),
        (lambda: blow_up_time(2, 1.0, 0.0), "radius"),
        (lambda: blow_up_time(0, 1.0, 1.0), "p=0"),
    ):
        with pytest.raises(SpecError, match=reason):
            call()
