import math

import jax
import numpy as np
import pytest
from scipy.stats import norm

from deepinit.core.activations import from_function
from deepinit.core.errors import SpecError
from deepinit.theory.cutoff import (
    lattice_thresholds,
    rounded_mean_square,
    rounded_orbit,
    thompson_lipschitz,
)


@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
@pytest.mark.parametrize(("alpha", "rho"), [(0.4, 0.3), (2.0, 0.3), (30.0, 0.01), (1e3, 0.05)])
def test_mean_square_state_by_state(rounding, alpha, rho):
    # sum over the states k of k^2 P(Q = k), where the formula sums (2k - 1) P(Q >= k)
    offset = 0.5 if rounding == "nearest" else 0.0
    edges = (np.arange(1, math.floor(1.0 / rho + offset) + 1) - offset) * rho
    beyond = 2.0 * norm.sf(np.arctanh(edges[edges < 1.0]) / (rho * alpha))
    masses = beyond - np.append(beyond[1:], 0.0)
    exact = float(np.arange(1, masses.size + 1) ** 2 @ masses)
    assert rounded_mean_square(alpha, rho, rounding) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("rho", "gain"), [(0.5, 0.88728), (0.1, 0.86724), (0.01, 0.86631), (0.001, 0.86630)]
)
def test_thresholds_of_rounding_to_nearest(rho, gain):
    result = lattice_thresholds(rho, "nearest")
    assert result.lattice_gain == pytest.approx(0.8663033518, abs=1e-10)
    assert result.lattice_alpha == pytest.approx(0.42870, abs=6e-6)
    assert result.existence_gain == pytest.approx(gain, abs=6e-6)


@pytest.mark.parametrize(
    ("rho", "gain"), [(0.5, 1.9083), (0.1, 1.2515), (0.01, 1.0489), (0.001, 1.0103)]
)
def test_thresholds_of_truncation(rho, gain):
    result = lattice_thresholds(rho, "truncate")
    assert (result.lattice_gain, result.lattice_alpha) == (1.0, math.inf)
    assert result.existence_gain == pytest.approx(gain, abs=6e-5)


def test_truncation_on_fine_meshes():
    # leading order 1 + 3 (rho / (2 sqrt(2 pi)))^(2/3); the rest falls at least like rho^(4/3)
    gaps = []
    for rho in (1e-3, 1e-4):
        leading = 3.0 * (rho / (2.0 * math.sqrt(2.0 * math.pi))) ** (2.0 / 3.0)
        gaps.append(lattice_thresholds(rho, "truncate").existence_gain - 1.0 - leading)
        assert 0.0 < gaps[-1] < 0.01 * leading
    assert gaps[1] < 0.06 * gaps[0]


@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
@pytest.mark.parametrize("rho", [0.3, 0.02])
def test_signals_live_above_the_existence_gain_only(rounding, rho):
    gain, at = lattice_thresholds(rho, rounding)[2:]
    start = (at * rho / gain) ** 2 * 1.02
    assert rounded_orbit(1.001 * gain, rho, rounding, 3000, start)[-1] > 0.1 * start / rho**2
    assert rounded_orbit(0.999 * gain, rho, rounding, 3000, start)[-1] < 1e-6


def test_orbit_of_the_coarse_mesh():
    orbit = rounded_orbit(0.7, 0.5, "nearest", 7)
    np.testing.assert_allclose(
        orbit[:7], [4, 1.2088, 0.5412, 0.3217, 0.1982, 0.1012, 0.0218], atol=6e-5
    )
    assert orbit[7] == pytest.approx(8e-7, abs=5e-8)


def test_metastable_fixed_points():
    # A = 1.15, rho = 0.5, nearest: unstable 0.0525, stable 0.7837
    assert rounded_orbit(1.15, 0.5, "nearest", 200)[-1] == pytest.approx(0.7837, abs=6e-5)
    for h, limit in ((0.0520, 0.0), (0.0530, 0.7837)):
        assert rounded_orbit(1.15, 0.5, "nearest", 200, h * 0.25)[-1] == pytest.approx(
            limit, abs=6e-5
        )


