"""Examination of a user's activation in float64.

Required: elementwise, traceable, float to float, forward-differentiable, finite; the derivative
integrates to the values between kinks.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.errors import SpecError
from deepinit.core.homogeneity import is_homogeneous
from deepinit.core.host import in_float64, outside_traces
from deepinit.core.kinks import find_kinks, search_grid

_SIZE = 1024  # of every array that functions are evaluated on: each operation is compiled once
_REACH = 12.0
# No round number, 0 included, is an edge at any level: a hidden kink at an edge would not show.
_LAST, _CELLS = 11.964, 157
_LEVELS = 9  # bisections of a cell
_ROUNDING = 1e-14  # of the largest value
_HOMOGENEOUS = 1e-13  # relative
_INTEGRAL_ERROR = 1e-9
_ROOT_ERROR = 1e-2  # in the last cell beside a kink, for |x|^1.5
_LEGENDRE, _MASS = np.polynomial.legendre.leggauss(6)

_SEEMINGLY_HOMOGENEOUS = (
    "has the values of c x at every point tried, while its operations do not prove phi(c x) = c "
    "phi(x): a piece between the points may be missed",
    "Declare its kinks, di.from_function(fn, kinks=(0.01, 0.02)), or write it by max, abs, "
    "products with constants and jnp.where(x > 0, ...).",
)

_ALLOWED = (
    "a function of one float array, applied entry by entry, that JAX can trace and differentiate, "
    "with finite values and derivatives (jax.nn.relu, jnp.tanh, lambda x: x * jnp.tanh(x))"
)


def examined(name: str, fn: Callable[[Any], Any], kinks: tuple[float, ...] = ()) -> Activation:
    """Activation of the function `module:function`, with kinks (given and found) and slopes.

    Raises SpecError: not an activation, with the reason.
    """
    try:
        hash(fn)
    except TypeError:
        raise _refused(name, "is not hashable", "Wrap it: def phi(x): return ...") from None
    return _examined(name, fn, kinks)


@functools.lru_cache(maxsize=512)
def _examined(name: str, fn: Callable[[Any], Any], declared: tuple[float, ...]) -> Activation:
    outside_traces(lambda: _check_single_precision(name, fn))
    return in_float64(lambda: _examine(name, fn, declared))


def _examine(name: str, fn: Callable[[Any], Any], declared: tuple[float, ...]) -> Activation:
    import jax

    grid = search_grid(_SIZE)
    inner = np.abs(grid) <= _REACH
    jaxpr = _traced(name, fn, (_SIZE,), "float64")
    values = _evaluated(name, fn, grid)
    _check_elementwise(name, fn, grid, values)
    _check_finite(name, "value", grid[inner], values[inner])
    if (values == values[0]).all():
        raise _refused(name, f"is constant ({values[0]:g})", "Every network would be constant too.")
    _check_finite(name, "derivative", grid[inner], _slopes(name, fn, grid)[inner])

    try:
        kinks, jumps, too_many = find_kinks(jaxpr, grid)
    except jax.errors.JAXTypeError as error:  # an operation that fails when evaluated alone
        raise _refused(name, f"cannot be evaluated ({_first_line(error)})") from None
    if too_many:
        first = ", ".join(f"{kink:.6g}" for kink in kinks[:4])
        remedy = "At most 16 kinks are handled; di.rounded models values on a grid."
        raise _refused(name, f"has kinks at {first}, and at many more points", remedy)
    slopes = _slopes_of_homogeneous(grid, values) if set(kinks) <= {0.0} else None
    if slopes is not None and not is_homogeneous(jaxpr):
        if not declared:
            raise _refused(name, *_SEEMINGLY_HOMOGENEOUS)
        slopes = None
    if slopes is not None:
        kinks = (0.0,) if slopes[0] != slopes[1] else ()
    kinks = tuple(sorted({*kinks, *(kink for kink in declared if not _is_near(kink, kinks))}))
    _check_derivative(name, fn, kinks)
    return Activation(name, fn, slopes=slopes, kinks=kinks, jumps=jumps)


def _check_single_precision(name: str, fn: Callable[[Any], Any]) -> None:
    """Trace with JAX's default types."""
    import jax

    with jax.enable_x64(False):
        _traced(name, fn, (4,), "float32")


