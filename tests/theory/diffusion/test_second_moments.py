"""Second moments of q = |x|^2 / D of linear residual networks, at finite width and depth."""

import itertools
import math

import numpy as np
import pytest
from statistical import assert_mean, assert_value, assert_variance

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import linear_network, mean_square_moments, overlap_moments

WEIGHT, BIAS, HORIZON = 0.8, 0.3, 1.3


def enumerated(width, rows, depth):
    """E l_ij, E l_ij^2, E q_1 q_2 over explicit matrices: 3 Gauss-Hermite nodes, exact for 4th
    powers."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    weights = weights / weights.sum()
    choices = np.array(list(itertools.product(range(3), repeat=width * (width + 1))))
    noise, mass = nodes[choices].reshape(-1, width, width + 1), weights[choices].prod(axis=1)
    dt = HORIZON / depth
    matrices, biases = (
        math.sqrt(WEIGHT * dt / width) * noise[..., :width],
        math.sqrt(BIAS * dt) * noise[..., width:],
    )
    x, total = np.asarray(rows)[None], np.ones(1)  # [networks, inputs, width]
    for _ in range(depth):
        x = (
            x[:, None] + np.einsum("mij,nkj->nmki", matrices, x) + biases[None, :, None, :, 0]
        ).reshape(-1, *x.shape[1:])
        total = np.outer(total, mass).ravel()
    overlaps = np.einsum("nki,nli->nkl", x, x) / width
    first = np.einsum("n,nkl->kl", total, overlaps)
    second = np.einsum("n,nkl,nkl->kl", total, overlaps, overlaps)
    return first, second, float(total @ (overlaps[:, 0, 0] * overlaps[:, 1, 1]))


@pytest.mark.parametrize(("width", "depth"), [(1, 3), (2, 2), (3, 1)])
@pytest.mark.slow_cases("3-1")
def test_moments_by_enumeration_of_explicit_matrices(width, depth):
    rows = np.array([[0.9, -0.4, 0.3], [0.2, 1.1, -0.7]])[:, :width]
    gram = rows @ rows.T / width
    mean, second, product = enumerated(width, rows, depth)
    result = overlap_moments("linear", width, gram, WEIGHT, BIAS, HORIZON, depth=depth)
    assert result.mean == pytest.approx(mean, rel=1e-12)
    assert result.second == pytest.approx(second, rel=1e-12)
    assert result.square_product == pytest.approx(product, rel=1e-12)
    for i in (0, 1):
        alone = mean_square_moments("linear", width, gram[i, i], WEIGHT, BIAS, HORIZON, depth=depth)
        assert alone == pytest.approx([1.0, mean[i, i], second[i, i]], rel=1e-12)
    assert result.mean == pytest.approx(
        linear_network(gram, depth, WEIGHT, BIAS, HORIZON).overlap, rel=1e-13
    )
    limit = overlap_moments("linear", width, gram, WEIGHT, BIAS, HORIZON)
    # the rival: off by more than a hundredth
    assert (np.abs(limit.second / second - 1.0) > 0.01).all()


def test_higher_moments_of_one_block_by_its_part_along_the_input_and_the_rest():
    width, q = 5, 0.7
    noise = (BIAS + WEIGHT * q) * HORIZON
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    along = (math.sqrt(width * q) + math.sqrt(noise) * nodes) ** 2
    powers = [weights @ along**j / weights.sum() for j in range(7)]
    rest = [
        noise**j * math.prod(width - 1 + 2 * i for i in range(j)) for j in range(7)
    ]  # noise * chi^2_4
    expected = [
        sum(math.comb(k, j) * powers[j] * rest[k - j] for j in range(k + 1)) / width**k
        for k in range(7)
    ]
    result = mean_square_moments("linear", width, q, WEIGHT, BIAS, HORIZON, highest=6, depth=1)
    assert result == pytest.approx(expected, rel=1e-12)


def test_moments_without_biases_are_powers_and_tend_to_the_limit_of_infinite_depth():
    width, q = 4, 1.7
    for depth in (1, 2, 7, 1000):
        step = WEIGHT * HORIZON / depth
        gain = (1 + step) ** 2 + (2 / width) * (2 * step + step**2)
        result = mean_square_moments("linear", width, q, WEIGHT, 0.0, HORIZON, depth=depth)
        assert result[2] == pytest.approx(q * q * gain**depth, rel=1e-12)

    def at(depth):
        return overlap_moments(
            "linear", width, [[q, 0.4], [0.4, 0.6]], WEIGHT, BIAS, HORIZON, depth=depth
        ).second

    limit = overlap_moments("linear", width, [[q, 0.4], [0.4, 0.6]], WEIGHT, BIAS, HORIZON).second
    assert (at(8192) - 6.0 * at(16384) + 8.0 * at(32768)) / 3.0 == pytest.approx(limit, rel=1e-9)


@pytest.mark.parametrize("width", [2, 5, 8])
@pytest.mark.slow
def test_moments_against_simulated_networks_at_five_standard_errors(width):
    depth = 3
    net = di.ResNet(
        width,
        depth,
        block="shallow",
        activation=di.linear,
        weight_law=di.normal(0.9, "depth"),
        bias_law=di.normal(0.4, "depth"),
    )
    rows = np.random.default_rng(width).normal(size=(2, width))
    sim = di.simulate(
        net,
        di.quantities.nngp,
        di.inputs.points(rows),
        num_seeds=20_000,
        key=1,
        linear_map="explicit",
    )
    law = overlap_moments("linear", width, rows @ rows.T / width, 0.9, 0.4, depth=depth)
    limit = overlap_moments("linear", width, rows @ rows.T / width, 0.9, 0.4)
    entries = np.triu_indices(2)
    # the rivals: no noise in the mean; infinite depth
    mean = sim.mean[-1], sim.standard_error[-1]
    assert_value(*mean, law.mean[entries], rejects=(rows @ rows.T / width)[entries])
    variance = sim.variance[-1], sim.variance_standard_error[-1]
    assert_value(*variance, law.variance[entries], rejects=limit.variance[entries])


@pytest.mark.parametrize(
    ("activation", "depth", "message"),
    [
        ("tanh", 3, "depth=3 with the activation"),
        ("relu", 3, "relu"),
        ("linear", 0, "depth"),
        ("linear", 1.5, "depth"),
    ],
)
def test_moments_at_a_depth_refuse_what_is_not_linear(activation, depth, message):
    with pytest.raises(SpecError, match=message):
        mean_square_moments(activation, 4, 1.0, 1.0, depth=depth)


@pytest.mark.slow
def test_nngp_of_shallow_linear_blocks_is_predicted_exactly_at_finite_depth():
    net = di.ResNet(
        4,
        3,
        block="shallow",
        activation=di.linear,
        weight_law=di.normal(0.9, "depth"),
        bias_law=di.normal(0.4, "depth"),
    )
    inputs = di.inputs.points(np.random.default_rng(3).normal(size=(2, 4)))
    sim = di.simulate(net, di.quantities.nngp, inputs, num_seeds=20_000)
    exact, deep = (
        di.predict(net, di.quantities.nngp, inputs),
        di.predict(net, di.quantities.nngp, inputs, "infinite_depth"),
    )
    assert (exact.name, exact.error_order) == ("exact", "exact")
    # the mean is the same at infinite depth; its rival is 1.1 times it
    assert_mean(sim, exact.mean, rejects=1.1 * exact.mean)
    assert_variance(sim, exact.variance, rejects=deep.variance)
    result = di.compare(sim, exact, deep).dataset
    for z in (result["z"], result["variance_z"]):
        assert np.abs(z.sel(theory="exact")).max() < 5
    assert np.abs(result["variance_z"].sel(theory="infinite_depth")).max() > 5
    tanh = di.ResNet(4, 3, block="shallow", activation=di.tanh)
    assert di.quantities.nngp.applicable(tanh, inputs) == ("infinite_depth", "infinite_width")
