"""Resolution of the quadrature, own taps, second derivatives where angles tie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.infinite_width.angles import log_sin2_angles
from deepinit.infinite_width.norm_growth import log_volumes
from deepinit.infinite_width.norms import mean_square_distances
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers, kernel_scan, layer_variances
from deepinit.infinite_width.residual import residual_layers
from deepinit.observables.measurement import Measurement
from deepinit.runs.experiment import Case

ONES = di.inputs.ones(3)


def _net(activation, variance):
    return di.MLP((8,), activation, di.normal(variance), output_width=1, output_law=di.normal(1.0))


@pytest.mark.parametrize(
    ("activation", "variance"),
    [
        ("sin", 100.0),
        ("sin", 1e4),
        (lambda x: jnp.sin(20 * x), 1.0),
        (lambda x: jnp.tanh(30 * (x - 0.7)) + x, 1.0),
    ],
    ids=["sin at 100", "sin at 1e4", "sin of 20 x", "a steep step"],
)
@pytest.mark.slow_cases("a steep step")
def test_functions_that_the_quadrature_does_not_resolve_are_refused(activation, variance):
    with pytest.raises(SpecError, match="does not resolve"):
        di.infinite(_net(activation, variance), di.quantities.ntk, ONES)


HALF_SINE = di.from_function(lambda x: jnp.where(x > 0, jnp.sin(60 * x), 0.0), kinks=(0.0,))
FAST = di.from_function(lambda x: jnp.sin(20 * x))


@pytest.mark.slow_cases("blocks", "inner", "shallow blocks")
@pytest.mark.parametrize(
    ("spec", "dimension"),
    [
        (_net(HALF_SINE, 1.0), 3),
        (di.ResNet(3, 4, activation=FAST, weight_law=di.normal(1.0)), 3),
        (di.ResNet(3, 4, block="shallow", activation=FAST), 3),
        (
            di.ResNet(
                3,
                4,
                block="shallow",
                activation="linear",
                inner_activation=FAST,
                weight_law=di.normal(100.0),
            ),
            3,
        ),
        (di.ResNet(3, 4, activation=HALF_SINE, weight_law=di.normal(1.0)), 3),
    ],
    ids=["kinked", "blocks", "shallow blocks", "inner", "kinked blocks"],
)
def test_kinks_and_blocks_that_the_quadrature_does_not_resolve_are_refused(spec, dimension):
    with pytest.raises(SpecError, match="does not resolve"):
        di.infinite(spec, di.quantities.nngp, di.inputs.ones(dimension))


@pytest.mark.slow
def test_convolutions_that_the_quadrature_does_not_resolve_are_refused():
    with pytest.raises(SpecError, match="does not resolve"):
        residual_layers(di.ConvResNet((3,), 1, 4, activation=FAST), np.ones((1, 3)))


@pytest.mark.parametrize(
    "name",
    [
        "elu",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("hard_swish", "relu6", "selu")),
    ],
)
def test_blocks_of_kinked_activations_have_the_kernel_of_a_dense_rule(name):
    """One block x + V phi(W x), w = 1.5, v = 1: x.y / n + E phi(u) phi(v), grid of 0.005."""
    phi, rows = getattr(di, name), np.array([[1.0, 2.0, -0.5], [0.3, -1.0, 0.2]])
    if not isinstance(phi, di.Activation):
        phi = phi()
    net = di.ResNet(3, 1, activation=phi, weight_law=di.normal(1.5))
    found = di.infinite(net, di.quantities.nngp, di.inputs.points(rows)).mean[-1]
    z = np.arange(-8.0, 8.0, 0.005)
    density = 0.005 * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    factor = np.linalg.cholesky(1.5 * rows @ rows.T / 3.0)
    first, second = phi(factor[0, 0] * z), phi(factor[1, 0] * z[:, None] + factor[1, 1] * z)
    moments = (
        density @ first**2,
        density @ (first * (second @ density)),
        density @ (second**2 @ density),
    )
    pairs = (rows @ rows.T / 3.0)[np.triu_indices(2)]
    np.testing.assert_allclose(found, pairs + np.array(moments), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("variance", [1e-6, 0.3, 30.0])
@pytest.mark.parametrize(
    "name", ["elu", "selu", "celu", "relu6", "hard_swish", "softsign", "gelu", "silu", "mish"]
)
def test_built_ins_are_resolved_at_every_variance(name, variance):
    activation = getattr(di, name)
    net = di.MLP((8,), activation, di.normal(variance), output_width=1, output_law=di.normal(1.0))
    assert np.isfinite(di.infinite(net, di.quantities.ntk, ONES).mean).all()


@pytest.mark.slow
def test_functions_that_it_resolves_are_right():
    """E sin^2 = (1 - exp(-2 q)) / 2 for N(0, q), E cos^2 the rest."""
    mean = di.infinite(_net("sin", 2.0), di.quantities.nngp, ONES).mean[0, 0]
    assert mean == pytest.approx(0.5 * (1.0 - np.exp(-4.0)), rel=1e-12)
    assert di.infinite(_net("tanh", 1e4), di.quantities.nngp, ONES).mean[0, 0] == pytest.approx(
        0.99202148, rel=1e-8
    )


@pytest.mark.slow
def test_a_hidden_kink_at_zero_is_refused():
    table = lambda x: jnp.interp(x, jnp.array([-1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, 5.0]))
    with pytest.raises(SpecError, match=r"kinks=\(0\.0,\)"):
        di.MLP((4,), table)


@pytest.mark.exhaustive
def test_hessians_of_relu_at_orthogonal_and_equal_rows():
    """K = (sin t + (pi - t) cos t) / (2 pi) |x| |y| at weight variances (2, 2), by hand."""

    def kernel(x):
        return kernel_scan(di.relu, x, jnp.full(2, 2.0), jnp.zeros(2)).nngp[-1][0, 1]

    with host_float64():
        orthogonal, equal = (
            np.asarray(jax.hessian(kernel)(jnp.array(rows)))
            for rows in ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [1.0, 2.0]])
        )
    assert orthogonal[0, 1, 0, 1] == pytest.approx(2.0 / np.pi, rel=1e-9)
    assert orthogonal[0, 1, 1, 0] == pytest.approx(1.0 / np.pi, rel=1e-9)
    np.testing.assert_allclose(equal[0, :, 1, :], np.eye(2), atol=1e-9)
    np.testing.assert_allclose(equal[0, :, 0, :], 0.0, atol=1e-9)


def _event(code, shape=(1,)):
    return lambda state, inputs: Measurement(jnp.ones(1), jnp.full(shape, code, jnp.int8))


@pytest.mark.parametrize(
    ("tap", "words"),
    [
        (lambda state, inputs: jnp.ones(1), "returns an array"),
        (
            lambda state, inputs: Measurement(jnp.ones(8), jnp.zeros(8, jnp.int8)),
            r"real numbers of shape \(1, 1\)",
        ),
        (
            lambda state, inputs: Measurement(jnp.ones(1) + 1j, jnp.zeros(1, jnp.int8)),
            r"real numbers of shape \(1,\)",
        ),
        (_event(0, ()), r"integers of shape \(1,\)"),
        (_event(77), "events 77 to 77"),
        (_event(-1), "events -1 to -1"),
    ],
    ids=["array", "eight values", "complex", "event of another shape", "event 77", "event -1"],
)
def test_what_an_own_tap_returns_is_looked_at(tap, words):
    own = di.quantities.log_norm._replace(
        name="own", theories=(), measurement=di.quantities.Forward(tap)
    )
    one = own._replace(measurement=own.measurement._replace(entries=lambda spec, inputs: ("it",)))
    with pytest.raises(SpecError, match=words):
        di.simulate(di.MLP((4,)), one, di.inputs.ones(2), num_seeds=3)


@pytest.mark.parametrize("field", ["theories", "checked", "rejected"])
def test_a_misspelt_theory_is_refused_when_the_case_is_made(field):
    with pytest.raises(SpecError, match="the theory 'nope' of log_norm"):
        Case("a", di.MLP((4,)), di.quantities.log_norm, di.inputs.ones(2), 5, **{field: ("nope",)})


def test_a_mean_square_that_is_infinite_gives_no_default_variance():
    for grows in (lambda x: jnp.exp(x * x), lambda x: jnp.exp(0.25 * x * x)):
        with pytest.raises(SpecError, match="mean square"):
            di.MLP((4,), grows)
    finite = di.MLP((4,), lambda x: jnp.exp(0.125 * x * x))  # E exp(Z^2 / 4) = sqrt(2)
    assert finite.weight_law.variance == pytest.approx(0.5**0.5, rel=1e-9)


UNSTABLE = di.from_function(lambda x: x - 0.2 * jnp.sin(3.0 * x))


def _fixed_point_of_sine(wide):
    """Two orthogonal inputs at the fixed point q = 1 of w (1 - e^{-2 q}) / 2; one wide layer."""
    w = 2.0 / (1.0 - np.exp(-2.0))
    law = di.normal(w / 10.0, "absolute")
    x = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]]) * np.sqrt(10.0 / (3.0 * w))
    return di.MLP((10, 10, 10, wide, 10), di.sin, law, output_width=1), x


def test_a_wide_layer_after_a_fixed_point_is_refused():
    net, x = _fixed_point_of_sine(10_000)
    with pytest.raises(SpecError, match=r"layer 5 .*does not resolve"):
        kernel_layers(net, x)


def test_a_layer_of_larger_variance_after_a_fixed_point_has_the_closed_form():
    """E sin u sin v = e^{-(q_1 + q_2) / 2} sinh c, E cos u cos v the same with cosh."""
    net, x = _fixed_point_of_sine(30)
    weight_vars, _ = layer_variances(net, 3)
    nngp = ntk = weight_vars[0] * x @ x.T / 3.0
    for weight_var in weight_vars[1:]:
        q = np.diag(nngp)
        damped = np.exp(-0.5 * (q[:, None] + q))
        ntk = weight_var * damped * (np.sinh(nngp) + np.cosh(nngp) * ntk)
        nngp = weight_var * damped * np.sinh(nngp)
    found = kernel_layers(net, x)
    np.testing.assert_allclose(found.nngp[-1], nngp, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found.ntk[-1], ntk, rtol=1e-10, atol=1e-10)


def test_a_slow_escape_from_an_unstable_fixed_point_is_followed_to_the_end():
    net = di.MLP((16,) * 60, UNSTABLE, di.normal(4.8651), output_width=1)
    with pytest.raises(SpecError, match="does not resolve"):
        kernel_layers(net, np.full((1, 3), 0.0641))


def test_kernels_of_the_escape_have_the_closed_form_as_long_as_the_rule_resolves_it():
    """E (u - a sin 3u)^2 = q - 6 a q e^{-9 q / 2} + a^2 (1 - e^{-18 q}) / 2, and its derivative."""
    a, w = 0.2, 4.8651
    net = di.MLP((16,) * 30, UNSTABLE, di.normal(w), output_width=1, output_law=di.normal(w))
    q = ntk = w * 0.0641**2
    for _ in range(30):
        cosines = np.exp(-4.5 * q), np.exp(-18.0 * q)  # E cos 3u, E cos 6u
        square = 1.0 - 6.0 * a * cosines[0] + 4.5 * a**2 * (1.0 + cosines[1])
        q = w * (q - 6.0 * a * q * cosines[0] + 0.5 * a**2 * (1.0 - cosines[1]))
        ntk = q + w * square * ntk
    found = kernel_layers(net, np.full((1, 3), 0.0641))
    assert found.nngp[-1].item() == pytest.approx(q, rel=1e-9)
    assert found.ntk[-1].item() == pytest.approx(ntk, rel=1e-9)


@pytest.mark.parametrize("limit", [log_sin2_angles, mean_square_distances, log_volumes])
def test_angles_distances_and_volumes_that_the_quadrature_does_not_resolve_are_refused(limit):
    net = di.MLP((8, 8), "sin", di.normal(1e3))
    at = di.frames.random(3) if limit is log_volumes else di.inputs.pair(0.3, dimension=3)
    with pytest.raises(SpecError, match="does not resolve"):
        limit(net, at)


@pytest.mark.slow
def test_kernels_whose_quadrature_over_pairs_underflows_are_refused():
    """tanh at weight variance 1/20 is linear: the cosine stays, and was 0 at 1e-305."""

    def cosine(depth):
        block = di.layers.Sequential(
            di.layers.Dense(2, law=di.normal(0.05)), di.layers.Activation("tanh")
        )
        net = di.layers.Repeat(block, depth)
        return di.infinite(net, di.quantities.cosine, di.inputs.pair(0.3)).mean[-1]

    assert cosine(200) == pytest.approx(cosine(20), rel=1e-9)
    with pytest.raises(SpecError, match="does not resolve"):
        cosine(230)
