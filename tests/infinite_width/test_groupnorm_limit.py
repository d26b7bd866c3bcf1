"""GroupNorm, against LayerNorm, the dossier's values and explicit networks.

Gates and maxima after norms of batches and of small groups.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from limit_network import limit_of_tokens
from statistical import assert_mean

from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    BatchNorm,
    Dense,
    Gate,
    GroupNorm,
    LayerNorm,
    Pool,
    Repeat,
    Sequential,
    Shape,
    program,
)
from deepinit.infinite_width.interpreter import interpret


def kernels(*layers, positions=()):
    x = np.random.default_rng(0).normal(size=(2, *positions, 3))
    net = program(Sequential(Dense(32), Activation("relu"), *layers, Dense(1)), Shape(positions, 3))
    return interpret(net, x, at_sites=False).output


def test_vectors_have_the_kernels_of_layer_norm():
    both = [kernels(norm) for norm in (GroupNorm(2, 1e-3), LayerNorm(1e-3))]
    np.testing.assert_allclose(both[0].cov, both[1].cov, rtol=1e-12)
    np.testing.assert_allclose(both[0].ntk, both[1].ntk, rtol=1e-12)


@pytest.mark.slow
def test_positions_are_normalized_together_as_in_a_wide_network():
    limit = kernels(GroupNorm(2, 1e-3), positions=(3,)).cov
    rng, width = np.random.default_rng(1), 2**14
    x = np.random.default_rng(0).normal(size=(2, 3, 3))
    grams = []
    for _ in range(8):
        h = np.maximum(x @ rng.normal(size=(3, width)) / 3**0.5, 0)
        groups = h.reshape(2, 3, 2, -1)
        c = groups - groups.mean((1, 3), keepdims=True)
        f = c / np.sqrt((c**2).mean((1, 3), keepdims=True) + 1e-3)
        f = f.reshape(2, 3, width)
        grams.append(np.einsum("apn,bqn->abpq", f, f) / width)
    error = np.std(grams, axis=0, ddof=1) / 8**0.5
    z = np.abs(np.mean(grams, axis=0) - limit) / (error + 1e-4)
    rival = np.abs(np.mean(grams, axis=0) - kernels(LayerNorm(1e-3), positions=(3,)).cov)
    assert z.max() < 5
    assert (rival / (error + 1e-4)).max() > 5


@pytest.mark.slow
def test_small_groups_have_the_value_of_the_dossier():
    block = Sequential(Dense(8), GroupNorm(4, 0.0), Activation("tanh"))
    gram = [[1, 0.3], [0.3, 1]]
    limit = limit_of_tokens(Repeat(block, 4), gram, 8, ntk=False, at_sites=False)
    cov, error = (part.cov[0, 0] for part in (limit.output, limit.standard_error))
    cosine = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    assert error.max() < 1e-3
    assert abs(cosine + 0.645487) < 5 * error.max() / cov[0, 0]
    assert abs(np.log(cov[0, 0]) + 0.768268) < 5 * error.max() / cov[0, 0]


EPS, WIDTH = 0.05, 48


def explicit_kernels(x, norm, after, num):
    """NNGP of pooled positions, and tangent kernels, of explicit networks: [num, 2, A, A]."""

    def network(parameters):
        w, gain, bias, v = parameters
        z = x @ w / x.shape[-1] ** 0.5
        if norm == "batch":
            axes, parts = (0, 1), z[..., None]
        else:
            axes, parts = (1, 3), z.reshape(*z.shape[:2], -1, 2)
        c = parts - parts.mean(axes, keepdims=True)
        f = c / jnp.sqrt(jnp.mean(c**2, axes, keepdims=True) + EPS)
        f = gain * f.reshape(z.shape) + bias
        half, h = WIDTH // 2, jax.nn.relu(f)
        h = f[..., :half] * h[..., half:] if after == "gate" else h
        h = jnp.maximum(h[:, 0], h[:, 1]) if after == "max" else h.mean(1)
        return h @ v[: h.shape[1]] / h.shape[1] ** 0.5, h @ h.T / h.shape[1]

    def both(key):
        keys = jax.random.split(key)
        w = jax.random.normal(keys[0], (x.shape[-1], WIDTH))
        v = jax.random.normal(keys[1], (WIDTH,))
        drawn = w, jnp.ones(WIDTH), jnp.zeros(WIDTH), v
        rows = jax.jacobian(lambda parameters: network(parameters)[0])(drawn)
        flat = [part.reshape(len(x), -1) for part in rows]
        return jnp.stack([network(drawn)[1], sum(part @ part.T for part in flat)])

    keys = jax.random.split(jax.random.key(0), num)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(both, keys))(keys), np.float64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "after"),
    [(norm, after) for norm in ("group", "batch") for after in ("mean", "gate", "max")],
)
def test_kernels_after_norms_are_those_of_explicit_networks(norm, after):
    x = np.random.default_rng(0).normal(size=(2, 2, 3))
    last = Gate("relu") if after == "gate" else Activation("relu")
    pool, limits = Pool("max" if after == "max" else "mean"), {}
    for gain in (True, False):
        kind = GroupNorm(WIDTH // 2, EPS, gain) if norm == "group" else BatchNorm(EPS, gain)
        net = Sequential(Dense(WIDTH), kind, last, pool, Dense(1))
        output = interpret(program(net, Shape((2,), 3)), x, at_sites=False).output
        limits[gain] = np.stack([output.cov, output.ntk])[..., 0, 0]
    sample = explicit_kernels(jnp.asarray(x), norm, after, 4000)
    # groups of columns are independent: no 1/width term
    assert_mean(sample, limits[True], rejects=limits[False], resolves=0.4)


def test_groups_without_a_limit_are_refused_by_path():
    for layers, text in (
        ((GroupNorm(32),), "groups of one number"),
        ((GroupNorm(16, 0.0),), "eps=0, which is infinite"),
    ):
        x = np.random.default_rng(0).normal(size=(2, 3))
        net = program(Sequential(Dense(32), *layers, Dense(1)), Shape((), 3))
        with pytest.raises(SpecError, match=rf"groupnorm .GroupNorm.: .*{text}"):
            interpret(net, x)
    with pytest.raises(SpecError, match=r"groupnorm .GroupNorm.: neurons that are not Gaussian"):
        kernels(GroupNorm(8))
