"""Activations from a name, a JSON record or a JAX function, which is examined once."""

import copyreg
import dataclasses
import functools
import importlib
import inspect
import json
from collections.abc import Callable
from typing import Any

from deepinit.core import validate
from deepinit.core.activation import Activation as Activation
from deepinit.core.builtin_activations import BUILTIN as BUILTIN
from deepinit.core.builtin_activations import FAMILIES
from deepinit.core.builtin_activations import absolute as absolute
from deepinit.core.builtin_activations import arctan as arctan
from deepinit.core.builtin_activations import celu as celu
from deepinit.core.builtin_activations import elu as elu
from deepinit.core.builtin_activations import erf as erf
from deepinit.core.builtin_activations import gelu as gelu
from deepinit.core.builtin_activations import gelu_tanh as gelu_tanh
from deepinit.core.builtin_activations import hard_swish as hard_swish
from deepinit.core.builtin_activations import leaky_relu as leaky_relu
from deepinit.core.builtin_activations import linear as linear
from deepinit.core.builtin_activations import mish as mish
from deepinit.core.builtin_activations import relu as relu
from deepinit.core.builtin_activations import relu6 as relu6
from deepinit.core.builtin_activations import selu as selu
from deepinit.core.builtin_activations import sigmoid as sigmoid
from deepinit.core.builtin_activations import silu as silu
from deepinit.core.builtin_activations import sin as sin
from deepinit.core.builtin_activations import softplus as softplus
from deepinit.core.builtin_activations import softsign as softsign
from deepinit.core.builtin_activations import swish as swish
from deepinit.core.builtin_activations import tanh as tanh
from deepinit.core.builtin_activations import x2_tanh as x2_tanh
from deepinit.core.builtin_activations import x_tanh as x_tanh
from deepinit.core.errors import SpecError
from deepinit.core.examination import examined
from deepinit.core.rounding import ROUNDINGS, STORED, Rounding, rounded_activation

_ALIASES = {"swish": "silu"}
_COPY = "Copy a network by dataclasses.replace(net), or by di.spec_from_json(net.to_json())."


def from_function(fn: Callable[[Any], Any], *, kinks: tuple[float, ...] = ()) -> Activation:
    """An Activation from any elementwise JAX function, examined once in float64 on the host.

    `jax.nn.relu`, `jnp.tanh`, ... become the built-ins. Otherwise the kinks and the slopes of a
    positively homogeneous function come from its operations.

    Args:
        fn: phi(x) in `jax.numpy` operations on arrays of any shape; elementwise, of the dtype of x.
        kinks: points where a derivative jumps, in addition to those found. Needed where a loop or
            a table hides them from JAX.

    Raises:
        SpecError: a function that is not elementwise, not traceable or not differentiable forward,
            whose values or derivatives are not finite on [-12, 12], that is constant, whose
            derivative is not that of its values, or that seems homogeneous without a proof.
    """
    builtin = _known(fn)
    if builtin is not None:
        return builtin
    name = f"{getattr(fn, '__module__', None)}:{getattr(fn, '__qualname__', repr(fn))}"
    declared = validate.array("kinks", kinks, remedy="Write kinks=(0.0,).").ravel()
    return examined(name, fn, tuple(declared.tolist()))


def as_activation(value: Any) -> Activation:
    """An Activation from itself, a built-in's name, a JSON record or a JAX function.

    Raises:
        SpecError: an unknown name, an object that is not callable, or a function that
            `from_function` refuses.
    """
    if isinstance(value, Activation):
        return value
    if isinstance(value, str):
        return from_json({"name": value})
    if isinstance(value, dict):
        return from_json(value)
    if callable(value):
        return from_function(value)
    raise _unknown(value)


def from_json(record: dict[str, Any]) -> Activation:
    """The inverse of `Activation.to_json`.

    Raises:
        SpecError: an unknown name, or parameters that the activation does not have.
    """
    name = record.get("name")
    if not isinstance(name, str):
        raise _unknown(record)
    parameters = {key: value for key, value in record.items() if key != "name"}
    factory = _factory(_ALIASES.get(name, name))
    try:
        inspect.signature(factory).bind(**parameters)
    except TypeError:
        allowed = ", ".join(inspect.signature(factory).parameters) or "no parameters"
        given = f"the activation {name!r} with {', '.join(map(str, parameters)) or 'no parameters'}"
        remedy = _COPY if "fn" in parameters else "Check the record."
        raise SpecError(given, f"{name} with {allowed}", remedy) from None
    return factory(**parameters)


def _factory(name: str) -> Callable[..., Activation]:
    """The function of the parameters that makes the activation of this name."""
    if name in BUILTIN:
        return BUILTIN[name]
    if name == "rounded":
        return _rounded_from_record
    module, _, function = name.partition(":")
    try:
        target: Any = importlib.import_module(module)
        for part in function.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError, ValueError):
        raise _unknown(name) from None
    if not function or not callable(target):
        raise _unknown(name)
    return lambda: from_function(target)


