"""Measurements in training."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import reason_against
from deepinit.core.specs import NetworkSpec, Spec
from deepinit.core.training_config import TrainingConfig
from deepinit.core.training_options import require_output_layer
from deepinit.quantities.kinds.axis import Axis, Conditions, Entries, Parts, Settings

_PROGRESS = ("step", "time", "loss", "status")


def why_not_trained(spec: Any, inputs: Any) -> str | None:
    """Why a network cannot be trained, or None."""
    del inputs
    return (
        reason_against(lambda: require_output_layer(spec))
        if isinstance(spec, NetworkSpec)
        else None
    )


class Trained(NamedTuple):
    """A tap on the recorded steps of an MLP with an output layer, or a `Network`.

    `tap`: `(spec, Training) -> (Snapshot -> Measurement)` [entries]. `entries`:
    `(spec, Training) -> names`.
    """

    tap: Callable[[Any, Any], Callable[[Any], Any]]
    entries: Entries
    why_not: Conditions = why_not_trained
    accepts: type = TrainingConfig
    statistic: None = None

    def linear_map(self, spec: Any, inputs: TrainingConfig, name: str) -> str:
        """`explicit` only."""
        del spec, inputs
        remedy = "Training changes whole matrices: leave it out."
        validate.choice("linear_map", name, ("auto", "explicit"), remedy)
        return "explicit"

    def parts(
        self, spec: Any, inputs: TrainingConfig, settings: Settings, keep: bool = False
    ) -> Parts:
        """Of `key -> Measurement` [records, entries]; settings apply to an MLP alone.

        `keep` adds step, time, loss, status, input vectors and output weights.
        """
        # built here, outside of traces: training examines its first gradients
        seed_fn = self._seed_fn(spec, inputs, settings, keep)
        return Parts((), lambda *_: seed_fn, shares_numbers=False)

    def _seed_fn(
        self, spec: Any, inputs: TrainingConfig, settings: Settings, keep: bool
    ) -> Callable[[Any], Any]:
        from deepinit import training

        tap = self.tap(spec, inputs)

        def record(snapshot: Any) -> Any:
            measured = tap(snapshot)
            if keep:
                measured = measured._replace(kept=training.layer_vectors(snapshot.parameters))
            return measured

        run = training.training_seed_fn(
            trained_network(spec, settings["dtype"], settings["precision"]),
            inputs.examples,
            mode=inputs.mode,
            record_steps=inputs.record_steps,
            rate=inputs.rate,
            loss=inputs.loss,
            stop_drop=inputs.stop_drop,
            batch_size=inputs.batch_size,
            initial_stage=inputs.initial_stage,
            tolerance=inputs.tolerance,
            end_time=inputs.end_time,
            record=record,
        )

        def seed_fn(key: Any) -> Any:
            records = run(key)
            if not keep:
                return records.values
            progress = {name: getattr(records, name) for name in _PROGRESS}
            return records.values._replace(kept={**records.values.kept, **progress})

        return seed_fn

    def axis(self, spec: Any, inputs: TrainingConfig) -> Axis:
        """The recorded steps."""
        steps = tuple(inputs.record_steps)
        return Axis("step", len(steps), self.entries(spec, inputs), steps)

    def cost(self, spec: Any, inputs: TrainingConfig, linear_map: str) -> float:
        """Work in random numbers (10 ns: some 300 operations)."""
        del linear_map
        shapes: Any = ((inputs.dimension, 100),)
        if isinstance(spec, Spec):
            shapes = spec.matrix_shapes(inputs.dimension)
        weights = sum(fan_in * fan_out for fan_in, fan_out in shapes)
        examples = inputs.batch_size or len(inputs.examples.inputs)
        return 6.0 * examples * weights * inputs.record_steps[-1] / 300.0

    def bytes(self, spec: Any, inputs: TrainingConfig, settings: Settings) -> int:
        """Working memory on all examples."""
        widest = max((*getattr(spec, "widths", ()), inputs.dimension))
        return np.dtype(settings["dtype"]).itemsize * len(inputs.examples.inputs) * widest


def trained_network(spec: Any, dtype: str = "float32", precision: str = "highest") -> Any:
    """A Network, or the perceptron of an MLP."""
    from deepinit import training

    if not isinstance(spec, NetworkSpec):
        return spec
    return training.perceptron(spec, dtype=dtype, precision=precision)  # type: ignore[arg-type]
