"""Growth of a tangent in residual blocks: the exact law, and explicit matrices."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from statistical import assert_mean

from deepinit.core.errors import SpecError
from deepinit.networks.residual_factors import log_residual_factors

NUM = 60_000
TOO_UNLIKELY = 1e-6


def sampled(fn, num, key=0, batch=1000):
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(jnp.arange(num))
    return np.asarray(
        jax.jit(lambda keys: jax.lax.map(fn, keys, batch_size=batch))(keys), np.float64
    )


def exact_cdf(width, inner, strength):
    """P(|e_1 + tau g|^2 <= x | K >= 1): a mixture of scaled noncentral chi-squares.

    tau^2 = strength / width (2 / inner) chi^2_K.
    """
    grid = np.geomspace(1e-4, 60, 400)
    values = np.zeros(400)
    levels = (np.arange(150) + 0.5) / 150
    for k in range(1, inner + 1):
        tau2 = strength / width * 2 / inner * 2 * scipy.special.gammaincinv(k / 2, levels)[:, None]
        given = scipy.stats.ncx2.cdf(grid / tau2, width, 1 / tau2)
        values = values + math.comb(inner, k) / (2**inner - 1) * given.mean(axis=0)
    return lambda x: np.interp(np.log(x), np.log(grid), values)


@pytest.fixture(scope="module")
def logs():
    return sampled(lambda key: log_residual_factors(key, 3, (3, 4), (1.0, 0.4)), NUM)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_each_block_has_the_exact_law(logs):
    for block, (inner, strength) in enumerate(((3, 1.0), (4, 0.4))):
        values = np.exp(logs[:, block])
        values = values[
            np.abs(logs[:, block]) > 1e-7
        ]  # without the atom at 1, where all inner neurons are off
        assert scipy.stats.binomtest(NUM - len(values), NUM, 2.0**-inner).pvalue > TOO_UNLIKELY
        assert scipy.stats.kstest(values, exact_cdf(3, inner, strength)).pvalue > TOO_UNLIKELY
        # the rival: a branch 20 % too strong
        assert scipy.stats.kstest(values, exact_cdf(3, inner, 1.2 * strength)).pvalue < TOO_UNLIKELY


def test_the_mean_squared_stretch_is_one_plus_the_strength(logs):
    for block, strength in enumerate((1.0, 0.4)):
        # the rival: no factor 1/2 for the mask
        values = np.exp(logs[:, block])
        assert_mean(values, 1 + strength, rejects=1 + 2 * strength, resolves=0.1)


def explicit_logs(width, inner_widths, branch_var, num):
    """log |J u|^2 of x + V relu(W x + b), V_ij ~ N(0, branch_var / inner), W He-normal."""
    rng = np.random.default_rng(0)
    x, u = np.tile(np.linspace(1, -0.5, width), (num, 1)), np.tile(np.eye(width)[0], (num, 1))
    for inner in inner_widths:
        inward = rng.normal(size=(num, inner, width)) * math.sqrt(2 / width)
        outward = rng.normal(size=(num, width, inner)) * math.sqrt(branch_var / inner)
        z = np.einsum("sij,sj->si", inward, x) + 0.3 * rng.uniform(-1, 1, size=(num, inner))
        branch = np.where(z > 0, np.einsum("sij,sj->si", inward, u), 0)
        x = x + np.einsum("sij,sj->si", outward, np.maximum(z, 0))
        u = u + np.einsum("sij,sj->si", outward, branch)
    return np.log((u**2).sum(axis=1))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_explicit_matrices_have_the_same_law():
    width, inner_widths, branch_var, num = 6, (4, 4), 0.5, 30_000
    drawn = explicit_logs(width, inner_widths, branch_var, num)
    logs = sampled(lambda key: log_residual_factors(key, width, inner_widths, branch_var), num).sum(
        axis=1
    )
    assert scipy.stats.ks_2samp(logs, drawn).pvalue > TOO_UNLIKELY
    # the rival: the branch's variance divided by the wrong width
    rival = explicit_logs(width, inner_widths, branch_var * 4 / 6, num)
    assert scipy.stats.ks_2samp(logs, rival).pvalue < TOO_UNLIKELY


@pytest.mark.slow
def test_the_weakest_branches_keep_their_digits():
    logs = sampled(lambda key: log_residual_factors(key, 200, (200,), 1e-12), 2000)[:, 0]
    # to first order log = 2 tau g_1, of variance 4 strength / width
    squares, error = logs**2 / (4e-12 / 200), math.sqrt(2 * 1.05 / 2000)
    # the rival: without the factor 1/2 of the mask
    assert_mean(squares, 1.0, rejects=2.0, standard_error=error, resolves=0.17)
    assert len(np.unique(logs)) == 2000


@pytest.mark.slow
def test_a_trunk_of_one_neuron_and_blocks_without_branch():
    logs = sampled(
        lambda key: log_residual_factors(key, 1, (50, 50), jnp.asarray([2.0, 0.0])), 20_000
    )
    assert np.isfinite(logs).all()
    assert (logs[:, 1] == 0).all()
    # (1 + tau g)^2 with tau^2 = 2 X: P(|1 + tau g| < 1) by quadrature over X
    tau = np.sqrt(2 * sampled_inner(50))
    below = np.mean(scipy.stats.norm.cdf(0) - scipy.stats.norm.cdf(-2 / tau))
    assert (
        scipy.stats.binomtest(int((logs[:, 0] < 0).sum()), len(logs), below).pvalue > TOO_UNLIKELY
    )
    assert scipy.stats.binomtest(int((logs[:, 0] < 0).sum()), len(logs), 0.5).pvalue < TOO_UNLIKELY


def sampled_inner(n):
    rng = np.random.default_rng(0)
    return 2 / n * rng.chisquare(rng.binomial(n, 0.5, 200_000))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_network_does_not_depend_on_how_many_are_drawn_together():
    fn = lambda key: log_residual_factors(key, 5, (3, 64), 0.5)
    alone, together = sampled(fn, 32, batch=1), sampled(fn, 32, batch=16)
    np.testing.assert_allclose(alone, together, rtol=2e-6, atol=1e-6)
    assert len(np.unique(together[:, 1])) == 32


@pytest.mark.slow_cases("arguments4-shape")
@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"width": 0}, "width=0"),
        ({"inner_widths": ()}, "fan_outs"),
        ({"strengths": -0.1}, "strengths=-0.1"),
        ({"strengths": math.inf}, "strengths=inf"),
        ({"strengths": (1.0, 1.0, 1.0)}, "shape"),
        ({"slopes": (0.0, 0.0)}, "slopes"),
    ],
)
@pytest.mark.slow_cases("arguments3-strengths=inf")
@pytest.mark.exhaustive_cases("arguments2-strengths=-0.1")
@pytest.mark.exhaustive_cases("arguments3-strengths=inf")
def test_refusals(arguments, match):
    with pytest.raises(SpecError, match=match):
        log_residual_factors(
            jax.random.key(0), **{"width": 4, "inner_widths": (4, 4), "strengths": 1.0, **arguments}
        )
