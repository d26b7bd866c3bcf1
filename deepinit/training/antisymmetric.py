"""Antisymmetric initialization: two copies of a network whose difference is zero at step 0."""

import math
from typing import Any

import jax

from deepinit.core.errors import SpecError
from deepinit.networks.network import Network, named


def antisymmetric(network: Network) -> Network:
    """f(x) = (g(x; theta) - g(x; theta')) / sqrt(2) with theta' = theta at initialization.

    The output is exactly 0 in every network, and the tangent kernel of f at step 0 is that of g, so that training starts without the
    noise of the initial function. Both copies are trained.

    Args:
        network: g, for one input.

    Returns:
        The network; its parameters are the pair (theta, theta').

    Raises:
        SpecError: what is no network.

    Valid for: any network; quantities that read the neurons of a perceptron do not know the pair of copies.

    Reference: arXiv:1905.07777 (anti-symmetrical initialization).
    """
    if not isinstance(network, Network):
        given = f"a network of type {type(network).__name__}"
        raise SpecError(
            given, "a Network", "Write training.antisymmetric(training.perceptron(spec))."
        )

    def init(key: Any, input_width: int) -> Any:
        parameters = network.init(key, input_width)
        return parameters, parameters

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        plus, minus = parameters
        return (network.apply(plus, x) - network.apply(minus, x)) / math.sqrt(2.0)

    return named(f"{network.label}, antisymmetric", init, apply)
