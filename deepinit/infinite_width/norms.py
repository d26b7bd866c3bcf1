"""Mean squares, overlaps and distances of activations at infinite width."""

import dataclasses

import numpy as np

from deepinit.core.by_kind import by_kind
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP, ConvResNet, ResNet, Spec
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.recursion import kernel_layers, layer_variances, pair_layers
from deepinit.infinite_width.residual import residual_layers
from deepinit.infinite_width.validate import checked_limit

_LEAST_SHARE = 1e-4  # of a mean square; a smaller difference of kernels keeps too few digits


def mean_squares(
    spec: Spec, x: Real[Array, "num dimension"] | Plain
) -> Float[np.ndarray, "depth num"]:
    """|x^l|^2 / width, l = 1..depth: E[phi(z^l)^2], or of a residual stream, in float64.

    Raises SpecError: constant biases; `residual.residual_layers`.
    Valid for: infinite width, fixed depth, error O(depth / width).
    Reference: arXiv 1711.00165.
    """
    squares: np.ndarray = _mean_squares(spec, x)
    return squares


def _residual_squares(spec: ResNet | ConvResNet, x: np.ndarray) -> np.ndarray:
    return residual_layers(spec, x).mean_square


_mean_squares = by_kind(
    "mean squares at infinite width",
    {
        MLP: lambda spec, x: np.stack([np.diagonal(kernel) for kernel in overlaps(spec, x)]),
        ResNet: _residual_squares,
        ConvResNet: _residual_squares,
    },
)


def overlaps(
    spec: Spec, x: Real[Array, "num dimension"] | Plain
) -> Float[np.ndarray, "depth num num"]:
    """<x_i^l, x_j^l> / width: E[phi(z_i^l) phi(z_j^l)], or of a residual stream; as `mean_squares`.

    Raises SpecError: as `mean_squares`; a convolutional network (overlaps differ by position).
    """
    result: np.ndarray = _overlaps(spec, x)
    return result


def _mlp_overlaps(spec: MLP, x: np.ndarray) -> np.ndarray:
    one_more = dataclasses.replace(
        spec, widths=(*spec.widths, 1), output_width=None, output_law=None
    )
    weight_vars, bias_vars = (
        variances[1:, None, None] for variances in layer_variances(one_more, np.shape(x)[1])
    )
    with np.errstate(invalid="ignore"):  # weights of variance 0
        products = (kernel_layers(one_more, x).nngp[1:] - bias_vars) / weight_vars
    return checked_limit(products, "overlap", along="layer")


def _refuse_images(spec: ConvResNet, x: np.ndarray) -> np.ndarray:
    given = "overlaps of the images of a convolutional network at infinite width"
    remedy = "infinite_width.residual.position_kernels has them by position."
    raise SpecError(given, "fully connected networks", remedy)


_overlaps = by_kind(
    "overlaps at infinite width",
    {
        MLP: _mlp_overlaps,
        ResNet: lambda spec, x: residual_layers(spec, x).nngp[: spec.depth],
        ConvResNet: _refuse_images,
    },
)


def mean_square_distances(spec: Spec, inputs: Inputs) -> Float[np.ndarray, "depth pairs"]:
    """|x^l - x'^l|^2 / width of each pair (displacement), l = 1..depth, in float64.

    MLP, to relative accuracy: E[(phi(u) - phi(v))^2] = (s' - s)^2 + 4 s s' sin^2(theta'/2), (u, v)
    ~ N(0, K^l), s = sqrt(E phi(u)^2), s' = sqrt(E phi(v)^2), theta' the angle of the images.
    Residual network: lambda_ii + lambda_jj - 2 lambda_ij.

    Raises SpecError: non-Gaussian biases; a convolutional network; unresolved activation; a
        residual network's pair too close for its kernels.
    Valid for: infinite width, fixed depth, error O(depth / width).
    """
    squares: np.ndarray = _distances(spec, inputs)
    return squares


def _mlp_distances(spec: MLP, inputs: Inputs) -> np.ndarray:
    return pair_layers(spec, inputs, _square_distance)


def _square_distance(after):
    from deepinit.infinite_width.kernel_derivatives import ratio
    from deepinit.infinite_width.quadrature import root

    first, second = root(after.variance[after.first]), root(after.variance[after.second])
    gap = ratio(after.growth, first + second)
    return gap**2 + 4.0 * first * second * after.angle.sin2


def _residual_distances(spec: Spec, inputs: Inputs) -> np.ndarray:
    first, second = list(inputs.bases), len(inputs.points) + np.arange(inputs.num_pairs)
    kernels = overlaps(spec, np.concatenate([inputs.points, inputs.partners]))
    squares = kernels[:, first, first] + kernels[:, second, second]
    distances = squares - 2.0 * kernels[:, first, second]
    if not (distances > _LEAST_SHARE * squares).all():
        raise SpecError(
            "a pair so close that the kernels of a residual network do not resolve it",
            f"distances above {_LEAST_SHARE**0.5:g} of the norms",
            "Simulate it, or take log_volume at one point for an infinitesimal displacement.",
        )
    return distances


_distances = by_kind(
    "distances at infinite width",
    {MLP: _mlp_distances, ResNet: _residual_distances, ConvResNet: _residual_distances},
)
