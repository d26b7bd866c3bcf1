"""Gaussian matrices whose entries are correlated, with a drift: the parameters of a residual network in their general form.

A layer of a network of L layers has the matrix W = mean / L + noise / sqrt(L): the drift and the noise are those of a unit of time,
cut into L steps, so that the sum over layers neither vanishes nor grows with L.
"""

import dataclasses
import math
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits

Matrix = tuple[tuple[float, ...], ...]

_ROUNDING = 1e-10  # of symmetry and of eigenvalues, relative to the largest entry
_LARGEST_FULL = 1024  # entries of the matrix; their covariance then has 8 MB


@dataclasses.dataclass(frozen=True)
class MatrixLaw:
    """The law of a matrix [fan_out, fan_in] with Gaussian entries; of a bias vector as a matrix with one column.

    The covariance of entries (o, i) and (o', i') of the noise is output_cov[o, o'] * input_cov[i, i'], or, in the general case,
    full_cov[o * fan_in + i, o' * fan_in + i']. Nothing is divided by fan_in. Make one with `matrix_normal` or `gaussian_matrix`.

    Attributes:
        mean: [fan_out, fan_in] of a unit of time; None for 0.
        output_cov, input_cov: [fan_out, fan_out] and [fan_in, fan_in].
        full_cov: [fan_out * fan_in] squared, instead of the two.
    """

    mean: Matrix | None = None
    output_cov: Matrix | None = None
    input_cov: Matrix | None = None
    full_cov: Matrix | None = None
    name: str = "matrix_normal"

    scaling = "depth"
    variance = value = density = None

    @property
    def is_gaussian(self) -> bool:
        """False: entries are not independent and of one variance, which is what every formula that asks needs."""
        return False

    @property
    def is_haar(self) -> bool:
        """False."""
        return False

    @property
    def is_symmetric(self) -> bool:
        """Symmetric about 0: without a drift."""
        return self.mean is None

    @property
    def has_product_covariance(self) -> bool:
        """Its action on given rows can be drawn without the matrix."""
        return self.full_cov is None

    @property
    def shape(self) -> tuple[int, int]:
        """(fan_out, fan_in)."""
        if self.output_cov is not None and self.input_cov is not None:
            return len(self.output_cov), len(self.input_cov)
        assert self.mean is not None
        return len(self.mean), len(self.mean[0])

    def entry_variance(self, fan_in: int, depth: int = 1) -> float:
        """Refused: entries have variances of their own.

        Raises:
            SpecError: always.
        """
        del fan_in, depth
        raise SpecError(
            "the variance of one entry of a matrix with correlated entries",
            "laws of independent entries",
            "Take di.normal(...), or simulate.",
        )

    def arrays(self, depth: int, dtype: Any) -> tuple[Any, Any, Any]:
        """Of one layer of `depth`: the mean (or None), and factors A, B with W = mean + A Z B^T, Z standard normal [fan_out, fan_in].

        Raises:
            SpecError: a law whose covariance is no product.
        """
        if self.output_cov is None or self.input_cov is None:
            raise SpecError(
                "a general covariance, which has no factors of its own for rows and columns",
                "a product of two (di.matrix_normal)",
                "Take the matrix itself: linear_map='explicit', parametrization='standard'.",
            )
        outer, inner = semidefinite_factor(self.output_cov), semidefinite_factor(self.input_cov)
        return self.drift(depth, dtype), (outer / np.sqrt(depth)).astype(dtype), inner.astype(dtype)

    def full_factor(self, depth: int, dtype: Any) -> Any:
        """F of one layer of `depth`, of a general covariance: the entries, row by row, are those of the mean + F Z."""
        assert self.full_cov is not None
        return (semidefinite_factor(self.full_cov) / np.sqrt(depth)).astype(dtype)

    def drift(self, depth: int, dtype: Any) -> Any:
        """mean / depth, or None."""
        return None if self.mean is None else (np.asarray(self.mean) / depth).astype(dtype)

    def sample(
        self, key: Any, shape: tuple[int, int], *, depth: int = 1, dtype: Any = "float32"
    ) -> Any:
        """A matrix [fan_out, fan_in] of this law."""
        import jax

        with sequential_bits():
            return self.of_normals(jax.random.normal(key, shape, dtype), depth)

    def of_normals(self, normals: Any, depth: int) -> Any:
        """The matrix of standard normals Z [fan_out, fan_in]: mean + A Z B^T, or mean + F Z of a general covariance."""
        import jax.numpy as jnp

        dtype, drift = normals.dtype, self.drift(depth, normals.dtype)
        if self.full_cov is None:
            _, outer, inner = self.arrays(depth, dtype)
            noise = jnp.matmul(
                jnp.matmul(outer, normals, precision="highest"), inner.T, precision="highest"
            )
        else:
            flat = jnp.matmul(
                self.full_factor(depth, dtype), normals.reshape(-1), precision="highest"
            )
            noise = flat.reshape(normals.shape)
        return noise if drift is None else drift + noise

    def to_json(self) -> dict[str, Any]:
        """A JSON record that `law_from_json` reads back."""
        record = dataclasses.asdict(self)
        return {key: value for key, value in record.items() if value is not None}

    def __repr__(self) -> str:
        drift = "" if self.mean is None else ", with drift"
        return f"{self.name}({' x '.join(str(size) for size in self.shape)}{drift})"


