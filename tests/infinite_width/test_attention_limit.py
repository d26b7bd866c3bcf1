"""Softmax attention at infinite width: quadrature by hand, simulated values, invariances.

neural-tangents' GlobalSelfAttention has no kernel of softmax attention with 1/sqrt(d) scores.
"""

import jax
import numpy as np
import pytest
from attention_network import sampled
from limit_network import limit_of_tokens, rows_of, upper

import deepinit as di
from deepinit.core.layers import (
    Activation,
    Attention,
    Dense,
    Pool,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    program,
)
from deepinit.infinite_width.interpreter import interpret
from deepinit.infinite_width.kernel_matrices import kernels
from deepinit.infinite_width.random_nodes import REPLICAS, random_nodes
from deepinit.infinite_width.softmax_averages import softmax_averages

G = [[1, 0.4, 0.1], [0.4, 0.9, -0.2], [0.1, -0.2, 1.3]]
WIDTH = 8


def test_two_tokens_have_the_value_of_one_dimensional_quadrature():
    limit = limit_of_tokens(Sequential(Attention(2, mask="causal")), [[1, 0.4], [0.4, 0.9]], 4)
    np.testing.assert_allclose(upper(limit.output.cov[0, 0]), [1, 0.7, 0.7223728707], atol=1e-10)
    assert limit.standard_error.cov.max() < 1e-10


def by_hand(beta):
    """E O_22 and E O_12, causal, by Gauss-Hermite quadrature of score differences."""
    gram, nodes = np.array(G), np.polynomial.hermite_e.hermegauss(50)
    differences = [np.array([[-1, 1, 0]]), np.array([[-1, 1, 0], [-1, 0, 1]])]

    def average(rows):
        blocks = [
            [beta**2 * gram[t, u] * differences[t - 1] @ gram @ differences[u - 1].T for u in rows]
            for t in rows
        ]
        root = np.linalg.cholesky(np.block(blocks))
        mesh = np.meshgrid(*[nodes[0]] * len(root), indexing="ij")
        scores = np.stack(mesh, -1).reshape(-1, len(root)) @ root.T
        weights = np.ones(1)
        for _ in root:
            weights = np.outer(weights, nodes[1] / nodes[1].sum()).ravel()
        shares = []
        for t, part in zip(rows, np.split(scores, [rows[0]], axis=1), strict=False):
            raw = np.exp(np.concatenate([np.zeros((len(part), 1)), part], axis=1))
            shares.append((raw / raw.sum(1, keepdims=True), gram[: t + 1]))
        left, right = shares[0], shares[-1]
        return np.sum(weights * np.sum((left[0] @ left[1]) * _padded(right[0]), axis=1))

    return average([2]), average([1, 2])


def _padded(shares):
    return np.pad(shares, ((0, 0), (0, 3 - shares.shape[1])))


def test_three_tokens_are_those_of_quadrature_by_hand():
    cov = limit_of_tokens(Sequential(Attention(2, mask="causal")), G, WIDTH).output.cov[0, 0]
    np.testing.assert_allclose([cov[2, 2], cov[1, 2]], by_hand(1.0), atol=1e-9)
    np.testing.assert_allclose(upper(cov)[:2], [1, 0.7], atol=1e-12)


