"""Tangent rows: they are the Jacobian of the very network, in both linear maps, at any depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from statistical import assert_mean, assert_value

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.networks import forward, linear_maps
from deepinit.networks.input_rows import input_rows
from deepinit.networks.network import network
from deepinit.networks.rows import EVENTS
from deepinit.observables import lengths


def log_volumes(spec, inputs, key, linear_map="explicit", dtype="float32"):
    """[layers, frames] of the network of this key, the output layer last."""
    return forward.random_forward(
        spec,
        input_rows(spec, inputs, dtype)(key),
        key,
        lambda state: lengths.log_volume(state.postactivations),
        linear_map=linear_maps.FUNCTIONS[linear_map],
        tap_output=spec.output_width is not None,
    )[0]


BIAS = di.normal(0.3, "absolute")
SPECS = {
    "relu": di.MLP(widths=(8, 8, 8), output_width=3),
    "relu, unequal, no output": di.MLP(widths=(9, 16, 7), bias_law=BIAS),
    "leaky relu, bias": di.MLP(
        widths=(8, 8), activation=di.leaky_relu(0.3), bias_law=BIAS, output_width=4
    ),
    "tanh, bias": di.MLP(widths=(8, 8), activation=di.tanh, bias_law=BIAS, output_width=4),
    "gelu": di.MLP(widths=(8, 8), activation=di.gelu, output_width=4),
    "orthogonal": di.MLP(
        widths=(8, 8), weight_law=di.orthogonal(2.0), output_width=8, output_law=di.orthogonal(1.0)
    ),
    "constant bias": di.MLP(widths=(8, 8), bias_law=di.constant(0.5), output_width=4),
    "residual": di.ResNet(width=5, depth=4, branch_width=7, output_width=3),
    "residual tanh, bias": di.ResNet(width=5, depth=3, activation=di.tanh, bias_law=BIAS),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.exhaustive
def test_tangents_are_the_jacobian_of_the_network_of_that_key(name):
    spec, key = SPECS[name], jax.random.key(4)
    frames = di.frames.random(5, 2, num_points=2, seed=3)
    init, apply, *_ = network(spec)
    jacobian = jax.jit(
        lambda key, points: jax.vmap(jax.jacfwd(lambda x: apply(init(key, 5), x)))(points)
    )
    jacobians = jacobian(key, jnp.asarray(frames.points, "float32"))
    image = np.einsum("poi,pdi->pdo", np.asarray(jacobians, np.float64), frames.tangents)
    volumes = 0.5 * np.linalg.slogdet(image @ np.swapaxes(image, 1, 2))[1]
    found = jax.jit(lambda key: log_volumes(spec, frames, key))(key)
    np.testing.assert_array_equal(found.event, 0)
    np.testing.assert_allclose(found.value[-1], volumes, rtol=2e-4, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "relu",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("tanh, bias", "residual tanh, bias")
        ),
    ],
)
@pytest.mark.exhaustive
def test_explicit_and_conditional_tangents_have_one_law(name):
    spec, frames = SPECS[name], di.frames.random(5, 2, seed=1)
    num = 8000

    def sample(linear_map, key):
        keys = jax.random.split(jax.random.key(key), num)
        one = lambda key: log_volumes(spec, frames, key, linear_map)
        found = jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=1000))(keys)
        return np.where(found.event == 0, found.value, np.nan)[:, :, 0]

    a, b = sample("explicit", 0), sample("conditional", 1)
    for layer in range(a.shape[1]):
        x, y = a[:, layer][np.isfinite(a[:, layer])], b[:, layer][np.isfinite(b[:, layer])]
        error = np.sqrt(x.var() / len(x) + y.var() / len(y))
        # the rival: the same network, a twentieth more stretch per layer
        assert_value(x.mean(), error, y.mean(), rejects=y.mean() - 0.05 * a.shape[1])
        assert scipy.stats.ks_2samp(x, y).pvalue > 1e-6
        assert not np.array_equal(x[:50], y[:50])


@pytest.mark.slow
def test_ten_thousand_layers_neither_under_nor_overflow():
    spec = di.MLP(widths=(4,) * 10_000, activation=di.leaky_relu(0.5), weight_law=di.normal(0.02))
    found = log_volumes(spec, di.frames.random(4, 2), jax.random.key(0), "conditional")
    assert np.isfinite(found.value).all()
    assert (found.event == 0).all()
    assert found.value[-1, 0] < -10_000


@pytest.mark.parametrize("linear_map", ["explicit", "conditional"])
@pytest.mark.slow
@pytest.mark.exhaustive_cases("explicit")
def test_a_frame_that_loses_its_dimension_is_dead_for_good(linear_map):
    frames, spec = di.frames.random(4, 2), di.MLP(widths=(6, 2, 6, 6), output_width=4)
    one = lambda key: log_volumes(spec, frames, key, linear_map)
    events = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 2000)).event)[
        :, :, 0
    ]
    dead = events != 0
    assert (events[dead] == EVENTS["dead"]).all()
    assert (np.diff(dead.astype(int), axis=1) >= 0).all()
    # a plane survives n neurons if two or more are active: 57/64 for 6, 1/4 for 2
    alive = (57 / 64) ** np.array([1, 1, 2, 3, 3]) * np.array([1, 0.25, 0.25, 0.25, 0.25])
    error = np.sqrt(alive * (1 - alive) / len(dead))
    # the rival: a line, which survives unless every neuron is off
    line = (1 - 2.0**-6) ** np.array([1, 1, 2, 3, 3]) * np.array([1, 0.75, 0.75, 0.75, 0.75])
    assert_mean(~dead, alive, rejects=line, standard_error=error)


def test_more_vectors_than_neurons_are_refused():
    with pytest.raises(SpecError, match=r"3 vectors through a layer of 2 neurons.*at most 2"):
        input_rows(di.MLP(widths=(6, 2, 6)), di.frames.random(4, 3), "float32")


def test_event_codes_are_those_of_the_rows():
    assert (EVENTS["dead"], EVENTS["not_finite"]) == (lengths.DEAD, lengths.NOT_FINITE)


def test_a_tie_at_the_origin_is_refused():
    at_zero = di.frames.at(np.zeros(3), np.eye(3)[0])
    relu = di.MLP(widths=(8,))
    with pytest.raises(SpecError, match=r"point 0.*kink of relu"):
        input_rows(relu, at_zero, "float32")
    input_rows(di.MLP(widths=(8,), activation=di.tanh), at_zero, "float32")
    input_rows(di.MLP(widths=(8,), bias_law=BIAS), at_zero, "float32")


def test_inputs_of_another_width_than_the_stream_are_refused():
    with pytest.raises(
        SpecError, match=r"inputs of dimension 3 for a residual network of width 5.*width=3"
    ):
        input_rows(di.ResNet(width=5, depth=2), di.frames.random(3), "float32")
