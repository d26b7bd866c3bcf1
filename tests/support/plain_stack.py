"""A stack of dense layers in NumPy: forward, backward, tangent kernel, first step, by loops."""

from typing import Any

import numpy as np


def states_of(parameters: dict[str, Any], x: Any, phi: Any, skip: float, alpha: float) -> Any:
    """States z^l [layers][width] and logits of one input."""
    z = parameters["first"] @ x + parameters["first_bias"]
    states = [z]
    for weights, bias in zip(parameters["weights"], parameters["biases"], strict=True):
        z = skip * z + alpha * (weights @ phi(z) + bias)
        states.append(z)
    return states, parameters["readout"] @ phi(z) + parameters["readout_bias"]


def gradients_of(
    parameters: dict[str, Any], x: Any, back: Any, phi: Any, slope: Any, skip: float, alpha: float
) -> tuple[Any, dict[str, Any]]:
    """Gradients at the states, and by the parameters, of back . logits."""
    states, _ = states_of(parameters, x, phi, skip, alpha)
    delta = slope(states[-1]) * (parameters["readout"].T @ back)
    deltas, found = [delta], {"readout": np.outer(back, phi(states[-1])), "readout_bias": back}
    weights, biases = [], []
    for number in range(len(states) - 2, -1, -1):
        matrix, z = parameters["weights"][number], states[number]
        weights.append(alpha * np.outer(delta, phi(z)))
        biases.append(alpha * delta)
        delta = skip * delta + alpha * slope(z) * (matrix.T @ delta)
        deltas.append(delta)
    found |= {"weights": np.array(weights[::-1]), "biases": np.array(biases[::-1])}
    return deltas[::-1], found | {"first": np.outer(delta, x), "first_bias": delta}


def total(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums of trees."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def inner(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Inner product of trees."""
    return float(sum(np.sum(a[name] * b[name]) for name in a))


def softmax(logits: Any) -> Any:
    """Probabilities."""
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def angle(a: Any, b: Any) -> float:
    """In radians."""
    return float(np.arccos(a @ b / np.sqrt((a @ a) * (b @ b))))
