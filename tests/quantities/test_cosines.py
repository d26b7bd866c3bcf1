"""Cosines of two images: measured, to first order, at infinite width."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

COSINE, L = di.quantities.cosine, di.layers
ROWS = np.sqrt(32) * np.linalg.cholesky([[1.0, 0.3], [0.3, 1.0]]) @ np.eye(2, 32)
POINTS = di.inputs.points(ROWS)
BLOCK = L.Residual(
    L.Sequential(L.RMSNorm(), L.Dense(32, law=di.normal(1.0)), L.Activation(di.gelu))
)


def test_composed_networks_have_the_dossier_values():
    """Residual[RMSNorm, Dense 32, gelu] x 4: .611314, shift -.00028, variance .01160."""
    net = L.Sequential(L.Repeat(BLOCK, 4))
    limit, first = (route(net, COSINE, POINTS) for route in (di.infinite, di.predict))
    assert limit.mean[-1, 0] == pytest.approx(0.611314, abs=1e-6)
    assert first.mean[-1, 0] - limit.mean[-1, 0] == pytest.approx(-0.00028, abs=1e-5)
    assert first.variance[-1, 0] == pytest.approx(0.01160, abs=1e-5)


@pytest.mark.slow
def test_measured_cosines_agree_with_first_order_and_not_with_infinite_width():
    """tanh, width 64, depth 3: control variates resolve order 1/width."""
    net = di.MLP((64,) * 3, di.tanh)
    quiet = lambda done, total: None
    found = di.simulate(net, COSINE, POINTS, num_seeds=10_000, control="theory", progress=quiet)
    z = lambda other: (found.mean[-1, 0] - other.mean[-1, 0]) / found.standard_error[-1, 0]
    assert abs(z(di.predict(net, COSINE, POINTS))) < 5  # order 1/width^2 is 1 s.e.
    assert abs(z(di.infinite(net, COSINE, POINTS))) > 20


def test_cosines_are_those_of_the_kernel():
    net = di.ResNet(width=32, depth=2)
    kernel = di.infinite(net, di.quantities.nngp, POINTS).mean
    expected = kernel[:, 1] / np.sqrt(kernel[:, 0] * kernel[:, 2])
    np.testing.assert_allclose(di.infinite(net, COSINE, POINTS).mean[:, 0], expected, rtol=1e-12)


def test_one_input_is_refused():
    with pytest.raises(SpecError, match="two inputs or more"):
        di.simulate(di.MLP((8,)), COSINE, di.inputs.ones(3))
