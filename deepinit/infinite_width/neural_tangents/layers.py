"""Networks of neural-tangents' `stax`; equal layers share one `stax.repeat`.

Residual block: serial(FanOut(2), parallel(Identity(), branch), FanInSum()). The sum needs an
embedding and centred Gaussian branches, (psi, Dense) or (psi, Dense, phi, Dense). `stax.Conv`
divides by patch entries, deepinit by channels: W_std^2 = patch entries per channel * w.
"""

import itertools
import warnings
from typing import Any

import numpy as np

from deepinit.core.activations import Activation, linear
from deepinit.core.errors import SpecError
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.infinite_width.neural_tangents import neural_tangents
from deepinit.infinite_width.residual_parts import Variances

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


def residual_stax_network(spec: ResNet | ConvResNet, variances: Variances) -> Any:
    """(init_fn, apply_fn, kernel_fn) of a residual network on images [num, *positions, channels].

    `variances`: `residual_variances(spec, dimension)`.
    Raises SpecError: no embedding, or shallow blocks with a nonlinear activation.
    """
    _check_expressible(spec)
    stax = neural_tangents().stax
    branch = [*_activation(spec.inner_activation)]
    branch.append(_linear_map(spec, variances.weight, variances.bias, spec.kernel_size))
    if spec.branch_law is not None:
        branch += [*_activation(spec.activation), _dense(variances.branch, 0.0)]
    shortcut = stax.parallel(stax.Identity(), stax.serial(*branch))
    block = stax.serial(stax.FanOut(2), shortcut, stax.FanInSum())
    layers = [_linear_map(spec, variances.embedding, 0.0, 1), stax.repeat(block, spec.depth)]
    if spec.image_shape:
        layers.append(stax.GlobalAvgPool())
    if spec.output_width is not None:
        layers.append(_dense(variances.output, variances.output_bias))
    return stax.serial(*layers)


def _dense(weight_var: float, bias_var: float) -> Any:
    """Width 1: NTK-parametrized kernels do not depend on it."""
    b_std = float(np.sqrt(bias_var)) or None
    return neural_tangents().stax.Dense(1, W_std=float(np.sqrt(weight_var)), b_std=b_std)


def _linear_map(spec: ResNet | ConvResNet, weight_var: float, bias_var: float, size: int) -> Any:
    dimensions = len(spec.image_shape)
    if not dimensions:
        return _dense(weight_var, bias_var)
    places = "HW"[:dimensions]
    return neural_tangents().stax.Conv(
        1,
        (size,) * dimensions,
        (1,) * dimensions,
        {"circular": "CIRCULAR", "zero": "SAME"}[spec.padding],
        W_std=float(np.sqrt(weight_var * size**dimensions)),
        b_std=float(np.sqrt(bias_var)) or None,
        dimension_numbers=(f"N{places}C", f"{places}IO", f"N{places}C"),
    )


def _activation(activation: Activation) -> list[Any]:
    return [] if activation == linear else [stax_activation(activation)]


def _check_expressible(spec: ResNet | ConvResNet) -> None:
    remedy = "infinite_width.recursion.kernel_layers has the kernels of every block."
    if spec.branch_law is None and spec.activation != linear:
        given = f"shallow blocks x + {spec.activation.name}(W x + b) for neural-tangents"
        raise SpecError(given, "two-layer blocks, or shallow ones that are linear", remedy)
    if spec.embedding_law is None:
        given = "a residual network without an embedding for neural-tangents"
        raise SpecError(given, "an embedding, e.g. embedding_law=di.normal(1.0)", remedy)
