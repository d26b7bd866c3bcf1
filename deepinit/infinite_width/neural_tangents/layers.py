"""Activations and MLPs of neural-tangents' `stax`; equal layers share one `stax.repeat`."""

import itertools
import warnings
from typing import Any

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.infinite_width.neural_tangents import neural_tangents

# Gauss-Hermite nodes a dimension without a closed form: tanh at variance 1 to 1e-10.
QUADRATURE_NODES = 96


CLOSED_FORMS = {"erf": "Erf", "sin": "Sin", "gelu": "Gelu"}


def is_numerical(activation: Activation) -> bool:
    """Whether neural-tangents integrates by quadrature: right at variances of order 1 only."""
    return activation.slopes is None and activation.name not in CLOSED_FORMS


def stax_activation(activation: Activation) -> Any:
    """neural-tangents' layer of an activation: closed form, else numerical.

    Raises SpecError: kinks without homogeneity (elu, selu, relu6, hard_swish).
    """
    stax = neural_tangents().stax
    if activation.slopes is not None:
        return stax.ABRelu(*activation.slopes)
    if activation.name in CLOSED_FORMS:
        return getattr(stax, CLOSED_FORMS[activation.name])()
    if activation.kinks:
        given = f"the activation {activation!r} for neural-tangents, whose quadrature ignores kinks"
        remedy = "infinite_width.recursion.kernel_layers (engine='recursion') has its kernels."
        raise SpecError(given, "homogeneous activations, erf, sin, gelu, and smooth ones", remedy)
    with warnings.catch_warnings():  # of its numerical quadrature
        warnings.simplefilter("ignore", UserWarning)
        return stax.ElementwiseNumerical(activation, deg=QUADRATURE_NODES, df=activation.derivative)


def stax_network(activation: Activation, weight_vars: np.ndarray, bias_vars: np.ndarray) -> Any:
    """(init_fn, apply_fn, kernel_fn) of a fully connected network; weight_vars times fan_in."""
    stax = neural_tangents().stax
    layers = list(zip(weight_vars.tolist(), bias_vars.tolist(), strict=True))
    blocks = [_dense(*layers[0])]
    for variances, equal in itertools.groupby(layers[1:]):
        block = stax.serial(stax_activation(activation), _dense(*variances))
        blocks.append(stax.repeat(block, len(list(equal))))
    return stax.serial(*blocks)


def _dense(weight_var: float, bias_var: float) -> Any:
    """Width 1: NTK-parametrized kernels do not depend on it."""
    b_std = float(np.sqrt(bias_var)) or None
    return neural_tangents().stax.Dense(1, W_std=float(np.sqrt(weight_var)), b_std=b_std)
