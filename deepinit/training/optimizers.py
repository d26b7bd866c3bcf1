"""Optimizers as optax transformations that work on gradients as small as the numbers of float32 go."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-untyped]

from deepinit.core.linear_algebra import row_norms


class AdamState(NamedTuple):
    """Steps taken, mean gradient m, and the root of the mean square gradient, all before bias correction."""

    steps: jax.Array
    mean: Any
    root: Any


def adam(
    rate: float, *, decay: float = 0.9, square_decay: float = 0.999, epsilon: float = 1e-30
) -> optax.GradientTransformation:
    """Adam, theta -= rate m / (sqrt(v) + epsilon) with bias-corrected m and v, carrying sqrt(v) instead of v.

    v itself, the mean of squares, would be 0 in float32 for gradients below 1e-22. The customary epsilon of 1e-8 freezes small
    initializations and turns Adam into gradient descent; with a negligible one, neurons condense onto the directions of sign descent.

    Args:
        rate: the learning rate.
        decay: of the mean gradient.
        square_decay: of the mean square.
        epsilon: absolute, in units of the gradient.
    """

    def init(parameters: Any) -> AdamState:
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return AdamState(jnp.zeros((), jnp.int32), zeros, zeros)

    def update(gradient: Any, state: AdamState, parameters: Any = None) -> tuple[Any, AdamState]:
        del parameters
        steps = state.steps + 1
        mean = jax.tree.map(lambda m, g: decay * m + (1 - decay) * g, state.mean, gradient)
        root = jax.tree.map(
            lambda r, g: jnp.hypot(square_decay**0.5 * r, (1 - square_decay) ** 0.5 * g),
            state.root,
            gradient,
        )

        def updates(m: jax.Array, r: jax.Array) -> jax.Array:
            t = steps.astype(m.dtype)
            m, r = m / (1 - decay**t), r / jnp.sqrt(1 - square_decay**t)
            return -rate * (m / (r + epsilon))  # the ratio first: rate times m may underflow

        return jax.tree.map(updates, mean, root), AdamState(steps, mean, root)

    return optax.GradientTransformation(init, update)


def sign_descent(rate: float) -> optax.GradientTransformation:
    """theta -= rate sign(gradient): Adam without memory and epsilon."""
    return optax.stateless(
        lambda gradient, _: jax.tree.map(lambda g: -rate * jnp.sign(g), gradient)
    )


def neuron_flow(rate: float) -> optax.GradientTransformation:
    """Gradient flow of a two-layer network with a clock per neuron: theta_j -= rate |theta_j| g_j / |g_j|, theta_j = (w_j, b_j, a_j).

    While the output is negligible against the targets, neurons do not interact, and each runs along its own gradient-flow orbit,
    here at a speed of its own: all of them grow by a factor of up to 1 + rate a step and leave the initial stage together, where under
    gradient flow, for activations phi(s) ~ c s^p with p >= 2, one neuron does long before the others. Artefact: a neuron that
    gradient flow would let die ends on an attractor, with the wrong sign of a_j.

    Args:
        rate: relative step; 0.02 is accurate.
    """

    def step(gradient: Any, parameters: Any) -> Any:
        (slopes, output_slopes), (hidden, output) = gradient, parameters
        g, theta = (_neurons(*pair) for pair in ((slopes, output_slopes), (hidden, output)))
        size, length = (row_norms(rows)[:, None] for rows in (g, theta))
        moved = jnp.where(size == 0, 0, -rate * length * (g / jnp.where(size == 0, 1, size)))
        fan_in = hidden["weights"].shape[1]
        updates = {"weights": moved[:, :fan_in]}
        if "biases" in hidden:
            updates["biases"] = moved[:, fan_in]
        return updates, {"weights": moved[:, fan_in + len(updates) - 1 :].T}

    return optax.stateless(step)


def has_own_neurons(parameters: Any) -> bool:
    """Has every neuron parameters of its own (one hidden layer, no output bias), as `neuron_flow` needs?"""
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
