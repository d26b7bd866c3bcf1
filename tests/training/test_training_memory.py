"""Examples in chunks: the same gradients, for less memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.training import outputs as chunked

WIDTH, DEPTH, NUM = 20, 30, 257
NETWORK = di.network(
    di.ResNet(WIDTH, DEPTH, block="shallow", embedding_law=di.normal(1.0), output_width=3)
)
EXAMPLES = np.random.default_rng(0).normal(size=(NUM, 5)).astype(np.float32)


def gradient(monkeypatch, kept):
    """Of a function of all outputs; and the bytes that it takes."""
    monkeypatch.setattr(chunked, "RESIDUAL_BYTES", kept)
    parameters, x = NETWORK.init(jax.random.key(0), 5), jnp.asarray(EXAMPLES)
    outputs = chunked.outputs_fn(NETWORK, parameters, x)
    compiled = jax.jit(
        jax.grad(lambda parameters: jnp.sum(outputs(parameters, x) ** 2) / NUM)
    ).lower(parameters)
    return compiled.compile()(parameters), compiled.compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow_cases("1")
@pytest.mark.parametrize(
    "kept", [2**17, 1]
)  # chunks that do not divide the examples; one example at a time
@pytest.mark.exhaustive_cases("131072")
def test_gradients_of_chunks_are_those_of_all_examples_and_take_less_memory(monkeypatch, kept):
    (whole, much), (parts, little) = gradient(monkeypatch, 2**27), gradient(monkeypatch, kept)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), whole, parts)
    assert much > NUM * WIDTH * DEPTH * 4  # preactivations of all layers
    assert little < much / 4


@pytest.mark.exhaustive
def test_training_in_chunks_is_training(monkeypatch):
    def losses(kept):
        monkeypatch.setattr(chunked, "RESIDUAL_BYTES", kept)
        examples = di.targets.examples(EXAMPLES, np.eye(3)[np.arange(NUM) % 3])
        run = di.TrainingConfig(examples, (0, 3), mode="gd", rate=1e-3)
        return di.simulate(NETWORK, di.quantities.training_loss, run, num_seeds=4).mean

    whole, parts = losses(2**27), losses(2**17)
    assert parts == pytest.approx(whole, rel=1e-5)
    assert whole[1] < whole[0]
