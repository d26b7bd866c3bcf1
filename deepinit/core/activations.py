"""Activations from names, JSON records or JAX functions."""

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
from deepinit.core.typing import ActivationLike

_ALIASES = {"swish": "silu"}
_COPY = "Copy a network by dataclasses.replace(net), or by di.spec_from_json(net.to_json())."


def from_function(fn: Callable[[Any], Any], *, kinks: tuple[float, ...] = ()) -> Activation:
    """Activation from an elementwise JAX function.

    Functions of JAX (`jax.nn.relu`) become built-ins; others are examined once in float64.

    Args:
        fn: phi(x) in `jax.numpy`, any shape, keeps the dtype.
        kinks: those hidden in loops or tables; others are found.

    Raises SpecError: not elementwise, traceable or forward-differentiable; not finite on [-12, 12];
        constant; wrong derivative; homogeneity without a proof.
    """
    builtin = _known(fn)
    if builtin is not None:
        return builtin
    name = f"{getattr(fn, '__module__', None)}:{getattr(fn, '__qualname__', repr(fn))}"
    declared = validate.array("kinks", kinks, remedy="Write kinks=(0.0,).").ravel()
    return examined(name, fn, tuple(declared.tolist()))


def as_activation(value: ActivationLike | dict[str, Any]) -> Activation:
    """Activation from itself, a name, a JSON record or a JAX function.

    Raises SpecError: unknown name, not callable, or refused by `from_function`.
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
    """Inverse of `Activation.to_json`; SpecError for unknown names or parameters."""
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
    """Constructor by name."""
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
    """Pickled as a record if that restores an equal object, else as fields."""
    try:
        record = activation.to_json()
        if from_json(record) == activation:
            return from_json, (record,)
    except SpecError:
        pass  # a lambda: only some picklers can (cloudpickle)
    fields = dataclasses.fields(activation)
    return Activation, tuple(getattr(activation, field.name) for field in fields)


copyreg.pickle(Activation, _reduced)


def rounded(activation: ActivationLike, rho: float, rounding: Rounding = "nearest") -> Activation:
    """Q(phi(x)): values rounded to multiples of rho, or flushed to 0 below.

    Args:
        rho: grid spacing in (0, 1); for `flush` the smallest nonzero value.
        rounding: `nearest`, halves away from 0; `truncate`, sign(x) floor(|x| / rho) rho; `flush`,
            |x| < rho to 0, where rho may be below the dtype's range.

    Raises SpecError: grid finer than 1e-13, or an activation already rounded.
    Reference: arXiv 2104.10727 (truncation), 2608.15914 (nearest).
    """
    name = validate.choice("rounding", rounding, ROUNDINGS)
    return rounded_activation(as_activation(activation), rho, name)  # type: ignore[arg-type]


def stored(activation: ActivationLike, dtype: str) -> Activation:
    """phi with the underflow of a dtype.

    float32, bfloat16: `rounded(activation, 2**-126, "flush")`; float16, with subnormal numbers:
    `rounded(activation, 2**-24, "nearest")`.

    Not modelled: mantissa rounding, and underflow in matrix products. XLA flushes products w_ij x_j
    in float32 and bfloat16: a signal is lost 1.5 layers earlier at width 16, 2.7 at width 64, for
    tanh and weights U(-1, 1) / sqrt(width) (`theory.cutoff.underflow_layer`). float16 products are
    taken in float32.

    Reference: IEEE 754; arXiv 2104.10727 (cut-off).
    """
    remedy = "Write di.rounded for another precision."
    return rounded(activation, *STORED[validate.choice("dtype", dtype, tuple(STORED), remedy)])


def _rounded_from_record(activation: Any, rho: float, rounding: Rounding) -> Activation:
    """Inverse of `_record`: the inner activation by name or record text."""
    is_record = isinstance(activation, str) and activation.startswith("{")
    return rounded(json.loads(activation) if is_record else activation, rho, rounding)


def _known(fn: Any) -> Activation | None:
    """Equal built-in, also under `functools.partial`."""
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
    """JAX functions (also flax.linen) -> factories."""
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
