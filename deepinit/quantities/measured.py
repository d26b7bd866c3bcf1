"""Single networks: scaling, statistics of a block."""

import dataclasses
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers import outline, shape_of
from deepinit.core.specs import NetworkSpec
from deepinit.quantities.controls import Control
from deepinit.quantities.quantity import Quantity


def at_unit_size(spec: NetworkSpec, quantity: Quantity, inputs: Any) -> tuple[Any, int]:
    """Inputs over a power of two, and the exponent that scales values back.

    0 without `Quantity.input_degree` or homogeneity.
    """
    is_own = not isinstance(spec, NetworkSpec)
    if quantity.input_degree is None or is_own or not isinstance(inputs, Inputs):
        return inputs, 0
    if not outline(spec, shape_of(inputs)).is_homogeneous:
        return inputs, 0
    size = np.abs(inputs.points).max(initial=0.0)
    if not 1e-140 <= size <= 1e140:  # no squares in float64: refused by the forward pass
        return inputs, 0
    exponent = int(np.frexp(size)[1])
    points = np.ldexp(inputs.points, -exponent)
    displacements = np.ldexp(inputs.displacements, -exponent)
    scaled = dataclasses.replace(inputs, points=points, displacements=displacements)
    return scaled, quantity.input_degree * exponent


def times_power_of_two(measured: Any, exponent: Any = None) -> Any:
    """Values times 2^exponent; None for 1."""
    import jax.numpy as jnp

    if exponent is None:
        return measured
    exponents = jnp.full(measured.value.shape, exponent, jnp.int32)
    return measured._replace(
        exponent=exponents if measured.exponent is None else exponents + measured.exponent
    )


def block_statistics(quantity: Quantity, measured: Any, *, histogram: bool = True) -> Any:
    """Statistics of one block of values [seeds, layers, ...]."""
    from deepinit.ensembles import statistics

    value, event, sizes = _checked_events(quantity, measured)
    return statistics.statistics(
        value, event, len(quantity.events), sizes=sizes, histogram=histogram
    )


def _checked_events(quantity: Quantity, measured: Any) -> tuple[Any, Any, Any]:
    value, event, sizes = _scaled(quantity, measured)
    if event.size and not (event.min() >= 0 and event.max() <= len(quantity.events)):
        given = f"events {event.min()} to {event.max()} of {quantity.name}"
        allowed = f"0 to {len(quantity.events)}, one for each of its events"
        raise SpecError(given, allowed, "Name every event.")
    return value, event, sizes


def measure_block(
    quantity: Quantity,
    measured: Any,
    sample_layers: tuple[int, ...] | None,
    num_kept: int = 0,
    control: Control | None = None,
    counts: Any = None,
) -> tuple[Any, dict[str, np.ndarray]]:
    """Statistics of one block, and stored arrays by name [networks, ...].

    `measured`: NumPy arrays [seeds, layers, ...]. `sample_layers`: layers (from 1) stored as
    `samples`, NaN where undefined; None for all. Other arrays are stored of the first `num_kept`
    networks. `counts`: `ensembles.statistics.Counts` that take the histogram; None leaves it in the
    statistics. With a control the statistics are `ensembles.controlled.Controlled`.
    """
    from deepinit.ensembles import controlled, statistics

    value, event, sizes = _checked_events(quantity, measured)
    part: Any = statistics.statistics(
        value, event, len(quantity.events), sizes=sizes, histogram=counts is None
    )
    if counts is not None:
        counts.add(value, event)
    if control is not None:
        mean, square, past = control.of_block(measured.columns)
        part = controlled.controlled(part, value, event, mean, square, control.centre, past)
    kept = {name: array[:num_kept] for name, array in (measured.kept or {}).items()}
    if sample_layers != ():
        layers = slice(None) if sample_layers is None else [layer - 1 for layer in sample_layers]
        kept["samples"] = np.where(event == 0, value, np.nan)[:, layers]
    return part, kept


def values_of(quantity: Quantity, measured: Any) -> np.ndarray:
    """Values [networks, layers, ...] in float64; NaN where undefined."""
    value, event, _ = _scaled(quantity, measured)
    return np.where(event == 0, np.asarray(value, np.float64), np.nan)


def _scaled(quantity: Quantity, measured: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Values, events, and sizes for relative rounding.

    With scales in float64, underflow an event; without them no sizes.
    """
    value, event = measured.value, measured.event
    if measured.log_scale is None and measured.exponent is None:
        return value, event, None
    value = np.asarray(value, np.float64)
    log_scale = np.zeros(value.shape)
    if measured.log_scale is not None:
        log_scale = np.asarray(measured.log_scale, np.float64)
    exponent = 0 if measured.exponent is None else measured.exponent
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        # exp(log_scale) may leave the range where the value does not: its root, twice
        half = np.exp(0.5 * log_scale)
        scaled = np.ldexp(value * half * half, exponent)
        # A scale is a sum of logarithms, whose rounding is relative to its own size.
        size = np.abs(scaled) if measured.log_scale is None else np.ldexp(half * half, exponent)
        sizes = np.where(value == 0, 0.0, size) * np.maximum(np.abs(log_scale), 1.0)
    lost = (event == 0) & (value != 0) & (np.abs(scaled) < np.finfo(np.float64).tiny)
    if "underflow" in quantity.events:
        event = np.where(lost, quantity.events.index("underflow") + 1, event)
    return np.where(lost, np.nan, scaled), event, np.where(np.isfinite(sizes), sizes, 0.0)
