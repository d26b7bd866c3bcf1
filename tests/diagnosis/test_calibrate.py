import flax.linen as nn
import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Attention,
    Conv,
    Dense,
    Embed,
    LayerNorm,
    Pool,
    Repeat,
    Residual,
    Sequential,
)
from deepinit.core.layers.containers import leaves
from deepinit.diagnosis.calibrate import calibrate

PAIR = di.inputs.pair(0.5, dimension=20)


def laws(network):
    return [(leaf.law.variance, leaf.bias and leaf.bias.variance)
            for leaf in leaves(network) if isinstance(leaf, Dense | Conv)]  # fmt: skip


@pytest.mark.slow
def test_tanh_keeps_norm_and_angle():
    net = calibrate(di.MLP((300,) * 8, "tanh", output_width=1), PAIR)
    (_, (weight_var, bias_var), *_), readout = laws(net)[:-1], laws(net)[-1]
    assert readout == (1.0, None)
    value = di.simulate(net, di.quantities.nngp, PAIR, num_seeds=200)
    kernel = bias_var + weight_var * np.asarray(value.mean)
    error = weight_var * np.asarray(value.standard_error)
    expected = np.array([1.0, np.cos(0.5), 1.0])
    assert (np.abs(kernel - expected) / error).max() < 5
    plain = di.MLP((300,) * 8, "tanh", di.normal(weight_var), output_width=1)
    other = weight_var * np.asarray(di.simulate(plain, di.quantities.nngp, PAIR, num_seeds=50).mean)
    assert np.abs(other[-1] - expected).max() > 50 * error.max()


@pytest.mark.slow
def test_relu_keeps_the_norm_by_he_s_variance():
    net = calibrate(di.MLP((100,) * 6, "relu"), PAIR)
    assert laws(net) == [(20.0, None), (2.0, None)]  # the first layer; one Repeat of equal ones
    half = calibrate(di.MLP((100,) * 6, "relu"), PAIR, mean_square=0.5)
    assert laws(half) == [(10.0, None), (2.0, None)]


@pytest.mark.slow
def test_convolutions_keep_the_mean_over_positions():
    images = di.inputs.arranged(np.random.default_rng(0).normal(size=(2, 4, 4, 3)))
    conv = Sequential(Conv(96), Activation("relu"))
    net = Sequential(conv, Repeat(conv, 3), Pool("mean"), Dense(2))
    changed = calibrate(net, images)
    # zero padding: variance 2 alone loses norm at the border
    assert all(2.2 < weight_var < 4 for weight_var, _ in laws(changed)[1:-1])

    def norms(network):
        return np.asarray(di.simulate(network, di.quantities.log_norm, images, num_seeds=20).mean)

    he = di.init.apply(net, di.init.he(), images)
    before, after = (norms(n).reshape(9, -1)[1:8:2, 0] for n in (he, changed))
    assert np.ptp(after) < 0.12
    assert np.ptp(before) > 0.4


@pytest.mark.slow
def test_branches_of_a_transformer_add_their_share():
    block = Sequential(
        Residual(Sequential(LayerNorm(), Attention(2))),
        Residual(Sequential(LayerNorm(), Dense(64), Activation("gelu"), Dense(32))),
    )
    net = Sequential(Embed(32), Repeat(block, 2), LayerNorm(), Dense(5))
    tokens = di.inputs.tokens(7, 5)
    changed = calibrate(net, tokens, mean_square=1.0)
    stream = lambda n: np.asarray(
        di.simulate(n, di.quantities.log_norm, tokens, num_seeds=40).mean
    ).reshape(6, -1)[:5, 0]
    growth = stream(changed)
    # 4 branches add 1/4 each to an embedding of mean square 1
    assert growth - growth[0] == pytest.approx(0.5 * np.log(1 + np.arange(5) / 4), abs=0.08)
    large = di.init.apply(net, di.init.he(), tokens)
    assert np.ptp(stream(large)) > 0.6


class Deep(nn.Module):
    @nn.compact
    def __call__(self, x):
        init = nn.initializers.variance_scaling(0.3, "fan_in", "normal")
        for _ in range(3):
            x = nn.relu(nn.Dense(64, kernel_init=init)(x))
        return nn.Dense(1, kernel_init=init)(x)


@pytest.mark.slow
def test_gains_of_an_own_network_restore_the_norm():
    rows = np.random.default_rng(0).standard_normal((4, 20))
    gains = calibrate(di.from_linen(Deep()), di.inputs.points(rows), num_networks=60)
    mean = (rows**2).mean()
    assert list(gains) == [f"Deep/Dense_{number}" for number in range(4)]
    assert gains["Deep/Dense_0"] ** 2 == pytest.approx(1 / (0.3 * mean), rel=0.05)
    assert gains["Deep/Dense_2"] ** 2 == pytest.approx(2 / 0.3, rel=0.1)  # He
    # with these factors every product has mean square 1
    params = Deep().init(jax.random.key(3), rows)["params"]
    x = np.asarray(rows)
    sizes = []
    for number in range(3):
        x = x @ np.asarray(params[f"Dense_{number}"]["kernel"]) * gains[f"Deep/Dense_{number}"]
        sizes.append((x**2).mean())
        x = np.maximum(x, 0)
    assert sizes == pytest.approx([1.0] * 3, rel=0.5)


def test_refusals():
    with pytest.raises(SpecError, match="0"):
        calibrate(di.MLP((8,)), di.inputs.points(np.zeros((1, 3))))
    with pytest.raises(SpecError):
        calibrate(di.MLP((8,)), PAIR, mean_square=-1.0)
