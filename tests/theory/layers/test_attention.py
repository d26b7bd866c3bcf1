"""Attention at order 1/width: values of independent derivations, the limit, simulated networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from limit_network import limit_of_tokens, rows_of, upper
from scipy.special import roots_gegenbauer, roots_genlaguerre, roots_hermitenorm

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, program
from deepinit.theory.layers import check, first_order
from deepinit.theory.layers.entries import vector_of
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.softmax_moments import haar_bias, mixed

L = di.layers
G = np.array([[1, 0.4, 0.1], [0.4, 0.9, -0.2], [0.1, -0.2, 1.3]])
PAIR = np.array([[1.0, 0.3], [0.3, 1.0]])
WIDE = 10**13  # of W_O: only heads and their width are finite


def products(gram, mean):
    del mean
    return gram[jnp.triu_indices(len(gram))]


def mean_cosine(gram, mean):
    del mean
    size = jnp.sqrt(jnp.diagonal(gram))
    return (gram / jnp.outer(size, size))[jnp.triu_indices(len(gram), 1)].mean(keepdims=True)


def outputs(layer, gram, functions=products):
    net = program(L.Sequential(layer), Shape((len(gram),), WIDE))
    result = first_order(net, rows_of(gram, len(gram))[None, None], functions)
    return result.infinite[-1, 0], result.shift[-1, 0], result.variance[-1, 0]


@pytest.mark.slow
def test_two_causal_tokens():
    layer = L.Attention(2, mask="causal", head_width=16)
    infinite, shift, _ = outputs(layer, [[1, 0.4], [0.4, 0.9]])
    np.testing.assert_allclose(infinite, [1, 0.7, 0.7223728707], atol=1e-10)
    np.testing.assert_allclose(16 * shift, [0, 0, -0.0175185681], atol=1e-9)
    layer = L.Attention(1, mask="causal", head_width=10**12)
    *_, variance = outputs(layer, [[1, 0.4], [0.4, 0.9]])
    assert variance[2] == pytest.approx(0.0029967108, abs=1e-9)


# Layer; mean over 2e5 simulated heads, standard errors 3-6e-4; variance of 11, 12, 22, by an
# independent code to 2e-4.
THREE_TOKENS = {
    "sqrt": (
        L.Attention(4, mask="causal", head_width=8),
        [0.9995, 0.6996, 0.4790, 0.7202, 0.4074, 0.5954],
        [0.033623, 0.030007, 0.032532],
    ),
    "no mask": (
        L.Attention(2, beta=1.5, head_width=16),
        [0.6617, 0.5093, 0.4399, 0.6493, 0.3800, 0.6939],
        [0.049907, 0.043526, 0.05847],
    ),
    "mup": (
        L.Attention(4, scores="mup", beta=2.0, mask="causal", head_width=8),
        [0.9995, 0.6996, 0.4858, 0.7017, 0.4161, 0.5321],
        [0.03131, 0.024267, 0.022961],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", THREE_TOKENS)
def test_three_tokens(case):
    layer, simulated, spread = THREE_TOKENS[case]
    infinite, shift, variance = outputs(layer, G)
    np.testing.assert_allclose(infinite + shift, simulated, atol=2e-3)
    np.testing.assert_allclose(variance[3:], spread, atol=2e-4)
    assert np.abs(infinite - simulated)[-1] > 4e-3  # the limit is rejected
    limit = upper(limit_of_tokens(L.Sequential(layer), G, 8).output.cov[0, 0])
    atol = 1e-8 if layer.mask else 2e-5  # a coarser lattice of four dimensions there
    np.testing.assert_allclose(infinite, limit, atol=atol)


def normed_token(width, beta, gram):
    """E of the second causal token's output with `qk_norm`, exact at the head width."""
    rho = gram[0][1] / np.sqrt(gram[0][0] * gram[1][1])
    rules = [roots_genlaguerre(24, n / 2 - 1) for n in (width, width - 1)]
    rules += [roots_hermitenorm(24), roots_gegenbauer(60, width / 2 - 1)]
    u, z, y, x = (np.reshape(rule[0], (-1, *(1,) * at)) for at, rule in enumerate(rules[::-1]))
    t = (rho / np.sqrt(1 - rho**2) * np.sqrt(2 * x) + z) / np.sqrt(2 * y)  # of the keys' angle
    scores = beta * np.sqrt(2 * width * (1 - t / np.sqrt(1 + t**2))) * u
    a = 1 / (1 + np.exp(-scores))
    token = (1 - a) ** 2 * gram[0][0] + 2 * a * (1 - a) * gram[0][1] + a**2 * gram[1][1]
    for _, weights in rules[::-1]:
        token = np.tensordot(token, weights / weights.sum(), [[-1], [0]])
    return float(token)


