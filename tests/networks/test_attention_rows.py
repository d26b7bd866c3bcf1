"""Attention: the function, displacements, tangents, cotangents, and the law of its outputs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attention_network import numpy_attention

import deepinit as di
from deepinit.core.layers import (
    Attention,
    AttentionMix,
    Dense,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
)
from deepinit.networks.backward import random_gradients
from deepinit.networks.cotangents import Cotangents
from deepinit.networks.forward import random_draw, random_forward
from deepinit.networks.interpreter import apply, pull_back
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import frames_at, points_alone

LENGTH, HEADS, D = 4, 2, 4
CASES = {
    "plain": Attention(HEADS),
    "causal": Attention(HEADS, mask="causal", beta=1.7),
    "mup": Attention(HEADS, "mup", mask="causal", beta=2.0),
    "number": Attention(HEADS, 0.8),
    "normed": Attention(HEADS, qk_norm=True, beta=1.5),
    "rotary": Attention(HEADS, rotary=100.0, mask="causal"),
    "normed rotary": Attention(HEADS, qk_norm=True, rotary=10.0),
}
SCALES = (1.5, 0.5, 2.0)
SHAPE = Shape((LENGTH,), 3 * HEADS * D)
DRAW = random_draw(FUNCTIONS["explicit"], "highest", 1)


def mix(name):
    return AttentionMix(CASES[name], D, SCALES)


def applied(name, rows):
    return jax.jit(lambda rows: apply(mix(name), rows, None, SHAPE, DRAW))(rows)


def random_columns(seed, num=1):
    return np.random.default_rng(seed).normal(size=(num, SHAPE.size))


def pair_of(points, changes, log_scale, dtype):
    """Rows of points at exp(log_scale), partners at points + changes (relative)."""
    count = len(points)
    zeros = jnp.zeros(count, dtype)
    rows = points_alone(jnp.asarray(points, dtype))
    size = np.sqrt(np.mean(changes**2, axis=1))
    return dataclasses.replace(
        rows,
        point_scales=zeros + jnp.asarray(log_scale, dtype),
        displacements=jnp.asarray(changes / size[:, None], dtype),
        displacement_scales=jnp.asarray(np.log(size), dtype),
        partner_scales=zeros,
        events=jnp.zeros(count, jnp.int8),
        bases=tuple(range(count)),
    )


@pytest.mark.parametrize("name", CASES)
def test_points_are_softmax_attention_at_any_scale(name):
    points, log_scale = random_columns(0, 2), 0.4
    with jax.enable_x64(True):
        rows = points_alone(jnp.asarray(points))
        rows = dataclasses.replace(rows, point_scales=rows.point_scales + log_scale)
        result = applied(name, rows)
        after = np.exp(result.rows.point_scales)[:, None] * np.asarray(result.rows.points)
    for point, output, weights in zip(points, after, result.notes["attention"], strict=True):
        columns = np.exp(log_scale) * point.reshape(LENGTH, -1)
        expected, shares = numpy_attention(columns, CASES[name], D, SCALES)
        np.testing.assert_allclose(output.reshape(LENGTH, -1), expected, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(weights, shares, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_displacements_keep_their_digits(name):
    points = random_columns(1, 4).astype(np.float32)
    sizes = np.array([1e-6, 1e-2, 0.1, 1.0])[:, None]
    rows = pair_of(points, sizes * random_columns(2, 4), 0.0, "float32")
    after = applied(name, rows).rows
    length = np.exp(np.asarray(rows.displacement_scales, np.float64))[:, None]
    moved = length * np.asarray(rows.displacements, np.float64)
    for index, point in enumerate(points.astype(np.float64)):
        ends = [
            numpy_attention((point + change).reshape(LENGTH, -1), CASES[name], D, SCALES)[0]
            for change in (0.0, moved[index])
        ]
        exact = (ends[1] - ends[0]).ravel()
        found = length[index] * np.asarray(after.displacements[index], np.float64)
        assert np.linalg.norm(found - exact) < 3e-7 * np.linalg.norm(exact)


def test_a_partner_far_away_is_the_plain_difference():
    points, changes = random_columns(3, 2), 30 * random_columns(4, 2)
    with jax.enable_x64(True):
        rows = pair_of(points, changes, 1.0, "float64")
        after = applied("causal", rows).rows
        found = np.exp(1 + after.displacement_scales[0]) * after.displacements[0]
    ends = [
        numpy_attention(np.e * row.reshape(LENGTH, -1), CASES["causal"], D, SCALES)[0].ravel()
        for row in (points[0], points[0] + changes[0])
    ]
    np.testing.assert_allclose(found, ends[1] - ends[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["causal", "normed", "plain"])
def test_extreme_scales_stay_finite(name):
    log_scales = np.array([-1e4, -100.0, 20.0, 100.0, 1e4])
    points, changes = random_columns(5, 5), 0.1 * random_columns(6, 5)
    frames = jnp.asarray(random_columns(7, 5), "float32")[:, None]
    each = tuple(range(5))
    rows = dataclasses.replace(
        pair_of(points, changes, log_scales, "float32"),
        tangents=frames,
        log_norm_growths=jnp.zeros((5, 1)),
        frame_bases=each,
    )
    result = applied(name, rows)
    after, weights = result.rows, np.asarray(result.notes["attention"])
    back, draw = Cotangents(jnp.ones_like(after.points), jnp.zeros(5)), DRAW._replace(points=each)
    into, _ = jax.jit(lambda back: pull_back(mix(name), rows, (), back, None, SHAPE, draw))(back)
    for array in (after.points, after.displacements, after.tangents, into.vectors):
        assert np.all(np.isfinite(array))
    np.testing.assert_allclose(after.point_scales, log_scales)
    if name == "plain":
        peaks = np.where(log_scales > 0, 1.0, 1 / LENGTH)[:, None, None]
        np.testing.assert_allclose(weights.max(axis=-1), np.tile(peaks, (HEADS, LENGTH)), rtol=1e-6)


WIDTH = 4


def net_of(attention):
    return Sequential(Residual(Sequential(RMSNorm(0.1, gain=False), attention)), Dense(2))


def given_network(attention, key):
    """Weights of variance 1 from the network's key, and the same function by hand."""
    fold, inner = jax.random.fold_in, attention.heads * (attention.head_width or 2)
    site = fold(fold(key, 0), 1)
    keys = [fold(fold(site, 0), 0), fold(fold(site, 2), 0), fold(fold(key, 1), 0)]
    shapes = [(3 * inner, WIDTH), (WIDTH, inner), (2, WIDTH)]
    weights = [
        di.normal(1.0).sample(key, shape, dtype="float64") * np.sqrt(shape[1])
        for key, shape in zip(keys, shapes, strict=True)
    ]

    def function(weights, x):
        first, last, readout = (matrix / np.sqrt(matrix.shape[1]) for matrix in weights)
        x = x.reshape(-1, WIDTH)
        normed = x / jnp.sqrt(jnp.mean(x**2, axis=1, keepdims=True) + 0.1)
        q, k, v = jnp.split((normed @ first.T).reshape(len(x), 3 * attention.heads, -1), 3, axis=1)
        if attention.qk_norm:
            q, k = (h / jnp.sqrt(jnp.mean(h**2, axis=-1, keepdims=True)) for h in (q, k))
        scores = attention.beta * jnp.einsum("thd,shd->hts", q, k) / np.sqrt(q.shape[-1])
        if attention.mask:
            scores = scores + jnp.log(jnp.tril(jnp.ones(scores.shape[1:])))
        mixed = jnp.einsum("hts,shd->thd", jax.nn.softmax(scores), v).reshape(len(x), -1)
        return ((x + mixed @ last.T) @ readout.T).ravel()

    return weights, function


