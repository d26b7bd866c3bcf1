"""Control variates of what has none, of few networks, of float32 networks."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.quantities.controlled import choose_control

L, Q = di.layers, di.quantities
POINT = di.inputs.points([[1.0, -0.5]])
TOKENS = di.inputs.tokens(2)
TIED = L.Tied(L.Sequential(L.Dense(8), L.Activation("tanh")), 2)

REFUSED = {
    r"tied: Tied.*\(columns of a later use.*do not close\)": (L.Dense(8), TIED),
    r"pool \(Pool\): maxima of dependent columns": (L.Embed(8), L.Pool("max")),
    r"attention \(Attention\): rotary.*Haar frame": (
        L.Embed(8),
        L.Attention(1, qk_norm=True, rotary=10.0),
    ),
    r"control variates of Positions.*fixed rows": (L.Embed(8), L.Positions("sinusoidal")),
    r"dense_2 \(Dense\): a law of the law 'uniform'": (
        L.Dense(8),
        L.Activation("tanh"),
        L.Dense(8, di.uniform(1.0)),
        L.Activation("tanh"),
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_layers_without_controls_are_named(words):
    net = L.Sequential(*REFUSED[words])
    inputs = TOKENS if isinstance(net.layers[0], L.Embed) else POINT
    with pytest.raises(SpecError, match=words):
        choose_control(net, Q.log_norm, inputs, "theory")
    control, setting = choose_control(net, Q.log_norm, inputs, "auto")
    assert control is None
    assert setting["control"].startswith("none: Got")


@pytest.mark.slow
def test_nothing_is_fitted_from_few_networks():
    """Weights are derivatives at infinite width: a network's control is that of any ensemble."""
    net = L.Sequential(L.Dense(8), L.Activation("tanh"), L.Dense(8))
    found = [
        di.simulate(net, Q.nngp, POINT, num_seeds=number, control="theory") for number in (1, 3)
    ]
    first, second = (each.mean for each in found)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, found[0].plain.mean)  # of unknown error
    assert (found[1].standard_error < found[1].plain.standard_error).all()
    assert not np.allclose(first, second, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_maps_are_float64_in_simulations_of_any_dtype(dtype):
    """One average: a mean rounded to float32 moves the mean of its control by 1e-8."""
    net = L.Sequential(L.Dense(8), L.Activation("tanh"))
    control, _ = choose_control(net, Q.nngp, POINT, "theory")
    record = np.random.default_rng(0).normal(size=(3, 2, 30)).astype(dtype)
    columns = record[:, :, : control.columns.length]
    found = control.of_block(columns)
    assert found.mean.dtype == found.square.dtype == control.centre.dtype == np.float64
    with jax.enable_x64(True):
        np.testing.assert_array_equal(found.mean, control.of_block(columns).mean)
    assert not np.array_equal(found.mean, found.mean.astype(np.float32))
