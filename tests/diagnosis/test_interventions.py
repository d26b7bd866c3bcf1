import math

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Conv,
    Dense,
    LayerNorm,
    Pool,
    Repeat,
    Residual,
    Sequential,
)
from deepinit.core.layers.containers import leaves
from deepinit.diagnosis.interventions import INTERVENTIONS
from deepinit.diagnosis.laws import center, critical, first_weight_var, readout
from deepinit.diagnosis.structure import depth, norm, residual, width

PAIR = di.inputs.pair(0.3, dimension=20)


def by_layer(estimate, entry=0):
    """Means and standard errors."""
    mean = np.asarray(estimate.mean)
    error = np.asarray(getattr(estimate, "standard_error", 0 * mean))
    return (mean, error) if mean.ndim == 1 else (mean[..., entry], error[..., entry])


def variances_of(net, inputs, point, seeds=200):
    """Variances of preactivations behind layers 1, 2, ..., at the weights of a critical point."""
    mean, error = by_layer(di.simulate(net, di.quantities.nngp, inputs, num_seeds=seeds))
    return point.bias_var + point.weight_var * mean, point.weight_var * error


@pytest.mark.slow
def test_critical_keeps_the_norm_and_the_angle_of_gelu():
    spec = di.MLP((200,) * 12, "gelu")
    inputs = di.inputs.points(2.0 * np.asarray(PAIR.points))  # mean square of another size
    point = di.critical("gelu")
    fixed, error = variances_of(critical(spec, inputs), inputs, point)
    assert np.abs(fixed - point.fixed_point).max() < 5 * error.max()
    assert error.max() < 0.1 * point.fixed_point
    plain, _ = variances_of(spec, inputs, point._replace(weight_var=spec.weight_law.variance))
    assert abs(plain[-1] / plain[0] - 1) > 0.3
    close = di.inputs.pair(3e-3, dimension=20)
    growth = lambda net: np.diff(by_layer(di.infinite(net, di.quantities.log_sin2_angle, close))[0])
    assert np.abs(growth(critical(spec, close))[2:]).max() < 1e-3
    ordered = di.MLP((200,) * 12, "gelu", di.normal(1.5), di.normal(0.2, "absolute"))
    assert growth(ordered)[-1] < -0.1


@pytest.mark.slow
def test_critical_of_a_convolution_keeps_the_norm():
    conv = [Conv(64, padding="circular"), Activation("gelu")]
    net = Sequential(Repeat(Sequential(*conv, keys=(None, None)), 6), Pool("mean"), Dense(3))
    images = di.inputs.arranged(np.random.default_rng(0).normal(size=(1, 4, 4, 64)))
    point = di.critical("gelu")
    changed = critical(net, images)
    linear = [leaf for leaf in leaves(changed) if hasattr(leaf, "bias")]
    assert [leaf.law.variance for leaf in linear] == pytest.approx(
        [point.first_weight_var / (images.points**2).mean(), point.weight_var, 1.0]
    )
    norms = by_layer(di.simulate(changed, di.quantities.log_norm, images, num_seeds=30))[0]
    after = norms[1:12:2]  # of activations
    assert np.ptp(after) < 0.1
    plain = by_layer(di.simulate(net, di.quantities.log_norm, images, num_seeds=30))[0][1:12:2]
    assert np.ptp(plain) > 0.5


def slope(net, inputs=PAIR, seeds=40):
    """ln |dL/dz^1|^2 - ln |dL/dz^L|^2."""
    value = di.simulate(net, di.quantities.log_gradient_norm, inputs, num_seeds=seeds)
    mean = by_layer(value)[0]
    return 2 * (mean[0] - mean[-1])


@pytest.mark.slow
def test_residual_branches_bound_gradients():
    variance, layers = 4.0, 48
    spec = di.MLP((64,) * layers, "tanh", di.normal(variance), output_width=1)
    changed = residual(spec, PAIR)
    branches = [part for part in changed.layers if isinstance(part, Repeat)]
    assert branches[0].times == layers - 1
    assert isinstance(branches[0].layer, Residual)
    assert slope(spec) > 3 * variance
    assert 0 < slope(changed) <= variance  # e^{w max h}, h <= 1


def test_residual_scales_what_is_residual():
    block = Residual(Sequential(LayerNorm(), Dense(32), Activation("relu"), Dense(32)))
    net = Sequential(Dense(32), Repeat(block, 24), Dense(1))
    changed = residual(net, PAIR)
    assert changed.layers[1].layer.scale == "1/sqrt(depth)"
    inputs = di.inputs.points(np.ones((1, 20)))  # the stream starts at mean square 1
    last = lambda net: by_layer(di.simulate(net, di.quantities.log_norm, inputs, num_seeds=50))[0]
    grows, bounded = (np.ptp(last(n)[1:]) for n in (net, changed))
    assert grows > 1.0
    assert bounded < 0.5 * math.log(1 + 0.6)  # each branch adds 1/2, over 24


