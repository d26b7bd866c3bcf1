"""Gaussian matrices with correlated entries and drift, for residual blocks.

W = mean / L + noise / sqrt(L) in each of L layers: their sum has a limit as L grows.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.core.laws import Law
from deepinit.core.read_record import built, fields_of
from deepinit.core.typing import Array, DTypeLike, Float, KeyLike, Like, Plain, Real

Matrix = tuple[tuple[float, ...], ...]

_LARGEST_FULL = 1024  # entries of the matrix; their covariance then has 8 MB


@dataclasses.dataclass(frozen=True)
class MatrixLaw:
    """Law of a Gaussian matrix [fan_out, fan_in]; a bias has one column.

    Cov(noise_oi, noise_o'i') = output_cov[o, o'] input_cov[i, i'], or
    full_cov[o fan_in + i, o' fan_in + i'], not divided by fan_in. Constructors: `matrix_normal`,
    `gaussian_matrix`, `vector_normal`. `mean`: per unit of time; None for 0.
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
        """False: entries are not i.i.d."""
        return False

    @property
    def is_haar(self) -> bool:
        """False."""
        return False

    @property
    def is_symmetric(self) -> bool:
        """Whether the drift is 0."""
        return self.mean is None

    @property
    def has_product_covariance(self) -> bool:
        """Whether W can act on rows without being drawn."""
        return self.full_cov is None

    @property
    def shape(self) -> tuple[int, int]:
        """(fan_out, fan_in)."""
        if self.output_cov is not None and self.input_cov is not None:
            return len(self.output_cov), len(self.input_cov)
        assert self.mean is not None
        return len(self.mean), len(self.mean[0])

    def entry_variance(self, fan_in: int, depth: int = 1) -> float:
        """Always raises SpecError: entries differ in variance."""
        del fan_in, depth
        given = "the variance of one entry of a matrix with correlated entries"
        raise SpecError(given, "laws of independent entries", "Take di.normal(...), or simulate.")

    def arrays(self, depth: int, dtype: DTypeLike) -> tuple[Any, Any, Any]:
        """(mean or None, A, B) of one of `depth` layers: W = mean + A Z B^T.

        Raises SpecError: general covariance.
        """
        if self.output_cov is None or self.input_cov is None:
            raise SpecError(
                "a general covariance, which has no factors of its own for rows and columns",
                "a product of two (di.matrix_normal)",
                "Take linear_map='explicit' and parametrization='standard'.",
            )
        outer, inner = semidefinite_factor(self.output_cov), semidefinite_factor(self.input_cov)
        return self.drift(depth, dtype), (outer / np.sqrt(depth)).astype(dtype), inner.astype(dtype)

    def full_factor(self, depth: int, dtype: DTypeLike) -> Float[Like, "entries entries"]:
        """F of one of `depth` layers of general covariance: entries mean + F Z."""
        assert self.full_cov is not None
        return (semidefinite_factor(self.full_cov) / np.sqrt(depth)).astype(dtype)

    def drift(self, depth: int, dtype: DTypeLike) -> Any:
        """mean / depth, or None."""
        return None if self.mean is None else (np.asarray(self.mean) / depth).astype(dtype)

    def sample(
        self, key: KeyLike, shape: tuple[int, int], *, depth: int = 1, dtype: DTypeLike = "float32"
    ) -> Float[Like, "fan_out fan_in"]:
        """Matrix."""
        import jax

        with sequential_bits():
            return self.of_normals(jax.random.normal(key, shape, dtype), depth)

    def of_normals(
        self, normals: Float[Like, "fan_out fan_in"], depth: int
    ) -> Float[Like, "fan_out fan_in"]:
        """mean + A Z B^T or mean + F Z, from standard normals Z."""
        import jax.numpy as jnp

        product = functools.partial(jnp.matmul, precision="highest")
        dtype, drift = normals.dtype, self.drift(depth, normals.dtype)
        if self.full_cov is None:
            _, outer, inner = self.arrays(depth, dtype)
            noise = product(product(outer, normals), inner.T)
        else:
            flat = product(self.full_factor(depth, dtype), normals.reshape(-1))
            noise = flat.reshape(normals.shape)
        return noise if drift is None else drift + noise

    def to_json(self) -> dict[str, Any]:
        """JSON record for `law_from_json`."""
        record = dataclasses.asdict(self)
        return {key: value for key, value in record.items() if value is not None}

    def __repr__(self) -> str:
        drift = "" if self.mean is None else ", with drift"
        return f"{self.name}({' x '.join(str(size) for size in self.shape)}{drift})"


