"""A linear map with the numbers and biases that come directly after it."""

from typing import Any

from deepinit.core.layers import Layer
from deepinit.reading.entry_laws import bias_law, kernel_law
from deepinit.reading.pieces import Array, Factor, Matrix, Piece, Shift, Weights


def linear(
    matrix: Matrix, factor: float, rest: list[Piece], gaussianize: bool
) -> tuple[Layer, Weights]:
    """The layer of a matrix times a factor, and of what follows it, which is taken from the rest.

    A number behind the bias multiplies both.
    """
    factor *= factors(rest)
    bias: Array | None = None
    bias_factor = 1.0
    if rest and isinstance(rest[0], Shift):
        shift: Any = rest.pop(0)
        both = factors(rest)
        bias, factor, bias_factor = shift.array, factor * both, both * shift.sign
    law = kernel_law(matrix, factor, gaussianize)
    law_of_bias = None if bias is None else bias_law(bias, bias_factor, gaussianize)
    kept = bias if law_of_bias is not None else None
    return matrix.make(law, law_of_bias), Weights(matrix, factor, kept, bias_factor)


def factors(rest: list[Piece]) -> float:
    """The product of the numbers that come first, which are taken away."""
    product = 1.0
    while rest and isinstance(rest[0], Factor):
        product *= rest.pop(0).number  # type: ignore[union-attr]
    return product