@pytest.mark.exhaustive_cases("causal")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["causal", "normed"])
def test_tangents_cotangents_and_kernel_of_a_network_are_those_of_its_weights(name):
    attention = {"causal": Attention(2, mask="causal"), "normed": Attention(2, qk_norm=True)}[name]
    net, shape, key = net_of(attention), Shape((3,), WIDTH), jax.random.key(3)
    points, outputs = (0, 1, 1), np.array([0, 5, 3])

    @jax.jit
    def simulated(x, t):
        explicit, none = FUNCTIONS["explicit"], lambda state: ()
        frames = frames_at(x, t[:, None])
        _, rows = random_forward(net, frames, key, none, linear_map=explicit, shape=shape)
        rows_out = jnp.exp(rows.point_scales)[:, None] * rows.points
        tangents = jnp.exp(rows.log_norm_growths) * rows.tangents[:, 0]
        functions = jnp.eye(6)[outputs]
        gradients = random_gradients(
            net, points_alone(x), key, functions, points, linear_map="explicit", shape=shape
        )
        cotangents = jnp.exp(gradients.inputs.log_scales)[:, None] * gradients.inputs.vectors
        return rows_out, tangents, cotangents, gradients.ntk

    @jax.jit
    def by_hand(x, t):
        weights, function = given_network(attention, key)
        at_weights = lambda x: function(weights, x)
        push = jax.vmap(lambda x, t: jax.jvp(at_weights, (x,), (t,)))
        by_weights, by_input = jax.vmap(jax.jacrev(function, (0, 1)), (None, 0))(weights, x)
        chosen = np.asarray(points), outputs
        rows = jnp.concatenate([part[chosen].reshape(3, -1) for part in by_weights], axis=1)
        return *push(x, t), by_input[chosen], rows @ rows.T

    with jax.enable_x64(True):
        x, t = jnp.asarray(np.random.default_rng(8).normal(size=(2, 2, 3 * WIDTH)))
        t = t / jnp.linalg.norm(t, axis=1, keepdims=True)
        for found, expected in zip(simulated(x, t), by_hand(x, t), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-8, 0.3])
def test_displacements_of_a_network_are_differences_of_two_points(size):
    net, key = net_of(Attention(2, mask="causal", rotary=10.0)), jax.random.key(5)
    shape = Shape((3,), WIDTH)

    @jax.jit
    def last(rows):
        none, explicit = lambda state: (), FUNCTIONS["explicit"]
        return random_forward(net, rows, key, none, linear_map=explicit, shape=shape)[1]

    with jax.enable_x64(True):
        point, change = np.random.default_rng(9).normal(size=(2, 1, 3 * WIDTH))
        change *= size
        rows = last(pair_of(point, change, 0.0, "float64"))
        scale = np.exp(rows.point_scales + rows.displacement_scales)[:, None]
        found = scale * rows.displacements
        points = points_alone(jnp.asarray(np.concatenate([point, point + change])))
        ends = last(points)
        ends = np.exp(ends.point_scales)[:, None] * ends.points
    np.testing.assert_allclose(found[0], ends[1] - ends[0], rtol=1e-13 + 1e-14 / size, atol=1e-15)
