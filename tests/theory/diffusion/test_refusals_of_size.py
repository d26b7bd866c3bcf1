"""Numbers that no formula of the diffusion limit can hold are refused, not turned into NaN."""

import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.theory import diffusion

GRAM = np.eye(2)
RAGGED = [[1, 2], [3]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diffusion.mean_square_moments("tanh", 3, 1e200, 1.0), "mean_square=1e"),
        (lambda: diffusion.mean_square_moments("tanh", 3, 1.0, RAGGED), "weight_var="),
        (lambda: diffusion.mean_square_moments("tanh", 3, 1e70, 1.0, highest=12), "powers up to"),
        (lambda: diffusion.overlap_moments("tanh", 3, GRAM, 1.0, 1e200), "bias_var=1e"),
        (
            lambda: diffusion.coordinate_excess_kurtosis("tanh", 3, 0.0, 1.0, 1.0, horizon=1e-320),
            "horizon=1e-320",
        ),
        (lambda: diffusion.bias_kernel_variance("tanh", 3, 1.0, 1e200), "bias_var=1e"),
        (
            lambda: diffusion.correlated_moments("tanh", np.ones(2), GRAM, GRAM, horizon=1e70),
            "growth exponent",
        ),
        (lambda: diffusion.depth_bias("tanh", 1e200 * GRAM, 1.0), "gram with numbers up to"),
        (lambda: diffusion.double_limit("tanh", 1e308 * GRAM, 1.0), "gram with numbers up to"),
        (
            lambda: diffusion.explosion_times("silu", [1e308], 1.0),
            "mean_squares with numbers up to",
        ),
        (lambda: diffusion.explosion_times("silu", RAGGED, 1.0), "mean_squares of type"),
        (lambda: diffusion.inner_limit("tanh", "tanh", GRAM, 1e308), "weight_var=1e"),
        (lambda: diffusion.inner_limit("tanh", "tanh", GRAM, 1.0, horizon=1e70), "growth exponent"),
        (lambda: diffusion.inner_limit("tanh", "tanh", GRAM, 1.0, horizon=RAGGED), "horizon="),
        (lambda: diffusion.two_layer_limit("tanh", GRAM, 1.0, 1e200), "branch_var=1e"),
    ],
)
def test_sizes_beyond_float64_are_refused(call, message):
    with np.errstate(all="raise"), pytest.raises(SpecError) as refused:
        call()
    assert message in str(refused.value)
