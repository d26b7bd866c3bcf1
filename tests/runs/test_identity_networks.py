"""Networks that users bring are identified by their values at fixed points too."""

import builtins

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.fingerprint import network_record
from deepinit.core.network_values import general_parameters, general_rows, network_values
from deepinit.networks.doors.flax import from_linen, from_nnx
from deepinit.networks.network import named
from deepinit.runs.experiment import Case
from deepinit.store.canonical import differences

X = general_rows((2, 3), 0.5)


def init(key, width):
    return jax.random.normal(key, (width, 2))


def values_of(net, width=3):
    return network_record(net, net.source, width)["values"]


def test_values_are_the_outputs_at_the_fixed_parameters():
    weights = general_parameters(jax.ShapeDtypeStruct((3, 2), "float32"))
    found, digits = network_values(init, lambda w, x: jnp.tanh(x @ w), 3)
    assert digits == 7
    np.testing.assert_allclose(found, np.tanh(X @ weights), rtol=1e-13)
    assert abs(np.mean(general_rows((1000,)) ** 2) - 0.5) < 1e-2
    assert (np.round(128 * X) == 128 * X).all()


@pytest.mark.parametrize(
    ("apply", "digits"),
    [
        (lambda w, x: x @ w, 7),
        (lambda w, x: jnp.asarray(x, "float32") @ w, 7),  # the cast is exact
        (lambda w, x: jnp.tanh(jnp.asarray(x, "float32")) @ w, 3),
        (lambda w, x: (x @ w).astype("float32"), 3),
        (jax.jit(lambda w, x: (x @ w).astype("float32").astype("float64")), 3),
        (lambda w, x: jax.nn.relu(x @ w.astype("bfloat16")), 7),
        (lambda w, x: x.astype("bfloat16") @ w.astype("bfloat16"), 0),
        (
            lambda w, x: jax.lax.fori_loop(
                0, 2, lambda i, h: jnp.tanh(h), (x @ w).astype("float32")
            ),
            3,
        ),
        (lambda w, x: jax.lax.dot(x.astype("float32"), w), 7),
        (lambda w, x: undefined(x), 0),  # noqa: F821 - refused by the simulation, which says why
    ],
)
def test_digits_are_those_of_the_narrowest_float(apply, digits):
    assert network_values(init, apply, 3)[1] == digits


def test_values_see_what_source_does_not(monkeypatch):
    def apply(w, x):
        return getattr(builtins, "own" + "_gain") * (x @ w)

    records = []
    for gain in (1.0, 1.0 + 1e-12, 1.001):
        monkeypatch.setattr(builtins, "own_gain", gain, raising=False)
        net = named("net", init, lambda w, x: apply(w, x))
        records.append(network_record(net, net.source, 3))
    assert records[0] == records[1]
    assert next(iter(differences(records[0], records[2]))).startswith("values: ")
    assert len(list(differences(records[0], records[2]))) == 1


class Net(linen.Module):
    scale: float = 1.0

    @linen.compact
    def __call__(self, x):
        return linen.Dense(1)(jnp.tanh(self.scale * linen.Dense(4)(x)))


@pytest.mark.slow
def test_flax_modules_are_computed_in_float64():
    linens = [values_of(from_linen(Net(scale), label="net"), 2) for scale in (1.0, 1.0, 1.1)]
    assert linens[0] == linens[1] != linens[2]

    def make(rngs, scale):
        first, last = nnx.Linear(2, 4, rngs=rngs), nnx.Linear(4, 1, rngs=rngs)
        return nnx.Sequential(first, lambda x: jnp.tanh(scale * x), last)

    nnxs = [
        values_of(from_nnx(lambda rngs, c=c: make(rngs, c), label="net"), 2)
        for c in (1.0, 1.0, 1.1)
    ]
    assert nnxs == linens
    assert linens[0].startswith("float64: ")


def test_inputs_of_another_size_are_refused_in_a_sentence():
    net = from_linen(Net(), input_shape=(2, 2), label="net")
    training = di.TrainingConfig(di.targets.two_sines(8), (0, 1), "gd", 0.1)
    case = Case("c", net, di.quantities.training_loss, training, 2, theories=())
    with pytest.raises(SpecError, match="inputs of 1 numbers for the input shape"):
        case.identity()
