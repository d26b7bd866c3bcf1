"""NNGP and NTK of residual networks through neural-tangents, where it can express them.

A block is serial(FanOut(2), parallel(Identity(), branch), FanInSum()) under `stax.repeat`. The sum is available only for Gaussian branches of
mean 0 and a Gaussian shortcut: the branch must end in a linear map, (psi, Dense) or (psi, Dense, phi, Dense), and the stream must start with an
embedding. Its `Conv` divides by the entries of the patch; ours by the channels alone: W_std^2 = patch entries per channel * w.
"""

import warnings
from typing import Any

import numpy as np

from deepinit.core.activations import Activation, linear
from deepinit.core.errors import SpecError
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.infinite_width.limits import checked_limit
from deepinit.infinite_width.neural_tangents import load
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.residual_parts import Variances, residual_variances


def residual_nngp_and_ntk(
    spec: ResNet | ConvResNet, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The kernels of the output, or of the stream after the last block, by neural-tangents in float64.

    Blocks as in the module's docstring; `residual.residual_layers` gives every layer, for every block, without neural-tangents.

    Args:
        spec: with an embedding; two-layer blocks, or shallow ones with a linear activation (pre-activation blocks).
        x: [num, dimension], finite rows.

    Returns:
        (nngp, ntk), each [num, num], of one output, or one coordinate of the stream (averaged over positions); all parameters trained.

    Raises:
        SpecError: a block or a start that neural-tangents cannot express; what `residual_variances` refuses.
        ResourceError: neural-tangents is absent or does not work here.

    Valid for: widths to infinity at fixed depth; activations as in `kernels.nngp_and_ntk`.

    Reference: arXiv 1912.02803 (neural-tangents).
    """
    variances = residual_variances(spec, x.shape[1])
    _check_expressible(spec)
    if isinstance(spec, ConvResNet):
        x = x.reshape(len(x), *spec.image_shape, -1)
    with host_float64(), warnings.catch_warnings():
        import jax

        # It warns that it does not verify the independence of the branches: ours end in fresh weights.
        warnings.simplefilter("ignore", UserWarning)
        _, _, kernel_fn = residual_stax_network(spec, variances)
        kernel = jax.jit(lambda rows: kernel_fn(rows, None, ("nngp", "ntk")))(x)
        nngp, ntk = np.asarray(kernel.nngp), np.asarray(kernel.ntk)
    return checked_limit(nngp, "NNGP kernel"), checked_limit(ntk, "NTK kernel")


def residual_stax_network(spec: ResNet | ConvResNet, variances: Variances) -> Any:
    """neural-tangents' (init_fn, apply_fn, kernel_fn), all blocks under one `stax.repeat`.

    Args:
        spec: the network; of images [num, height, width, channels] (or [num, length, channels]) if it is convolutional.
        variances: `residual_variances(spec, dimension)`.
    """
    stax = load().stax
    is_conv = isinstance(spec, ConvResNet)
    maps = [_linear_map(spec, variances.weight, variances.bias)]
    if isinstance(spec, ResNet) and not spec.is_shallow:
        maps = [
            *maps,
            *_activation(spec.activation),
            stax.Dense(1, W_std=float(np.sqrt(variances.branch))),
        ]
    branch = stax.serial(*_activation(spec.inner_activation), *maps)
    block = stax.serial(stax.FanOut(2), stax.parallel(stax.Identity(), branch), stax.FanInSum())
    layers = [_embedding(spec, variances.embedding), stax.repeat(block, spec.depth)]
    if is_conv:
        layers.append(stax.GlobalAvgPool())
    if spec.output_width is not None:
        bias_std = float(np.sqrt(variances.output_bias)) or None
        layers.append(stax.Dense(1, W_std=float(np.sqrt(variances.output)), b_std=bias_std))
    return stax.serial(*layers)


def _embedding(spec: ResNet | ConvResNet, weight_var: float) -> Any:
    return _stax_map(spec, weight_var, 0.0, 1)


def _linear_map(spec: ResNet | ConvResNet, weight_var: float, bias_var: float) -> Any:
    return _stax_map(
        spec, weight_var, bias_var, spec.kernel_size if isinstance(spec, ConvResNet) else 1
    )


def _stax_map(spec: ResNet | ConvResNet, weight_var: float, bias_var: float, size: int) -> Any:
    stax = load().stax
    bias_std = float(np.sqrt(bias_var)) or None
    if not isinstance(spec, ConvResNet):
        return stax.Dense(1, W_std=float(np.sqrt(weight_var)), b_std=bias_std)
    dimensions = len(spec.image_shape)
    places = "HW"[:dimensions]
    return stax.Conv(
        1,
        (size,) * dimensions,
        (1,) * dimensions,
        {"circular": "CIRCULAR", "zero": "SAME"}[spec.padding],
        W_std=float(np.sqrt(weight_var * size**dimensions)),
        b_std=bias_std,
        dimension_numbers=(f"N{places}C", f"{places}IO", f"N{places}C"),
    )


def _activation(activation: Activation) -> list[Any]:
    from deepinit.infinite_width.kernels import stax_activation

    return [] if activation == linear else [stax_activation(activation)]


def _check_expressible(spec: ResNet | ConvResNet) -> None:
    is_shallow = isinstance(spec, ConvResNet) or spec.is_shallow
    if is_shallow and spec.activation != linear:
        raise SpecError(
            f"shallow blocks x + {spec.activation.name}(W x + b) for neural-tangents, which adds only branches that end in a linear map",
            "two-layer blocks, or shallow ones with activation='linear'",
            "deepinit.infinite_width.recursion.kernel_layers has the kernels of every block.",
        )
    if spec.embedding_law is None:
        raise SpecError(
            "a residual network without an embedding for neural-tangents, which adds branches to a Gaussian stream only",
            "an embedding",
            "Give embedding_law=di.normal(1.0), or take deepinit.infinite_width.recursion.kernel_layers.",
        )