def matrix_normal(
    output_cov: Real[Array, "fan_out fan_out"] | Plain,
    input_cov: Real[Array, "fan_in fan_in"] | Plain,
    mean: Real[Array, "fan_out fan_in"] | Plain | None = None,
) -> MatrixLaw:
    """W = mean / L + noise / sqrt(L), noise of product covariance.

    Cov(noise_oi, noise_o'i') = output_cov[o, o'] input_cov[i, i'].

    Args:
        input_cov: not divided by fan_in. I.i.d. N(0, s / (fan_in L)):
            `matrix_normal(s * eye(fan_out), eye(fan_in) / fan_in)`.
        mean: drift per unit of time.

    Raises SpecError: not positive semidefinite; another shape of mean.
    Reference: arXiv 2007.03253, assumptions 6 and 4 (drift).
    """
    outer = validate.covariance("output_cov", output_cov)
    inner = validate.covariance("input_cov", input_cov)
    drift = None
    if mean is not None:
        shape, remedy = (len(outer), len(inner)), "One entry for every weight."
        drift = validate.array("mean", mean, shape, remedy)
    return MatrixLaw(
        _tuples(drift) if drift is not None and drift.any() else None,
        _tuples(outer),
        _tuples(inner),
    )


def gaussian_matrix(
    covariance: Real[Array, "entries entries"] | Plain, mean: Real[Array, "fan_out fan_in"] | Plain
) -> MatrixLaw:
    """W = mean / L + noise / sqrt(L), noise of any covariance.

    Args:
        covariance: [fan_out * fan_in] squared, row-major, of at most 1024 entries of W.
        mean: drift per unit of time.

    Raises SpecError: as `matrix_normal`; too many entries.
    Reference: arXiv 2007.03253, assumption 4.
    """
    drift = validate.array("mean", mean, ("fan_out", "fan_in"), "Give zeros for none.")
    if drift.size > _LARGEST_FULL:
        remedy = "Take di.matrix_normal, whose covariance is a product."
        given = f"a general covariance of {drift.size} entries"
        raise SpecError(given, f"at most {_LARGEST_FULL}", remedy)
    full = validate.covariance("covariance", covariance, drift.size)
    return MatrixLaw(_tuples(drift), full_cov=_tuples(full), name="gaussian_matrix")


def vector_normal(
    output_cov: Real[Array, "fan_out fan_out"] | Plain,
    mean: Real[Array, "fan_out"] | Plain | None = None,
) -> MatrixLaw:
    """Bias mean / L + noise / sqrt(L), Cov(noise) = output_cov [width, width]."""
    drift = None if mean is None else validate.array("mean", mean).reshape(-1, 1)
    return matrix_normal(output_cov, np.eye(1), drift)


def semidefinite_factor(covariance: Any) -> np.ndarray:
    """Symmetric square root [n, n] of a covariance, singular or not; float64."""
    values, vectors = np.linalg.eigh(np.asarray(covariance, np.float64))
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def _tuples(matrix: np.ndarray) -> Matrix:
    return tuple(tuple(float(value) for value in row) for row in matrix)


def law_from_json(record: dict[str, Any]) -> Law | MatrixLaw:
    """Inverse of the laws' `to_json`."""
    fields = fields_of("a law", record)
    if fields.get("name") not in ("matrix_normal", "gaussian_matrix"):
        return built(Law, **fields)
    matrices = {key: _tuples(value) for key, value in fields.items() if key != "name"}
    return built(MatrixLaw, **matrices, name=fields["name"])


def acts_on_rows(law: Any) -> bool:
    """Whether the law acts on rows without drawing the matrix."""
    if isinstance(law, MatrixLaw):
        return law.has_product_covariance
    return law.is_gaussian or law.is_haar
