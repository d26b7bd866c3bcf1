"""Training of one network at every rate and seed at once."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.diagnosis.one_network import cross_entropy
from deepinit.diagnosis.study.data import TOKENS, Data

ADAM_RATES = (5e-5, 2e-4, 8e-4, 3.2e-3, 1.28e-2)
SGD_RATES = (1e-3, 4e-3, 1.6e-2, 6.4e-2, 2.56e-1)  # with momentum 0.9
SEEDS = 3
STEPS, LONG_STEPS = 400, 4000
ROWS, SEQUENCES = 32, 6  # of a batch
CHUNK = 50  # steps of one call
_MOMENTUM, _SECOND, _EPSILON = 0.9, 0.999, 1e-8
_BATCHES = 7  # folded into a seed's key, beside its network


class Trainer(NamedTuple):
    """A compiled training of all networks of a shape.

    Attributes:
        start: `(values, key) -> state`, of every rate and seed.
        advance: `(values, state, rates, is_sgd, key) -> (state, losses [steps, rates, seeds])`.
    """

    start: Callable[..., Any]
    advance: Callable[..., Any]


class State(NamedTuple):
    """Parameters and moments [rates, seeds, ...]; step counts from 0."""

    parameters: Any
    first: Any
    second: Any
    step: Any


def trainer(init: Callable[..., Any], outputs: Callable[..., Any], data: Data) -> Trainer:
    """Of `init(values, key) -> parameters` and `outputs(values, parameters, inputs) -> logits`.

    Seed i has the same network and batches at every rate.
    """
    inputs = jnp.asarray(data.inputs)
    labels = None if data.labels is None else jnp.asarray(data.labels)

    def loss(parameters: Any, values: Any, batch: tuple[Any, Any]) -> Any:
        return cross_entropy(outputs(values, parameters, batch[0]), batch[1])

    def start(values: Any, key: Any) -> State:
        seeds = jnp.arange(SEEDS, dtype=jnp.uint32)
        drawn = jax.vmap(lambda seed: init(values, jax.random.fold_in(key, seed)))(seeds)
        parameters = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(ADAM_RATES)), drawn)
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return State(parameters, zeros, zeros, jnp.int32(0))

    def advance(values: Any, state: State, rates: Any, is_sgd: Any, key: Any) -> Any:
        seeds = jnp.arange(SEEDS, dtype=jnp.uint32)

        def batch_of(step: Any, seed: Any) -> tuple[Any, Any]:
            own = jax.random.fold_in(jax.random.fold_in(key, seed), _BATCHES)
            return batch(inputs, labels, jax.random.fold_in(own, step))

        def one(state: State, _: Any) -> tuple[State, Any]:
            batches = jax.vmap(lambda seed: batch_of(state.step, seed))(seeds)
            grad = jax.value_and_grad(loss)
            by_seed = jax.vmap(grad, (0, None, 0))
            losses, gradients = jax.vmap(by_seed, (0, None, None))(
                state.parameters, values, batches
            )
            return _stepped(state, gradients, rates, is_sgd), losses

        return jax.lax.scan(one, state, None, CHUNK)

    return Trainer(jax.jit(start), jax.jit(advance, donate_argnums=1))


def batch(inputs: Any, labels: Any, key: Any) -> tuple[Any, Any]:
    """Rows and their labels; of a text windows and the characters that follow."""
    if labels is not None:
        chosen = jax.random.randint(key, (ROWS,), 0, len(inputs))
        return inputs[chosen], labels[chosen]
    starts = jax.random.randint(key, (SEQUENCES,), 0, len(inputs) - TOKENS)
    windows = inputs[starts[:, None] + jnp.arange(TOKENS + 1)]
    return windows[:, :-1], windows[:, 1:]


def _stepped(state: State, gradients: Any, rates: Any, is_sgd: Any) -> State:
    step = state.step + 1
    unbias = jnp.where(is_sgd, 1.0, 1 - _MOMENTUM ** step.astype(jnp.float32))
    fresh = jnp.where(is_sgd, 1.0, 1 - _MOMENTUM)  # SGD: m = 0.9 m + g
    second_unbias = 1 - _SECOND ** step.astype(jnp.float32)
    first = jax.tree.map(lambda m, g: _MOMENTUM * m + fresh * g, state.first, gradients)
    second = jax.tree.map(lambda v, g: _SECOND * v + (1 - _SECOND) * g * g, state.second, gradients)

    def moved(parameter: Any, m: Any, v: Any) -> Any:
        rate = rates.reshape(-1, *(1,) * (parameter.ndim - 1))
        scale = jnp.where(is_sgd, 1.0, 1 / (jnp.sqrt(v / second_unbias) + _EPSILON))
        return parameter - rate * m / unbias * scale

    parameters = jax.tree.map(moved, state.parameters, first, second)
    return State(parameters, first, second, step)


def losses(
    trainer: Trainer, values: Any, key: Any, *, sgd: bool = False, steps: int = STEPS
) -> np.ndarray:
    """Training losses [steps, rates, seeds]; infinite once a network has diverged."""
    rates = jnp.float32(SGD_RATES if sgd else ADAM_RATES)
    state, found = trainer.start(values, key), []
    for _ in range(steps // CHUNK):
        state, chunk = trainer.advance(values, state, rates, jnp.bool_(sgd), key)
        found.append(np.asarray(chunk, np.float64))
    every = np.concatenate(found)
    return np.where(np.isfinite(every), every, np.inf)