@pytest.mark.slow
def test_normed_queries_and_keys():
    """Against exact means at head widths 20 to 320; Gaussian scores are rejected."""
    gram, widths = [[1, 0.4], [0.4, 0.9]], 20.0 * 2.0 ** np.arange(5)
    exact = [normed_token(width, 1.5, gram) for width in widths]
    expected = np.linalg.solve(np.vander(1 / widths, increasing=True), exact)
    layer = L.Attention(2, mask="causal", beta=1.5, qk_norm=True, head_width=80)
    infinite, shift, _ = outputs(layer, gram)
    assert infinite[2] == pytest.approx(expected[0], abs=1e-8)
    assert 80 * shift[2] == pytest.approx(expected[1], abs=1e-5)
    cosine = 0.4 / 0.9**0.5
    entries = np.concatenate([[1, 0.4, 0.9], [2.25, 2.25 * cosine, 2.25], [1, cosine, 1]])
    with host_float64():
        assert abs(haar_bias(jnp.asarray(entries), np.tril(np.ones((2, 2), bool)))[2]) > 1e-3


@pytest.mark.slow
def test_more_tokens_have_the_limit_of_sampled_scores():
    gram = 0.7 * np.eye(5) + 0.3
    infinite, *_ = outputs(L.Attention(2, head_width=16), gram)
    limit = limit_of_tokens(L.Sequential(L.Attention(2, head_width=16)), gram, 8)
    np.testing.assert_allclose(infinite, upper(limit.output.cov[0, 0]), atol=3e-4)


@pytest.mark.slow
def test_eight_tokens_have_the_spread_of_simulated_scores():
    """Heads of infinite width: the mean cosine by hand, over scores of one head."""
    gram, rng = 0.7 * np.eye(8) + 0.3, np.random.default_rng(0)
    root = np.linalg.cholesky(gram)
    scores = root @ rng.normal(size=(40_000, 8, 8)) @ root.T
    shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    heads = shares @ gram @ np.swapaxes(shares, 1, 2)
    own = np.trace(heads, axis1=1, axis2=2) / 8
    cross = (heads.sum(axis=(1, 2)) - 8 * own) / 56
    linear = (cross - cross.mean() / own.mean() * own) / own.mean()
    *_, variance = outputs(L.Attention(1, head_width=10**12), gram, mean_cosine)
    assert variance[0] == pytest.approx(linear.var(), rel=0.04)  # 0.7 % by hand, 1 % of Sobol


BASES = {"independent": np.linalg.cholesky(G), "dependent": np.array([[1, 0.2], [0, 1], [1, 0.2]])}


@pytest.mark.slow_cases("independent")
@pytest.mark.parametrize("rows", BASES)
def test_derivatives_are_those_of_values(rows):
    """Of dependent rows, along directions that keep them so."""
    rng, seen = np.random.default_rng(0), np.tril(np.ones((3, 3), bool))
    basis = (
        np.linalg.cholesky(G) if rows == "independent" else np.array([[1, 0.2], [0, 1], [1, 0.2]])
    )
    turned = [
        vector_of(basis @ (m + m.T) @ basis.T) for m in rng.normal(size=(3, *(basis.shape[1],) * 2))
    ]
    step, at = 0.2 * np.concatenate(turned), np.tile(vector_of(basis @ basis.T), 3)
    with host_float64():
        function = jax.jit(lambda x: mixed(x, seen)[:3])
        _, gradient, hessian = map(np.asarray, function(at))
        h = 4e-3
        low, low_2, middle, high_2, high = (
            np.asarray(function(at + t * h * step)[0]) for t in (-2, -1, 0, 1, 2)
        )
    slope = (low - 8 * low_2 + 8 * high_2 - high) / (12 * h)
    curve = (-low + 16 * low_2 - 30 * middle + 16 * high_2 - high) / (12 * h**2)
    np.testing.assert_allclose(gradient @ step, slope, atol=1e-10)
    np.testing.assert_allclose(np.einsum("nij,i,j->n", hessian, step, step), curve, atol=1e-8)


