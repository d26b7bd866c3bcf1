"""Activations: an elementwise function and the facts that theory and simulation need about it.

The built-in functions compute in NumPy (float64) or in JAX, whichever their argument lives in, so that quadrature on the
host and simulation on a device use the same definition. Any JAX function becomes one by `from_function`.
"""

import dataclasses
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError, refusal
from deepinit.core.namespace import array_namespace, special_namespace

# Gauss-Legendre on [0, 1], 6 nodes: exact for polynomials of degree 11. On steps of at most 1/2 the error for tanh, GELU
# and their like is below 1e-9 relative, under float32 rounding; longer steps are differenced directly.
_NODES, _WEIGHTS = (0.5 * (np.polynomial.legendre.leggauss(6)[0] + 1.0), 0.5 * np.polynomial.legendre.leggauss(6)[1])
_LONGEST_QUADRATURE_STEP = 0.5


@dataclasses.dataclass(frozen=True)
class Activation:
    """An elementwise nonlinearity.

    Attributes:
        name: the built-in's name, `rounded` (see `core.rounding`), or `module:function` of a user's function.
        fn: `fn(x, **parameters)`, elementwise, on NumPy or JAX arrays.
        parameters: keyword arguments bound to `fn`, as sorted pairs.
        slopes: (left, right) if the function is positively homogeneous: `left * x` for x < 0, `right * x` for x > 0.
        kinks: where the derivative jumps; between kinks the function is smooth.
        derivative_fn: `derivative_fn(x, **parameters)`; JAX's automatic derivative if None.
    """

    name: str
    fn: Callable[..., Any]
    parameters: tuple[tuple[str, float | str], ...] = ()
    slopes: tuple[float, float] | None = None
    kinks: tuple[float, ...] = ()
    derivative_fn: Callable[..., Any] | None = None

    def __call__(self, x: Any) -> Any:
        """phi(x), elementwise."""
        return self.fn(x, **dict(self.parameters))

    def derivative(self, x: Any) -> Any:
        """phi'(x), elementwise; at a kink, the right derivative for built-ins and JAX's convention otherwise."""
        if self.derivative_fn is not None:
            return self.derivative_fn(x, **dict(self.parameters))
        import jax
        import jax.numpy as jnp

        return jax.jvp(self, (x,), (jnp.ones_like(x),))[1]

    def difference(self, x: Any, dx: Any) -> Any:
        """phi(x + dx) - phi(x) to relative accuracy, however small dx.

        Where x and x + dx lie between the same kinks: the integral of phi' over the step by Gauss-Legendre (exact for
        piecewise-linear functions); across a kink, and for steps longer than 1/2, the plain difference.
        """
        xp = array_namespace(x, dx)
        direct = self(x + dx) - self(x)
        if self.slopes is not None:
            smooth = self.derivative(x) * dx
            same_piece = (x > 0) == (x + dx > 0)
        else:
            smooth = (
                sum(float(w) * self.derivative(x + float(t) * dx) for t, w in zip(_NODES, _WEIGHTS, strict=True)) * dx
            )
            same_piece = abs(dx) < _LONGEST_QUADRATURE_STEP
            for kink in self.kinks:
                same_piece = same_piece & ((x > kink) == (x + dx > kink))
        return xp.where(same_piece, smooth, direct)

    @property
    def is_homogeneous(self) -> bool:
        """phi(c x) = c phi(x) for every c > 0."""
        return self.slopes is not None

    def to_json(self) -> dict[str, Any]:
        """A JSON record that `from_json` reads back.

        Raises:
            SpecError: for a function that no import can reach (a lambda, a local function).
        """
        if self.name not in (*BUILTIN, "rounded") and (":" not in self.name or "<" in self.name):
            raise SpecError(
                refusal(
                    f"the activation {self.name!r}, which no import can reach",
                    "a built-in activation, or a function defined at the top level of an importable module",
                    "Move the function to a module (a lambda or a local function cannot be written to disk).",
                )
            )
        return {"name": self.name, **dict(self.parameters)}

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value}" for key, value in self.parameters)
        return f"{self.name}({arguments})" if arguments else self.name


def _relu(x):
    return array_namespace(x).maximum(x, 0)


def _step(x):
    return (x > 0) * array_namespace(x).ones_like(x)


def _leaky_relu(x, negative_slope):
    return array_namespace(x).where(x > 0, x, negative_slope * x)


def _leaky_relu_derivative(x, negative_slope):
    one = array_namespace(x).ones_like(x)
    return array_namespace(x).where(x > 0, one, negative_slope * one)


def _abs(x):
    return abs(x)


def _abs_derivative(x):
    one = array_namespace(x).ones_like(x)
    return array_namespace(x).where(x > 0, one, -one)


def _linear(x):
    return x


def _linear_derivative(x):
    return array_namespace(x).ones_like(x)


def _tanh(x):
    return array_namespace(x).tanh(x)


def _tanh_derivative(x):
    xp = array_namespace(x)
    return 1 / xp.cosh(xp.clip(x, -40.0, 40.0)) ** 2  # beyond 40 the derivative is below 1e-34


def _erf(x):
    return special_namespace(array_namespace(x)).erf(x)


def _erf_derivative(x):
    return (2.0 / math.sqrt(math.pi)) * array_namespace(x).exp(-x * x)


def _sin(x):
    return array_namespace(x).sin(x)


