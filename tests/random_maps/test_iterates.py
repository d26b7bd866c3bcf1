"""Products of layers in three orders against plain loops, at depths beyond the floats."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import activations
from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.core.power_laws import power_laws
from deepinit.random_maps import metrics
from deepinit.random_maps.iterates import (
    backward_iterates,
    drawn_iterates,
    forward_iterates,
    log_jacobian_determinants,
    pulled_back_values,
    tangent_iterates,
)
from deepinit.random_maps.scaled import Scaled, as_scaled, to_array

RNG = np.random.default_rng(2)
WEIGHTS = RNG.standard_normal((12, 5, 5)) / np.sqrt(5)
BIASES = 0.3 * RNG.standard_normal((12, 5))
START = RNG.standard_normal(5)
NAMES = "relu absolute linear tanh erf sin gelu silu softplus sigmoid x_tanh x2_tanh"
EVERY = [getattr(activations, name) for name in NAMES.split()]
EVERY += [activations.leaky_relu(0.1), activations.from_function(jax.nn.selu)]


def looped(layers, activation, x, biases=None):
    for t in layers:
        x = np.asarray(activation(WEIGHTS[t] @ x + (0 if biases is None else biases[t])))
    return x


def deep(activation, std, width=8, depth=10_000, seed=0):
    def draw(t):
        with sequential_bits():
            normals = jax.random.normal(jax.random.fold_in(jax.random.key(seed), t), (width, width))
        return std / np.sqrt(width) * normals, None

    return jax.jit(lambda: drawn_iterates(draw, depth, activation, jnp.ones(width)))()


@pytest.mark.parametrize("biases", [None, BIASES], ids=["plain", "biased"])
@pytest.mark.parametrize(
    "activation",
    [
        activations.relu,
        activations.softplus,
        *(
            pytest.param(slow, marks=pytest.mark.slow)
            for slow in (activations.tanh, activations.gelu, activations.x_tanh)
        ),
    ],
    ids=str,
)
@pytest.mark.slow_cases("relu-biased", "relu-plain", "softplus-biased", "softplus-plain")
@pytest.mark.exhaustive_cases("softplus-plain")
def test_three_orders_equal_plain_loops(activation, biases):
    with jax.enable_x64(True):
        forward = forward_iterates(WEIGHTS, activation, START, biases=biases)
        backward = backward_iterates(WEIGHTS, activation, START, biases=biases)
        for t in (0, 1, 7, 12):
            expected = looped(range(t), activation, START, biases)
            np.testing.assert_allclose(
                to_array(forward.states)[t], expected, rtol=1e-10, atol=1e-14
            )
            if (
                np.linalg.norm(expected) > 0
            ):  # the loop underflows where x tanh(x) squares at every layer
                np.testing.assert_allclose(
                    forward.log_norms[t], np.log(np.linalg.norm(expected)), rtol=1e-10
                )
            inward = looped(range(t - 1, -1, -1), activation, START, biases)
            np.testing.assert_allclose(to_array(backward)[t], inward, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(forward.increments, np.diff(forward.log_norms), atol=1e-12)
        values = pulled_back_values(
            WEIGHTS, activation, np.ones((1, 5)), START[None], biases=biases
        )
        np.testing.assert_allclose(
            to_array(values)[:, 0, 0],
            np.asarray(to_array(forward.states)).sum(axis=1),
            rtol=1e-10,
            atol=1e-14,
        )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_pulled_back_functions_compose_from_the_input_side():
    points = RNG.standard_normal((6, 5))
    decision = RNG.standard_normal((2, 5))
    with jax.enable_x64(True):
        all_values = to_array(pulled_back_values(WEIGHTS, "tanh", decision, points))
        once = np.tanh(points @ WEIGHTS[0].T)  # T_1^* g, g = T_2^* ... T_t^* f
        rest = to_array(pulled_back_values(WEIGHTS[1:], "tanh", decision, once))
        np.testing.assert_allclose(all_values[1:], rest, rtol=1e-10)


@pytest.mark.parametrize(
    "activation",
    [
        pytest.param(
            one, marks=[] if one.name in ("tanh", "gelu", "x_tanh") else [pytest.mark.slow]
        )
        for one in EVERY
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "std",
    [0.1, pytest.param(1.0, marks=pytest.mark.slow), pytest.param(3.0, marks=pytest.mark.slow)],
)
@pytest.mark.slow_cases("0.1-gelu", "0.1-tanh", "0.1-x_tanh")
def test_every_activation_survives_depth_10_000_in_float32(activation, std):
    result = deep(activation, std, width=32)
    assert result.log_norms.dtype == jnp.float32
    log_norms = np.asarray(result.log_norms)
    assert not np.isnan(log_norms).any()
    if power_laws(activation).values.near == (1, 1) and std == 0.1:
        assert np.isfinite(log_norms).all()
        assert -40_000 < log_norms[-1] < -9_000  # far below e^-103, the least float32
        np.testing.assert_allclose(
            np.asarray(result.increments, float).sum(), log_norms[-1] - log_norms[0], rtol=1e-6
        )


@pytest.mark.parametrize("activation", [activations.tanh, activations.gelu], ids=str)
@pytest.mark.slow
def test_deep_iterates_keep_the_digits_of_a_linear_loop_in_float64(activation):
    weights = 0.2 * np.random.default_rng(5).standard_normal((2000, 4, 4))
    small = {"tanh": 1.0, "gelu": 0.5}[activation.name]
    result = forward_iterates(weights.astype(np.float32), activation, np.full(4, 1e-12, np.float32))
    x, log_norm = np.full(4, 1e-12), 0.0
    for w in weights.astype(np.float32).astype(float):
        x = small * (w @ x)
        size = np.linalg.norm(x)
        x, log_norm = x / size, log_norm + np.log(size)
    assert log_norm < -1500
    np.testing.assert_allclose(result.log_norms[-1], log_norm, rtol=1e-6)
    final = np.asarray(result.states.mantissa[-1], float)
    np.testing.assert_allclose(
        final / np.linalg.norm(final), x, atol=2e-3
    )  # 2 000 roundings of a direction


@pytest.mark.slow
def test_activations_of_higher_order_shrink_doubly_exponentially_with_the_right_exponent():
    weights = np.broadcast_to(np.eye(2, dtype=np.float32), (20, 2, 2))
    result = forward_iterates(weights, "x_tanh", np.array([2.0**-30, 2.0**-31], np.float32))
    np.testing.assert_array_equal(
        result.states.exponent, [-29, *(-30 * 2.0 ** np.arange(1, 21) + 1)]
    )
    assert float(result.states.mantissa[1, 1] / result.states.mantissa[1, 0]) == 0.25


@pytest.mark.slow
def test_a_dead_network_stays_dead_and_says_when():
    weights = np.stack([np.eye(2), -np.eye(2), np.eye(2)]).astype(np.float32)
    result = forward_iterates(weights, "relu", np.ones(2, np.float32))
    np.testing.assert_array_equal(np.isneginf(result.log_norms), [False, False, True, True])
    assert float(result.increments[0]) == 0
    assert np.isneginf(result.increments[1])
    assert np.isnan(result.increments[2])


@pytest.mark.slow
@pytest.mark.exhaustive
def test_backward_iterates_settle_and_forward_ones_do_not_where_layers_contract():
    rng = np.random.default_rng(0)
    weights, biases = (
        rng.uniform(0, 2, (41, 4, 4)).astype(np.float32),
        rng.uniform(-1, 1, (41, 4)).astype(np.float32),
    )
    forward = forward_iterates(weights, "sigmoid", np.ones(4, np.float32), biases=biases).states
    backward = backward_iterates(weights, "sigmoid", np.ones(4, np.float32), biases=biases)
    step = lambda states: np.asarray(
        metrics.thompson(Scaled(*(a[1:] for a in states)), Scaled(*(a[:-1] for a in states)))
    )
    assert step(backward)[20:].max() < 1e-6
    assert step(forward)[20:].max() > 0.02


@pytest.mark.slow
def test_forward_and_backward_iterates_have_one_law_at_fixed_depth():
    """Kolmogorov-Smirnov at 4 000 networks resolves 0.05; the law one layer earlier is rejected."""
    from scipy.stats import ks_2samp

    def ends(key):
        with sequential_bits():
            weights = 0.8 * jax.random.normal(key, (3, 2, 2))
        forward = forward_iterates(weights, "tanh", jnp.ones(2))
        return (
            forward.log_norms[3],
            forward.log_norms[2],
            jnp.log(
                jnp.linalg.norm(
                    to_array(backward_iterates(weights, "tanh", jnp.ones(2), depths=[3]))
                )
            ),
        )

    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jnp.arange(8000))
    forward, earlier, backward = (np.asarray(a) for a in jax.jit(jax.vmap(ends))(keys))
    assert not np.allclose(forward, backward)
    assert ks_2samp(forward[:4000], backward[4000:]).pvalue > 1e-5
    assert ks_2samp(earlier[:4000], backward[4000:]).pvalue < 1e-6


@pytest.mark.slow
def test_tangents_grow_like_finite_differences():
    with jax.enable_x64(True):
        direction = RNG.standard_normal(5)
        iterates, growth = tangent_iterates(WEIGHTS, "tanh", START, direction, biases=BIASES)
        end = lambda h: looped(range(12), np.tanh, START + h * direction, BIASES)
        expected = np.log(
            np.linalg.norm((end(1e-6) - end(-1e-6)) / 2e-6) / np.linalg.norm(direction)
        )
        assert float(growth.sum()) == pytest.approx(expected, abs=1e-6)
        np.testing.assert_allclose(to_array(iterates.states)[-1], end(0), rtol=1e-10)


@pytest.mark.parametrize(
    "activation",
    ["tanh", *(pytest.param(one, marks=pytest.mark.slow) for one in ("softplus", "leaky_relu"))],
)
@pytest.mark.slow_cases("tanh")
@pytest.mark.exhaustive_cases("tanh")
def test_log_jacobian_determinants_equal_those_of_the_jacobian(activation):
    points = RNG.standard_normal((3, 5))
    act = activations.as_activation(activation)
    with jax.enable_x64(True):
        found = log_jacobian_determinants(WEIGHTS[:4], activation, points, biases=BIASES[:4])
        for t in range(5):

            def network(x, t=t):
                for s in range(t):
                    x = act(jnp.asarray(WEIGHTS[s]) @ x + BIASES[s])
                return x

            jacobians = np.asarray([jax.jacfwd(network)(jnp.asarray(p)) for p in points])
            exact = np.linalg.slogdet(jacobians)[1]
            np.testing.assert_allclose(found[t], exact, atol=1e-10)


def test_bad_layers_are_refused():
    with pytest.raises(SpecError, match="all of one width"):
        forward_iterates(WEIGHTS, "tanh", np.ones(4))
    with pytest.raises(SpecError, match="biases"):
        forward_iterates(WEIGHTS, "tanh", START, biases=BIASES[:3])
    with pytest.raises(SpecError, match="depths"):
        backward_iterates(WEIGHTS, "tanh", START, depths=[13])
    with pytest.raises(SpecError, match="readouts"):
        pulled_back_values(WEIGHTS, "tanh", np.ones(5), START)
    singular = WEIGHTS.copy()
    singular[2, 0] = singular[2, 1]
    with pytest.raises(SpecError, match="layer 3 that are singular"):
        log_jacobian_determinants(singular, "tanh", START[None])
    with pytest.raises(SpecError, match="the activation"):
        forward_iterates(WEIGHTS, "tanhh", START)


@pytest.mark.slow
def test_states_accept_any_size_of_start():
    tiny = Scaled(as_scaled(jnp.ones(5)).mantissa, jnp.int32(-50_000))
    result = forward_iterates(WEIGHTS.astype(np.float32), "tanh", tiny)
    linear = forward_iterates(WEIGHTS.astype(np.float32), "linear", np.ones(5, np.float32))
    np.testing.assert_allclose(result.increments, linear.increments, atol=1e-5)
