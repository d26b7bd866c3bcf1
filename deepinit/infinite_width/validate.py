"""Checks of inputs and of limits at infinite width."""

from typing import Any, TypeVar

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Plain, Real

T = TypeVar("T")


def checked_rows(x: Real[Array, "num dimension"] | Plain) -> Float[np.ndarray, "num dimension"]:
    """x as float64 [num, dimension], finite."""
    remedy = "One input a row; flatten images: x.reshape(len(x), -1)."
    return validate.array("inputs", x, ["num", "dimension"], remedy)


def checked_limit(
    limit: T, what: str = "", *, along: str = "", is_log: bool = False, is_kernel: bool = False
) -> T:
    """The limit (array, number, or NamedTuple of arrays or None), if all numbers are finite.

    `what`: its name, or of the fields' owner. `along`: first axis ("layer"), for the message.
    `is_log`: allows -inf. `is_kernel`: fields are kernels.
    Raises SpecError: a number is infinite or NaN.
    """
    parts: dict[str, Any] = {what: limit}
    if isinstance(limit, tuple) and hasattr(limit, "_asdict"):
        text = (lambda name: f"{name.upper()} kernel") if is_kernel else _spaced
        parts = {f"{text(name)} {what}".strip(): part for name, part in limit._asdict().items()}
    for name, part in parts.items():
        if part is None:
            continue
        numbers = np.asarray(part)
        finite = np.isfinite(numbers) | (is_log & np.isneginf(numbers))
        if finite.all():
            continue
        rows = finite.reshape(len(finite), -1).all(axis=1) if along else np.array([True])
        where = f" from {along} {np.argmin(rows) + 1} on" if along else ""
        raise SpecError(
            f"a network whose {name} at infinite width is not finite{where}: "
            "it exceeds the range of float64",
            "limits between -1e308 and 1e308",
            "Take smaller weight variances, inputs or depth; "
            "log_norm and log_sin2_angle have limits at every depth.",
        )
    return limit


def _spaced(name: str) -> str:
    return name.replace("_", " ")