def matrix_normal(output_cov: Any, input_cov: Any, mean: Any = None) -> MatrixLaw:
    """W = mean / L + noise / sqrt(L), Cov(noise_oi, noise_o'i') = output_cov[o, o'] input_cov[i, i'], L the number of layers.

    Args:
        output_cov: [fan_out, fan_out], positive semidefinite.
        input_cov: [fan_in, fan_in], positive semidefinite. Nothing is divided by fan_in: independent entries N(0, s / (fan_in L)) are
            matrix_normal(s * eye(fan_out), eye(fan_in) / fan_in).
        mean: [fan_out, fan_in], the drift of a unit of time; None for 0.

    Raises:
        SpecError: covariances that are not symmetric positive semidefinite, a mean of another shape.

    Reference: arXiv 2007.03253, assumption 6 (and 4 for the drift).
    """
    outer, inner = _covariance("output_cov", output_cov), _covariance("input_cov", input_cov)
    return MatrixLaw(_mean(mean, (len(outer), len(inner))), _tuples(outer), _tuples(inner))


def gaussian_matrix(covariance: Any, mean: Any) -> MatrixLaw:
    """W = mean / L + noise / sqrt(L) with any covariance of the noise's entries.

    Args:
        covariance: [fan_out * fan_in] squared, entries in row-major order; at most 1024 entries.
        mean: [fan_out, fan_in], the drift of a unit of time (it also says the shape: give zeros for none).

    Raises:
        SpecError: as `matrix_normal`; too many entries.

    Reference: arXiv 2007.03253, assumption 4.
    """
    drift = validate.real_numbers(mean)
    if drift is None or drift.ndim != 2 or not drift.size or not np.isfinite(drift).all():
        raise SpecError(
            "a mean that is no matrix of finite numbers",
            "[fan_out, fan_in]",
            "Give zeros for none.",
        )
    if drift.size > _LARGEST_FULL:
        raise SpecError(
            f"a general covariance of {drift.size} entries",
            f"at most {_LARGEST_FULL}",
            "Take di.matrix_normal, whose covariance is a product.",
        )
    full = _covariance("covariance", covariance, drift.size)
    return MatrixLaw(_tuples(drift), full_cov=_tuples(full), name="gaussian_matrix")


def vector_normal(output_cov: Any, mean: Any = None) -> MatrixLaw:
    """The law of a bias vector b = mean / L + noise / sqrt(L), Cov(noise) = output_cov [width, width]."""
    drift = None if mean is None else validate.real_numbers(mean)
    return matrix_normal(output_cov, np.eye(1), mean if drift is None else drift.reshape(-1, 1))


def semidefinite_factor(covariance: Any) -> np.ndarray:
    """A [n, n] with A A^T = the covariance, float64, also of a singular one: its symmetric square root."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _covariance(name: str, given: Any, size: int | None = None) -> np.ndarray:
    matrix = validate.real_numbers(given)
    square = (
        matrix is not None
        and matrix.ndim == 2
        and matrix.shape[0] == matrix.shape[1]
        and matrix.size > 0
    )
    if not square or (size is not None and matrix is not None and len(matrix) != size):
        shown = "no array of numbers" if matrix is None else f"shape {matrix.shape}"
        raise SpecError(
            f"{name} of {shown}",
            f"a square matrix{f' of {size} rows' if size else ''}",
            "Check it.",
        )
    assert matrix is not None
    scale = float(np.abs(matrix).max())
    if not (math.isfinite(scale) and np.abs(matrix - matrix.T).max() <= _ROUNDING * scale):
        raise SpecError(
            f"{name} that is not finite and symmetric", "a covariance matrix", "Check its entries."
        )
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -_ROUNDING * scale * len(matrix):
        raise SpecError(
            f"{name} with the eigenvalue {least:.3g}",
            "a positive semidefinite matrix",
            "Check its entries.",
        )
    return matrix + 0.5 * (matrix.T - matrix)


def _mean(given: Any, shape: tuple[int, int]) -> Matrix | None:
    if given is None:
        return None
    mean = validate.real_numbers(given)
    if mean is None or mean.shape != shape or not np.isfinite(mean).all():
        shown = "no array of numbers" if mean is None else f"shape {mean.shape}"
        raise SpecError(
            f"a mean of {shown}", f"finite numbers of shape {shape}", "One entry for every weight."
        )
    return _tuples(mean) if mean.any() else None


def _tuples(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(float(value) for value in row) for row in matrix)
