import math

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Dense, Residual, Sequential
from deepinit.diagnosis.laws import critical
from deepinit.diagnosis.structure import norm, residual
from deepinit.diagnosis.uniform import uniform

ONES = di.inputs.points(np.ones((1, 64)))


def mlp(activation="relu", width=64, depth=40, **laws):
    return di.MLP((width,) * depth, activation, output_width=1, **laws)


def test_plain_stacks_carry_three_quarters_of_their_width():
    found = di.max_depth(mlp(), ONES)
    assert found.depth == 48
    assert found.spread == pytest.approx(math.sqrt(5 * 40 / 64))
    assert found.at_limit == pytest.approx(math.sqrt(5 * 0.75))
    assert di.max_depth(mlp(width=256), 64).depth == 192
    assert di.max_depth(mlp("gelu"), ONES).depth < 48  # c > 5
    assert di.max_depth(mlp(), ONES, spread=1.0).depth == 12  # 64 / 5


def test_variances_do_not_move_it_and_residual_branches_do():
    wild = mlp(weight_law=di.normal(3.0))
    assert di.max_depth(wild, ONES).depth == di.max_depth(mlp(), ONES).depth
    assert di.max_depth(critical(mlp(), ONES), ONES).depth == 48
    bounded = di.max_depth(residual(mlp(), ONES), ONES)
    assert bounded.depth is None
    assert bounded.at_limit < 0.3
    unscaled = Sequential(
        Dense(64), *[Residual(Sequential(Activation("relu"), Dense(64, di.normal(2.0))))] * 40
    )
    # a = 1: (4 + 5) / 4 a block
    assert di.max_depth(unscaled, ONES).depth == int(5 * 0.75 * 64 * 4 / 9)


def test_uniform_networks_are_read():
    found = uniform(norm(mlp("tanh"), ONES), ONES)
    assert found.norm
    assert (found.width, found.depth, found.branch_scale) == (64, 40, None)
    found = uniform(residual(mlp("tanh", bias_law=di.normal(0.1, "absolute")), ONES), 64)
    assert found.branch_scale == "1/sqrt(depth)"
    assert found.depth == 39
    assert found.first_variance == pytest.approx(1.1)
    assert found.bias_var == 0.1
    for other in (
        di.MLP((64, 32, 16), "relu"),
        di.ConvResNet((8,), 8, 3),
        Sequential(Dense(64), Activation("relu"), Dense(64), Activation("tanh"), Dense(64)),
    ):
        with pytest.raises(SpecError):
            uniform(other, ONES)


def lost_layers(weight_var, width=64, depth=60, networks=20):
    """First layer with an infinite entry, and first with half of its entries 0, in float16."""
    rng, overflow, underflow = np.random.default_rng(0), [], []
    for _ in range(networks):
        h = np.ones(width, np.float16)
        over = under = depth + 1
        for layer in range(1, depth + 1):
            w = rng.normal(0, math.sqrt(weight_var / width), (width, width))
            with np.errstate(over="ignore", invalid="ignore"):
                z = (w @ h.astype(np.float64)).astype(np.float16)
                h = np.maximum(z, np.float16(0))
            if not np.isfinite(z).all():
                over = min(over, layer)
                break
            if (z == 0).mean() >= 0.5:
                under = min(under, layer)
        overflow.append(over)
        underflow.append(under)
    return np.median(overflow), np.median(underflow)


def test_float16_fails_where_it_is_predicted_to():
    for weight_var, field in ((6.0, 0), (0.2, 1)):
        spec = mlp(width=64, depth=60, weight_law=di.normal(weight_var))
        found = di.precision_limits(spec, ONES)
        predicted, measured = found["float16"][field], lost_layers(weight_var)[field]
        assert abs(predicted - measured) <= 2, (predicted, measured)
        assert measured < 50
        assert found["float32"].fine
        assert found["bfloat16"].fine
    he = di.precision_limits(mlp(), ONES, formats=("float16", "float8_e4m3fn"))
    assert he["float16"].fine
    with pytest.raises(SpecError):
        di.precision_limits(mlp(), ONES, formats=("float64",))


def test_gradients_underflow_first_at_the_input():
    found = di.precision_limits(mlp(depth=60, weight_law=di.normal(0.2)), ONES)["float16"]
    rng, count = np.random.default_rng(1), []
    for _ in range(20):
        # v / sqrt(n), then 60 layers back
        delta, kept = rng.normal(0, 1 / 8, 64), 0
        for layer in range(60, 0, -1):
            delta = delta * (rng.random(64) < 0.5)
            live = delta[delta != 0].astype(np.float16)
            kept = layer
            if not live.size or (live == 0).mean() >= 0.5:
                break
            delta = rng.normal(0, math.sqrt(0.2 / 64), (64, 64)) @ delta
        count.append(kept)
    assert abs(np.median(count) - found.gradient_underflow) <= 2
    assert found.gradient_overflow is None