def _traced(name: str, fn: Callable[[Any], Any], shape: tuple[int, ...], dtype: str) -> Any:
    import jax

    try:
        jaxpr = jax.make_jaxpr(fn)(jax.ShapeDtypeStruct(shape, dtype))
    except Exception as error:  # noqa: BLE001 - of a user's function
        raise _refused(name, *_reason(error)) from None
    outputs = jaxpr.out_avals
    if len(outputs) != 1 or getattr(outputs[0], "shape", None) != shape:
        given = ", ".join(str(getattr(aval, "shape", aval)) for aval in outputs) or "nothing"
        raise _refused(name, f"makes {given} of an array of shape {shape}")
    if outputs[0].dtype != dtype:
        remedy = "Return the dtype of x: no astype, and no NumPy float64 constants."
        raise _refused(name, f"makes {outputs[0].dtype} of {dtype}", remedy)
    return jaxpr


def _reason(error: Exception) -> tuple[str, str]:
    """Why a function cannot be traced, and the remedy."""
    import jax

    if isinstance(error, jax.errors.TracerArrayConversionError):
        return "computes with NumPy", "Write jnp.tanh instead of np.tanh, and no np.vectorize."
    ambiguous = isinstance(error, ValueError) and "ambiguous" in str(error)
    if ambiguous or isinstance(error, jax.errors.ConcretizationTypeError):
        remedy = "Write jnp.maximum(x, 0) or jnp.where instead of max, if, and, or."
        return "decides by the value of x in Python (max, if, bool)", remedy
    what = f"{type(error).__name__}: {_first_line(error)}"
    return f"cannot be applied to one float array ({what})", "It is called as phi(x)."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else ""


