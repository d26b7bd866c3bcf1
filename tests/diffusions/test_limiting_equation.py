import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.taylor import taylor_at_zero
from deepinit.diffusions.equation import drift_and_noise

WIDTH = 3
RNG = np.random.default_rng(0)


def _covariance(size):
    root = RNG.standard_normal((size, size))
    return root @ root.T / size


OUTER, INNER, BIAS = _covariance(WIDTH), _covariance(WIDTH), _covariance(WIDTH)
DRIFT, BIAS_DRIFT = RNG.standard_normal((WIDTH, WIDTH)), RNG.standard_normal(WIDTH)
LAWS = {
    "independent": (di.normal(1.3, "depth"), di.normal(0.4, "depth")),
    "no bias": (di.uniform(0.7, "depth"), None),
    "product": (di.matrix_normal(OUTER, INNER, DRIFT), di.vector_normal(BIAS, BIAS_DRIFT)),
    "mixed": (di.normal(1.3, "depth"), di.vector_normal(BIAS)),
}


def _spec(laws, activation=di.silu, psi=di.tanh):
    weight_law, bias_law = laws
    return di.ResNet(
        WIDTH,
        4,
        None,
        activation,
        weight_law,
        None,
        bias_law,
        block="shallow",
        inner_activation=psi,
    )


def _image():
    return di.ConvResNet(
        (4,),
        2,
        5,
        activation=di.tanh,
        weight_law=di.normal(0.5, "depth"),
        bias_law=di.normal(0.2, "depth"),
    )


def _increment_covariance(equation, x):
    """Covariance rate of noise(x, dB), exactly: noise is linear in the standard increments."""
    standard = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), equation.shapes)
    matrices = jax.jacobian(lambda z: equation.noise(x, equation.coloured(z)))(standard)
    flat = [np.asarray(leaf, np.float64).reshape(x.size, -1) for leaf in jax.tree.leaves(matrices)]
    return sum(matrix @ matrix.T for matrix in flat)


def _points(num, width):
    points = np.random.default_rng(1).standard_normal((num, width))
    points[2] = points[0]  # a singular Gram matrix
    return jnp.asarray(points, jnp.float32)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.slow_cases("no bias", "product")
@pytest.mark.exhaustive_cases("independent")
def test_gram_and_driving_noise_have_one_covariance_also_when_inputs_coincide(name):
    x, spec = _points(3, WIDTH), _spec(LAWS[name])
    gram, driving = (
        _increment_covariance(drift_and_noise(spec, 3, form=form), x)
        for form in ("gram", "driving")
    )
    np.testing.assert_allclose(gram, driving, atol=2e-6)
    alone = np.kron(np.eye(3), np.ones((WIDTH, WIDTH)))
    assert (
        np.abs(gram * (1 - alone)).max() > 0.01
    )  # inputs with noise of their own would have none between them


@pytest.mark.slow
def test_positions_of_an_image_share_the_noise_in_either_form():
    spec = _image()
    x = _points(3, spec.width)
    gram, driving = (
        _increment_covariance(drift_and_noise(spec, 3, form=form), x)
        for form in ("gram", "driving")
    )
    np.testing.assert_allclose(gram, driving, atol=5e-6)
    padded = np.asarray(x, np.float64).reshape(3, 4, 2)[:, [3, 0, 1, 2, 3, 0]]
    patches = np.stack([padded[:, p : p + 3].reshape(3, -1) for p in range(4)], axis=1).reshape(
        12, 6
    )
    expected = np.kron(
        0.2 + 0.5 / 2 * patches @ patches.T, np.eye(2)
    )  # divided by channels, not by 3 channels
    np.testing.assert_allclose(driving, expected, atol=5e-6)


def test_drift_and_covariance_of_correlated_laws_are_the_formulas():
    x, spec = _points(3, WIDTH), _spec(LAWS["product"])
    equation, hidden = drift_and_noise(spec, 3), np.tanh(np.asarray(x, np.float64))
    inner = hidden @ INNER @ hidden.T
    variances = np.diag(BIAS) + np.diag(inner)[:, None] * np.diag(OUTER)
    expected = (
        0.5 * (hidden @ DRIFT.T + BIAS_DRIFT) + 0.25 * variances
    )  # SiLU: phi'(0) = phi''(0) = 1/2
    np.testing.assert_allclose(equation.drift(x), expected, atol=2e-6)
    covariance = 0.25 * (np.kron(inner, OUTER) + np.kron(np.ones((3, 3)), BIAS))
    np.testing.assert_allclose(_increment_covariance(equation, x), covariance, atol=2e-6)


