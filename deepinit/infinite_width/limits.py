"""Limits at infinite width are examined before they are returned."""

from typing import Any, TypeVar

import numpy as np

from deepinit.core.errors import SpecError

T = TypeVar("T")


def checked_limit(
    limit: T, what: str = "", *, along: str = "", is_log: bool = False, is_kernel: bool = False
) -> T:
    """The limit, all numbers finite.

    Args:
        limit: an array, a number, or a NamedTuple of arrays (None where there is none), named by its fields.
        what: name of the limit, or of what the fields belong to.
        along: name of the first axis ("layer"): the refusal names the first entry that is not finite.
        is_log: a logarithm, which may be -inf.
        is_kernel: the fields are kernels, written in capitals.

    Raises:
        SpecError: a number is infinite or NaN.
    """
    fields = getattr(limit, "_fields", None)
    parts: dict[str, Any] = {what: limit}
    if fields is not None:
        names = [
            f"{name.upper()} kernel" if is_kernel else name.replace("_", " ") for name in fields
        ]
        parts = dict(zip([f"{name}{what and ' ' + what}" for name in names], limit, strict=True))  # type: ignore[call-overload]
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
            f"a network whose {name} at infinite width is not finite{where}: it exceeds the range of float64",
            "limits between -1e308 and 1e308",
            "Take smaller weight variances, inputs or depth; log_norm and log_sin2_angle have limits at every depth.",
        )
    return limit
