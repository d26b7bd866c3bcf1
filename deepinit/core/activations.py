"""Activations by name, by record, or from any JAX function, which is examined once."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

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
from deepinit.core.errors import SpecError, refusal

_ALIASES = {"swish": "silu"}


def from_function(fn: Callable[[Any], Any], *, kinks: tuple[float, ...] = ()) -> Activation:
    """An Activation from any elementwise JAX function, examined in float64 on the host.

    `jax.nn.relu`, `jnp.tanh` and the like become the built-ins. Of other functions the kinks
    (also jumps of the value, and of higher derivatives) and the slopes of a positively homogeneous
    one are found from what the function computes; a function is examined once.

    Args:
        fn: phi(x) on JAX arrays of any shape, with `jax.numpy` operations: each entry of the result
            depends on that entry of x alone, and has its dtype.
        kinks: points where a derivative jumps, beyond those that are found. Needed only where
            the function hides them from JAX (a loop, a table look-up).

    Raises:
        SpecError: a function that is not elementwise, that JAX cannot trace or differentiate
            forward, whose values or derivatives are not finite on [-12, 12], that is constant, or
            whose derivative is not that of its values.
    """
    known = _known(fn)
    if known is not None:
        return known
    from deepinit.core.examination import examined

    name = f"{getattr(fn, '__module__', None)}:{getattr(fn, '__qualname__', repr(fn))}"
    return examined(name, fn, tuple(float(kink) for kink in kinks))


def as_activation(value: Any) -> Activation:
    """An Activation from itself, a built-in's name, a JSON record or any JAX function.

    Raises:
        SpecError: for an unknown name, something that cannot be called, or a function that
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
    raise SpecError(_unknown(repr(value)))


def from_json(record: dict[str, Any]) -> Activation:
    """The inverse of `Activation.to_json`."""
    name = record.get("name")
    if not isinstance(name, str):
        raise SpecError(_unknown(repr(record)))
    parameters = {key: value for key, value in record.items() if key != "name"}
    if _ALIASES.get(name, name) in BUILTIN:
        return BUILTIN[_ALIASES.get(name, name)](**parameters)
    if name == "rounded":
        from deepinit.core.rounding import from_parameters  # which builds on this module

        return from_parameters(**parameters)
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


def _known(fn: Any) -> Activation | None:
    """The built-in that a function of JAX is, also under `functools.partial`."""
    keywords: dict[str, Any] = {}
    if isinstance(fn, functools.partial) and not fn.args:
        fn, keywords = fn.func, fn.keywords
    try:
        builtin = _of_jax().get(fn)
        return None if builtin is None else builtin(**keywords)
    except (TypeError, SpecError):  # not hashable; parameters that a built-in does not have
        return None


@functools.lru_cache(maxsize=1)
def _of_jax() -> dict[Any, Callable[..., Activation]]:
    """Functions of JAX (flax.linen names the same ones) and the built-ins that compute them."""
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


def _unknown(given: str) -> str:
    return refusal(
        f"the activation {given}",
        ", ".join(sorted({*BUILTIN, *_ALIASES})) + ", or any elementwise JAX function",
        "Check the spelling, or pass the function itself (jnp.tanh, or your own).",
    )