@pytest.mark.slow
def test_one_law_written_in_three_ways_gives_one_equation():
    var, x = 1.3, _points(3, WIDTH)
    general = di.gaussian_matrix(var / WIDTH * np.eye(WIDTH**2), np.zeros((WIDTH, WIDTH)))
    product = di.matrix_normal(var * np.eye(WIDTH), np.eye(WIDTH) / WIDTH)
    equations = [
        drift_and_noise(_spec((law, None)), 3, form="driving")
        for law in (di.normal(var, "depth"), product, general)
    ]
    slopes = jnp.asarray([0.3, -1.0, 0.7])
    first, *others = [
        (e.drift(x), _increment_covariance(e, x), e.weights.squared(slopes)) for e in equations
    ]
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)


def test_squared_of_correlated_laws_is_the_sum_over_inner_neurons():
    slopes = np.array([0.3, -1.0, 0.7])
    general = np.einsum("ij,kl->ikjl", OUTER, INNER).reshape(9, 9)  # entries (o, i), (o', i')
    for law in (
        di.matrix_normal(OUTER, INNER),
        di.gaussian_matrix(general, np.zeros((WIDTH, WIDTH))),
    ):
        got = drift_and_noise(_spec((law, None)), 1, form="driving").weights.squared(
            jnp.asarray(slopes, jnp.float32)
        )
        expected = np.einsum("ik,k,kj,j->ij", OUTER, slopes, INNER, slopes)
        np.testing.assert_allclose(got, expected, atol=2e-6)
        assert np.abs(expected - expected.T).max() > 0.1  # a transposed product would be seen


@pytest.mark.slow
def test_increments_are_the_weights_of_the_network_of_that_key():
    spec, key = _spec(LAWS["independent"]), jax.random.key(3)
    equation = drift_and_noise(spec, 2, form="driving")
    parameters = di.network(spec).init(key, WIDTH)[0]["inner"]
    for layer in range(spec.depth):
        increment = equation.increment(jax.random.fold_in(key, layer + 1), 1 / spec.depth)
        np.testing.assert_array_equal(increment.weights, parameters["weights"][layer])
        np.testing.assert_array_equal(increment.biases, parameters["biases"][layer])


@pytest.mark.parametrize(
    ("activation", "slope", "curvature"),
    [
        (di.tanh, 1, 0),
        (di.linear, 1, 0),
        (di.leaky_relu(1.0), 1, 0),
        (di.silu, 0.5, 0.5),
        (di.gelu, 0.5, np.sqrt(2 / np.pi)),
        (di.erf, 2 / np.sqrt(np.pi), 0),
        (di.x_tanh, 0, 2),
        (di.from_function(lambda x: jnp.logaddexp(x, 0.0) - jnp.log(2.0)), 0.5, 0.25),
    ],
)
@pytest.mark.slow_cases("activation7-0.5-0.25")
def test_first_two_derivatives_at_zero(activation, slope, curvature):
    np.testing.assert_allclose(taylor_at_zero(activation)[:2], (slope, curvature), atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "words"),
    [
        (di.relu, "inner_activation"),
        (di.from_function(lambda x: jnp.maximum(x, 0.1 * x)), "not smooth"),
        (di.softplus, "0.693147"),
        (di.from_function(jnp.cos), "minus 1"),
    ],
)
def test_outer_activations_without_a_limit_are_refused_with_what_to_do(activation, words):
    with pytest.raises(SpecError, match=words):
        drift_and_noise(_spec(LAWS["independent"], activation), 1)
    drift_and_noise(
        _spec(LAWS["independent"], di.tanh, activation), 1
    )  # before the weights all are fine


@pytest.mark.parametrize(
    ("spec", "form", "words"),
    [
        (di.ResNet(3, 4), None, "shallow"),
        (di.MLP((3, 3)), None, "MLP"),
        (di.ResNet(3, 4, block="shallow", weight_law=di.normal(1.0)), None, "weight_law.*depth"),
        (_spec((di.normal(1.0, "depth"), di.constant(0.1))), None, "bias_law"),
        (_spec((di.gaussian_matrix(np.eye(9), np.zeros((3, 3))), None)), "gram", "driving"),
        (_spec(LAWS["no bias"]), "grams", "gram"),
    ],
)
def test_specs_without_a_limit_are_refused(spec, form, words):
    with pytest.raises(SpecError, match=words):
        drift_and_noise(spec, 1, form=form)


@pytest.mark.parametrize("num_inputs", [0, "two", None])
def test_a_number_of_inputs_is_a_number(num_inputs):
    with pytest.raises(SpecError, match="num_inputs"):
        drift_and_noise(_spec(LAWS["no bias"]), num_inputs)
