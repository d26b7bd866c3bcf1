"""Batch norms at infinite width: values of the dossier, Monte Carlo, explicit networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from limit_network import limit_of_points, rows_of, upper
from statistical import assert_mean

from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Pool,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    program,
)
from deepinit.infinite_width import batch_averages
from deepinit.infinite_width.interpreter import interpret
from deepinit.infinite_width.kernel_matrices import kernels

G3 = [[1, 0.3, 0.1], [0.3, 1, 0.5], [0.1, 0.5, 1.2]]
VALUES = {
    (): [1.11150676, -0.45539729, -0.65610947, 0.84389053, -0.38849324, 1.04460271],
    ("relu",): [0.55575338, 0.05724495, 0.04071161, 0.42194527, 0.06521903, 0.52230135],
}


@pytest.mark.parametrize("phi", VALUES)
def test_three_rows_have_the_values_of_the_integral(phi):
    net = Sequential(Dense(4), BatchNorm(0.0), *map(Activation, phi))
    limit = limit_of_points(net, G3, 4, ntk=False, at_sites=False)
    np.testing.assert_allclose(upper(limit.output.cov[:, :, 0, 0]), VALUES[phi], atol=2e-8)
    assert limit.standard_error is None


def averages(phi, num, eps, engine):
    rng = np.random.default_rng(num)
    cov, ntk = (x @ x.T / num for x in rng.normal(size=(2, num, num + 1)))
    with jax.enable_x64(True):
        cov, ntk = batch_averages._centred(jnp.asarray(cov)), batch_averages._centred(ntk)
        if engine == "integral":
            exact = batch_averages._homogeneous(as_activation(phi), cov, ntk, eps)
            return jax.tree.map(np.asarray, exact)
        run = jax.jit(lambda k: batch_averages._numerical(as_activation(phi), cov, ntk, eps, k))
        return jax.tree.map(lambda *parts: np.stack(parts), *map(run, range(8)))


@pytest.mark.slow
@pytest.mark.parametrize("num", [2, 3, 5])
def test_integrals_and_directions_agree(num):
    exact = averages("relu", num, 1e-2, "integral")
    points = averages("relu", num, 1e-2, "points")
    for name, value in exact._asdict().items():
        replicas = getattr(points, name)
        error = replicas.std(0, ddof=1).max() / 8**0.5
        assert np.abs(replicas.mean(0) - value).max() < 5 * error + 1e-8, name
        assert error < (5e-4 if num < 5 else 2e-2)


@pytest.mark.slow_cases("relu-4")
@pytest.mark.parametrize(
    ("phi", "num"), [("relu", 4), pytest.param("tanh", 4, marks=pytest.mark.slow)]
)
def test_values_and_tangents_are_those_of_sampled_columns(phi, num):
    eps, count = 0.05, 20000
    rng = np.random.default_rng(num)
    cov, ntk = (x @ x.T / num for x in rng.normal(size=(2, num, num + 1)))
    act = as_activation(phi)

    def column(z):
        c = z - jnp.mean(z)
        return act(c / jnp.sqrt(jnp.mean(c**2) + eps))

    draw = lambda matrix: rng.normal(size=(count, num)) @ np.linalg.cholesky(matrix).T
    with jax.enable_x64(True):
        z, t = draw(cov), draw(ntk)
        y, pushed = jax.jit(jax.vmap(lambda z, t: jax.jvp(column, (z,), (t,))))(z, t)
        y, pushed = np.asarray(y), np.asarray(pushed)
    exact = averages(phi, num, eps, "integral" if phi == "relu" else "points")
    if phi == "tanh":
        exact = jax.tree.map(lambda part: part.mean(0), exact)
    product = lambda rows: rows[:, :, None] * rows[:, None]
    assert_mean(product(y), np.asarray(exact.values), rejects=cov)
    assert_mean(product(pushed), np.asarray(exact.ntk), rejects=ntk)
    if phi == "relu":
        assert_mean(y, np.asarray(exact.mean), rejects=np.zeros(num))


@pytest.mark.slow
def test_a_tanh_network_has_the_value_of_the_dossier():
    block = Sequential(Dense(8), BatchNorm(0.0), Activation("tanh"))
    limit = limit_of_points(Repeat(block, 4), G3, 8, ntk=False, at_sites=False)
    cov, error = (part.cov[:, :, 0, 0] for part in (limit.output, limit.standard_error))
    cosine = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    assert abs(cosine + 0.476569) < 1e-5
    assert error.max() < 1e-5


@pytest.mark.slow
def test_two_rows_have_opposite_signs():
    net = Sequential(Dense(4), BatchNorm(0.0), Activation("softplus"))
    limit = limit_of_points(net, [[1, 0.3], [0.3, 2]], 4, ntk=False)
    plus, minus = np.logaddexp(0, [1, -1])
    expected = [0.5 * (plus**2 + minus**2), plus * minus]
    np.testing.assert_allclose(limit.output.cov[0, :, 0, 0], expected, rtol=1e-8)


def explicit_kernel(x, width, num):
    """Tangent kernels of Dense, BatchNorm with gains and biases, relu, Dense(1): [num, N, N]."""
    dimension = x.shape[1]

    def function(parameters):
        w, gain, bias, v = parameters
        z = x @ w / jnp.sqrt(dimension)
        c = z - z.mean(0)
        f = gain * c / jnp.sqrt(jnp.mean(c**2, axis=0) + 1e-2) + bias
        return jnp.maximum(f, 0) @ v / jnp.sqrt(width)

    def kernel(key):
        keys = jax.random.split(key)
        w = jax.random.normal(keys[0], (dimension, width))
        v = jax.random.normal(keys[1], (width,))
        rows = jax.jacobian(function)((w, jnp.ones(width), jnp.zeros(width), v))
        return sum(part.reshape(len(x), -1) @ part.reshape(len(x), -1).T for part in rows)

    keys = jax.random.split(jax.random.key(0), num)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(kernel, keys))(keys), np.float64)


@pytest.mark.slow
def test_tangent_kernels_with_gains_are_those_of_explicit_networks():
    gram = 0.2 + np.diag([0.8, 1.0, 0.6, 1.2])
    x = rows_of(gram, 6)
    ntk = {}
    for gain in (True, False):
        net = Sequential(Dense(8), BatchNorm(1e-2, gain), Activation("relu"), Dense(1))
        ntk[gain] = limit_of_points(net, gram, 6, at_sites=False).output.ntk[:, :, 0, 0]
    # columns are independent: no 1/width term
    assert_mean(explicit_kernel(jnp.asarray(x), 64, 4000), ntk[True], rejects=ntk[False])


@pytest.mark.slow
def test_convolutions_count_positions_as_rows():
    x = np.random.default_rng(0).normal(size=(3, 4, 2))
    net = Sequential(Conv(8, 3), BatchNorm(), Activation("relu"), Pool(), Dense(1))
    whole = kernels(net, x, kind="ntk")
    np.testing.assert_allclose(whole, whole.T, rtol=1e-12)
    assert np.linalg.eigvalsh(whole).min() > 0
    rows = interpret(program(Sequential(Conv(8, 3), BatchNorm(0.0)), Shape((4,), 2)), x, ntk=False)
    cov = rows.output.cov
    np.testing.assert_allclose(np.einsum("aapp->", cov), 12, rtol=1e-9)
    np.testing.assert_allclose(cov.sum((1, 3)), 0, atol=1e-9)


def test_partial_batches_are_refused_by_path():
    x = np.random.default_rng(0).normal(size=(3, 4))
    net = program(Sequential(Dense(8), BatchNorm(), Dense(1)), Shape((), 4))
    with pytest.raises(SpecError, match=r"batchnorm .BatchNorm.: kernels between two lists"):
        interpret(net, x[:1], x[1:])
    with pytest.raises(SpecError, match="a batch of one row"):
        interpret(net, x[:1])
    with pytest.raises(SpecError, match="BatchNorm"):
        interpret(program(Sequential(BatchNorm(), Dense(1)), Shape((), 4)), x)
    small = program(Sequential(Dense(8), BatchNorm(0.0), Dense(1)), Shape((), 4))
    with pytest.raises(SpecError, match="eps=0, which is infinite"):
        interpret(small, x)
    gains = program(Sequential(Dense(8), RMSNorm(), BatchNorm(), Dense(1)), Shape((), 4))
    with pytest.raises(SpecError, match="trained gains directly before"):
        interpret(gains, x)
    inner = Sequential(Dense(8), BatchNorm(), Residual(Activation("relu")), Dense(1))
    with pytest.raises(SpecError, match="a branch without a random linear layer"):
        interpret(program(inner, Shape((), 4)), x)