def transformer(width, heads, last=2.0):
    """Two residual branches, of attention and of gelu."""
    law = di.normal(last)
    mix = (L.RMSNorm(eps=0.0), L.Attention(heads, head_width=8, output_law=law))
    hidden = (L.Dense(2 * width), L.Activation("gelu"), L.Dense(width, law))
    mlp = L.Sequential(L.RMSNorm(eps=0.0), *hidden)
    return L.Sequential(L.Residual(L.Sequential(*mix)), L.Residual(mlp))


# Cosine, ln q: shift and variance by an independent code, whose attention is good to 6e-5.
TRANSFORMERS = {
    "narrow": (32, 4, [-0.01301, None], [0.00544, None]),
    "wide": (64, 8, [-0.00606, -0.02106], [0.00272, 0.03777]),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", TRANSFORMERS)
def test_transformers(case):
    width, heads, shift, variance = TRANSFORMERS[case]

    def cosine_and_log(gram, mean):
        return jnp.stack([mean_cosine(gram, mean)[0], jnp.log(gram[0, 0])])

    net = L.Repeat(transformer(width, heads), 3)
    result = first_order(
        program(net, Shape((2,), width)), rows_of(PAIR, width)[None, None], cosine_and_log
    )
    np.testing.assert_allclose(result.infinite[-1, 0], [0.8319378863, 2.14239283], atol=1e-8)
    for entry in range(2):
        if shift[entry] is not None:
            assert result.shift[-1, 0, entry] == pytest.approx(shift[entry], abs=6e-5)
            assert result.variance[-1, 0, entry] == pytest.approx(variance[entry], abs=6e-6)
    tokens = limit_of_tokens(net, PAIR, width).output.cov[0, 0]
    assert result.infinite[-1, 0, 1] == pytest.approx(np.log(tokens[0, 0]), abs=1e-8)


@pytest.mark.slow
def test_simulated_networks():
    """Mean and variance at 5 standard errors; no mean shift is rejected."""
    attention = L.Attention(24, mask="causal", beta=2.0, head_width=12)
    net = L.Sequential(L.Dense(288), L.RMSNorm(eps=0.0), attention)
    tokens = rows_of([[1, 0.3, 0.1], [0.3, 0.9, -0.2], [0.1, -0.2, 1.2]], 16)
    case = net, di.quantities.nngp, di.inputs.arranged(tokens[None])
    predicted, limit = di.predict(*case), di.infinite(*case)
    measured = di.simulate(*case, num_seeds=20_000)
    at = slice(2, None)  # after the norm, whose own product is 1
    error, spread = measured.standard_error, measured.variance_standard_error
    assert (np.abs(measured.mean - predicted.mean) < 5 * error)[at].all()
    assert (np.abs(measured.variance - predicted.variance) < 5 * spread)[at].all()
    assert (np.abs(measured.mean - limit.mean) > 5 * error)[at].all()


REFUSED = {
    "attention (Attention): rotary embeddings of normed queries": L.Attention(
        2, qk_norm=True, rotary=1e4
    ),
    "attention (Attention): a output_law of the law 'orthogonal'": L.Attention(
        2, output_law=di.orthogonal(1.0)
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_refused_by_path(words):
    with pytest.raises(SpecError) as refused:
        check(program(L.Sequential(REFUSED[words]), Shape((2,), 8)))
    assert words in str(refused.value)


@pytest.mark.slow
def test_steep_scores_are_refused():
    with pytest.raises(SpecError, match="does not resolve"):
        outputs(L.Attention(2, beta=8.0, head_width=8), G)
