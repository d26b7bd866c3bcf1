import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.init import Place


def variance(laws, place):
    return laws.weight.entry_variance(place.fan_in)


def spread(law):
    """Largest |entry| over the standard deviation, and E w^4 / (E w^2)^2."""
    ends = {"uniform": math.sqrt(3), "truncated_normal": 2 / 0.87962566}
    return ends.get(law.name, math.inf), law.standardized_moment(4)


def assert_law(sample, laws, place):
    """Mean square and fourth moment of a framework's sample, to 5 standard errors."""
    sample = np.asarray(sample, np.float64).ravel()
    largest, fourth = spread(laws.weight)
    expected = variance(laws, place)
    for power, moment in ((2, expected), (4, fourth * expected**2)):
        values = sample**power
        error = values.std() / math.sqrt(len(sample))
        assert abs(values.mean() - moment) < 5 * error, (power, values.mean(), moment, error)
        assert abs(values.mean() - 1.1 * moment) > 5 * error  # the sample tells 10 % apart
    assert np.abs(sample).max() <= 1.0001 * largest * math.sqrt(expected)


ATTENTION = nn.MultiHeadDotProductAttention(8), (1, 4, 256)
FLAX = {
    "dense": (nn.Dense(300), (2, 200), "kernel", Place("dense", 300, 200)),
    "conv": (nn.Conv(64, (3, 3)), (1, 8, 8, 32), "kernel", Place("conv", 64, 288, 9)),
    "embed": (nn.Embed(500, 120), None, "embedding", Place("embed", 120, 500)),
    "query": (
        nn.MultiHeadDotProductAttention(8),
        (1, 4, 256),
        "query",
        Place("query", 256, 256, heads=8),
    ),
    "output": (
        nn.MultiHeadDotProductAttention(8),
        (1, 4, 256),
        "out",
        Place("output", 256, 256, heads=8),
    ),
}


@pytest.mark.parametrize("name", FLAX)
def test_flax_laws_are_those_of_its_modules(name):
    module, shape, array, place = FLAX[name]
    example = jnp.zeros(3, int) if shape is None else jnp.zeros(shape)
    found = module.init(jax.random.key(1), example)["params"][array]
    found = found["kernel"] if isinstance(found, dict) else found
    assert_law(found, di.init.flax()(place), place)


INITIALIZERS = {
    "he": (jax.nn.initializers.he_normal(), di.init.he("truncated_normal")),
    "he_uniform": (jax.nn.initializers.he_uniform(), di.init.he("uniform")),
    "lecun": (jax.nn.initializers.lecun_normal(), di.init.lecun("truncated_normal")),
    "lecun_uniform": (jax.nn.initializers.lecun_uniform(), di.init.lecun("uniform")),
    "glorot": (jax.nn.initializers.glorot_normal(), di.init.glorot("truncated_normal")),
    "glorot_uniform": (jax.nn.initializers.glorot_uniform(), di.init.glorot()),
    "keras": (jax.nn.initializers.glorot_uniform(), di.init.keras()),
}


