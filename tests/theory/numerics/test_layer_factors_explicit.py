"""The stretch by each layer has the law of networks with all their weights and biases drawn."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from layer_factor_draws import sampled

from deepinit.networks.factors import log_layer_factors, log_layer_scales

TOO_UNLIKELY = 1e-6


def explicit_logs(widths, d, num, *, slopes=(0.0, 1.0), orthogonal=False, seed=0):
    """Log of the squared d-volume of the image of a fixed frame, and whether it is not 0; with all
    weights and biases."""
    rng, alive = np.random.default_rng(seed), np.ones(num, bool)
    x = np.tile(np.linspace(1.0, -0.4, widths[0]), (num, 1))
    frame = np.tile(np.linalg.qr(rng.normal(size=(widths[0], d)))[0], (num, 1, 1))
    for layer, (n_in, n) in enumerate(itertools.pairwise(widths), start=1):
        last = layer == len(widths) - 1
        weights = rng.normal(size=(num, n, n_in)) * math.sqrt((1 if last else 2) / n_in)
        if orthogonal and not last:
            size = max(n, n_in)
            q, r = np.linalg.qr(rng.normal(size=(num, size, size)))
            q = q * np.sign(np.einsum("sii->si", r))[:, None, :]
            weights = math.sqrt(2 * size / n_in) * q[:, :n, :n_in]
        z = np.einsum("soi,si->so", weights, x) + 0.4 * rng.uniform(-1, 1, size=(num, n))
        frame = weights @ frame
        if not last:
            slope = np.where(z > 0, slopes[1], slopes[0])
            alive &= (slope != 0).sum(axis=1) >= d  # the rank itself is lost in rounding
            x, frame = slope * z, slope[:, :, None] * frame
    determinants = np.linalg.det(np.swapaxes(frame, 1, 2) @ frame)
    return np.log(np.where(alive, determinants, 1)), alive


@pytest.mark.parametrize(
    ("widths", "d", "options"),
    [
        ((3, 5, 4, 2), 1, {}),
        ((3, 6, 5, 4), 2, {}),
        ((4, 6, 7, 5), 3, {}),
        ((3, 5, 4, 2), 1, {"slopes": (0.3, 1.0)}),
        ((4, 4, 6, 3), 1, {"orthogonal": True}),
    ],
)
@pytest.mark.exhaustive_cases(
    "widths0-1-options0", "widths1-2-options1", "widths2-3-options2", "widths4-1-options4"
)
def test_explicit_matrices_have_the_same_law(widths, d, options):
    num = 20_000
    slopes, law = (
        options.get("slopes", (0.0, 1.0)),
        "orthogonal" if options.get("orthogonal") else "normal",
    )
    hidden, output = widths[1:-1], widths[-1]
    drawn, drawn_alive = explicit_logs(widths, d, num, **options)
    fn = lambda key: log_layer_factors(
        key, hidden, slopes=slopes, output_width=output, d=d, law=law, fan_in=widths[0]
    )
    scales = log_layer_scales(widths[0], hidden, slopes=slopes, output_width=output, d=d)
    logs = (scales + sampled(fn, num)).sum(axis=1)
    alive = np.isfinite(logs)
    survivors = [[alive.sum(), drawn_alive.sum()], [(~alive).sum() + 1, (~drawn_alive).sum() + 1]]
    assert scipy.stats.fisher_exact(survivors).pvalue > TOO_UNLIKELY
    assert scipy.stats.ks_2samp(logs[alive], drawn[drawn_alive]).pvalue > TOO_UNLIKELY
    # rivals: variance 1/n instead of 2/n; half of the neurons on in every network
    wrong_variance = logs[alive] - len(hidden) * d * math.log(2)
    assert scipy.stats.ks_2samp(wrong_variance, drawn[drawn_alive]).pvalue < TOO_UNLIKELY
    if law == "normal" and not any(slopes[:1]):
        rng = np.random.default_rng(1)
        degrees = [*(n // 2 + n % 2 for n in hidden), output]
        halves = (*(n / 2 for n in hidden), output)
        fixed = scales.sum() + sum(
            np.log(rng.chisquare(k - j, num) / half)
            for k, half in zip(degrees, halves, strict=True)
            for j in range(d)
            if k > j
        )
        assert scipy.stats.ks_2samp(fixed, drawn[drawn_alive]).pvalue < TOO_UNLIKELY
