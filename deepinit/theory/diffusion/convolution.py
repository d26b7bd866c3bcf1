"""The double limit of convolutional blocks, psi = id and b = phi''(0) = 0.

Blocks x_p + phi(dW x_(patch of p) + db), dW_ij ~ N(0, sigma_w^2 dt / D) for each filter offset d:

    Lambda_{ip,jp'}' = a^2 (sigma_b^2 + sigma_w^2 sum_d Lambda_{i p+d, j p'+d}),
    Theta_{ip,jp'}'  = a^2 (sigma_b^2 + sigma_w^2 sum_d (Lambda + Theta)_{i p+d, j p'+d}).

The series in T has positive coefficients and loses no digits. Constant images under circular
padding grow like e^{K^2 kappa T} for K x K filters: 8100 at K = 3, kappa T = 1.
"""

import itertools
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Int, Plain, Real
from deepinit.theory.diffusion.growth import (
    Growth,
    check_exponent,
    gram_matrix,
    growth_of,
    without_curvature,
)

PADDINGS = ("circular", "zero")
_MOST_TERMS = 2000


class ConvolutionLimit(NamedTuple):
    """Covariances at the horizon, for N inputs of P positions.

    overlap: Lambda_{ip,jp'} = <x_ip, x_jp'> / D; block_kernel: Theta, tangent kernel of all blocks
    for one channel.
    """

    overlap: Float[np.ndarray, "N N P P"]
    block_kernel: Float[np.ndarray, "N N P P"]

    @property
    def pooled(self) -> Float[np.ndarray, "N N"]:
        """Mean of Lambda over positions: kernel after global average pooling."""
        return self.overlap.mean(axis=(2, 3))

    @property
    def pooled_block_kernel(self) -> Float[np.ndarray, "N N"]:
        """Mean of Theta over positions."""
        return self.block_kernel.mean(axis=(2, 3))


def patch_indices(
    image_shape: tuple[int, ...], filter_size: int, padding: str = "circular"
) -> Int[np.ndarray, "offsets P"]:
    """Positions that the filter reads at each position, stride 1; P stands for 0.

    image_shape (P,), or (U, V), numbered row by row; K or K x K centred offsets, K odd, at most a
    side; padding "circular", or "zero" (also "same"). Reference: arXiv:2007.03253, section 3.2
    (its filter size U V D reads K^2 D).
    """
    shape = tuple(image_shape) if isinstance(image_shape, tuple | list) else (image_shape,)
    for side in shape:
        validate.integer("image_shape", side, 1, "Give (P,) or (U, V).")
    validate.integer("filter_size", filter_size, 1, "3 is usual.")
    name = "zero" if padding == "same" else padding
    fits = len(shape) in (1, 2) and filter_size % 2 == 1 and filter_size <= min(shape)
    if not fits or name not in PADDINGS:
        given = f"image_shape={image_shape}, filter_size={filter_size}, padding={padding!r}"
        allowed = "one or two sides, an odd filter within the image, padding 'circular' or 'zero'"
        raise SpecError(given, allowed, "'same' is 'zero'.")
    reach = filter_size // 2
    grid = np.meshgrid(*(np.arange(side) for side in shape), indexing="ij")
    positions = np.stack(grid).reshape(len(shape), -1)
    count, sides = positions.shape[1], np.array(shape)[:, None]
    rows = []
    for offset in itertools.product(range(-reach, reach + 1), repeat=len(shape)):
        read = positions + np.array(offset)[:, None]
        inside = ((read >= 0) & (read < sides)).all(axis=0) | (name == "circular")
        rows.append(np.where(inside, np.ravel_multi_index(tuple(read % sides), shape), count))
    return np.array(rows)


def convolution_limit(
    activation: ActivationLike,
    gram: Real[Array, "sites sites"] | Plain,
    image_shape: tuple[int, ...],
    filter_size: int,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    padding: str = "circular",
) -> ConvolutionLimit:
    """Covariances and tangent kernel of convolutions in the double limit, psi = id, stride 1.

    Args:
        activation: phi, smooth at 0, phi(0) = phi''(0) = 0.
        gram: <x_ip, x_jp'> / D at the start, input by input, positions row by row.
        weight_var: a filter weight has variance weight_var dt / D, for every filter size.

    Other arguments: `patch_indices`, `double_limit`. Error about 1e-13 of the largest entry.
    SpecError: another phi, growth beyond float64. Reference: arXiv:2007.03253, section 3.2;
    moments: module docstring.
    """
    growth = growth_of(without_curvature(activation).slope, weight_var, bias_var, horizon)
    reads = patch_indices(image_shape, filter_size, padding)
    check_exponent(len(reads) * growth.exponent, most=600.0)
    flat = gram_matrix("gram", gram)
    count = reads.shape[1]
    if len(flat) % count:
        given = f"a gram matrix of size {len(flat)} for images of {count} positions"
        remedy = "For x [N, P, D] take the gram matrix of x.reshape(N * P, D), divided by D."
        raise SpecError(given, "[N P, N P]: every pair of input and position", remedy)
    inputs = len(flat) // count
    start = flat.reshape(inputs, count, inputs, count).transpose(0, 2, 1, 3)
    return ConvolutionLimit(*_series(start, reads, growth))


def _series(start: np.ndarray, reads: np.ndarray, growth: Growth) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the Taylor terms of Lambda and Theta."""

    def shifted(matrix: np.ndarray) -> np.ndarray:
        padded = np.pad(matrix, [(0, 0), (0, 0), (0, 1), (0, 1)])  # the last position reads 0
        parts = [padded[:, :, row[:, None], row[None, :]] for row in reads]
        return growth.rate * np.sum(parts, axis=0)

    term = growth.horizon * (shifted(start) + growth.bias_rate)
    kernel_term = term
    overlap, kernel = start + term, kernel_term
    for order in range(2, _MOST_TERMS):
        settled = _negligible(kernel_term, kernel) and _negligible(term, overlap)
        if settled and order > len(reads) * growth.exponent:
            break
        step = growth.horizon / order
        term, kernel_term = step * shifted(term), step * shifted(term + kernel_term)
        overlap, kernel = overlap + term, kernel + kernel_term
    return overlap, kernel


def _negligible(term: np.ndarray, total: np.ndarray) -> bool:
    return float(np.max(np.abs(term))) <= 1e-17 * float(np.max(np.abs(total)))