@pytest.mark.parametrize("name", INITIALIZERS)
@pytest.mark.parametrize("place", [Place("dense", 90, 400), Place("conv", 160, 540, 9)])
def test_named_laws_are_those_of_jax(name, place):
    initializer, scheme = INITIALIZERS[name]
    side = int(math.sqrt(place.patch))
    kernel = (side, side, place.fan_in // place.patch, place.rows)
    shape = kernel[2:] if place.patch == 1 else kernel
    assert_law(initializer(jax.random.key(2), shape), scheme(place), place)


@pytest.mark.parametrize(("rows", "fan_in"), [(30, 70), (70, 30)])
def test_orthogonal_has_the_entry_variance_of_jax(rows, fan_in):
    matrix = jax.nn.initializers.orthogonal(1.5)(jax.random.key(0), (fan_in, rows))
    mean_square = float((matrix**2).mean())  # exact: a frame
    place = Place("dense", rows, fan_in)
    assert variance(di.init.orthogonal(1.5)(place), place) == pytest.approx(mean_square, rel=1e-5)


def kaiming_uniform_bound(fan_in, a):
    """torch.nn.init.kaiming_uniform_, nonlinearity='leaky_relu', mode='fan_in'."""
    gain = math.sqrt(2.0 / (1 + a**2))
    return math.sqrt(3.0) * gain / math.sqrt(fan_in)


def test_pytorch_linear_and_convolution():
    for place in (Place("dense", 10, 784), Place("conv", 64, 27, 9)):
        laws = di.init.pytorch()(place)
        bound = kaiming_uniform_bound(place.fan_in, math.sqrt(5))
        assert laws.weight.name == laws.bias.name == "uniform"
        assert variance(laws, place) == pytest.approx(bound**2 / 3)
        assert laws.bias.entry_variance(place.fan_in) == pytest.approx(1 / (3 * place.fan_in))
        assert di.init.pytorch_linear()(place) == di.init.pytorch_conv()(place) == laws


def test_pytorch_attention_draws_one_matrix_for_three():
    place = Place("query", 256, 256, heads=4)
    xavier_bound = math.sqrt(6 / (256 + 3 * 256))  # in_proj_weight [3 * 256, 256]
    laws = di.init.pytorch()(place)
    assert variance(laws, place) == pytest.approx(xavier_bound**2 / 3)
    assert laws.bias is None


def keras_fans(shape):
    """keras.src.initializers.random_initializers.compute_fans."""
    if len(shape) == 2:
        return shape
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


def test_keras_kernels_by_their_shapes():
    kernels = {
        (784, 10): Place("dense", 10, 784),
        (3, 3, 16, 32): Place("conv", 32, 144, 9),
        (120, 6, 20): Place("key", 120, 120, heads=6),
        (6, 20, 120): Place("output", 120, 120, heads=6),
    }
    for shape, place in kernels.items():
        laws = di.init.keras()(place)
        bound = math.sqrt(6 / sum(keras_fans(shape)))
        assert variance(laws, place) == pytest.approx(bound**2 / 3), shape
        assert laws.weight.name == "uniform"
        assert laws.bias is None
    assert variance(di.init.keras()(Place("embed", 8, 100)), Place("embed", 8, 100)) == 0.05**2 / 3


def test_gpt2_is_the_zoo_s():
    net = di.zoo.gpt2(width=32, depth=3, heads=2)
    tokens = di.inputs.tokens(11, 6)
    assert di.init.apply(net, di.init.gpt2(), tokens) == net
    assert di.init.apply(net, di.init.gpt2(0.03), tokens) != net


def test_mup_is_the_table_of_yang_and_hu():
    """2011.14522, table of maximal update: hidden 1/n, readout 1/n^2, first 1/fan_in."""
    mup = di.init.mup(2.0)
    for n in (64, 256):
        hidden, readout = Place("dense", n, n), Place("dense", 1, n, is_readout=True)
        assert variance(mup(hidden), hidden) == 2 / n
        assert variance(mup(readout), readout) == 1 / n**2
        assert mup(hidden).bias is None


def test_critical_gelu_starts_inputs_at_the_fixed_point():
    """Roberts, Yaida and Hanin 2106.10165: C_W, C_b and K* of GELU."""
    scheme = di.init.critical("gelu", mean_square=0.5)
    hidden = Place("dense", 50, 50)
    assert variance(scheme(hidden), hidden) * 50 == pytest.approx(1.983058257, abs=1e-8)
    assert scheme(hidden).bias.entry_variance(1) == pytest.approx(0.1729223908, abs=1e-8)
    first = Place("dense", 50, 20, is_first=True)
    arriving = 20 * variance(scheme(first), first) * 0.5 + 0.1729223908
    assert arriving == pytest.approx(3.561552813, abs=1e-7)
