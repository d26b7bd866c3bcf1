"""Elementwise function with derivative, kinks and slopes."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.array_api import array_namespace
from deepinit.core.errors import SpecError
from deepinit.core.gauss_legendre import unit_rule
from deepinit.core.host import on_host

# Gauss-Legendre on [0, 1]: relative error below 1e-9 for tanh, GELU, ... on steps up to 1/2.
_NODES, _WEIGHTS = unit_rule(6)
_LONGEST_QUADRATURE_STEP = 0.5


@dataclasses.dataclass(frozen=True)
class Activation:
    """Elementwise nonlinearity.

    Attributes:
        name: built-in, `rounded` (`core.rounding`), or `module:function`.
        fn: `fn(x, **parameters)` on JAX arrays; built-ins on NumPy too.
        parameters: keyword arguments of `fn`, sorted pairs.
        slopes: (left, right) of 0 if positively homogeneous, or None.
        kinks: jumps of the function or a derivative, in order; `jumps`: of the value.
        derivative_fn: `derivative_fn(x, **parameters)` of built-ins; None for autodiff.
        difference_fn: `difference_fn(x, dx, **parameters)`; None for the integral of phi'.
    """

    name: str
    fn: Callable[..., Any]
    parameters: "tuple[tuple[str, float | str | Activation], ...]" = ()
    slopes: tuple[float, float] | None = None
    kinks: tuple[float, ...] = ()
    derivative_fn: Callable[..., Any] | None = None
    jumps: tuple[float, ...] = ()
    difference_fn: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinks", tuple(sorted(self.kinks)))

    def __call__(self, x: Any) -> Any:
        """phi(x)."""
        return self.fn(x, **dict(self.parameters))

    def derivative(self, x: Any) -> Any:
        """phi'(x); at kinks the left one for built-ins, else JAX's."""
        if self.derivative_fn is not None:
            return self.derivative_fn(x, **dict(self.parameters))
        import jax
        import jax.numpy as jnp

        return jax.jvp(self, (x,), (jnp.ones_like(x),))[1]

    def difference(self, x: Any, dx: Any) -> Any:
        """phi(x + dx) - phi(x), to relative accuracy for any dx.

        Gauss-Legendre integral of phi' between kinks, exact if piecewise linear; plain difference
        across jumps and for |dx| > 1/2.
        """
        xp = array_namespace(x, dx)
        if self.difference_fn is not None:
            return self.difference_fn(x, dx, **dict(self.parameters))
        direct = self(x + dx) - self(x)
        if self.slopes is not None:
            left, right = self.slopes
            smooth = xp.where(x > 0, right * dx, left * dx)
            return xp.where((x > 0) == (x + dx > 0), smooth, direct)
        short = abs(dx) < _LONGEST_QUADRATURE_STEP
        for jump in self.jumps:
            short &= ((x < jump) & (x + dx < jump)) | ((x > jump) & (x + dx > jump))
        return xp.where(short, self._integral(xp, x, dx), direct)

    def _integral(self, xp: Any, x: Any, dx: Any) -> Any:
        """Integral of phi', split at kinks."""
        if not self.kinks:
            return dx * sum(
                float(w) * self.derivative(x + float(t) * dx)
                for t, w in zip(_NODES, _WEIGHTS, strict=True)
            )
        x, dx = xp.broadcast_arrays(x, dx)
        forward = dx > 0
        start = xp.where(forward, 0.0, 1.0).astype(dx.dtype)
        cuts = [start, *(_share_before(xp, kink, x, dx) for kink in self.kinks), 1 - start]
        edges = (-math.inf, *self.kinks, math.inf)
        total = xp.zeros_like(dx)
        for (before, after), (low, high) in zip(
            itertools.pairwise(cuts), itertools.pairwise(edges), strict=True
        ):
            least, most = inside(low, high, dx.dtype)
            for t, w in zip(_NODES, _WEIGHTS, strict=True):
                at = xp.clip(x + (before + float(t) * (after - before)) * dx, least, most)
                total = total + float(w) * abs(after - before) * self.derivative(at)
        return total * dx

    @property
    def is_homogeneous(self) -> bool:
        """Whether phi(c x) = c phi(x), c > 0."""
        return self.slopes is not None

    @property
    def is_builtin(self) -> bool:
        """Whether NumPy computes value and derivative, in float64."""
        return self.derivative_fn is not None

    def has_corner(self, x: float) -> bool:
        """Whether phi or phi' jumps at x; ELU's phi'' at 0 does not count."""
        if x not in self.kinks:
            return False
        if x in self.jumps or self.slopes is not None:
            return True
        sides = np.array([np.nextafter(x, -math.inf), np.nextafter(x, math.inf)])
        left, right = derivatives(self, sides if x else 1e-300 * np.array([-1.0, 1.0]))
        return abs(right - left) > 1e-9 * max(abs(left), abs(right))

    def to_json(self) -> dict[str, Any]:
        """JSON record for `activations.from_json`.

        Raises SpecError: not importable by name (lambda, local function).
        """
        importable = ":" in self.name and "<" not in self.name
        if not (self.is_builtin or self.name == "rounded" or importable):
            allowed = "a built-in activation, or a function at the top level of a module"
            remedy = "Move the function to a module: a lambda cannot be written to disk."
            raise SpecError(
                f"the activation {self.name!r}, which no import can reach", allowed, remedy
            )
        return {"name": self.name, **{key: _record(value) for key, value in self.parameters}}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value}" for key, value in self.parameters)
        return f"{self.name}({arguments})" if arguments else self.name


def _record(value: Any) -> Any:
    """Parameter in JSON; inner activations by name or record text."""
    if not isinstance(value, Activation):
        return value
    record = value.to_json()
    return record["name"] if len(record) == 1 else json.dumps(record, sort_keys=True)


def _share_before(xp: Any, kink: float, x: Any, dx: Any) -> Any:
    """Kink's position in the step, in [0, 1]."""
    gap = kink - x
    ahead = (gap > 0) == (dx > 0)
    met = ahead & (abs(gap) <= abs(dx)) & (dx != 0)
    return xp.where(met, gap / xp.where(met, dx, 1), ahead.astype(dx.dtype))


def inside(low: float, high: float, dtype: Any) -> tuple[Any, Any]:
    """Least and largest float between two kinks."""
    floats, tiny = np.dtype(dtype).type, np.finfo(dtype).tiny
    least, most = floats(low), floats(high)
    if math.isfinite(low):  # XLA flushes numbers below `tiny` to 0
        least = np.maximum(np.nextafter(least, floats(math.inf)), least + tiny)
    if math.isfinite(high):
        most = np.minimum(np.nextafter(most, floats(-math.inf)), most - tiny)
    return least, most


def values(activation: Activation, x: np.ndarray) -> np.ndarray:
    """phi(x) in float64 on the host; built-ins without JAX."""
    return np.asarray(activation(x)) if activation.is_builtin else on_host(activation, x)


def derivatives(activation: Activation, x: np.ndarray) -> np.ndarray:
    """phi'(x) in float64 on the host; built-ins without JAX."""
    if activation.is_builtin:
        return np.asarray(activation.derivative(x), dtype=np.float64)
    return on_host(activation.derivative, x)


def differences(activation: Activation, x: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """phi(x + dx) - phi(x), float64, relatively accurate."""
    if activation.is_builtin:
        return np.asarray(activation.difference(x, dx))
    return on_host(activation.difference, x, dx)
