"""What inference refuses, and what the refusal says."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

INF = di.inference
RNG = np.random.default_rng(7)
X = RNG.normal(size=(8, 2))
ROOT = RNG.normal(size=(6, 6))
BLOCKS = INF.blocks_of(ROOT @ ROOT.T, 4)
Y = np.array([1.0, -1.0, 0.5, 0.0])
AFFINE = INF.blocks_of(0.5 + X @ X.T, 6)
SKEW = BLOCKS.train + np.triu(np.ones((4, 4)), 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: INF.posterior(*AFFINE, X[:6, 0]), "rank 3 with noise 0"),
        (lambda: INF.posterior(*AFFINE, X[:6, 0]), "linear_model"),
        (lambda: INF.posterior(*AFFINE, X[:6, 0], 1e-18), "give noise > 0"),
        (
            lambda: INF.trained(AFFINE.train, AFFINE.cross, X[:6, 0]),
            "ntk_train [6, 6] of numerical rank 3",
        ),
        (lambda: INF.log_marginal(AFFINE.train, X[:6, 0]), "rank 3"),
        (
            lambda: INF.linear_log_marginal(INF.spectrum(X, X[:, 0]), 1.0, 1.0, 0.0),
            "8 inputs of rank 2 without noise",
        ),
        (
            lambda: INF.posterior(BLOCKS.train - 50.0 * np.eye(4), BLOCKS.cross, BLOCKS.test, Y),
            "positive semidefinite",
        ),
        (lambda: INF.trained(-BLOCKS.train, BLOCKS.cross, Y, time=1.0), "positive semidefinite"),
        (lambda: INF.posterior(SKEW, BLOCKS.cross, BLOCKS.test, Y), "differs from its transpose"),
        (lambda: INF.posterior(BLOCKS.cross, BLOCKS.cross, BLOCKS.test, Y), "square matrix"),
        (
            lambda: INF.posterior(BLOCKS.train, BLOCKS.cross.T, BLOCKS.test, Y),
            "[m, 4]. Test inputs are rows",
        ),
        (lambda: INF.posterior(BLOCKS.train, BLOCKS.cross, BLOCKS.train, Y), "[4, 4]. Test inputs"),
        (lambda: INF.posterior(*BLOCKS, Y[:3]), "targets of shape (3,) for 4"),
        (lambda: INF.posterior(*BLOCKS, np.array([0, 1, 2, 1])), "np.eye(10)[labels]"),
        (lambda: INF.posterior(*BLOCKS, ["a", "b", "c", "d"]), "real numbers"),
        (lambda: INF.posterior(*BLOCKS, [[1.0, 2.0], [3.0]]), "real numbers"),
        (lambda: INF.posterior(*BLOCKS, Y * np.nan), "targets that is not finite"),
        (lambda: INF.posterior(*BLOCKS, Y, -0.1), "noise=-0.1"),
        (lambda: INF.posterior(*BLOCKS, Y, np.nan), "noise=nan"),
        (lambda: INF.trained(BLOCKS.train, BLOCKS.cross, Y, time=-1.0), "time=-1.0"),
        (lambda: INF.trained(BLOCKS.train, BLOCKS.cross, Y, prior=AFFINE), "prior.cross"),
        (
            lambda: INF.trained(BLOCKS.train, BLOCKS.cross, Y, prior=tuple(BLOCKS)),
            "inference.Blocks",
        ),
        (lambda: INF.linear_model(X, X[:, 0], X[:, :1], 1.0, 1.0), "x_test of shape (8, 1)"),
        (lambda: INF.linear_model(X, X[:, 0], X, -1.0, 1.0), "intercept_var=-1.0"),
        (lambda: INF.linear_model(X, X[:, 0], X, 0.0, 0.0), "one of them > 0"),
        (lambda: INF.linear_model(X, np.arange(8), X, 1.0, 1.0), "classes"),
        (lambda: INF.empirical_bayes(X, X[:, 0], "silu"), "phi''(0)"),
        (lambda: INF.empirical_bayes(X, X[:, 0], "x2_tanh"), "phi'(0) = 0"),
        (lambda: INF.empirical_bayes(X, X[:, 0], noise=0.0), "noise=0.0"),
        (lambda: INF.empirical_bayes(X, X[:, 0], weight_var=0.0), "weight_var=0.0"),
        (lambda: INF.empirical_bayes(X, X[:, 0], num_starts=0), "num_starts=0"),
        (lambda: INF.empirical_bayes(X, np.zeros(8)), "all 0"),
        (lambda: INF.kernel_for(di.MLP((4,)), X, X[:, :1]), "x_test"),
        (lambda: INF.kernel_for(di.MLP((4,)), X, X, engine="nt"), "engine='nt'"),
        (lambda: INF.kernel_for(di.MLP((4,)), X, X), "Write output_width=1."),
        (
            lambda: INF.kernel_for(di.MLP((4,)), X, X, engine="neural_tangents"),
            "Write output_width=1.",
        ),
        (lambda: INF.kernel_for(None, X, X), "spec of type NoneType"),
        (
            lambda: INF.kernel_for(di.MLP((4,)), X, X, engine=np.ones(2)),
            "recursion, neural_tangents",
        ),
        (lambda: INF.blocks_of(np.eye(3), 3), "num_train=3"),
        (lambda: INF.linear_log_marginal(X, 1.0, 1.0, 1.0), "data of type ndarray"),
        (lambda: INF.linear_log_marginal(X, 1.0, 1.0, 1.0), "di.inference.spectrum(x, targets)"),
        (
            lambda: INF.linear_log_marginal(INF.spectrum(X, X[:, 0]), 1e200, 1.0, 1.0),
            "intercept_var=1e+200. Allowed: a finite number >= 0 and <= 1e+75",
        ),
        (
            lambda: INF.linear_log_marginal(INF.spectrum(X, X[:, 0]), 1.0, 1.0, 1e-320),
            ">= 1e-75 and <= 1e+75",
        ),
        (lambda: INF.spectrum(1e200 * X, X[:, 0]), "x with numbers up to"),
        (lambda: INF.linear_model(1e200 * X, X[:, 0], X, 1.0, 1.0), "x_train with numbers up to"),
        (lambda: INF.empirical_bayes(X, 1e200 * X[:, 0]), "targets with numbers up to"),
        (lambda: INF.log_marginal(np.eye(8), 1e200 * X[:, 0], 1.0), "targets with numbers up to"),
        (lambda: INF.affine_part(1e200 * np.eye(3), np.eye(3)), "kernel with numbers up to"),
        (lambda: INF.trained(BLOCKS.train, BLOCKS.cross, Y, time=1e300), "time=1e+300"),
        (
            lambda: INF.empirical_bayes(X, X[:, 0], horizon=-1.0),
            "horizon=-1.0. Allowed: a finite number >= 1e-75",
        ),
        (lambda: INF.empirical_bayes(X, X[:, 0], readout_var=1e-320), "readout_var=1e-320"),
        (lambda: INF.empirical_bayes(X, X[:, 0], num_starts=True), "num_starts=True"),
        (lambda: INF.blocks_of(np.eye(3), 1.5), "num_train=1.5"),
        (lambda: INF.affine_part(np.eye(3), np.eye(4)), "one size"),
        (lambda: INF.affine_part(np.zeros((3, 3)), np.eye(3)), "kernel of zeros"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(SpecError) as refused:
        call()
    assert words in str(refused.value)


def test_what_is_singular_still_has_an_answer_by_each_remedy():
    y = X[:6, 0]
    assert np.isfinite(INF.posterior(*AFFINE, y, 1e-6).mean).all()
    assert np.isfinite(INF.trained(AFFINE.train, AFFINE.cross, y, time=1e3).mean).all()
    assert np.allclose(INF.linear_model(X[:6], y, X[6:], 0.5, 1.0).mean, X[6:, 0])
    # two values may be integers: -1 and 1 are numbers as they stand
    assert np.isfinite(INF.posterior(*BLOCKS, np.array([1, -1, 1, 1])).mean).all()