def _evaluated(name: str, fn: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    import jax.numpy as jnp

    try:
        return np.asarray(fn(jnp.asarray(x)), np.float64)
    except Exception as error:  # noqa: BLE001 - of a user's function
        raise _refused(name, *_reason(error)) from None


def _check_elementwise(
    name: str, fn: Callable[[Any], Any], grid: np.ndarray, values: np.ndarray
) -> None:
    """Values agree entry by entry, and in other orders and shapes."""
    import jax

    order = np.random.default_rng(0).permutation(_SIZE)
    shuffled = _evaluated(name, fn, grid[order].reshape(4, -1))
    single = _evaluated(name, jax.vmap(fn), grid)
    expected = values[order].reshape(4, -1)
    for x, result, wanted in (
        (grid[order].reshape(4, -1), shuffled, expected),
        (grid, single, values),
    ):
        if result.shape != wanted.shape:
            raise _refused(name, f"makes shape {result.shape} of shape {wanted.shape}")
        same = np.isclose(result, wanted, rtol=1e-9, atol=1e-12, equal_nan=True)
        if not same.all():
            what = f"its value at x={x[~same][0]:.4g} depends on other entries or on the call"
            remedy = "softmax, GLU, normalization, dropout are layers; di.network takes any model."
            raise _refused(name, f"is not elementwise: {what}", remedy)


def _slopes(name: str, fn: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    import jax
    import jax.numpy as jnp

    try:
        at = jnp.asarray(x)
        return np.asarray(jax.jvp(fn, (at,), (jnp.ones_like(at),))[1], np.float64)
    except Exception as error:  # noqa: BLE001 - of a user's function
        custom = "custom_vjp" in str(error)
        what = "has a reverse derivative only (jax.custom_vjp)" if custom else "has no derivative"
        remedy = "Write jax.custom_jvp: forward derivatives are needed too." if custom else ""
        detail = "" if custom else f" ({_first_line(error)})"
        raise _refused(name, what + detail, remedy) from None


def _check_finite(name: str, what: str, x: np.ndarray, numbers: np.ndarray) -> None:
    bad = ~np.isfinite(numbers)
    if bad.any():
        place = np.argmin(np.where(bad, np.abs(x), np.inf))
        given = f"has the {what} {numbers[place]:g} at x={x[place]:.4g}"
        remedy = "Both must be finite on [-12, 12]; jnp.where keeps a NaN of the branch not taken."
        raise _refused(name, given, remedy)


def _slopes_of_homogeneous(grid: np.ndarray, values: np.ndarray) -> tuple[float, float] | None:
    left, right = -values[np.searchsorted(grid, -1.0)], values[np.searchsorted(grid, 1.0)]
    expected = np.where(grid > 0, right, left) * grid
    same = np.abs(values - expected) <= _HOMOGENEOUS * np.abs(expected)
    left = right if abs(left - right) <= _HOMOGENEOUS * abs(right) else left
    return (float(left) + 0.0, float(right) + 0.0) if same.all() else None


def _is_near(kink: float, kinks: tuple[float, ...]) -> bool:
    return any(abs(kink - other) <= 1e-9 * (1.0 + abs(kink)) for other in kinks)


def _check_derivative(name: str, fn: Callable[[Any], Any], kinks: tuple[float, ...]) -> None:
    """phi' integrates to phi over every cell between kinks.

    Failing cells are bisected: smooth functions pass at a finer scale, hidden kinks do not.
    """
    edges = np.unique([*np.linspace(-_REACH, _LAST, _CELLS + 1), _REACH, *kinks])
    edges = edges[np.abs(edges) <= _REACH]
    low, high = edges[:-1], edges[1:]
    wide = high - low > 1e-9
    low, high = low[wide], high[wide]
    # Where phi cancels (GELU far to the left) its error is the rounding of the largest values.
    rounding = _ROUNDING * float(np.abs(_in_chunks(lambda x: _evaluated(name, fn, x), edges)).max())
    for level in range(_LEVELS):
        error = _misfit(name, fn, low, high, kinks, rounding)
        beside = (np.isin(low, kinks) | np.isin(high, kinks)) & (level == _LEVELS - 1)
        failed = ~(error <= np.where(beside, _ROOT_ERROR, _INTEGRAL_ERROR))
        if not failed.any():
            return
        middle = 0.5 * (low + high)[failed]
        low = np.concatenate([low[failed], middle])
        high = np.concatenate([middle, high[failed]])
    error = _misfit(name, fn, low, high, kinks, rounding)
    place = int(np.argmax(error > _INTEGRAL_ERROR))
    between = f"x={low[place]:.6g} and {high[place]:.6g}"
    raise _refused(
        name,
        f"has a derivative that is not that of its values between {between}",
        "Declare a kink that a loop or a table hides, di.from_function(fn, kinks=(0.0,)); "
        "correct the derivative of jax.custom_jvp.",
    )


def _misfit(
    name: str,
    fn: Callable,
    low: np.ndarray,
    high: np.ndarray,
    kinks: tuple[float, ...],
    rounding: float,
) -> np.ndarray:
    """[cells]: |integral of phi' - increment of phi| beyond rounding, relative."""
    half = 0.5 * (high - low)
    nodes = (0.5 * (high + low))[:, None] + half[:, None] * _LEGENDRE
    at_kink = np.isin(low, kinks), np.isin(high, kinks)
    ends = (_beside(low, np.inf, at_kink[0]), _beside(high, -np.inf, at_kink[1]))
    first, last = _in_chunks(lambda x: _evaluated(name, fn, x), np.stack(ends))
    slopes = _in_chunks(lambda x: _slopes(name, fn, x), nodes)
    integral = half * (slopes @ _MASS)
    scale = np.maximum(np.abs(first), np.abs(last)) + half * np.abs(slopes).max(axis=1)
    beyond = np.maximum(np.abs(integral - (last - first)) - rounding, 0.0)
    return beyond / np.where(scale > 0.0, scale, 1.0)


def _beside(x: np.ndarray, toward: float, where: np.ndarray) -> np.ndarray:
    """Next float beside a kink; 1e-300 beside 0 (subnormal numbers are flushed)."""
    beside = np.where(x == 0.0, np.copysign(1e-300, toward), np.nextafter(x, toward))
    return np.where(where, beside, x)


def _in_chunks(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    flat = x.ravel()
    padded = np.concatenate([flat, np.zeros(-len(flat) % _SIZE)])
    results = np.concatenate([function(part) for part in padded.reshape(-1, _SIZE)])
    return results[: len(flat)].reshape(x.shape)


def _refused(name: str, what: str, remedy: str = "") -> SpecError:
    return SpecError(f"the function {name!r}, which {what}", _ALLOWED, remedy)