SIMULATED = {  # 2e5 heads less the 1/d term: to 1e-3
    "sqrt": (Attention(4, mask="causal"), [1, 0.7, 0.477978, 0.722371, 0.406233, 0.605048]),
    "no mask": (
        Attention(2, beta=1.5, head_width=16),
        [0.668956, 0.512259, 0.439098, 0.656248, 0.37784, 0.701214],
    ),
    "mup": (
        Attention(4, "mup", mask="causal", beta=2.0, head_width=8),
        [1, 0.7, 0.485228, 0.702684, 0.415461, 0.537147],
    ),
    "qk_norm": (
        Attention(2, qk_norm=True, mask="causal", beta=1.5, head_width=12),
        [1, 0.7, 0.47518, 0.762396, 0.401582, 0.656461],
    ),
    "number": (
        Attention(4, 8**-0.5, mask="causal", head_width=8),
        [1, 0.7, 0.477978, 0.722371, 0.406233, 0.605048],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATED)
def test_kinds_of_scores(name):
    layer, values = SIMULATED[name]
    limit = limit_of_tokens(Sequential(layer), G, WIDTH, ntk=False, at_sites=False)
    np.testing.assert_allclose(upper(limit.output.cov[0, 0]), values, atol=3e-4)
    assert limit.standard_error.cov.max() < 1e-5


@pytest.mark.slow
def test_laws_of_queries_and_keys_scale_the_scores_and_other_laws_the_outputs():
    laws = {
        "query_law": di.normal(2.0),
        "key_law": di.normal(0.5),
        "value_law": di.normal(3.0),
        "output_law": di.normal(2.0),
    }
    kernels = [
        limit_of_tokens(Sequential(Attention(2, mask="causal", **laws)), G, WIDTH).output
        for laws in ({}, laws)
    ]
    np.testing.assert_allclose(kernels[1].cov, 6 * kernels[0].cov, rtol=1e-12)


@pytest.mark.slow
def test_rotary_scores_have_their_covariance():
    base, d = 7.0, 8
    layer = Attention(2, rotary=base, head_width=d, beta=0.02)
    angles = base ** (-np.arange(d // 2) / (d // 2))
    w = lambda x: np.mean(np.cos(angles * x))
    limit = limit_of_tokens(Sequential(layer), G, WIDTH, ntk=False, at_sites=False)
    gram, count = np.array(G), 3

    def second_order(t, u):
        """E[A G A'] for small scores: A = P + P S - ..., to the order beta^2."""
        p, result = np.ones(count) / count, 0.0
        centring = np.diag(p) - np.outer(p, p)
        cov = lambda t, u: (
            0.02**2
            * gram[t, u]
            * np.array(
                [[gram[r, s] * w((t - u) - (r - s)) for s in range(count)] for r in range(count)]
            )
        )
        result = p @ gram @ p + np.sum((centring @ gram @ centring) * cov(t, u))
        for row in (t, u):  # p gram times the second derivative of the other row's softmax
            own, target = cov(row, row), gram @ p
            mean = target @ p
            spread = np.einsum("r,rs,s->", p, own, p)
            quadratic = [
                0.5 * p[s] * (own[s, s] - 2 * own[s] @ p + 2 * spread - np.diag(own) @ p)
                for s in range(count)
            ]
            result += np.sum(np.array(quadratic) * (target - mean))
        return result

    for t, u in ((0, 0), (0, 1), (1, 2), (0, 2)):
        assert abs(limit.output.cov[0, 0, t, u] - second_order(t, u)) < 3e-8


@pytest.mark.slow
def test_many_tokens_are_simulated_ones_and_near_the_closed_form():
    length, rho = 128, 0.3
    gram = rho + (1 - rho) * np.eye(length)
    simulated = {True: (0.310767, 5.5e-5), False: (0.306706, 3.1e-5)}
    seen = np.ones((2, length), bool)
    with jax.enable_x64(True):
        for same, (value, error) in simulated.items():
            both = 1.0 if same else rho
            scores = np.array([[1, both], [both, 1]])[:, None, :, None] * gram[None, :, None]
            totals = []
            for replica in range(2):
                nodes = random_nodes(2 * (length - 1), replica)
                products = softmax_averages(scores, seen, gram, *nodes, False).products
                totals.append(float(np.sum(np.asarray(products) * gram)))
            closed = rho + (1 - rho) * np.exp(0.7 * both) / length
            assert abs(np.mean(totals) - value) < 5 * np.hypot(error, 2e-5)
            assert abs(np.mean(totals) - closed) < 4e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "theta"),
    [
        ((), [2, 1.4, 0.93834, 1.68556, 0.76668, 2.14953]),
        ((Dense(WIDTH),), [3, 2.1, 1.40751, 2.61599, 1.13893, 3.59784]),
    ],
)
def test_tangent_kernel_of_attention_and_a_readout(before, theta):
    # without the parameters of the readout: its own kernel is the covariance
    net = Sequential(*before, Attention(2, mask="causal", beta=1.5))
    limit = limit_of_tokens(net, G, WIDTH)
    np.testing.assert_allclose(upper(limit.output.ntk[0, 0]), theta, atol=1e-4)
    assert limit.standard_error.ntk.max() < 1e-5


@pytest.mark.slow
def test_two_sequences_and_lists_of_inputs_agree():
    layer, shape = Attention(2, beta=1.3, rotary=10.0), Shape((2,), 4)
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    x[2] = x[0] + 1e-7
    net = program(Sequential(layer), shape)
    whole = interpret(net, x, at_sites=False).output
    apart = interpret(net, x[:1], x[1:], at_sites=False).output
    np.testing.assert_allclose(whole.cov, whole.cov.transpose(1, 0, 3, 2), rtol=1e-12)
    for name in ("cov", "ntk"):
        part = getattr(whole, name)
        np.testing.assert_allclose(getattr(apart, name), part[:1, 1:], rtol=1e-10)
        np.testing.assert_allclose(part[0, 2], part[0, 0], atol=1e-6)


@pytest.mark.slow
def test_kernel_matrices_in_blocks_are_those_at_once():
    net = Sequential(Attention(2), Pool(), Dense(1))
    x = np.random.default_rng(1).normal(size=(3, 2, 4))
    whole, blocks = (kernels(net, x, kind="ntk", batch=batch) for batch in (3, 1))
    np.testing.assert_allclose(blocks, whole, rtol=1e-10)
    at_once = interpret(program(net, Shape((2,), 4)), x, at_sites=False).output.ntk
    np.testing.assert_allclose(at_once[:, :, 0, 0], whole, rtol=1e-10)


@pytest.mark.slow
def test_eight_tokens_state_the_error_of_their_nodes():
    gram = 0.3 + 0.7 * np.eye(8)
    limit = limit_of_tokens(Sequential(Attention(2)), gram, WIDTH, ntk=False, at_sites=False)
    cov, error = limit.output.cov[0, 0], limit.standard_error.cov[0, 0]
    diagonal, others = np.diag(cov), cov[~np.eye(8, dtype=bool)]
    assert 1e-6 < error.max() < 2e-4
    assert np.ptp(diagonal) < 6 * error.max()
    assert np.ptp(others) < 6 * error.max()


@pytest.mark.slow
def test_a_transformer_has_the_values_of_quadrature_by_hand():
    norm, law = RMSNorm(0.0, gain=False), di.normal(2.0)
    block = Sequential(
        Residual(Sequential(norm, Attention(4, output_law=law))),
        Residual(Sequential(norm, Dense(64), Activation("gelu"), Dense(32, law))),
    )
    limit = limit_of_tokens(Repeat(block, 3), [[1, 0.3], [0.3, 1]], 32, ntk=False)
    cov = limit.output.cov[0, 0]
    np.testing.assert_allclose(cov[0, 1] / cov[0, 0], 0.83193788626, atol=1e-10)
    np.testing.assert_allclose(np.log(cov[0, 0]), 2.14239283001, atol=1e-10)


@pytest.mark.slow
def test_simulations_extrapolate_to_the_limit():
    layer = Attention(8, mask="causal", beta=1.5)
    tokens = {d: rows_of(G, 8 * d) for d in (8, 16)}
    gram = lambda rows: rows @ rows.T / rows.shape[1]
    means, errors = [], []
    for d, rows in tokens.items():
        values = sampled(Sequential(layer), rows, gram, 10000, linear_map="conditional", key=d)
        means.append(values.mean(0))
        errors.append(values.std(0) / np.sqrt(len(values)))
    extrapolated = 2 * means[1] - means[0]
    error = np.hypot(2 * errors[1], errors[0])
    cov = limit_of_tokens(Sequential(layer), G, WIDTH, ntk=False).output.cov[0, 0]
    z = np.abs(extrapolated - cov) / error
    rival = limit_of_tokens(Sequential(Attention(8, mask="causal")), G, WIDTH).output.cov[0, 0]
    assert z.max() < 5
    assert (np.abs(extrapolated - rival) / error).max() > 5


def test_replicas_of_the_interpreter_are_those_of_the_nodes():
    with jax.enable_x64(True):
        nodes, weights = random_nodes(3, REPLICAS - 1)
        np.testing.assert_allclose(weights @ nodes**2, 1.0, atol=1e-8)
        np.testing.assert_allclose(weights @ nodes, 0.0, atol=1e-8)