def test_residual_of_convolutions_and_of_changing_widths():
    conv = Sequential(Conv(8), Activation("relu"))
    images = di.inputs.arranged(np.ones((1, 4, 4, 3)))
    changed = residual(Sequential(conv, Repeat(conv, 3), Pool("mean"), Dense(2)), images)
    assert [type(part).__name__ for part in changed.layers] == [
        "Conv",
        "Repeat",
        "Activation",
        "Pool",
        "Dense",
    ]
    mlp = residual(di.MLP((32, 16, 16, 8), "relu"), PAIR)
    assert sum(isinstance(part, Residual) for part in mlp.layers) == 1
    with pytest.raises(SpecError, match="equal widths"):
        residual(di.MLP((32, 16, 8), "relu"), PAIR)


def test_norm_fixes_norms_before_activations():
    spec = di.MLP((64,) * 8, "relu", di.normal(0.2), output_width=1)
    changed = norm(spec, PAIR)
    fixed = [leaf for leaf in leaves(changed) if isinstance(leaf, LayerNorm)]
    assert len(fixed) == len([leaf for leaf in leaves(changed) if isinstance(leaf, Activation)])
    falls = by_layer(di.simulate(spec, di.quantities.log_norm, PAIR, num_seeds=30))[0]
    stays = by_layer(di.simulate(changed, di.quantities.log_norm, PAIR, num_seeds=30))[0]
    assert falls[0] - falls[-1] > 5.0
    assert np.ptp(stays) < 0.05
    assert norm(changed, PAIR) == changed


def test_norm_of_a_transformer_is_pre_norm():
    block = Sequential(
        Residual(di.layers.Attention(2)),
        Residual(Sequential(Dense(64), Activation("gelu"), Dense(16))),
    )
    net = Sequential(di.layers.Embed(16), Repeat(block, 4), Dense(5))
    changed = norm(net, di.inputs.tokens(7, 5))
    first, second = changed.layers[1].layer.layers
    assert isinstance(first.branch.layers[0], LayerNorm)
    assert isinstance(second.branch.layers[0], LayerNorm)
    assert norm(di.zoo.gpt2(width=16, depth=2, heads=2), di.inputs.tokens(7, 5)) == di.zoo.gpt2(
        width=16, depth=2, heads=2
    )


def test_width_keeps_the_law_of_the_kernel():
    net = di.zoo.gpt2(width=16, depth=2, heads=2)
    tokens = di.inputs.tokens(7, 5)
    wide = width(net, tokens, 4)  # embedding and positions keep the variance of entries
    assert wide.layers[0].width == 64
    maps = di.layers.outline(wide, di.layers.shape_of(tokens)).maps
    old = di.layers.outline(net, di.layers.shape_of(tokens)).maps
    for new, before in zip(maps[2:], old[2:], strict=True):
        total = lambda used: used.fan_in * used.law.entry_variance(used.fan_in)
        assert total(new) == pytest.approx(total(before))
    spec = di.MLP((8,) * 3, "relu", output_width=2)
    assert width(spec, PAIR, 3) == di.MLP((24,) * 3, "relu", output_width=2)


def test_depth_cuts_the_longest_repeat():
    assert depth(di.MLP((30, 20, 20, 10)), PAIR, 2).widths == (30, 10)
    assert depth(di.MLP((8,) * 3), PAIR, 9) == di.MLP((8,) * 3)
    short = depth(di.zoo.gpt2(width=16, depth=6, heads=2), di.inputs.tokens(7, 5), 4)
    assert short.layers[2].times == 4
    with pytest.raises(SpecError, match="Repeat"):
        depth(Sequential(Dense(3), Dense(3)), PAIR, 1)


@pytest.mark.slow
def test_center_removes_the_common_mean():
    spec = di.MLP((256,) * 10, "sigmoid", di.normal(8.0))
    cosine = lambda net: by_layer(di.infinite(net, di.quantities.log_sin2_angle, PAIR))[0][-1]
    changed = center(spec, PAIR)
    assert float(changed.activation(np.zeros(1))[0]) == 0.0
    assert cosine(spec) < -10 < cosine(changed) - 5
    assert center(di.MLP((4,), "gelu"), PAIR) == di.MLP((4,), "gelu")


@pytest.mark.slow
def test_first_layer_starts_at_the_fixed_point():
    point = di.critical("gelu")
    spec = di.MLP(
        (300,) * 3, "gelu", di.normal(point.weight_var), di.normal(point.bias_var, "absolute")
    )
    inputs = di.inputs.points(3.0 * np.asarray(PAIR.points))
    norms, error = variances_of(first_weight_var(spec, inputs), inputs, point)
    assert abs(norms[0] - point.fixed_point) < 5 * error[0]
    assert abs(variances_of(spec, inputs, point)[0][0] - point.fixed_point) > 5 * error[0]


def test_readout_starts_at_zero_with_width():
    nets = [readout(di.MLP((n, n), "relu", output_width=1), PAIR) for n in (64, 256)]
    assert [net.output_law.variance for net in nets] == [1 / 64**2, 1 / 256**2]


def test_each_has_a_sentence():
    for name, intervention in INTERVENTIONS.items():
        assert intervention.change.__name__ == name
        assert intervention.sentence.endswith(".")


def test_refusals():
    two = Sequential(Dense(8), Activation("relu"), Dense(8), Activation("tanh"))
    with pytest.raises(SpecError, match="one activation"):
        critical(two, PAIR)
    with pytest.raises(SpecError):
        critical(di.MLP((8,), "softplus"), PAIR)
