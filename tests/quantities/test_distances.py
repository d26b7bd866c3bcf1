"""log_distance against explicit networks in 40 digits, and its theories."""

import jax
import mpmath
import numpy as np
import pytest
from statistical import assert_mean, assert_value, assert_variance

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.quantities.routes import evaluate

Q = di.quantities
RNG = np.random.default_rng(0)
FIRST, SECOND = RNG.standard_normal((2, 3))
# 0.5 rad; 1e-8 rad; norms 1 to 20; a distance of 1e-8; parallel
SHORT = np.array([[0.0, 1e-8, 0.0], 20.0 * SECOND - FIRST, 1e-8 * SECOND, 2.0 * FIRST])
PAIRS = di.inputs.Inputs(
    np.stack([[1.0, 0.0, 0.0], FIRST]),
    np.concatenate([di.inputs.pair(0.5, 3).displacements, SHORT]),
    (0, 0, 1, 1, 1),
    "pairs",
)
BIAS = di.normal(0.5, "absolute")
SPECS = {
    "relu of width 5, 3, 8": di.MLP((5, 3, 8)),
    "relu of width 2": di.MLP((2,) * 9),
    "relu with biases": di.MLP((4,) * 3, "relu", None, BIAS),
    "tanh with biases": di.MLP((4,) * 3, "tanh", None, BIAS),
    "linear with biases": di.MLP((4,) * 3, "linear", di.uniform(1.0), di.constant(0.3)),
}
QUICK = ("relu of width 2", "tanh with biases")
PHI = {"relu": lambda z: max(z, 0), "tanh": mpmath.tanh, "linear": lambda z: z}


def explicit_distances(spec, inputs, num):
    """ln |x_l - x'_l| / |x_0 - x'_0| [num, layers, pairs] in 40 digits; -inf for 0."""
    init = di.network(spec).init
    with mpmath.workdps(40):
        networks = [
            init(jax.random.fold_in(jax.random.key(0), seed), inputs.dimension)
            for seed in range(num)
        ]
        pairs = [
            (mpmath.matrix(inputs.points[base].tolist()), mpmath.matrix(step.tolist()))
            for base, step in zip(inputs.bases, inputs.displacements, strict=True)
        ]
        found = [
            [log_growth(PHI[spec.activation.name], layers, *pair) for pair in pairs]
            for layers in networks
        ]
    return np.moveaxis(np.array(found), 1, 2)


