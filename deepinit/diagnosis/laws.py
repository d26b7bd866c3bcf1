"""Changes of laws and activations that may make a network train."""

import contextlib
import dataclasses
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import from_function
from deepinit.core.errors import SpecError
from deepinit.core.laws import normal
from deepinit.core.layers import Activation, Gate, Layer
from deepinit.core.specs import MLP, NetworkSpec
from deepinit.diagnosis.stacks import activation_of, composed, mapped
from deepinit.init import Laws, Place, apply
from deepinit.init import critical as critical_laws
from deepinit.init.rewrite import changed
from deepinit.theory.criticality import critical as critical_point


def critical(network: NetworkSpec, inputs: Any) -> NetworkSpec:
    """Weights and biases of the activation's critical point (`di.critical`), readout 1 / fan_in.

    The first layer takes the mean square of the inputs to the fixed point. For plain stacks of
    dense and convolution layers. Depth/width stays: fluctuations between networks are not reduced.

    Raises SpecError: several activations; no critical point.
    """
    phi = activation_of(network, inputs)
    return apply(network, critical_laws(phi, mean_square=mean_square(inputs)), inputs)


def first_weight_var(network: NetworkSpec, inputs: Any) -> NetworkSpec:
    """First-layer variance (K* - bias variance) / mean square of the inputs: norms start at K*.

    K* is the critical point's, 1 where norms have none (ReLU, tanh).
    """
    phi = activation_of(network, inputs)
    target = 1.0
    with contextlib.suppress(SpecError):
        target = critical_point(phi).fixed_point or 1.0
    target = target if np.isfinite(target) else 1.0

    def scheme(place: Place, own: Laws) -> Laws:
        if not place.is_first:
            return own
        bias = 0.0 if own.bias is None else own.bias.entry_variance(place.fan_in)
        if bias >= target:
            given = f"a bias variance of {bias:g} with the norm {target:g}"
            raise SpecError(given, "less", "Take the critical variances (`critical`).")
        law = dataclasses.replace(
            own.weight, variance=(target - bias) / mean_square(inputs), scaling="fan_in"
        )
        return own._replace(weight=law)

    return changed(network, scheme, inputs)


def readout(network: NetworkSpec, inputs: Any) -> NetworkSpec:
    """Readout of variance 1 / fan_in^2 (muP, mean field): outputs start at order width^(-1/2)."""

    def scheme(place: Place, own: Laws) -> Laws:
        if not place.is_readout:
            return own
        return own._replace(weight=normal(1 / place.fan_in**2, "absolute"))

    return changed(network, scheme, inputs)


def center(network: NetworkSpec, inputs: Any) -> NetworkSpec:
    """phi - phi(0) for every activation: softplus and sigmoid lose the mean that grows with depth.

    Activations with phi(0) = 0 stay.
    """
    centred = {}

    def new(layer: Layer) -> Layer:
        if not isinstance(layer, Activation | Gate):
            return layer
        if layer.phi not in centred:
            centred[layer.phi] = _centred(layer.phi)
        return dataclasses.replace(layer, phi=centred[layer.phi])

    if isinstance(network, MLP):
        return dataclasses.replace(network, activation=_centred(network.activation))
    return mapped(composed(network, inputs), new)


def mean_square(inputs: Any) -> float:
    """Mean of x^2 over entries and inputs; 1 where only a size is given."""
    points = getattr(inputs, "points", None)
    if points is None:
        return 1.0
    found = float(np.mean(np.square(np.asarray(points, np.float64))))
    validate.require(found > 0, "inputs that are 0", "inputs with nonzero entries")
    return found


def _centred(phi: Any) -> Any:
    zero = float(np.asarray(phi(np.zeros(1)))[0])
    if zero == 0.0:
        return phi

    def centred(x: Any) -> Any:
        return phi(x) - zero

    centred.__qualname__ = f"{phi.name}_centred"
    return from_function(centred, kinks=phi.kinks)
