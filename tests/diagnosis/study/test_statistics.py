"""Ranks and intervals against loops."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from deepinit.diagnosis.study import statistics


def test_auc_counts_pairs_and_halves_ties():
    rng = np.random.default_rng(0)
    score, fails = rng.integers(5, size=20), rng.random(20) < 0.4
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a, b in itertools.product(score[fails], score[~fails])
    ]
    assert statistics.auc(score, fails) == pytest.approx(np.mean(wins))
    assert np.isnan(statistics.auc(score, np.zeros(20, bool)))


def test_same_shape_pairs():
    score = [1, 2, 9, 3, 4, 0]
    fails = [False, True, False, True, False, True]
    shapes = ["a", "a", "a", "b", "b", "c"]
    # pairs: a: (2 > 1), (2 < 9); b: (3 < 4); c: none
    assert statistics.same_shape_auc(score, fails, shapes) == (pytest.approx(1 / 3), 3)


def test_spearman_and_wilson():
    rng = np.random.default_rng(1)
    a, b = rng.integers(6, size=30), rng.standard_normal(30)
    assert statistics.spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(statistics.spearman(np.ones(30), b))
    exact = binomtest(3, 20).proportion_ci(method="wilson")
    assert statistics.wilson(3, 20) == pytest.approx([exact.low, exact.high])
    assert statistics.wilson(0, 0) == [0.0, 1.0]


def test_resamples_keep_the_size_of_families():
    families = ["a"] * 5 + ["b"] * 7
    for own in statistics.resamples(families, count=20):
        assert sum(index < 5 for index in own) == 5
        assert len(own) == 12
