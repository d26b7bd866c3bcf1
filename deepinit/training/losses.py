"""Losses of outputs [n, k] on all examples."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError

Loss = Callable[[jax.Array, jax.Array], jax.Array]


def mse(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """R = 1/(2n) sum_i |f(x_i) - y_i|^2, of outputs and targets [n, k]."""
    return 0.5 * jnp.sum((outputs - targets) ** 2) / len(outputs)


def cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """R = -(1/n) sum_i log softmax(f(x_i))[y_i], of logits [n, k] and classes [n]."""
    chosen = jnp.take_along_axis(jax.nn.log_softmax(outputs, axis=1), targets[:, None], axis=1)
    return -jnp.mean(chosen)


LOSSES: dict[str, Loss] = {"mse": mse, "cross_entropy": cross_entropy}


def as_loss(loss: str | Callable[..., Any]) -> Loss:
    """The loss of a name, or the given (outputs [n, k], targets) -> scalar."""
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    if callable(loss):
        return loss
    allowed = ", ".join(LOSSES) + ", or a function (outputs [n, k], targets) -> number"
    raise SpecError(f"loss={loss!r}", allowed, "Check the spelling.")
