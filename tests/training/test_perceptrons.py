"""Perceptrons: the spec's network, with skip connections, laws per layer, sign outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit import training
from deepinit.core import targets
from deepinit.core.errors import SpecError
from deepinit.networks.doors.flax import from_linen, from_nnx
from deepinit.training import perceptrons

KEY = jax.random.key(7, impl="threefry2x32")
X = np.array([0.3, -1.2, 0.7], np.float32)


@pytest.mark.parametrize("widths", [(5,), (5, 5), (6, 4)])
@pytest.mark.slow_cases("widths0", "widths1")
@pytest.mark.exhaustive_cases("widths2")
@pytest.mark.exhaustive_cases("widths1")
def test_it_is_the_network_of_the_spec_drawn_from_the_same_key(widths):
    spec = di.MLP(widths, di.tanh, bias_law=di.normal(0.3, "absolute"), output_width=2)
    ours, theirs = training.perceptron(spec, output_bias=True), di.network(spec)
    a = jax.jit(lambda key: ours.apply(ours.init(key, 3), X))(KEY)
    b = jax.jit(lambda key: theirs.apply(theirs.init(key, 3), X))(KEY)
    np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.slow
def test_residual_connections_join_hidden_layers_of_one_width_only():
    spec = di.MLP((3, 3, 4), di.tanh, bias_law=di.normal(0.3, "absolute"), output_width=1)
    net = training.perceptron(spec, residual=True, output_scale=2.0)
    parameters = net.init(KEY, 3)
    layers = [jax.tree.map(np.asarray, layer) for layer in parameters]
    h1 = np.tanh(
        layers[0]["weights"] @ X + layers[0]["biases"]
    )  # no skip from the input, though widths agree
    h2 = np.tanh(layers[1]["weights"] @ h1 + layers[1]["biases"]) + h1
    h3 = np.tanh(layers[2]["weights"] @ h2 + layers[2]["biases"])
    np.testing.assert_allclose(net.apply(parameters, X), layers[3]["weights"] @ h3 / 2.0, rtol=1e-5)
    assert "biases" not in layers[3]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_every_layer_may_have_its_law():
    spec = training.small_mlp((400, 300), di.tanh, std=0.1)
    laws = [di.normal(variance, "absolute") for variance in (1.0, 4.0, 9.0)]
    parameters = training.perceptron(spec, layer_laws=laws).init(KEY, 50)
    stds = [float(np.std(layer["weights"])) for layer in parameters]
    np.testing.assert_allclose(stds, [1.0, 2.0, 3.0], rtol=5 * np.sqrt(0.5 / 300))


@pytest.mark.slow
def test_sign_outputs_have_one_magnitude_and_both_signs():
    net = training.with_sign_outputs(
        training.perceptron(training.small_mlp((64,), di.tanh, std=1e-6)), 0.05
    )
    outputs = np.asarray(net.init(KEY, 3)[1]["weights"])
    assert set(np.unique(np.abs(outputs)).tolist()) == {np.float32(0.05)}
    # the rival: one sign
    assert_value((outputs > 0).mean(), 0.5 / 8, 0.5, rejects=1.0)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_flax_modules_become_networks_that_train():
    from flax import linen, nnx

    class Linen(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.Dense(1, name="out")(jnp.tanh(linen.Dense(8, name="hidden")(x)))

    class Nnx(nnx.Module):
        def __init__(self, rngs):
            self.hidden, self.out = nnx.Linear(3, 8, rngs=rngs), nnx.Linear(8, 1, rngs=rngs)

        def __call__(self, x):
            return self.out(jnp.tanh(self.hidden(x)))

    data = targets.sum_of_sines(3, 10)
    for net in (from_linen(Linen()), from_nnx(lambda rngs: Nnx(rngs))):
        parameters = net.init(KEY, 3)
        hidden, out = (jax.tree.map(np.asarray, parameters[name]) for name in ("hidden", "out"))
        by_hand = np.tanh(X @ hidden["kernel"] + hidden["bias"]) @ out["kernel"] + out["bias"]
        np.testing.assert_allclose(net.apply(parameters, X), by_hand, rtol=1e-5)
        seed_fn = training.training_seed_fn(net, data, mode="adam", rate=0.05, record_steps=(0, 60))
        records = jax.jit(jax.vmap(seed_fn))(
            jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(2))
        )
        assert (records.loss[:, 1] < 0.7 * records.loss[:, 0]).all()
        assert not np.array_equal(records.loss[0], records.loss[1])


def test_flax_modules_without_the_form_of_a_network_are_refused():
    from flax import linen, nnx

    with pytest.raises(SpecError, match="BatchStat"):
        from_nnx(lambda rngs: nnx.BatchNorm(3, rngs=rngs))
    with pytest.raises(SpecError, match="nnx module"):
        from_nnx(3)
    with pytest.raises(SpecError, match=r"flax\.linen"):
        from_linen("Dense")
    with pytest.raises(SpecError, match="batch_stats"):
        from_linen(linen.BatchNorm(use_running_average=False)).init(KEY, 3)
    with pytest.raises(SpecError, match="input shape"):
        from_linen(linen.Dense(1), input_shape=(2, 2)).init(KEY, 3)


@pytest.mark.slow
def test_activations_are_one_loop_with_the_same_bits(monkeypatch):
    """Rival: XLA's own choice for a lone elementwise function, copied tiles."""
    examples = targets.sum_of_sines(seed=1)
    keys = jax.random.split(jax.random.key(0), 10)

    def compiled():
        net = training.perceptron(training.small_mlp((100,), di.tanh, std=1e-5))
        options = {"mode": "gd", "rate": 0.01, "record_steps": (10,)}
        seed_fn = training.training_seed_fn(net, examples, **options)
        return jax.jit(jax.vmap(seed_fn)).lower(keys).compile()

    ours = compiled()
    monkeypatch.setattr(perceptrons, "in_one_loop", lambda x: x)
    plain = compiled()
    assert ours.as_text().count("wrapped_tanh") < plain.as_text().count("wrapped_tanh")
    jax.tree.map(np.testing.assert_array_equal, ours(keys), plain(keys))
