"""Laws of weights and biases: samplers with exact moments."""

import dataclasses
import functools
import math
from typing import Any, Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.core.placeholders import Placeholder, array, check, sqrt
from deepinit.core.typing import DTypeLike, Float, KeyLike, Like

LawName = Literal["normal", "truncated_normal", "uniform", "orthogonal", "sparse", "constant"]
Scaling = Literal["fan_in", "absolute", "depth"]
LAW_NAMES = ("normal", "truncated_normal", "uniform", "orthogonal", "sparse", "constant")
SCALINGS = ("fan_in", "absolute", "depth")

# A standard normal truncated to [-2, 2], as in the initializers of Keras and JAX.
TRUNCATION = 2.0
_MASS = math.erf(TRUNCATION / math.sqrt(2.0))
_BOUNDARY = math.exp(-0.5 * TRUNCATION**2) / math.sqrt(2.0 * math.pi)
TRUNCATED_STD = math.sqrt(1.0 - 2.0 * TRUNCATION * _BOUNDARY / _MASS)


@dataclasses.dataclass(frozen=True)
class Law:
    """Law of a weight matrix or bias vector, by its entry variance.

    Symmetric about 0, except `constant`. The variance is exact for truncation, sparsity and
    rectangular shapes.

    Attributes:
        name: `normal`, `truncated_normal` (at two standard deviations), `uniform`, `orthogonal`
            (Haar; orthonormal along the shorter side), `sparse` (normal, kept with probability
            `density`) or `constant` (`value`; biases only).
        variance, scaling: entry variance `variance / fan_in` (`fan_in`), `variance` (`absolute`),
            or `variance / (fan_in * depth)`, depth in hidden layers (`depth`).
        density: nonzero fraction (`sparse`).
        value: of all entries (`constant`).
    """

    name: LawName = "normal"
    variance: float = 1.0
    scaling: Scaling = "fan_in"
    density: float | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.variance, Placeholder):
            return  # inside a program: the law of a spec that was checked
        object.__setattr__(self, "name", validate.choice("law", self.name, LAW_NAMES))
        object.__setattr__(self, "scaling", validate.choice("scaling", self.scaling, SCALINGS))
        for field in ("variance", "density", "value"):
            number = validate.real_number(getattr(self, field))
            if number is not None and math.isfinite(number):
                object.__setattr__(self, field, number)
        if not (_is_finite(self.variance) and self.variance >= 0):
            remedy = "He initialization of ReLU nets is variance=2."
            raise SpecError(f"variance={self.variance!r}", "a finite number >= 0", remedy)
        density_ok = self.density is None or (_is_finite(self.density) and 0 < self.density <= 1)
        if (self.density is not None) != (self.name == "sparse") or not density_ok:
            given = f"density={self.density!r} with the law {self.name!r}"
            allowed = "0 < density <= 1 with the law 'sparse', and no density with any other law"
            raise SpecError(given, allowed, "Write di.sparse(density=0.1).")
        value_ok = self.value is None or (_is_finite(self.value) and self.variance == 0)
        if (self.value is not None) != (self.name == "constant") or not value_ok:
            given = f"value={self.value!r} with the law {self.name!r}"
            allowed = "a finite value with the law 'constant', and none with any other law"
            raise SpecError(given, allowed, "Write di.constant(0.01) for biases equal to 0.01.")

    def __repr__(self) -> str:
        """The constructor with exact numbers, e.g. `normal(2.0)`."""
        scaling = "" if self.scaling == "fan_in" else f", {self.scaling!r}"
        density = "" if self.density is None else f", density={self.density!r}"
        if self.value is not None:
            return f"{self.name}({self.value!r})"
        return f"{self.name}({self.variance!r}{scaling}{density})"

    @property
    def is_symmetric(self) -> bool:
        """Whether symmetric about 0."""
        return not self.value

    @property
    def is_haar(self) -> bool:
        """Whether Haar orthonormal."""
        return self.name == "orthogonal"

    @property
    def is_gaussian(self) -> bool:
        """Whether i.i.d. Gaussian, as for the conditional map."""
        return self.name == "normal"

    def entry_variance(self, fan_in: int, depth: int = 1) -> float:
        """Entry variance, for `depth` hidden layers."""
        divisor = {"fan_in": fan_in, "absolute": 1, "depth": fan_in * depth}[self.scaling]
        return self.variance / divisor

    def entry_std(self, fan_in: int, depth: int = 1, dtype: DTypeLike = "float32") -> float:
        """Entry standard deviation; SpecError beyond the dtype's range."""
        std = sqrt(self.entry_variance(fan_in, depth))
        check(functools.partial(_require_in_range, self.name, dtype), std, self.value or 0.0)
        return std

    def standardized_moment(self, order: int, shape: tuple[int, int] | None = None) -> float:
        """E[(w / std)^order] of one entry, exact; shape (fan_out, fan_in) for `orthogonal` only."""
        if order % 2:
            return 0.0
        half = order // 2
        normal = float(math.prod(range(order - 1, 0, -2)))
        if self.name == "uniform":
            return 3.0**half / (order + 1)
        if self.name == "sparse":
            assert self.density is not None
            return normal * self.density ** (1 - half) if half else 1.0
        if self.name == "truncated_normal":
            return _truncated_moment(order) / TRUNCATED_STD**order
        if self.name == "orthogonal":
            if shape is None:
                remedy = "The orthogonal law's moments depend on it."
                raise SpecError("no shape", "shape=(fan_out, fan_in)", remedy)
            size = max(shape)  # the entry is a coordinate of a uniform point on the unit sphere
            return normal * size**half / math.prod(size + 2 * j for j in range(half))
        return normal

    def sample(
        self, key: KeyLike, shape: tuple[int, int], *, depth: int = 1, dtype: DTypeLike = "float32"
    ) -> Float[Like, "fan_out fan_in"]:
        """Random matrix [fan_out, fan_in]; SpecError beyond the dtype's range."""
        std = self.entry_std(shape[1], depth, dtype)
        if self.value is not None:
            import jax.numpy as jnp

            return jnp.full(shape, array(self.value, dtype), dtype)
        with sequential_bits():
            return std * self._sample_standard(key, shape, dtype)

    def _sample_standard(self, key: Any, shape: tuple[int, int], dtype: Any) -> Any:
        """Entries of variance 1."""
        import jax

        if self.name == "normal":
            return jax.random.normal(key, shape, dtype)
        if self.name == "truncated_normal":
            standard = jax.random.truncated_normal(key, -TRUNCATION, TRUNCATION, shape, dtype)
            return standard / TRUNCATED_STD
        if self.name == "uniform":
            return jax.random.uniform(key, shape, dtype, -math.sqrt(3.0), math.sqrt(3.0))
        if self.name == "sparse":
            assert self.density is not None
            values_key, mask_key = jax.random.split(key)
            kept = jax.random.bernoulli(mask_key, self.density, shape)
            return kept * jax.random.normal(values_key, shape, dtype) / math.sqrt(self.density)
        from deepinit.core.orthonormal import orthonormalize_rows

        few, many = sorted(shape)
        frame = math.sqrt(many) * orthonormalize_rows(jax.random.normal(key, (few, many), dtype))[0]
        return frame if shape[0] == few else frame.T

    def to_json(self) -> dict[str, Any]:
        """JSON record for `Law(**record)`."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


def _require_in_range(name: str, dtype: DTypeLike, std: float, value: float) -> None:
    import jax.numpy as jnp

    limits, largest = jnp.finfo(dtype), max(std, abs(value))
    if largest > float(limits.max) or 0.0 < std < float(limits.tiny):
        given = f"the law {name!r} with entries of size {largest:.3g} in {limits.dtype}"
        allowed = f"0, or sizes from {float(limits.tiny):.3g} to {float(limits.max):.3g}"
        raise SpecError(given, allowed, "Take a variance nearer to 1, or scale the inputs.")


def _is_finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _truncated_moment(order: int) -> float:
    """m_k = E[x^k] of N(0, 1) on [-c, c]: m_k = (k - 1) m_{k-2} - 2 c^{k-1} pdf(c) / mass."""
    if order == 0:
        return 1.0
    boundary = 2 * TRUNCATION ** (order - 1) * _BOUNDARY / _MASS
    return (order - 1) * _truncated_moment(order - 2) - boundary


def normal(variance: float = 1.0, scaling: Scaling = "fan_in") -> Law:
    """I.i.d. normal entries; by default N(0, variance / fan_in)."""
    return Law("normal", variance, scaling)


def truncated_normal(variance: float = 1.0, scaling: Scaling = "fan_in") -> Law:
    """I.i.d. normal, truncated at two standard deviations, rescaled."""
    return Law("truncated_normal", variance, scaling)


def uniform(variance: float = 1.0, scaling: Scaling = "fan_in") -> Law:
    """I.i.d. uniform about 0."""
    return Law("uniform", variance, scaling)


def orthogonal(variance: float = 1.0, scaling: Scaling = "fan_in") -> Law:
    """Haar orthonormal rows or columns, scaled to the entry variance."""
    return Law("orthogonal", variance, scaling)


def sparse(variance: float = 1.0, scaling: Scaling = "fan_in", *, density: float = 0.1) -> Law:
    """I.i.d. normal, kept with probability `density`, rescaled."""
    return Law("sparse", variance, scaling, density)


def constant(value: float) -> Law:
    """Biases all equal to `value`."""
    return Law("constant", 0.0, "absolute", None, value)
