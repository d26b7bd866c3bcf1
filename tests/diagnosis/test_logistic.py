"""Ridge logistic regression against a general minimizer."""

import numpy as np
import pytest
from scipy.optimize import minimize

from deepinit.diagnosis import logistic


def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 3)) * [1.0, 5.0, 0.1] + [0.0, 2.0, 1.0]
    return x, rng.random(80) < 1 / (1 + np.exp(-(x[:, 0] - 0.3 * x[:, 1])))


def reference(x, y, ridge):
    z = (x - x.mean(axis=0)) / x.std(axis=0)

    def objective(at):
        score = at[0] + z @ at[1:]
        return ridge * np.sum(np.logaddexp(0, score) - y * score) + np.sum(at[1:] ** 2) / 2

    return minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-9}).x


def test_fit_is_the_minimum():
    x, y = data()
    own, found = reference(x, y, 0.3), logistic.fit(x, y)
    np.testing.assert_allclose([found.intercept, *found.weights], own, atol=1e-5)
    assert np.abs(reference(x, y, 1.0)[1:] - found.weights).max() > 0.01  # rival: another ridge
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = 1 / (1 + np.exp(-(own[0] + z @ own[1:])))
    np.testing.assert_allclose(found.probability(x), expected, atol=1e-5)


def test_separable_data_have_a_fit():
    x = np.linspace(-1, 1, 20)[:, None]
    found = logistic.fit(x, x[:, 0] > 0)
    assert found.probability([[1.0]])[0] > 0.8
    assert np.isfinite(found.weights).all()


def test_distance_and_json():
    x, y = data()
    found = logistic.fit(x, y)
    moved = x - x.mean(axis=0)
    inverse = np.linalg.inv(moved.T @ moved / len(x))
    expected = np.sqrt([row @ inverse @ row for row in moved])
    np.testing.assert_allclose(found.distance(x), expected, rtol=1e-5)
    assert (found.distance(x) > found.largest).sum() == 1
    again = logistic.from_json(logistic.to_json(found))
    assert again.probability(x) == pytest.approx(found.probability(x))