def _reduced(activation: Activation) -> tuple[Any, ...]:
    """Pickled as its record where that leads back to an equal object, else as its fields."""
    try:
        record = activation.to_json()
        if from_json(record) == activation:
            return from_json, (record,)
    except SpecError:
        pass  # a lambda: only some picklers can (cloudpickle)
    fields = dataclasses.fields(activation)
    return Activation, tuple(getattr(activation, field.name) for field in fields)


copyreg.pickle(Activation, _reduced)


def rounded(activation: Any, rho: float, rounding: Rounding = "nearest") -> Activation:
    """Q(phi(x)): values rounded to multiples of rho, or flushed to 0 below rho.

    Args:
        activation: anything that `as_activation` takes.
        rho: the spacing of the grid, in (0, 1); for `flush` the smallest nonzero value.
        rounding: `nearest` multiple (halves away from 0); `truncate` toward 0,
            sign(x) floor(|x| / rho) rho, which never increases |x|; or `flush`, |x| < rho to 0 and
            no other change, where rho may be below the range of the dtype.

    Raises:
        SpecError: rho outside (0, 1), a grid finer than 1e-13, an unknown rounding, an activation
            that is rounded already.

    Reference: Avelin & Karlsson 2022, arXiv 2104.10727 (truncation); Avelin 2026, arXiv 2608.15914
        (nearest).
    """
    name = validate.choice("rounding", rounding, ROUNDINGS)
    return rounded_activation(as_activation(activation), rho, name)  # type: ignore[arg-type]


def stored(activation: Any, dtype: str) -> Activation:
    """phi with the underflow of a dtype: 0 below its smallest number.

    float32, bfloat16: `rounded(activation, 2**-126, "flush")`; float16:
    `rounded(activation, 2**-24, "nearest")`, its subnormal numbers.

    Models the underflow of activations, not the rounding of the mantissa and not underflow inside a
    matrix product. The terms w_ij x_j of a product are smaller than x_j; flushed too (float32 and
    bfloat16 on XLA), they lose a signal earlier, by 1.5 layers at width 16 and 2.7 at width 64 for
    tanh with weights U(-1, 1) / sqrt(width) (see `theory.cutoff.underflow_layer`). Products of
    float16 are taken in float32 and do not underflow.

    Args:
        activation: anything that `as_activation` takes.
        dtype: "float32", "bfloat16" or "float16".

    Raises:
        SpecError: another dtype; an activation that `rounded` refuses.

    Reference: IEEE 754; arXiv 2104.10727 for the cut-off.
    """
    remedy = "Write di.rounded for another precision."
    return rounded(activation, *STORED[validate.choice("dtype", dtype, tuple(STORED), remedy)])


def _rounded_from_record(activation: Any, rho: float, rounding: Rounding) -> Activation:
    """From a JSON record, where the inner activation is a name or the text of a record."""
    is_record = isinstance(activation, str) and activation.startswith("{")
    return rounded(json.loads(activation) if is_record else activation, rho, rounding)


def _known(fn: Any) -> Activation | None:
    """The built-in equal to a function of JAX, also under `functools.partial`."""
    keywords: dict[str, Any] = {}
    if isinstance(fn, functools.partial) and not fn.args:
        fn, keywords = fn.func, fn.keywords
    try:
        builtin = _of_jax().get(fn)
        return None if builtin is None else builtin(**keywords)
    except (TypeError, SpecError):  # not hashable, or parameters that a built-in does not have
        return None


@functools.lru_cache(maxsize=1)
def _of_jax() -> dict[Any, Callable[..., Activation]]:
    """Functions of JAX (flax.linen has the same ones) -> factories of the built-ins."""
    import jax
    import jax.numpy as jnp

    def gelu_of(approximate: bool = True) -> Activation:
        return gelu_tanh if approximate else gelu

    nn, lax, special = jax.nn, jax.lax, jax.scipy.special
    functions: dict[str, tuple[Any, ...]] = {
        "relu": (nn.relu,),
        "relu6": (nn.relu6,),
        "leaky_relu": (nn.leaky_relu,),
        "elu": (nn.elu,),
        "celu": (nn.celu,),
        "selu": (nn.selu,),
        "silu": (nn.silu, nn.swish),
        "mish": (nn.mish,),
        "hard_swish": (nn.hard_swish, nn.hard_silu),
        "softplus": (nn.softplus,),
        "softsign": (nn.soft_sign,),
        "sigmoid": (nn.sigmoid, lax.logistic, special.expit),
        "linear": (nn.identity,),
        "tanh": (jnp.tanh, nn.tanh, lax.tanh),
        "sin": (jnp.sin, lax.sin),
        "arctan": (jnp.arctan, jnp.atan, lax.atan),
        "erf": (special.erf, lax.erf),
        "absolute": (jnp.abs, jnp.absolute, lax.abs),
    }
    known = {fn: BUILTIN[name] for name, group in functions.items() for fn in group}
    return {**known, **{family: family for family in FAMILIES}, nn.gelu: gelu_of}


def _unknown(given: Any) -> SpecError:
    names = ", ".join(sorted({*BUILTIN, *_ALIASES}))
    return SpecError(
        f"the activation {given!r}",
        f"{names}, or any elementwise JAX function",
        "Check the spelling, or pass the function itself (jnp.tanh, or your own).",
    )
