"""Identity of a user-defined quantity."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.fingerprint import shown_values, source_record
from deepinit.core.network_values import general_rows, values_at
from deepinit.quantities.kinds import ExactLaw, Trained
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.validate import checked

_NUM_VALUES = 8
_SETTINGS = {"dtype": "float32", "precision": "highest"}


def quantity_record(quantity: Quantity, spec: Any, inputs: Any) -> dict[str, str]:
    """Source, and up to 8 values of the tap."""
    measurement: Any = quantity.measurement
    if isinstance(measurement, ExactLaw):
        measurement = measurement.forward
    values, digits = values_at(
        _values_of(quantity, measurement, spec, inputs),
        lambda: (_numbers(_shapes(measurement, spec, inputs)),),
    )
    return {
        **source_record(quantity),
        "values": shown_values(values[:: max(1, len(values) // _NUM_VALUES)], digits),
    }


def _values_of(
    quantity: Quantity, measurement: Any, spec: Any, inputs: Any
) -> Callable[[Any], Any]:
    """Values, log-scales and events of the tap."""
    import jax.numpy as jnp

    def values(seen: Any) -> Any:
        if isinstance(measurement, Trained):
            measured = measurement.tap(spec, inputs)(seen)
        else:
            measured = measurement.tap(seen, inputs)
        fields = checked(measured, quantity)
        parts = [p for p in (fields.value, fields.log_scale, fields.event) if p is not None]
        return jnp.stack([jnp.ravel(part).astype(parts[0].dtype) for part in parts], axis=1).ravel()

    return values


def _shapes(measurement: Any, spec: Any, inputs: Any) -> Any:
    """Shapes and dtypes of the tap's argument."""
    import jax

    seen: list[Any] = []

    def note(state: Any) -> None:
        seen.append(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state))

    def tap(state: Any, inputs: Any) -> Any:
        note(state)
        return measurement.tap(state, inputs)

    def training_tap(spec: Any, inputs: Any) -> Callable[[Any], Any]:
        record = measurement.tap(spec, inputs)

        def noted(snapshot: Any) -> Any:
            note(snapshot)
            return record(snapshot)

        return noted

    listening = measurement._replace(tap=training_tap if isinstance(measurement, Trained) else tap)
    settings = {**_SETTINGS, "linear_map": measurement.linear_map(spec, inputs, "auto")}
    seed_fn = listening.parts(spec, inputs, settings).seed_fn(spec, inputs)
    jax.eval_shape(seed_fn, jax.random.key(0))
    return seen[0]


def _numbers(shapes: Any) -> Any:
    """Generic distinct numbers; integers (steps, layers) are 1."""
    import jax
    import jax.numpy as jnp

    leaves, structure = jax.tree.flatten(shapes)
    numbers = [
        general_rows(leaf.shape, 1.0 + number).astype(leaf.dtype)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else np.ones(leaf.shape, leaf.dtype)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, numbers)
