"""Nearest affine kernel, and its share: limited expressivity."""

from typing import NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Plain, Real
from deepinit.inference import validate as checks

_ROUNDING = 1e-14  # of an entry that centring should have made 0


class AffinePart(NamedTuple):
    """Nearest affine kernel intercept_var + slope_var <x, x'>, both >= 0.

    `share`: |affine part|^2 / |kernel|^2, Frobenius norms. `centred_share`: after centring rows and
    columns; NaN for a constant kernel, equal inputs or a single input.
    """

    intercept_var: float
    slope_var: float
    share: float
    centred_share: float


def affine_part(
    kernel: Real[Array, "n n"] | Plain, inner_products: Real[Array, "n n"] | Plain
) -> AffinePart:
    """Projection of a kernel matrix on the cone spanned by 1 1^T and G_ij = <x_i, x_j>.

    min |K - alpha 1 1^T - beta G|_F over alpha, beta >= 0.

    Raises SpecError: matrices not symmetric or of unequal sizes; a zero kernel.
    Reference: limited expressivity (share 1 for psi = id, phi''(0) = 0 in the double limit): arXiv
        2007.03253, section 5.
    """
    from scipy.optimize import nnls

    matrix = checks.kernel("kernel", kernel)
    products = checks.kernel("inner_products", inner_products)
    if matrix.shape != products.shape:
        given = f"a kernel {matrix.shape} and inner products {products.shape}"
        raise SpecError(given, "one size", "Take x @ x.T of its inputs.")
    height = float(np.max(np.abs(matrix)))
    if height == 0.0:
        raise SpecError("a kernel of zeros", "a kernel with some entry that is not 0")
    matrix = matrix / height
    size = float(len(matrix))
    scale = float(np.max(np.abs(products))) or 1.0  # of the two columns, equal
    products = products / scale
    normal = np.array([[size**2, np.sum(products)], [0.0, np.sum(products**2)]])
    normal[1, 0] = normal[0, 1]
    lower = np.linalg.cholesky(normal + 1e-15 * np.trace(normal) * np.eye(2))
    right = np.array([np.sum(matrix), np.sum(matrix * products)])
    (intercept, slope), _ = nnls(lower.T, np.linalg.solve(lower, right))
    residual = matrix - intercept - slope * products
    share = 1.0 - float(np.sum(residual**2) / np.sum(matrix**2))
    return AffinePart(
        float(height * intercept),
        float(height / scale * slope),
        share,
        _centred_share(matrix, products),
    )


def _centred_share(matrix: np.ndarray, products: np.ndarray) -> float:
    """Of matrices with largest entry 1."""
    kernel, inner = _centred(matrix), _centred(products)
    squares = float(np.sum(kernel**2)), float(np.sum(inner**2))
    if min(squares) < (_ROUNDING * len(matrix)) ** 2:
        return float("nan")
    return min(float(max(np.sum(kernel * inner), 0.0)) ** 2 / (squares[0] * squares[1]), 1.0)


def _centred(matrix: np.ndarray) -> np.ndarray:
    means = np.mean(matrix, axis=0)
    return matrix - means[:, None] - means[None, :] + np.mean(means)