def log_growth(phi, segments, point, step):
    """[layers] of one pair in one network."""
    both, logs = [point, point + step], []
    for segment in segments:
        layers = {name: np.asarray(values, np.float64) for name, values in segment["inner"].items()}
        for number, weights in enumerate(layers["weights"]):
            matrix = mpmath.matrix(weights.tolist())
            shift = (
                mpmath.matrix(layers["biases"][number].tolist())
                if "biases" in layers
                else 0 * matrix[:, 0]
            )
            both = [(matrix * x + shift).apply(phi) for x in both]
            distance = mpmath.norm(both[1] - both[0])
            logs.append(float(mpmath.log(distance / mpmath.norm(step))) if distance else -np.inf)
    return logs


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SPECS]
)
@pytest.mark.exhaustive
def test_distances_in_float32_are_those_of_explicit_networks(name):
    spec = SPECS[name]
    sim = di.simulate(
        spec, Q.log_distance, PAIRS, num_seeds=6, linear_map="explicit", keep_samples=True
    )
    exact = explicit_distances(spec, PAIRS, 6)
    equal = np.isneginf(exact)
    assert equal.any() == name.startswith("relu of width")
    assert np.array_equal(np.isnan(sim.samples), equal)
    assert np.array_equal(sim.events["equal"], equal.sum(axis=0))
    assert np.allclose(sim.samples[~equal], exact[~equal], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_distance_of_parallel_inputs_grows_like_their_norm():
    """Homogeneous networks: x' = 3 x stays 3 x, and the law is that of log_norm."""
    net, pair = di.MLP((3,) * 3, di.leaky_relu(0.3)), di.inputs.from_arrays(FIRST, 3.0 * FIRST)
    sim, exact = (
        di.simulate(net, Q.log_distance, pair, num_seeds=3000),
        di.predict(net, Q.log_distance, pair),
    )
    assert exact.name == "exact"
    assert np.allclose(exact.mean, di.predict(net, Q.log_norm, di.inputs.points(FIRST)).mean)
    rival = di.infinite(net, Q.log_distance, pair)
    assert_mean(sim, exact.mean, rejects=rival.mean)
    assert np.abs((sim.mean - rival.mean) / sim.standard_error).min() > 10


@pytest.mark.slow
@pytest.mark.exhaustive
def test_biases_of_a_linear_network_cancel():
    """Exact at width 3, with constant biases; uniform weights to first order."""
    pair = di.inputs.from_arrays(FIRST, SECOND)
    net = di.MLP((3,) * 3, "linear", None, di.constant(0.3))
    sim, exact = (
        di.simulate(net, Q.log_distance, pair, num_seeds=3000),
        di.predict(net, Q.log_distance, pair),
    )
    assert exact.name == "exact"
    rival = di.infinite(net, Q.log_distance, pair)
    assert_mean(sim, exact.mean, rejects=rival.mean)
    # the rival: variances to first order in 1 / width
    assert_variance(sim, exact.variance, rejects=np.arange(1, 4)[:, None] / 6)
    assert np.abs((sim.mean - rival.mean) / sim.standard_error).min() > 10
    uniform = di.MLP((64,) * 3, "linear", di.uniform(1.0), di.constant(0.3))
    assert Q.log_distance.applicable(uniform, pair) == ("first_order", "infinite_width")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_first_order_in_the_width():
    """Norms and angle all fluctuate: tanh with biases at width 24, unequal norms."""
    net, pair = (
        di.MLP((24,) * 3, "tanh", di.normal(1.5), BIAS),
        di.inputs.from_arrays(FIRST, 2.0 * SECOND),
    )
    sim, first = (
        di.simulate(net, Q.log_distance, pair, num_seeds=3000),
        di.predict(net, Q.log_distance, pair),
    )
    assert first.name == "first_order"
    assert np.abs(sim.variance / first.variance - 1.0).max() < 0.2
    rival = di.infinite(net, Q.log_distance, pair)
    assert_mean(sim, first.mean, rejects=rival.mean)
    assert np.abs((sim.mean - rival.mean) / sim.standard_error).max() > 10


def test_first_order_leaves_out_the_second():
    """Close pairs of relu networks: the exact law of ln |J u|. Width 64 against 128."""
    off = []
    for width in (64, 128):
        net = di.MLP((width,) * 3)
        exact = di.predict(net, Q.log_volume, di.frames.random(dimension=2), "exact")
        close = di.predict(net, Q.log_distance, di.inputs.pair(1e-9))
        limit = di.infinite(net, Q.log_distance, di.inputs.pair(1e-9))
        off.append([np.abs(found.mean - exact.mean).max() for found in (close, limit)])
    (first, zeroth), (half_first, half_zeroth) = off
    assert first / half_first > 3.5
    assert zeroth / half_zeroth < 2.5


@pytest.mark.slow
@pytest.mark.exhaustive
def test_distances_at_infinite_width_keep_their_digits():
    """0.5 rad: difference of kernels; 1e-10 rad: stretch of a tangent; residual too."""
    net, point = (
        di.MLP((16,) * 4, "tanh", None, BIAS),
        di.frames.at(np.eye(3)[:1], np.eye(3)[None, 1:2]),
    )
    squares = di.infinite(net, Q.nngp, di.inputs.pair(0.5, 3)).mean @ np.array([1.0, -2.0, 1.0])
    growth = 0.5 * np.log(16 * squares / (4.0 * np.sin(0.25) ** 2))
    assert np.allclose(
        di.infinite(net, Q.log_distance, di.inputs.pair(0.5, 3)).mean[:, 0],
        growth,
        rtol=0,
        atol=1e-12,
    )
    close = di.infinite(net, Q.log_distance, di.inputs.pair(1e-10, 3))
    assert np.allclose(close.mean, di.infinite(net, Q.log_volume, point).mean, rtol=0, atol=1e-8)
    blocks = di.ResNet(3, 4, activation=di.tanh)
    assert "infinite_width" in Q.log_distance.applicable(blocks, di.inputs.pair(0.5, 3))
    with pytest.raises(SpecError, match="do not resolve"):
        di.infinite(blocks, Q.log_distance, di.inputs.pair(1e-6, 3))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_shallow_residual_networks_of_infinite_depth():
    """phi is linear on increments, biases cancel: the law of log_norm, at width 4."""
    net = di.ResNet(4, 256, activation=di.tanh, block="shallow", bias_law=di.normal(1.0, "depth"))
    pair = di.inputs.from_arrays([[1.0, 0.0, 0.5, 0.2]], [[0.4, 1.0, 0.5, 0.0]])
    sim, deep = (
        di.simulate(net, Q.log_distance, pair, num_seeds=1500),
        di.predict(net, Q.log_distance, pair),
    )
    assert deep.name == "infinite_depth"
    rival = di.infinite(net, Q.log_distance, pair)
    last = sim.mean[-1], sim.standard_error[-1]
    assert_value(*last, deep.mean[-1], rejects=rival.mean[-1])
    last = sim.variance[-1], sim.variance_standard_error[-1]
    assert_value(*last, deep.variance[-1], rejects=0.0)
    assert np.abs((sim.mean - rival.mean) / sim.standard_error)[-1] > 10


def test_inputs_without_a_distance_are_refused():
    for inputs, got in (
        (di.inputs.points(FIRST), "without a partner"),
        (di.inputs.from_arrays(FIRST, FIRST), "equal"),
    ):
        for route in (di.simulate, di.predict, di.infinite):
            with pytest.raises(SpecError, match=f"{got}.*from_arrays"):
                route(di.MLP((4,)), Q.log_distance, inputs)


@pytest.mark.slow
def test_theories_say_where_they_do_not_apply():
    pair = di.inputs.pair(0.5, 3)
    reasons = {
        "orthogonal": di.MLP((8,) * 2, "relu", di.orthogonal(2.0)),
        "uniform": di.MLP((8,) * 2, "relu", di.uniform(2.0)),
        "law 'uniform'": di.MLP((8,) * 2, "relu", None, di.uniform(0.1, "absolute")),
    }
    for words, spec in reasons.items():
        _, found = evaluate(spec, Q.log_distance, pair)
        assert words in found["first_order"]
    opposite = di.inputs.from_arrays(FIRST, -FIRST)
    assert (
        "equal"
        in evaluate(di.MLP((8,), di.absolute), Q.log_distance, opposite)[1]["infinite_width"]
    )


@pytest.mark.slow
def test_a_dead_partner_has_a_kernel_of_zero():
    """relu of width 2: where one image of the pair is 0, its kernels are exactly 0."""
    sim = di.simulate(
        di.MLP((2,) * 9), Q.nngp, di.inputs.pair(2.0), num_seeds=200, keep_samples=True
    )
    first, _, second = np.moveaxis(sim.samples, 2, 0)
    dead = (second == 0.0).sum(axis=0)
    assert (np.diff(dead) >= 0).all()
    assert (second[:, -1][first[:, -1] > 0] == 0.0).any()
    assert not ((second > 0) & (second < 1e-10 * first)).any()
