"""Mean-field fixed points and depth scales against neural-tangents' kernel map."""

import numpy as np
import pytest

import deepinit as di
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.theory.cutoff import mean_field


def overlaps(activation, weight_var, bias_var, depths, start):
    """[depths, 2]: q and p of the post-activations, from the kernels one layer later."""
    spec = lambda depth: di.MLP(
        (8,) * (depth + 1), activation, di.normal(weight_var), bias_law(bias_var)
    )
    kernels = np.stack([nngp_and_ntk(spec(depth), start)[0] for depth in depths])
    return (kernels[:, 0] - bias_var) / weight_var


def bias_law(variance):
    return di.normal(variance, "absolute") if variance else None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "weight_var", "bias_var"),
    [("erf", 0.8, 0.1), ("tanh", 1.2, 0.2), ("tanh", 2.25, 0.05), ("erf", 3.0, 0.0)],
)
@pytest.mark.exhaustive_cases("erf-0.8-0.1", "tanh-1.2-0.2", "tanh-2.25-0.05")
def test_depth_scales_are_those_of_the_kernel_map(activation, weight_var, bias_var):
    law = mean_field(activation, weight_var, bias_var)
    # from the fixed length, so that only the overlap relaxes
    angle = 0.9
    rows = np.sqrt(2 * law.mean_square) * np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    near, far = 24, 200
    q, p = overlaps(activation, weight_var, bias_var, (near, near + 1, near + 2, far), rows).T
    np.testing.assert_allclose(q, law.mean_square, rtol=1e-6)
    assert p[-1] / q[-1] == pytest.approx(law.cosine, abs=2e-4 if law.cosine == 1 else 1e-6)
    gaps = p[:3] - law.cosine * law.mean_square
    ratios = gaps[1:] / gaps[:-1]
    # the ratio tends to the multiplier like the gap itself; extrapolated
    limit = ratios[1] + (ratios[1] - ratios[0]) * ratios[1] / (1 - ratios[1])
    assert limit == pytest.approx(law.pair_multiplier, abs=1e-4)
    assert abs(limit - law.length_multiplier) > 1e-2


@pytest.mark.parametrize(
    ("activation", "weight_var", "bias_var"), [("erf", 1.5, 0.1), ("tanh", 1.2, 0.2)]
)
@pytest.mark.slow_cases("tanh-1.2-0.2")
def test_one_step_of_the_kernel_map_has_the_multipliers_at_the_fixed_point(
    activation, weight_var, bias_var
):
    law = mean_field(activation, weight_var, bias_var)
    h, angle = 1e-3, np.arccos(law.cosine) if law.cosine < 1 else 0.0
    rows = lambda scale: (
        np.sqrt(2 * scale * law.mean_square)
        * np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    )
    step = lambda scale: overlaps(activation, weight_var, bias_var, (1,), rows(scale))[0, 0]
    assert step(1.0) == pytest.approx(law.mean_square, rel=1e-6)
    slope = (step(1 + h) - step(1 - h)) / (2 * h * law.mean_square)
    assert slope == pytest.approx(law.length_multiplier, abs=1e-6)
