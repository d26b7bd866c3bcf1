"""Optimizers for tiny float32 gradients."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-untyped]

from deepinit.core.linear_algebra import row_norms
from deepinit.core.typing import PyTree


class AdamState(NamedTuple):
    """Steps, mean and root mean square gradient, before bias correction."""

    steps: jax.Array
    mean: PyTree
    root: PyTree


def adam(
    rate: Any, *, decay: float = 0.9, square_decay: float = 0.999, epsilon: float = 1e-30
) -> optax.GradientTransformation:
    """Adam, theta -= rate m / (sqrt(v) + epsilon), m and v bias-corrected; stores sqrt(v).

    v underflows in float32 for gradients below 1e-22. An epsilon (absolute, in units of the
    gradient) of 1e-8 turns Adam on small initializations into gradient descent; a negligible one
    condenses neurons onto directions of sign descent.
    """

    def init(parameters: Any) -> AdamState:
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return AdamState(jnp.zeros((), jnp.int32), zeros, zeros)

    def update(gradient: Any, state: AdamState, parameters: Any = None) -> tuple[Any, AdamState]:
        del parameters
        steps = state.steps + 1
        mean = jax.tree.map(lambda m, g: decay * m + (1 - decay) * g, state.mean, gradient)
        norm = lambda r, g: jnp.hypot(square_decay**0.5 * r, (1 - square_decay) ** 0.5 * g)
        root = jax.tree.map(norm, state.root, gradient)

        def updates(m: jax.Array, r: jax.Array) -> jax.Array:
            t = steps.astype(m.dtype)
            m, r = m / (1 - decay**t), r / jnp.sqrt(1 - square_decay**t)
            return -rate * (m / (r + epsilon))  # the ratio first: rate times m may underflow

        return jax.tree.map(updates, mean, root), AdamState(steps, mean, root)

    return optax.GradientTransformation(init, update)


def sign_descent(rate: Any) -> optax.GradientTransformation:
    """theta -= rate sign(gradient): Adam without memory and epsilon."""
    descent = lambda gradient, _: jax.tree.map(lambda g: -rate * jnp.sign(g), gradient)
    return optax.stateless(descent)


def neuron_flow(rate: Any) -> optax.GradientTransformation:
    """Gradient flow of a two-layer network with a clock per neuron.

    theta_j -= rate |theta_j| g_j / |g_j|; rate 0.02 is accurate. While outputs are negligible, each
    neuron follows its gradient-flow orbit: all grow by up to 1 + rate a step and leave the initial
    stage together. Under gradient flow with phi(s) ~ c s^p, p >= 2, one leaves long before.
    Artefact: a neuron that would die ends on an attractor, with the wrong sign of a_j.
    """

    def step(gradient: Any, parameters: Any) -> Any:
        hidden = parameters[0]
        g, theta = _neurons(*gradient), _neurons(*parameters)
        size, length = (row_norms(rows)[:, None] for rows in (g, theta))
        moved = jnp.where(size == 0, 0, -rate * length * (g / jnp.where(size == 0, 1, size)))
        fan_in = hidden["weights"].shape[1]
        updates = {"weights": moved[:, :fan_in]}
        if "biases" in hidden:
            updates["biases"] = moved[:, fan_in]
        return updates, {"weights": moved[:, fan_in + len(updates) - 1 :].T}

    return optax.stateless(step)


def has_own_neurons(parameters: PyTree) -> bool:
    """Whether a perceptron has one hidden layer and no output bias."""
    return (
        isinstance(parameters, tuple)
        and len(parameters) == 2
        and all(isinstance(layer, dict) and "weights" in layer for layer in parameters)
        and set(parameters[0]) <= {"weights", "biases"}
        and set(parameters[1]) == {"weights"}
    )


def _neurons(hidden: dict[str, jax.Array], output: dict[str, jax.Array]) -> jax.Array:
    """theta [m, fan_in + 1 + outputs]."""
    biases = [hidden["biases"][:, None]] if "biases" in hidden else []
    return jnp.concatenate([hidden["weights"], *biases, output["weights"].T], axis=1)
