"""The forward pass: both linear maps have one law, displacements keep digits at any depth."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from statistical import assert_mean

import deepinit as di
from deepinit.core.layers import Shape
from deepinit.networks import forward, linear_maps
from deepinit.networks.input_rows import rows_from_inputs
from deepinit.networks.network import given_draw, network, parameter_parts
from deepinit.networks.rows import COLLINEAR, DEAD, FINE
from deepinit.observables.pairs import log_sin2_angle


def measured(spec, inputs, num_seeds, linear_map, dtype=np.float32, key=0):
    rows = rows_from_inputs(inputs, scale_invariant=spec.is_homogeneous, dtype=dtype)

    def one(key):
        tap = lambda state: log_sin2_angle(state.postactivations)
        return forward.random_forward(
            spec, rows, key, tap, linear_map=linear_maps.FUNCTIONS[linear_map]
        )[0]

    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(
        jnp.arange(num_seeds)
    )
    result = jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=min(num_seeds, 500)))(keys)
    return np.asarray(result.value, np.float64), np.asarray(result.event)


def two_sample_z(a, b):
    return (a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))


# Equal widths and inputs of that dimension: one scan. Unequal widths have their own test.
SPECS = {
    "relu": di.MLP(widths=(8, 8, 8)),
    "leaky": di.MLP(widths=(8, 8, 8), activation=di.leaky_relu(0.2)),
    "relu with bias": di.MLP(widths=(8, 8), bias_law=di.normal(0.3, "absolute")),
    "tanh with uniform bias": di.MLP(
        widths=(8, 8), activation=di.tanh, bias_law=di.uniform(0.2, "absolute")
    ),
    "gelu": di.MLP(widths=(8, 8), activation=di.gelu),
    "orthogonal": di.MLP(widths=(8, 5, 11), weight_law=di.orthogonal(2.0)),
    "unequal": di.MLP(widths=(8, 5)),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[pytest.mark.slow] if name in ("leaky", "gelu", "unequal", "orthogonal") else [],
        )
        for name in SPECS
    ],
)
@pytest.mark.slow_cases("relu with bias", "tanh with uniform bias")
@pytest.mark.exhaustive_cases("relu")
def test_explicit_and_conditional_maps_have_one_law(name):
    spec, inputs = SPECS[name], di.inputs.pairs((0.3, 2.0), dimension=8)
    num = 6000
    a, event_a = measured(spec, inputs, num, "explicit")
    b, event_b = measured(spec, inputs, num, "conditional", key=1)
    fine = (event_a == FINE).all(axis=(1, 2)), (event_b == FINE).all(axis=(1, 2))
    a, b = a[fine[0]], b[fine[1]]
    assert np.abs(two_sample_z(a, b)).max() < 5
    for layer in range(a.shape[1]):
        for pair in range(2):
            assert not np.array_equal(
                a[:50, layer, pair], b[:50, layer, pair]
            )  # two engines, not one twice
            assert scipy.stats.ks_2samp(a[:, layer, pair], b[:, layer, pair]).pvalue > 1e-6
    # the rival: networks twice as wide
    rival = dataclasses.replace(spec, widths=tuple(2 * width for width in spec.widths))
    c, event_c = measured(
        rival, di.inputs.pairs((0.3, 2.0), dimension=8), num, "conditional", key=2
    )
    c = c[(event_c == FINE).all(axis=(1, 2))]
    assert np.abs(two_sample_z(a, c)).max() > 5


@pytest.mark.parametrize("name", ["relu", "tanh with uniform bias"])
@pytest.mark.slow
@pytest.mark.exhaustive_cases("tanh with uniform bias")
def test_float32_angles_agree_with_float64_for_the_same_network(name):
    spec = dataclasses.replace(SPECS[name], widths=(40,) * 6)
    parameters = network(spec).init(jax.random.key(5), 40)
    inputs = di.inputs.pairs((1e-12, 1e-3, 1.0, 2.5), dimension=40)

    def given(source, rows, layer):
        return rows.stacked @ source["weights"].T, source.get("biases"), ()

    def angles(dtype):
        rows = rows_from_inputs(inputs, scale_invariant=spec.is_homogeneous, dtype=dtype)
        cast = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), dtype), parameters)
        tap = lambda state: log_sin2_angle(state.postactivations)
        net = spec.layers(Shape((), 40))
        parts = parameter_parts(net, cast)
        taps, _ = forward.forward(net, rows, parts, given_draw(given, net.depth), tap)
        return np.asarray(taps.value, np.float64)

    single = angles(np.float32)
    with jax.enable_x64(True):
        double = angles(np.float64)
    np.testing.assert_allclose(single, double, atol=2e-4)
    # float64, plain cosines of the images: independent, with digits at large angles only
    np.testing.assert_allclose(
        double[:, 2],
        plain_images(spec, parameters, inputs.points[0], inputs.partners[2]),
        atol=1e-9,
    )
    np.testing.assert_allclose(
        double[:, 3],
        plain_images(spec, parameters, inputs.points[0], inputs.partners[3]),
        atol=1e-9,
    )


def plain_images(spec, parameters, first, second):
    vectors = np.stack([first, second])
    result = []
    for segment in (run["inner"] for run in parameters):
        for index in range(len(segment["weights"])):
            vectors = vectors @ np.asarray(segment["weights"][index], np.float64).T
            if "biases" in segment:
                vectors = vectors + np.asarray(segment["biases"][index], np.float64)
            vectors = spec.activation(vectors)
            a, b = vectors
            result.append(math.log(1 - (a @ b) ** 2 / (a @ a) / (b @ b)))
    return result


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[pytest.mark.slow] if name in ("orthogonal", "leaky", "gelu") else []
        )
        for name in SPECS
    ],
)
@pytest.mark.slow_cases("relu", "relu with bias", "unequal")
@pytest.mark.exhaustive_cases("tanh with uniform bias")
def test_apply_is_the_network_that_simulation_draws(name):
    spec = dataclasses.replace(SPECS[name], output_width=3)
    key = jax.random.key(11)
    net = network(spec)
    x = np.array([0.4, -1.0, 2.0, 0.1, 0.0, -0.7, 1.1, 0.3])
    output = np.asarray(net.apply(net.init(key, 8), jnp.asarray(x, jnp.float32)))
    inputs = di.inputs.from_arrays(x, x + 1.0)
    rows = rows_from_inputs(inputs, scale_invariant=spec.is_homogeneous, dtype=np.float32)
    _, final = forward.random_forward(
        spec, rows, key, lambda state: (), linear_map=linear_maps.explicit
    )
    point = np.exp(np.asarray(final.point_scales))[:, None] * np.asarray(final.points)
    np.testing.assert_allclose(output, point[0], rtol=1e-4, atol=1e-5)
    partner = np.exp(final.point_scales + final.partner_scales)[:, None] * (
        final.points + np.exp(final.displacement_scales)[:, None] * final.displacements
    )
    second = np.asarray(net.apply(net.init(key, 8), jnp.asarray(x + 1.0, jnp.float32)))
    np.testing.assert_allclose(second, np.asarray(partner)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_nothing_underflows_at_depth_ten_thousand():
    values, events = measured(
        di.MLP(widths=(16,) * 10_000), di.inputs.pair(1e-3), 64, "conditional"
    )
    alive = events[:, -1, 0] == FINE
    assert alive.sum() > 0
    assert np.isfinite(values[alive, -1]).all()
    drift = (values[alive, -1, 0] - values[alive, 0, 0]) / 9_999
    # E0(16), V0(16) of the small-angle chi-square law; the rival: -2/n
    error = math.sqrt(0.709812 / 9_999 / alive.sum())
    assert_mean(drift, -0.173646, rejects=-2 / 16, standard_error=error, resolves=0.13)


def test_a_segment_is_a_run_of_equal_layers():
    repeats = di.MLP(widths=(5, 5, 5, 3, 3, 7)).layers(Shape((), 5)).body.layers
    runs = [(repeat.first, repeat.times, repeat.layer.layers[0].width) for repeat in repeats]
    assert runs == [(1, 3, 5), (4, 1, 3), (5, 1, 3), (6, 1, 7)]


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.slow
def test_degenerate_pairs_are_counted_by_the_exact_law(width):
    angle, num = 1.0, 40_000
    _, events = measured(di.MLP(widths=(width,)), di.inputs.pair(angle), num, "conditional")
    q = (math.pi - angle) / (2 * math.pi)
    exact = {COLLINEAR: width * q**width, DEAD: 2 * 0.5**width - q**width}
    for code, probability in exact.items():
        error = math.sqrt(probability * (1 - probability) / num)
        # the rival: a tenth more, or what is resolved
        rival = 1.1 * probability if error <= 0.02 * probability else probability + 10 * error
        assert_mean((events == code).ravel(), probability, rejects=rival, standard_error=error)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_events_are_absorbing_without_bias_only():
    _, events = measured(di.MLP(widths=(2,) * 6), di.inputs.pair(0.5), 2000, "conditional")
    first, last = events[:, 1, 0], events[:, -1, 0]
    assert (first != FINE).sum() > 500
    assert np.array_equal(last[first != FINE], first[first != FINE])
    biased = di.MLP(widths=(2,) * 6, bias_law=di.normal(1.0, "absolute"))
    _, events = measured(biased, di.inputs.pair(0.5), 2000, "conditional")
    assert ((events[:, 1, 0] == DEAD) & (events[:, -1, 0] == FINE)).sum() > 5


LAWS = [di.truncated_normal(2.0), di.uniform(2.0), di.orthogonal(2.0), di.sparse(2.0, density=0.5)]


@pytest.mark.parametrize(
    "law",
    [LAWS[1], *(pytest.param(law, marks=pytest.mark.slow) for law in (LAWS[0], *LAWS[2:]))],
    ids=lambda law: law.name,
)
@pytest.mark.slow_cases("uniform")
def test_every_law_simulates_and_approaches_the_same_limit(law):
    from deepinit.quantities import infinite, log_sin2_angle, simulate

    spec = di.MLP(widths=(64,) * 3, weight_law=law)
    pair = di.inputs.pair(1.0, dimension=64)
    estimate = simulate(spec, log_sin2_angle, pair, num_seeds=200)
    limit = infinite(spec, log_sin2_angle, pair)
    assert estimate.settings["linear_map"] == ("conditional" if law.is_haar else "explicit")
    assert (
        np.abs(estimate.mean - limit.mean).max() < 0.2
    )  # 1/width effects: 3 layers * (c1 = -1.7) / 64 = 0.08
    assert np.abs(estimate.mean - 2 * math.log(math.sin(1.0))).max() > 0.2  # the rival: angles stay


@pytest.mark.slow
def test_sharing_a_base_or_not_is_the_same_network():
    spec = di.MLP(widths=(20,) * 3)
    shared = di.inputs.pairs((0.2, 0.9), dimension=4)
    separate = di.inputs.from_arrays(np.repeat(shared.points, 2, axis=0), shared.partners)
    one, _ = measured(spec, shared, 32, "explicit")
    two, _ = measured(spec, separate, 32, "explicit")
    np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[] if name in ("relu", "tanh with uniform bias") else [pytest.mark.slow]
        )
        for name in SPECS
    ],
)
@pytest.mark.slow_cases("relu", "tanh with uniform bias")
@pytest.mark.exhaustive_cases("gelu")
def test_known_inner_products_are_those_of_the_rows(name):
    spec = dataclasses.replace(SPECS[name], widths=(30,) * 4)
    inputs = di.inputs.pairs((1e-3, 1.0, 2.0, math.pi / 2), 30)
    rows = rows_from_inputs(inputs, scale_invariant=spec.is_homogeneous, dtype=np.float32)

    def tap(state):
        rows = state.postactivations
        return rows.cached, dataclasses.replace(rows, cached=None).inner_products

    keys = jax.random.split(jax.random.key(3), 50)
    run = jax.jit(
        jax.vmap(
            lambda key: forward.random_forward(
                spec, rows, key, tap, linear_map=linear_maps.conditional
            )
        )
    )
    (known, computed), _ = run(keys)
    np.testing.assert_allclose(known.point_norm2, computed.point_norm2, rtol=1e-5)
    np.testing.assert_allclose(known.residual_norm2, computed.residual_norm2, rtol=1e-3)
    np.testing.assert_allclose(known.parallel, computed.parallel, atol=1e-4)
