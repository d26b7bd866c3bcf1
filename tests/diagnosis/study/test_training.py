"""Training of all rates and seeds at once against optax, one network at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deepinit.diagnosis.one_network import cross_entropy
from deepinit.diagnosis.study import outcomes, stacks, training
from deepinit.diagnosis.study.data import Data

SHAPE = stacks.Shape(5, 3, 4, 3)
VALUES = stacks.values_of(
    {
        "weight": 1.5,
        "first": 1.5,
        "bias": 0.1,
        "skip": 0.0,
        "alpha": 1.0,
        "norm": "layer",
        "activation": "gelu",
    }
)
KEY = jax.random.key(2)


def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 4)).astype("float32")
    return Data(x, rng.integers(3, size=60).astype("int32"), 3, float(np.log(3)))


def outputs(values, parameters, inputs):
    return stacks.forward(SHAPE, values, parameters, inputs).outputs


@pytest.mark.slow
@pytest.mark.parametrize("sgd", [False, True])
def test_losses_are_those_of_optax(sgd):
    rows = data()
    init = lambda values, key: stacks.init(SHAPE, values, key)
    own = training.trainer(init, outputs, rows)
    found = training.losses(own, VALUES, KEY, sgd=sgd, steps=50)
    assert found.shape == (50, 5, 3)
    rates = training.SGD_RATES if sgd else training.ADAM_RATES
    for rate, seed in ((3, 0), (4, 2)):
        chosen = rates[rate]
        optimizer = optax.sgd(chosen, momentum=0.9) if sgd else optax.adam(chosen)
        seed_key = jax.random.fold_in(KEY, seed)
        parameters = init(VALUES, seed_key)
        state = optimizer.init(parameters)
        batches = jax.random.fold_in(seed_key, 7)

        @jax.jit
        def step(parameters, state, x, y, optimizer=optimizer):
            loss = lambda p: cross_entropy(outputs(VALUES, p, x), y)
            value, gradients = jax.value_and_grad(loss)(parameters)
            updates, state = optimizer.update(gradients, state, parameters)
            return optax.apply_updates(parameters, updates), state, value

        for number in range(20):
            x, y = training.batch(
                jnp.asarray(rows.inputs),
                jnp.asarray(rows.labels),
                jax.random.fold_in(batches, number),
            )
            parameters, state, value = step(parameters, state, x, y)
            assert found[number, rate, seed] == pytest.approx(float(value), rel=2e-4)


def test_outcomes():
    losses = np.full((400, 2, 3), 2.0)
    losses[-20:, 1] = [0.5, 0.7, 0.6]
    losses[40:50, 0] = 1.0
    losses[:, 0, 2] = np.inf
    found = outcomes.summary(losses)
    assert found["final"] == [[2.0, 2.0, None], [0.5, 0.7, 0.6]]
    assert outcomes.best(found["final"]) == pytest.approx(0.6)
    assert outcomes.performance(found["final"], 2.6, 0.1) == pytest.approx(0.8)
    # an early loss of one seed only counts if the others have not diverged
    assert outcomes.best(found["early"]) == pytest.approx(2.0)
    assert outcomes.best(found["early"], slice(0, 1)) == pytest.approx(1.0)
    assert outcomes.performance([[None, None, None]], 2.6, 0.1) == -1.0
