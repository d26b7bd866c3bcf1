"""Laws that are read from initializers, against drawn arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from models_to_read import INIT, Stack

import deepinit as di
from deepinit.reading.keys import drawn_keys
from deepinit.reading.laws import laws
from deepinit.reading.programs import traced

SHAPE = (40, 60)
INITIALIZERS = {
    "lecun_normal": (INIT.lecun_normal(), "truncated_normal"),
    "he_normal": (INIT.he_normal(), "truncated_normal"),
    "glorot_normal": (INIT.glorot_normal(), "truncated_normal"),
    "normal": (INIT.normal(0.3), "normal"),
    "fan_out": (INIT.variance_scaling(1.5, "fan_out", "normal"), "normal"),
    "fan_avg uniform": (INIT.variance_scaling(3.0, "fan_avg", "uniform"), "uniform"),
    "he_uniform": (INIT.he_uniform(), "uniform"),
    "uniform": (INIT.uniform(0.2), "uniform"),
    "truncated at 3": (INIT.truncated_normal(0.5, lower=-3.0, upper=3.0), "truncated_normal"),
    "wide orthogonal": (INIT.orthogonal(1.3), "orthogonal"),
    "constant": (INIT.constant(0.7), "constant"),
    "identity": (lambda key, shape: jnp.eye(*shape), "unknown"),
    "cubed": (lambda key, shape: jax.random.normal(key, shape) ** 3, "unknown"),
    "sparse": (
        lambda key, shape: jax.random.normal(key, shape) * jax.random.bernoulli(key, 0.1, shape),
        "unknown",
    ),
    "asymmetric": (lambda key, shape: jax.random.truncated_normal(key, -1, 2, shape), "unknown"),
}


def law_of(initializer, shape=SHAPE):
    network = di.batch_network(
        lambda key, x: {"w": initializer(key, shape)}, lambda p, x: x @ p["w"]
    )
    return laws(traced(network, np.ones((1, shape[0]), np.float32)).init, 1)[0]


@pytest.mark.parametrize("name", INITIALIZERS)
def test_name_and_moments(name):
    initializer, expected = INITIALIZERS[name]
    law = law_of(initializer)
    assert law.name == expected
    if expected == "unknown":
        assert law.reason
        return
    draws = jax.vmap(lambda key: initializer(key, SHAPE))(jax.random.split(jax.random.key(0), 50))
    entries = np.asarray(draws, np.float64).ravel()
    error = 5 * max(law.std, 1e-6) / np.sqrt(entries.size)
    assert abs(entries.mean() - law.mean) < error
    # kurtosis 3 at most: the standard error of the variance is at most sqrt(2 / size)
    assert abs(entries.var() - law.std**2) <= 5 * np.sqrt(2 / entries.size) * law.std**2 + 1e-12


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (50, 50)])
def test_orthogonal_matrices_of_every_shape(shape):
    law = law_of(INIT.orthogonal(), shape)
    assert law.name == "orthogonal"
    assert law.std == pytest.approx(1 / np.sqrt(max(shape)), rel=1e-6)


def test_a_look_alike_of_an_orthogonal_law_is_not_recognized():
    def unsigned(key, shape):  # without the signs of R: not Haar
        return jnp.linalg.qr(jax.random.normal(key, shape))[0]

    assert law_of(unsigned, (50, 50)).name == "unknown"


def test_the_cut_of_a_truncated_law():
    law = law_of(INIT.truncated_normal(0.5, lower=-3.0, upper=3.0))
    assert law.cut == 3.0
    assert not law.has_usual_cut
    assert law_of(INIT.he_normal()).has_usual_cut


def test_laws_do_not_depend_on_how_normals_are_drawn():
    by_inverse = lambda key, shape: (
        np.sqrt(2)
        * jax.lax.erf_inv(
            jax.random.uniform(key, shape, minval=np.nextafter(-1, 0, dtype=np.float32), maxval=1.0)
        )
    )
    law = law_of(by_inverse)
    assert law.name == "normal"
    assert law.std == pytest.approx(1.0, rel=1e-6)


def test_keys_of_every_block_of_a_loop():
    programs = traced(di.from_linen(Stack()), np.ones((2, 5), np.float32))
    found = dict(zip(programs.names, laws(programs.init, len(programs.names)), strict=True))
    inputs = (jax.random.key(0), *(None for _ in programs.arrays))
    keys = drawn_keys(programs.init, inputs)
    own = keys[found["ScanBlock_0/Dense_0/kernel"].draw]
    assert own.shape == (4, 2)
    assert len(np.unique(own, axis=0)) == 4
    # the kernels themselves, drawn from these keys
    parameters = Stack().init(jax.random.key(0), jnp.ones((3, 5)))["params"]
    kernels = parameters["ScanBlock_0"]["Dense_0"]["kernel"]
    for data, kernel in zip(own, kernels, strict=True):
        drawn = nn.initializers.lecun_normal()(jax.random.wrap_key_data(data), (32, 32))
        np.testing.assert_allclose(drawn, kernel, rtol=1e-6, atol=1e-7)


def test_keys_carried_through_a_loop():
    def init(key, x):
        def step(key, _):
            key, own = jax.random.split(key)
            return key, jax.random.normal(own, (5, 5))

        return {"w": jax.lax.scan(step, key, length=3)[1]}

    network = di.batch_network(
        init, lambda p, x: jax.lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, p["w"])[0]
    )
    x = np.ones((2, 5), np.float32)
    programs = traced(network, x)
    (law,) = laws(programs.init, 1)
    (own,) = (
        data
        for draw, data in drawn_keys(programs.init, (jax.random.key(2), None)).items()
        if draw == law.draw
    )
    drawn = [jax.random.normal(jax.random.wrap_key_data(data), (5, 5)) for data in own]
    np.testing.assert_allclose(drawn, init(jax.random.key(2), x)["w"], rtol=1e-6)
    layers = di.layers
    block = layers.Sequential(layers.Dense(5, di.normal(5.0)), layers.Activation("tanh"))
    assert di.read_layers(network, x) == layers.Sequential(layers.Repeat(block, 3))
