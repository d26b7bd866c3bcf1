"""Binomial(n, 1/2): tables exact to the last bit, and draws with exactly their law."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from deepinit.networks.binomial_half import alias_tables, integer_weights, sample, sample_from_bits

WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 64, 1000, 10_000)


@pytest.mark.parametrize("width", [*range(1, 17), 33, 63, 64])
def test_up_to_64_coins_the_weights_are_exact(width):
    assert integer_weights(width) == (
        0,
        [math.comb(width, k) << (64 - width) for k in range(width + 1)],
    )


@pytest.mark.parametrize("width", [65, 1000, 9999, 10_000])
def test_beyond_64_coins_the_weights_are_rounded_to_one_unit(width):
    first, weights = integer_weights(width)
    binomials = [math.comb(width, first)]
    for k in range(first, first + len(weights) - 1):
        binomials.append(binomials[-1] * (width - k) // (k + 1))
    errors = np.array(
        [weight - (each << 64 >> width) for weight, each in zip(weights, binomials, strict=True)]
    )
    centre = len(weights) // 2
    assert sum(weights) == 2**64
    assert abs(errors[centre]) < 2**10  # the remainder, 5e-17
    assert set(np.delete(errors, centre).tolist()) <= {0, 1}
    # below `first` each binomial falls by at least first / (width - first + 1): geometric sum
    outside = 2 * math.comb(width, first - 1) * (width - first + 1) // (width - 2 * first + 1)
    assert outside << 60 < 1 << width


def probabilities_in_table(width):
    """What the columns add up to, in units of 2^-64."""
    tables = alias_tables((width,))
    shift, first = int(tables.shifts[0]), int(tables.firsts[0])
    capacity, low_bits = 1 << (32 + shift), (1 << shift) - 1
    total: dict[int, int] = {}
    for column, (high, packed) in enumerate(tables.columns.tolist()):
        threshold = high << shift | packed & low_bits
        for atom, mass in ((column, threshold), (packed >> shift, capacity - threshold)):
            total[first + atom] = total.get(first + atom, 0) + mass
    return {atom: mass for atom, mass in total.items() if mass}


@pytest.mark.parametrize("width", [*WIDTHS, 2**23])
def test_the_alias_table_holds_the_weights_exactly(width):
    first, weights = integer_weights(width)
    assert probabilities_in_table(width) == {
        first + i: weight for i, weight in enumerate(weights) if weight
    }
    assert len(alias_tables((width,)).columns) < 40 * math.sqrt(width) + 2


@pytest.mark.slow
def test_bits_on_both_sides_of_a_threshold_fall_to_the_right_atoms():
    tables = alias_tables((10, 1000))
    for layer, (start, shift, first) in enumerate(
        zip(tables.starts, tables.shifts, tables.firsts, strict=True)
    ):
        for column in (0, 3, 9):
            high, packed = (int(word) for word in tables.columns[start + column])
            threshold = high << int(shift) | packed & ((1 << int(shift)) - 1)
            for value, own in ((threshold - 1, True), (threshold, False), (threshold + 1, False)):
                if not 0 <= value < 1 << (32 + int(shift)):
                    continue
                words = np.zeros((2, 2), np.uint32)
                words[:, layer] = (
                    column << int(shift) | value & ((1 << int(shift)) - 1),
                    value >> int(shift),
                )
                drawn = int(sample_from_bits(jnp.asarray(words), tables)[layer])
                assert drawn == first + (column if own else packed >> int(shift))


@pytest.mark.slow
def test_draws_of_unequal_layers_have_the_binomial_law_and_are_independent():
    tables, num = alias_tables((*WIDTHS, 64)), 200_000
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(0), seed))(jnp.arange(num))
    drawn = np.asarray(jax.jit(jax.vmap(lambda key: sample(key, tables)))(keys))
    for layer, width in enumerate(WIDTHS):
        assert goodness_of_fit(drawn[:, layer], width, 0.5) > 1e-6
        # the rival: the mean off by a twentieth of a standard deviation
        assert goodness_of_fit(drawn[:, layer], width, 0.5 + 0.025 / math.sqrt(width)) < 1e-6
    correlations = np.corrcoef(drawn.T)[np.triu_indices(len(WIDTHS) + 1, 1)]
    assert np.abs(correlations).max() * math.sqrt(num) < 5


def goodness_of_fit(drawn, width, probability):
    """p-value of Pearson's chi-square over atoms, tails pooled to 10 expected draws."""
    law = scipy.stats.binom(width, probability)
    low, high = int(law.ppf(20 / len(drawn))), int(law.isf(20 / len(drawn)))
    observed = np.bincount(np.clip(drawn, low, high) - low, minlength=high - low + 1)
    expected = len(drawn) * law.pmf(np.arange(low, high + 1))
    expected[0], expected[-1] = len(drawn) * law.cdf(low), len(drawn) * law.sf(high - 1)
    return scipy.stats.chisquare(observed, expected).pvalue
