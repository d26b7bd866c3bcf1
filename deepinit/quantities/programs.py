"""The measurement of one network as a program, for the cache of compilations."""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import NetworkSpec
from deepinit.core.structure import Unkeyed, key_of, split
from deepinit.ensembles.programs import Program, Variants
from deepinit.quantities.controls import Control
from deepinit.quantities.kinds import Backward, ExactLaw, Forward, Parts
from deepinit.quantities.measured import at_unit_size, times_power_of_two
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.shells import SIZES, Shell, replaced, shell_of, sizes_of, without_rate
from deepinit.quantities.validate import check_answers, check_kinds, checked, with_checked_tap


def chosen_linear_map(spec: Any, quantity: Quantity, inputs: Any, name: str) -> str:
    """Resolves `auto`; SpecError for undefined quantities and excluded maps."""
    check_kinds(spec, quantity, inputs)
    check_answers(quantity, spec, inputs)
    if name == "chi_square" and not isinstance(quantity.measurement, ExactLaw):
        given = f"linear_map={name!r} for {quantity.name}"
        allowed = "quantities at one point with an exact law of each layer (log_volume)"
        raise SpecError(given, allowed, "Leave linear_map out.")
    return quantity.measurement.linear_map(spec, inputs, name)


def programs_of(
    spec: Any,
    quantity: Quantity,
    inputs: Any,
    *,
    linear_map: str = "auto",
    dtype: str = "float32",
    precision: str = "highest",
    keep: bool = False,
    control: Control | None = None,
) -> tuple[Any, dict[str, str]]:
    """Programs of one network's Measurement (`measurement_programs`), and their settings.

    With other stored arrays for `keep`, and the columns of a `control`.
    """
    settings = {
        "linear_map": chosen_linear_map(spec, quantity, inputs, linear_map),
        "dtype": validate.dtype(dtype),
        "precision": validate.precision(precision),
    }
    return measurement_programs(spec, quantity, inputs, settings, keep, control), settings


def seed_fn_of(
    spec: Any,
    quantity: Quantity,
    inputs: Any,
    *,
    linear_map: str = "auto",
    dtype: str = "float32",
    precision: str = "highest",
    keep: bool = False,
    control: Control | None = None,
) -> tuple[Callable[[Any], Any], dict[str, str]]:
    """Seed function `key -> Measurement`, with other stored arrays for `keep`, and its settings.

    The Measurement has the columns of a `control`.
    """
    programs, settings = programs_of(
        spec,
        quantity,
        inputs,
        linear_map=linear_map,
        dtype=dtype,
        precision=precision,
        keep=keep,
        control=control,
    )
    return programs[-1].seed_fn, settings


def measurement_programs(
    spec: Any,
    quantity: Quantity,
    inputs: Any,
    settings: dict[str, str],
    keep: bool,
    control: Control | None,
) -> Variants:
    """Programs of `key -> Measurement`, the most general first.

    The first is shared by all numbers of the spec and all inputs of one shape. Then: equal numbers
    known to be equal; inputs as constants; all as constants, which always traces.
    """
    scaled, exponent = at_unit_size(spec, quantity, inputs)
    kind: Any = with_checked_tap(quantity)
    columns = None if control is None else control.columns
    options = (columns,) if isinstance(kind, Forward | Backward) and columns is not None else ()
    parts = kind.parts(spec, scaled, settings, keep, *options)
    axis = quantity.measurement.axis(spec, inputs)
    shape = axis.length, len(axis.entries)
    arrays = parts.arrays, _exponent(exponent), sizes_of(scaled)
    measured = partial(_measured, parts, quantity, shape)
    common = quantity, settings, keep, columns, shape

    def constant() -> Program:
        make = lambda _, __: measured(spec, arrays, inputs=scaled)
        return Program(make, key=_key(*common, spec, arrays, scaled))

    def shared(seen: Any, *, share: bool = False) -> Program:
        structure, numbers = split(spec, share=share)
        make = partial(measured, inputs=seen)
        return Program(make, structure, numbers, arrays, _key(*common, seen))

    if not (parts.shares_numbers and isinstance(spec, NetworkSpec)):
        return Variants(constant)
    shell = shell_of(scaled)
    equal = partial(shared, shell, share=True)
    return Variants(partial(shared, shell), equal, partial(shared, without_rate(scaled)), constant)


def _measured(
    parts: Parts, quantity: Quantity, shape: tuple[int, int], spec: Any, arrays: Any, *, inputs: Any
) -> Callable[[Any], Any]:
    rows, exponent, sizes = arrays
    if isinstance(inputs, Shell):
        inputs = replaced(inputs, dict(zip(SIZES, sizes, strict=True)))
    measure = parts.make(spec, rows, inputs)
    return lambda key: times_power_of_two(checked(measure(key), quantity, shape), *exponent)


def _exponent(exponent: int) -> tuple[np.int32, ...]:
    """None for 0: the program has no scale then."""
    return (np.int32(exponent),) if exponent else ()


def _key(quantity: Quantity, *others: Any) -> Hashable | None:
    """Of a measurement: its kind (functions by identity) and events, and others; None without."""
    try:
        return key_of((quantity.measurement, quantity.name, quantity.events, *others))
    except Unkeyed:
        return None
