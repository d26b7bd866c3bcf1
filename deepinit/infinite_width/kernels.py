"""NNGP and NTK of a network's last layer, through neural-tangents."""

import itertools
import warnings

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP, Spec
from deepinit.infinite_width.limits import checked_limit
from deepinit.infinite_width.neural_tangents import load
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import checked_rows, layer_variances

# Gauss-Hermite nodes a dimension for activations without a closed form in neural-tangents: tanh at variance 1 to 1e-10.
QUADRATURE_NODES = 96


def nngp_and_ntk(spec: Spec, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernels of the last layer at infinite width, by neural-tangents in float64.

    The recursion is that of `recursion.kernel_layers`, which gives every layer and needs no neural-tangents. Equal
    layers run under one scan (`stax.repeat`), so that compile time does not grow with depth; a law with scaling
    `absolute` and changing widths makes one block for every run of equal widths.

    Args:
        spec: the network; residual ones where neural-tangents can express them (see `residual_kernels`).
        x: [num, dimension], finite rows.

    Returns:
        (nngp, ntk), each [num, num] float64, of the outputs, or of z^depth (a residual network's stream) without an
        output layer; one neuron, NTK parametrization. Relative accuracy about 1e-8 times the number of layers:
        neural-tangents takes the angle from a difference of products, which keeps half the digits.

    Raises:
        SpecError: x is not a matrix of finite numbers; a residual network that neural-tangents cannot express; an activation with kinks
            that is not homogeneous; kernels that are not finite.
        ResourceError: neural-tangents is absent or does not work here.

    Valid for: widths to infinity at fixed depth. Activations without a closed form use Gauss-Hermite quadrature with
        QUADRATURE_NODES nodes a dimension: good for smooth ones at variances of order 1.

    Reference: arXiv 1912.02803 (neural-tangents).
    """
    x = checked_rows(x)
    if not isinstance(spec, MLP):
        from deepinit.infinite_width.residual_kernels import residual_nngp_and_ntk

        return residual_nngp_and_ntk(spec, x)
    weight_vars, bias_vars = layer_variances(spec, x.shape[1])
    with host_float64():
        import jax

        _, _, kernel_fn = stax_network(spec.activation, weight_vars, bias_vars)
        kernel = jax.jit(lambda rows: kernel_fn(rows, None, ("nngp", "ntk")))(x)
        nngp, ntk = np.asarray(kernel.nngp), np.asarray(kernel.ntk)
    return checked_limit(nngp, "NNGP kernel"), checked_limit(ntk, "NTK kernel")


def stax_network(activation: Activation, weight_vars: np.ndarray, bias_vars: np.ndarray):
    """neural-tangents' (init_fn, apply_fn, kernel_fn) of a fully connected network, equal layers under `stax.repeat`.

    Args:
        activation: between every two affine layers.
        weight_vars: [layers], variance of a weight times fan_in.
        bias_vars: [layers], variance of a bias.
    """
    stax = load().stax

    def dense(weight_var: float, bias_var: float):
        # Widths do not enter an infinite-width kernel in NTK parametrization.
        return stax.Dense(
            1,
            W_std=float(np.sqrt(weight_var)),
            b_std=float(np.sqrt(bias_var)) if bias_var else None,
        )

    layers = list(zip(weight_vars.tolist(), bias_vars.tolist(), strict=True))
    blocks = [dense(*layers[0])]
    for variances, equal in itertools.groupby(layers[1:]):
        blocks.append(
            stax.repeat(
                stax.serial(stax_activation(activation), dense(*variances)), len(list(equal))
            )
        )
    return stax.serial(*blocks)


def stax_activation(activation: Activation):
    """neural-tangents' layer of an activation: closed form where it has one, else numerical.

    Raises:
        SpecError: an activation with kinks that is not homogeneous (elu, selu, relu6, hard_swish).
    """
    stax = load().stax
    if activation.slopes is not None:
        return stax.ABRelu(*activation.slopes)
    closed = {"erf": stax.Erf, "sin": stax.Sin, "gelu": stax.Gelu}
    if activation.name in closed:
        return closed[activation.name]()
    if activation.kinks:
        raise SpecError(
            f"the activation {activation!r} for neural-tangents, whose quadrature takes no notice of its kinks",
            "homogeneous activations, erf, sin, gelu, and smooth ones",
            "deepinit.infinite_width.recursion.kernel_layers (engine='recursion') integrates between the kinks.",
        )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # it always warns that it is numerical; the docstring says so
        return stax.ElementwiseNumerical(activation, deg=QUADRATURE_NODES, df=activation.derivative)