def _sin_derivative(x):
    return array_namespace(x).cos(x)


def _gelu(x):
    return x * special_namespace(array_namespace(x)).ndtr(x)


def _gelu_derivative(x):
    xp = array_namespace(x)
    return special_namespace(xp).ndtr(x) + x * xp.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _silu(x):
    return x * special_namespace(array_namespace(x)).expit(x)


def _silu_derivative(x):
    gate = special_namespace(array_namespace(x)).expit(x)
    return gate * (1 + x * (1 - gate))


def _softplus(x):
    return array_namespace(x).logaddexp(x, 0.0)


def _softplus_derivative(x):
    return special_namespace(array_namespace(x)).expit(x)


def _sigmoid(x):
    return special_namespace(array_namespace(x)).expit(x)


def _sigmoid_derivative(x):
    special = special_namespace(array_namespace(x))
    return special.expit(x) * special.expit(-x)


def _x_tanh(x):
    return x * array_namespace(x).tanh(x)


def _x_tanh_derivative(x):
    return array_namespace(x).tanh(x) + x * _tanh_derivative(x)


def _x2_tanh(x):
    return x * x * array_namespace(x).tanh(x)


def _x2_tanh_derivative(x):
    return 2 * x * array_namespace(x).tanh(x) + x * x * _tanh_derivative(x)


relu = Activation("relu", _relu, slopes=(0.0, 1.0), kinks=(0.0,), derivative_fn=_step)
absolute = Activation("absolute", _abs, slopes=(-1.0, 1.0), kinks=(0.0,), derivative_fn=_abs_derivative)
linear = Activation("linear", _linear, slopes=(1.0, 1.0), derivative_fn=_linear_derivative)
tanh = Activation("tanh", _tanh, derivative_fn=_tanh_derivative)
erf = Activation("erf", _erf, derivative_fn=_erf_derivative)
sin = Activation("sin", _sin, derivative_fn=_sin_derivative)
gelu = Activation("gelu", _gelu, derivative_fn=_gelu_derivative)
silu = Activation("silu", _silu, derivative_fn=_silu_derivative)
softplus = Activation("softplus", _softplus, derivative_fn=_softplus_derivative)
sigmoid = Activation("sigmoid", _sigmoid, derivative_fn=_sigmoid_derivative)
x_tanh = Activation("x_tanh", _x_tanh, derivative_fn=_x_tanh_derivative)
x2_tanh = Activation("x2_tanh", _x2_tanh, derivative_fn=_x2_tanh_derivative)


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """x for x > 0, negative_slope * x for x < 0."""
    if not math.isfinite(negative_slope):
        raise SpecError(refusal(f"negative_slope={negative_slope}", "a finite number", "0.01 is the usual choice."))
    slope = float(negative_slope)
    return Activation(
        "leaky_relu",
        _leaky_relu,
        parameters=(("negative_slope", slope),),
        slopes=(slope, 1.0),
        kinks=(0.0,),
        derivative_fn=_leaky_relu_derivative,
    )


_PLAIN = (relu, absolute, linear, tanh, erf, sin, gelu, silu, softplus, sigmoid, x_tanh, x2_tanh)
BUILTIN: dict[str, Callable[..., Activation]] = {
    "leaky_relu": leaky_relu,
    **{activation.name: (lambda activation=activation: activation) for activation in _PLAIN},
}


def from_function(fn: Callable[[Any], Any], *, kinks: tuple[float, ...] = ()) -> Activation:
    """An Activation from any elementwise JAX function.

    Args:
        fn: elementwise, differentiable between `kinks`.
        kinks: points where the derivative jumps; needed for exact small differences and accurate quadrature.
    """
    name = f"{getattr(fn, '__module__', None)}:{getattr(fn, '__qualname__', repr(fn))}"
    return Activation(name, fn, kinks=tuple(float(kink) for kink in kinks))


def as_activation(value: Any) -> Activation:
    """An Activation from itself, a built-in's name, a JSON record or any JAX function.

    Raises:
        SpecError: for an unknown name or something that cannot be called.
    """
    if isinstance(value, Activation):
        return value
    if isinstance(value, str):
        return from_json({"name": value})
    if isinstance(value, dict):
        return from_json(value)
    if value is leaky_relu:
        return leaky_relu()
    if callable(value):
        return from_function(value)
    raise SpecError(_unknown(repr(value)))


def from_json(record: dict[str, Any]) -> Activation:
    """The inverse of `Activation.to_json`."""
    name = record.get("name")
    if not isinstance(name, str):
        raise SpecError(_unknown(repr(record)))
    parameters = {key: value for key, value in record.items() if key != "name"}
    if name in BUILTIN:
        return BUILTIN[name](**parameters)
    if name == "rounded":
        from deepinit.core.rounding import rounded, unrounded  # which builds on this module

        return rounded(unrounded(parameters.pop("activation")), **parameters)
    module, _, function = name.partition(":")
    try:
        target: Any = importlib.import_module(module)
        for part in function.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError, ValueError):
        raise SpecError(_unknown(repr(name))) from None
    if not function or not callable(target):
        raise SpecError(_unknown(repr(name)))
    return from_function(target)


def _unknown(given: str) -> str:
    return refusal(
        f"the activation {given}",
        ", ".join(sorted(BUILTIN)) + ", or any elementwise JAX function",
        "Check the spelling, or pass the function itself (jnp.tanh, or your own).",
    )
