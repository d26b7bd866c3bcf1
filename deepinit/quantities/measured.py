"""Measurements of single networks: scaling of inputs, validation, statistics of a block."""

import dataclasses
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.specs import Spec
from deepinit.quantities.quantity import Quantity


def at_unit_size(spec: Spec, quantity: Quantity, inputs: Any) -> tuple[Any, int]:
    """Inputs divided by a power of two, and the exponent of the one that values are multiplied by (`Quantity.input_degree`)."""
    if quantity.input_degree is None or not spec.is_homogeneous or not isinstance(inputs, Inputs):
        return inputs, 0
    size = np.abs(inputs.points).max(initial=0.0)
    if (
        not 1e-140 <= size <= 1e140
    ):  # no squares in float64: refused by the forward pass, as by theories
        return inputs, 0
    exponent = int(np.frexp(size)[1])
    points, displacements = (
        np.ldexp(rows, -exponent) for rows in (inputs.points, inputs.displacements)
    )
    scaled = dataclasses.replace(inputs, points=points, displacements=displacements)
    return scaled, quantity.input_degree * exponent


def checked(measured: Any, quantity: Quantity, shape: tuple[int, ...]) -> Any:
    """Validates what a tap returns, when it is traced.

    Raises:
        SpecError: no Measurement, or values and events of another shape [layers or steps, entries] or type.
    """
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    if not isinstance(measured, Measurement):
        kind = "an array" if hasattr(measured, "dtype") else type(measured).__name__
        got = f"a tap of {quantity.name} that returns {kind}"
        raise SpecError(
            got, "a Measurement", "Write Measurement(value, jnp.zeros(value.shape, jnp.int8))."
        )
    value, event = jnp.shape(measured.value), jnp.shape(measured.event)
    kinds = jnp.result_type(measured.value), jnp.result_type(measured.event)
    if (
        value != shape
        or event != shape
        or not (_is_real(kinds[0]) and jnp.issubdtype(kinds[1], jnp.integer))
    ):
        got = f"a Measurement of {quantity.name} with values {kinds[0]}{value} and events {kinds[1]}{event}"
        raise SpecError(
            got, f"real values and integer events of shape {shape}", "One entry for every name."
        )
    return measured


def _is_real(dtype: Any) -> bool:
    return np.dtype(dtype).kind in "fiub"


def times_power_of_two(measured: Any, exponent: int) -> Any:
    """The Measurement of values 2^exponent times as large."""
    import jax.numpy as jnp

    return (
        measured._replace(exponent=jnp.full(measured.value.shape, exponent, jnp.int32))
        if exponent
        else measured
    )


def measure_block(
    quantity: Quantity, measured: Any, sample_layers: tuple[int, ...] | None, num_kept: int = 0
) -> tuple[Any, dict[str, np.ndarray]]:
    """Statistics of one block of a Measurement, and what is kept of single networks, by name, each [networks, ...].

    Args:
        quantity: what was measured.
        measured: Measurement of NumPy arrays [seeds, layers, ...].
        sample_layers: layers (from 1) whose values are kept as `samples`, NaN where there is none; None for all; () for none.
        num_kept: networks of the block, from its first, whose other arrays are kept.
    """
    from deepinit.ensembles import statistics

    value, event, sizes = _scaled(quantity, measured)
    if event.size and not (event.min() >= 0 and event.max() <= len(quantity.events)):
        got = f"events {event.min()} to {event.max()} of {quantity.name}"
        raise SpecError(
            got, f"0 to {len(quantity.events)}, one for each of its events", "Name every event."
        )
    part = statistics.statistics(value, event, len(quantity.events), sizes=sizes)
    kept = {name: array[:num_kept] for name, array in (measured.kept or {}).items()}
    if sample_layers != ():
        layers = slice(None) if sample_layers is None else [layer - 1 for layer in sample_layers]
        kept["samples"] = np.where(event == 0, value, np.nan)[:, layers]
    return part, kept


def values_of(quantity: Quantity, measured: Any) -> np.ndarray:
    """What was measured of every network, float64 [networks, layers, ...], with its scales; NaN where there is no value."""
    value, event, _ = _scaled(quantity, measured)
    return np.where(event == 0, np.asarray(value, np.float64), np.nan)


def _scaled(quantity: Quantity, measured: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Values, events, and sizes of what values were computed from, in float64 where there are scales; underflow is an event."""
    value, event = measured.value, measured.event
    if measured.log_scale is None and measured.exponent is None:
        return value, event, None
    value = np.asarray(value, np.float64)
    log_scale = (
        np.zeros(value.shape)
        if measured.log_scale is None
        else np.asarray(measured.log_scale, np.float64)
    )
    exponent = 0 if measured.exponent is None else measured.exponent
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        half = np.exp(
            0.5 * log_scale
        )  # twice, since exp(log_scale) may leave the range where the number does not
        scaled = np.ldexp(value * half * half, exponent)
        # A scale is a sum of logarithms, whose rounding is relative to its own size.
        size = np.abs(scaled) if measured.log_scale is None else np.ldexp(half * half, exponent)
        sizes = np.where(value == 0, 0.0, size) * np.maximum(np.abs(log_scale), 1.0)
    lost = (event == 0) & (value != 0) & (np.abs(scaled) < np.finfo(np.float64).tiny)
    if "underflow" in quantity.events:
        event = np.where(lost, quantity.events.index("underflow") + 1, event)
    return np.where(lost, np.nan, scaled), event, np.where(np.isfinite(sizes), sizes, 0.0)
