"""Antisymmetric initialization: networks that are zero at step 0."""

import math
from typing import Any

import jax

from deepinit.core import validate
from deepinit.networks.network import Network, named


def antisymmetric(network: Network) -> Network:
    """f(x) = (g(x; theta) - g(x; theta')) / sqrt(2), theta' = theta at initialization.

    At step 0 the output is exactly 0 and the tangent kernel is that of g. Both copies are trained.
    Valid for: any network, but not for quantities of a perceptron's neurons.
    Reference: arXiv:1905.07777.
    """
    remedy = "Write training.antisymmetric(training.perceptron(spec))."
    validate.instance("network", network, Network, "a Network", remedy)

    def init(key: jax.Array, input_width: int) -> Any:
        parameters = network.init(key, input_width)
        return parameters, parameters

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        plus, minus = parameters
        return (network.apply(plus, x) - network.apply(minus, x)) / math.sqrt(2.0)

    return named(f"{network.label}, antisymmetric", init, apply)
