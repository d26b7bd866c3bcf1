"""Underflow as a model: the forward pass in float32 against float64 and against the dtypes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_mean

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.rounding import flush_level, to_grid
from deepinit.networks.forward import random_forward
from deepinit.networks.input_rows import rows_from_inputs
from deepinit.networks.linear_maps import explicit
from deepinit.networks.network import network

TINY = 2.0**-126
UNIFORM = di.uniform(1 / 3)


def lifetimes(spec, start, keys):
    """The layer at which each network's signal is lost in the forward pass."""
    rows = rows_from_inputs(start, scale_invariant=False, dtype=np.float32)
    alive = lambda state: jnp.any(state.postactivations.points != 0)
    one = lambda key: random_forward(spec, rows, key, alive, linear_map=explicit)[0]
    return 1 + np.asarray(jax.jit(jax.vmap(one))(keys)).sum(axis=1)


def weights_of(spec, keys):
    """[networks, layers, width, width] in float64: the same matrices."""
    init = jax.jit(
        jax.vmap(lambda key: network(spec).init(key, spec.widths[0])[0]["inner"]["weights"])
    )
    return np.asarray(init(keys), np.float64)


def plain_lifetimes(weights, keep):
    """x -> keep(tanh(W x)) in float64, without scales."""
    x, lives = np.ones((weights.shape[0], weights.shape[-1])), np.ones(len(weights))
    for layer in range(weights.shape[1]):
        x = keep(np.tanh(np.einsum("nij,nj->ni", weights[:, layer], x)))
        lives += (x != 0).any(axis=1)
    return lives


@pytest.mark.parametrize("smallest", [1e-3, 1e-20, TINY, 1e-60])
@pytest.mark.slow_cases("1.1754943508222875e-38", "1e-20", "1e-60")
@pytest.mark.exhaustive_cases("0.001")
def test_forward_pass_in_float32_flushes_where_a_plain_chain_in_float64_does(smallest):
    keys = jax.random.split(jax.random.key(3), 40)
    spec = di.MLP((5,) * 240, di.rounded("tanh", smallest, "flush"), UNIFORM)
    lives = lifetimes(spec, di.inputs.ones(5), keys)
    plain = plain_lifetimes(
        weights_of(spec, keys), lambda x: np.where(np.abs(x) < smallest, 0.0, x)
    )
    assert plain.max() < 240
    # a coordinate within a rounding of the smallest value may fall on either side
    assert np.mean(lives == plain) > 0.95
    assert np.abs(lives - plain).max() <= 4
    rival = plain_lifetimes(
        weights_of(spec, keys), lambda x: np.where(np.abs(x) < 2 * smallest, 0.0, x)
    )
    assert np.mean(lives == rival) < 0.5


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.slow_cases("float16")
@pytest.mark.exhaustive_cases("float32")
def test_stored_values_are_lost_where_real_arithmetic_of_the_dtype_loses_them(dtype):
    keys, depth = jax.random.split(jax.random.key(5), 60), {"float32": 200, "float16": 50}[dtype]
    spec = di.MLP((4,) * depth, di.stored("tanh", dtype), UNIFORM)
    lives, weights = lifetimes(spec, di.inputs.ones(4), keys), weights_of(spec, keys)

    @functools.partial(jax.jit, static_argnums=1)
    def real(weights, dtype):
        def step(x, matrix):
            # stored in the dtype; scaled products in float32, so that terms do not underflow
            scaled = jnp.float32(2.0**40) * x.astype(jnp.float32)
            before = jnp.sum(matrix * scaled[:, None, :], axis=2)
            small = jnp.abs(before) < 2.0**20  # below 1e-6 tanh is the identity
            after = jnp.where(small, before * 2.0**-40, jnp.tanh(before * 2.0**-40)).astype(dtype)
            return after, jnp.any(after != 0, axis=1)

        ones = jnp.ones(weights.shape[::3], dtype)
        return 1 + jnp.sum(
            jax.lax.scan(step, ones, jnp.swapaxes(weights, 0, 1).astype(jnp.float32))[1], axis=0
        )

    truth = np.asarray(real(weights, jnp.dtype(dtype)))
    assert truth.max() < depth
    assert np.mean(lives == truth) > 0.9
    rival = plain_lifetimes(weights, lambda x: np.where(np.abs(x) < 4 * TINY, 0.0, x))
    assert np.mean(rival == truth) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("width", "num", "layer"), [(16, 1000, 151.99), (64, 150, 158.23)])
