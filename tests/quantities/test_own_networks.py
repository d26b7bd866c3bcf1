"""A user's own networks are measured as architectures of the same law are."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities
WIDTH, DIMENSION = 24, 10
HE = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
ROWS = np.random.default_rng(0).normal(size=(2, DIMENSION))
POINTS, PAIR = di.inputs.points(ROWS), di.inputs.from_arrays(ROWS[:1], ROWS[1:])
ONE = di.inputs.points(ROWS[:1])


class Hidden(nn.Module):
    """Two ReLU layers."""

    kernel_init: object = HE

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.relu(nn.Dense(WIDTH, kernel_init=self.kernel_init)(x))
        return x


def nnx_hidden(rngs):
    linear = lambda fan_in: nnx.Linear(fan_in, WIDTH, kernel_init=HE, rngs=rngs)
    return nnx.Sequential(linear(DIMENSION), nnx.relu, linear(WIDTH), nnx.relu)


def parameters(key, x):
    first, second, last = jax.random.split(key, 3)
    return [
        jax.random.normal(first, (DIMENSION, WIDTH)),
        jax.random.normal(second, (WIDTH, WIDTH)),
        jax.random.normal(last, (WIDTH, 1)),
    ]


def outputs(weights, x):
    """NTK parametrization, as `ntk` of architectures."""
    for matrix in weights[:-1]:
        x = jax.nn.relu(x @ matrix * np.sqrt(2 / len(matrix)))
    return x @ weights[-1] * np.sqrt(1 / WIDTH)


NETWORKS = {
    "linen": lambda: di.from_linen(Hidden()),
    "nnx": lambda: di.from_nnx(nnx_hidden),
    "functions": lambda: di.batch_network(parameters, lambda p, x: hidden(p, x)),
}
SPEC = di.MLP((WIDTH,) * 2)


def hidden(weights, x):
    for matrix in weights[:-1]:
        x = jax.nn.relu(x @ matrix * np.sqrt(2 / len(matrix)))
    return x


def measured(net, quantity, inputs, num_seeds=2000, **options):
    quiet = lambda done, total: None
    return di.simulate(net, quantity, inputs, num_seeds=num_seeds, progress=quiet, **options)


def assert_one_law(own, other, wrong=None):
    """Means at the last layer within 5 standard errors; a rival is beyond."""
    z = lambda a, b: np.max(
        np.abs(a.mean[-1] - b.mean[-1]) / np.hypot(a.standard_error[-1], b.standard_error[-1])
    )
    assert z(own, other) < 5
    if wrong is not None:
        assert z(own, wrong) > 5


@pytest.mark.slow_cases("log_distance--linen", "log_sin2_angle--linen")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("quantity", "inputs"),
    [(Q.nngp, POINTS), (Q.log_norm, POINTS), (Q.log_sin2_angle, PAIR), (Q.log_distance, PAIR)],
    ids=lambda part: getattr(part, "name", ""),
)
@pytest.mark.slow_cases(
    "nngp--linen",
    "log_norm--linen",
    "nngp--nnx",
    "nngp--functions",
    "log_norm--nnx",
    "log_norm--functions",
    "log_distance--nnx",
    "log_distance--functions",
)
def test_quantities_are_those_of_an_architecture_of_the_same_law(name, quantity, inputs):
    own = measured(NETWORKS[name](), quantity, inputs, key=1)
    assert own.settings["linear_map"] == "deferred"
    wrong = measured(di.MLP((WIDTH, WIDTH, WIDTH)), quantity, inputs)
    if quantity in (Q.log_sin2_angle, Q.log_distance):
        assert_one_law(own, measured(SPEC, quantity, inputs), wrong)
    else:
        narrow = di.MLP((WIDTH,) * 2, weight_law=di.normal(1.8))
        assert_one_law(own, measured(SPEC, quantity, inputs), measured(narrow, quantity, inputs))


@pytest.mark.slow
def test_tangent_kernels_are_those_of_an_architecture():
    own = measured(di.batch_network(parameters, outputs), Q.ntk, POINTS, key=1)
    spec, wrong = (
        measured(di.MLP((WIDTH,) * depth, output_width=1), Q.ntk, POINTS) for depth in (2, 3)
    )
    assert_one_law(own, spec, wrong)


@pytest.mark.slow
def test_singular_values_are_those_of_an_architecture():
    own = measured(NETWORKS["functions"](), Q.log_singular_values, ONE, key=1)
    assert len(own.entries) == DIMENSION
    spec, wrong = (
        measured(di.MLP((WIDTH,) * depth), Q.log_singular_values, ONE) for depth in (2, 3)
    )
    assert_one_law(own, spec, wrong)


@pytest.mark.slow
def test_gradients_by_inputs_are_those_of_explicit_networks():
    net = di.batch_network(parameters, outputs)
    own = measured(net, Q.log_gradient_norm, POINTS, key=1)
    assert own.paths == ("input",)
    explicit = measured(net, Q.log_gradient_norm, POINTS, linear_map="explicit")
    forgetful = di.batch_network(parameters, lambda p, x: outputs(p, 1.5 * x))
    assert_one_law(own, explicit, measured(forgetful, Q.log_gradient_norm, POINTS))


def test_kurtosis_of_outputs():
    """Outputs z given q are N(0, q): excess kurtosis 3 Var q / (E q)^2, measured by z."""
    own = measured(di.batch_network(parameters, outputs), Q.output_kurtosis, ONE, 20_000, key=1)
    exact = 3 * ((1 + 5 / WIDTH) ** 2 - 1)
    assert abs(own.mean[-1, 0] - exact) < 5 * own.standard_error[-1, 0]
    assert own.mean[-1, 0] > 5 * own.standard_error[-1, 0]  # Gaussian outputs have 0


class Tokens(nn.Module):
    """Embedding, masked attention, batch statistics and dropout: two arrays."""

    @nn.compact
    def __call__(self, ids, mask):
        init = nn.initializers.normal
        x = nn.Embed(30, WIDTH, embedding_init=init(1.0))(ids)
        attend = nn.MultiHeadDotProductAttention(4, kernel_init=init(WIDTH**-0.5))
        x = x + attend(nn.LayerNorm()(x), mask=nn.make_attention_mask(mask, mask))
        x = nn.BatchNorm(use_running_average=False)(x)
        return nn.Dropout(0.1, deterministic=False)(x)


@pytest.mark.slow
@pytest.mark.parametrize("quantity", [Q.token_cosine, Q.log_norm, Q.ntk], ids=lambda q: q.name)
def test_tokens_masks_batch_statistics_and_dropout(quantity):
    ids = np.arange(8).reshape(2, 4) % 5
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    net, inputs = di.from_linen(Tokens()), di.inputs.arrays(ids, mask)
    own = measured(net, quantity, inputs, 1500, key=1)
    explicit = measured(net, quantity, inputs, 1500, linear_map="explicit")
    wrong = measured(net, quantity, di.inputs.arrays(ids[:, ::-1] * 0, mask), 1500)
    assert_one_law(own, explicit, wrong if quantity is Q.token_cosine else None)


@pytest.mark.slow
def test_equinox_and_haiku():
    """equinox draws uniform weights: explicit, unless they are to be Gaussian."""
    net = di.from_equinox(lambda key: eqx.nn.MLP(DIMENSION, WIDTH, WIDTH, 2, key=key))
    own, surrogate = (
        measured(each, Q.log_norm, POINTS, 1500, key=key)
        for key, each in enumerate((net, net.with_gaussian_weights()))
    )
    assert_one_law(own, surrogate)

    class Transformed:
        init = staticmethod(parameters)
        apply = staticmethod(lambda p, key, x: hidden(p, x))

    assert_one_law(
        measured(di.from_haiku(Transformed()), Q.log_norm, POINTS, key=1),
        measured(SPEC, Q.log_norm, POINTS),
    )


def test_refusals():
    net = di.batch_network(parameters, outputs)
    for quantity, words in ((Q.attention_entropy, "no name"), (Q.bias_ntk, "no name")):
        with pytest.raises(SpecError, match=words):
            measured(net, quantity, POINTS, 100)
    with pytest.raises(SpecError, match="a row for every input"):
        measured(di.batch_network(parameters, lambda p, x: p[0][0]), Q.log_norm, POINTS, 100)
    for route in (di.predict, di.infinite):
        words = rf"no theory reads the code.*di\.{route.__name__}\(di\.read_layers"
        with pytest.raises(SpecError, match=words):
            route(net, Q.log_norm, POINTS)
    with pytest.raises(SpecError, match="outputs have one position"):
        di.simulate(net, Q.token_cosine, POINTS)
    with pytest.raises(SpecError, match="quantity='cosine'"):  # not: the network
        di.simulate(net, "cosine", POINTS)
    ids = di.inputs.arrays(np.zeros((2, 4), int), np.ones((2, 4), bool))
    with pytest.raises(SpecError, match="floating"):
        measured(di.from_linen(Tokens()), Q.log_gradient_norm, ids, 100)
    with pytest.raises(SpecError, match="for MLP"):
        measured(SPEC, Q.log_norm, di.inputs.arrays(ROWS), 100)
    with pytest.raises(SpecError, match="batch size"):
        di.inputs.arrays(np.ones((2, 3)), np.ones((3, 3)))


def test_pairs_of_arrays_and_differences_below_rounding():
    net = NETWORKS["functions"]()
    pairs = di.inputs.arrays(jnp.asarray(ROWS, jnp.float32), pairs=True)
    assert_one_law(
        measured(net, Q.log_sin2_angle, pairs, key=1), measured(SPEC, Q.log_sin2_angle, PAIR)
    )
    close = di.inputs.arrays(np.stack([ROWS[0], ROWS[0] * (1 + 1e-9)]), pairs=True)
    assert measured(net, Q.log_sin2_angle, close, 100).events["collinear"].min() == 100