def test_depth_of_the_critical_gain_under_truncation():
    # fluid limit ds/dt = -s^3 - rho / sqrt(2 pi): 223 layers at rho = 1e-3; the recursion 227
    orbit = rounded_orbit(1.0, 1e-3, "truncate", 260)
    depth = int(np.argmax(orbit < 0.1))
    fluid = (
        2.0 * math.pi / (3.0 * math.sqrt(3.0)) * (1e-3 / math.sqrt(2.0 * math.pi)) ** (-2.0 / 3.0)
    )
    assert round(fluid) == 223
    assert abs(depth - 227) <= 2
    assert rounded_orbit(1.0, 1e-3, "nearest", 500)[-1] > 1.0  # rounding noise keeps it alive


@pytest.mark.parametrize(
    ("bias", "constant"), [(1, 0.1200), (0, 0.2785), (-1, 0.5671), (-2, 1.0), (-3, 1.5571)]
)
def test_sigmoid_layers(bias, constant):
    assert thompson_lipschitz("sigmoid", bias) == pytest.approx(constant, abs=6e-5)
    # the closed form against the maximum over z, and the largest of several biases
    assert thompson_lipschitz(from_function(jax.nn.sigmoid), bias) == pytest.approx(
        thompson_lipschitz("sigmoid", bias), rel=1e-9
    )
    assert thompson_lipschitz("sigmoid", [bias, 5.0, bias + 1.0]) == thompson_lipschitz(
        "sigmoid", bias
    )


@pytest.mark.parametrize(
    ("activation", "bias"),
    [("sigmoid", 0.0), ("sigmoid", -3.0), ("silu", 0.0), ("tanh", 0.5), ("softplus", -1.0)],
)
def test_constant_is_attained_by_pairs_of_inputs(activation, bias):
    from deepinit.core.activations import as_activation

    phi, rng = as_activation(activation), np.random.default_rng(11)
    constant = thompson_lipschitz(activation, bias)
    scales = np.exp(rng.uniform(-4.0, 4.0, (20_000, 1)))
    x = scales * np.exp(rng.normal(size=(20_000, 3)))
    y = x * np.exp(
        rng.choice([1e-3, 0.3, 2.0], (20_000, 1)) * rng.choice([rng.normal(), 1.0], (20_000, 1))
    )
    w = rng.uniform(0.0, 2.0, (4, 3))
    before = np.abs(np.log(x) - np.log(y)).max(axis=1)
    after = np.abs(np.log(phi(x @ w.T + bias)) - np.log(phi(y @ w.T + bias))).max(axis=1)
    ratios = after / before
    assert ratios.max() <= constant * (1.0 + 1e-9)
    assert ratios.max() >= 0.999 * constant


def test_layers_without_a_uniform_contraction():
    for activation in ("relu", "linear", "absolute", "tanh", "erf"):
        assert thompson_lipschitz(activation) == pytest.approx(1.0, abs=1e-11)
    assert thompson_lipschitz("relu", 0.3) == pytest.approx(1.0, abs=1e-11)
    assert thompson_lipschitz("x2_tanh") == pytest.approx(3.0, rel=1e-11)  # z^3 at 0
    assert thompson_lipschitz("tanh", 1.0) < 0.2
    assert thompson_lipschitz("sigmoid", -900.0) == pytest.approx(
        899.0 - math.log(892.2063), abs=1e-3
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: lattice_thresholds(0.0, "nearest"),
        lambda: lattice_thresholds(1.0, "nearest"),
        lambda: lattice_thresholds(0.1, "down"),
        lambda: rounded_mean_square(-1.0, 0.1, "nearest"),
        lambda: rounded_mean_square(1.0, 0.1, "floor"),
        lambda: rounded_orbit(0.0, 0.1, "nearest", 3),
        lambda: rounded_orbit(-0.7, 0.1, "nearest", 3),
        lambda: rounded_orbit(0.7, 2.0, "nearest", 3),
        lambda: rounded_orbit(0.7, 0.1, "nearest", -1),
        lambda: rounded_orbit(0.7, 0.1, "nearest", 3, 0.0),
        lambda: thompson_lipschitz("relu", -1.0),
        lambda: thompson_lipschitz("tanh", -0.1),
        lambda: thompson_lipschitz("sigmoid", math.nan),
        lambda: thompson_lipschitz("sigmoid", []),
        lambda: thompson_lipschitz("sigmoid", "zero"),
        lambda: thompson_lipschitz("sine"),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(SpecError):
        call()