@pytest.mark.exhaustive
def test_layer_of_absorption_of_wide_networks(width, num, layer):
    # references: plain float64 chains of 400 and 60 networks, standard errors 0.19 and 0.28
    keys = jax.random.split(jax.random.key(7), num)
    lives = lifetimes(
        di.MLP((width,) * 185, di.stored("tanh", "float32"), UNIFORM), di.inputs.ones(width), keys
    )
    error = np.hypot(lives.std() / num**0.5, {16: 0.19, 64: 0.28}[width])
    # the rival: a layer later by 2 %
    assert_mean(lives, layer, rejects=1.02 * layer, standard_error=error, resolves=0.02)


def test_values_at_the_level_are_kept_and_smaller_ones_become_zero():
    values = np.array([-2.0, -1.0, -0.999, 0.0, 0.999, 1.0, np.nan]) * 1e-30
    np.testing.assert_array_equal(
        to_grid(values, 1e-30, "flush"), np.array([-2.0, -1.0, 0, 0, 0, 1.0, np.nan]) * 1e-30
    )


def test_stored_activations_round_trip_and_say_their_level():
    for dtype, level in {"float32": TINY, "bfloat16": TINY, "float16": 0.0}.items():
        activation = di.stored(di.leaky_relu(0.2), dtype)
        spec = di.MLP((3,), activation)
        assert di.spec_from_json(spec.to_json()) == spec
        assert flush_level(activation) == level
    assert di.stored("tanh", "float16") == di.rounded("tanh", 2.0**-24)


@pytest.mark.exhaustive
def test_a_partner_below_the_level_becomes_zero_too():
    spec = di.MLP((3, 3), di.rounded("linear", 0.5, "flush"), di.normal(1.0))
    pair = di.inputs.pair(0.3, 3)
    rows = rows_from_inputs(pair, scale_invariant=False, dtype=np.float64)
    with jax.enable_x64(True):
        key = jax.random.key(2)
        matrices = np.asarray(network(spec, dtype="float64").init(key, 3)[0]["inner"]["weights"])
        state = random_forward(
            spec, rows, key, lambda state: state.postactivations, linear_map=explicit
        )[0]
        x = np.stack([pair.points[0], pair.points[0] + pair.displacements[0]])
        for layer, matrix in enumerate(matrices):
            x = x @ matrix.T
            x = np.where(np.abs(x) < 0.5, 0.0, x)
            scale = np.exp(np.asarray(state.point_scales)[layer, 0])
            step = np.exp(np.asarray(state.displacement_scales)[layer, 0])
            point = scale * np.asarray(state.points)[layer, 0]
            partner = point + scale * step * np.asarray(state.displacements)[layer, 0]
            np.testing.assert_allclose(np.stack([point, partner]), x, rtol=1e-9, atol=1e-9)
            assert (x == 0).any()
            assert (x != 0).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: di.stored("tanh", "float8"), "dtype='float8'"),
        (lambda: di.stored(di.stored("tanh", "float32"), "float32"), "Round once"),
        (lambda: di.rounded("tanh", 1e-14), "a grid of rho=1e-14"),
        (lambda: di.rounded("tanh", 0.0, "flush"), "rho=0.0"),
    ],
)
def test_refusals_of_arithmetic(call, message):
    with pytest.raises(SpecError) as error:
        call()
    assert message in str(error.value)
