"""A reading at the recorded steps of a training run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError, reason_against
from deepinit.core.specs import Spec
from deepinit.core.training_config import Training
from deepinit.core.training_options import require_output_layer
from deepinit.quantities.kinds.axis import Axis, Conditions, Entries, Settings


def why_not_trained(spec: Any, inputs: Any) -> str | None:
    """Why this network cannot be trained; None where it can."""
    del inputs
    return reason_against(lambda: require_output_layer(spec)) if isinstance(spec, Spec) else None


class Trained(NamedTuple):
    """Measured while a network trains: an MLP with an output layer, as `training.perceptron(spec)`, or a `Network`.

    Attributes:
        tap: `(spec, Training) -> (Snapshot -> Measurement)` of one network at one recorded step.
        entries: `(spec, Training) -> names` along the last axis.
        why_not: as of `Forward`; by default `why_not_trained`.
        accepts, statistic: as of `Forward`.
    """

    tap: Callable[[Any, Any], Callable[[Any], Any]]
    entries: Entries
    why_not: Conditions = why_not_trained
    accepts: type = Training
    statistic: None = None

    def linear_map(self, spec: Any, inputs: Training, name: str) -> str:
        """Training changes whole matrices.

        Raises:
            SpecError: a linear map that forms none.
        """
        del spec, inputs
        if name not in ("auto", "explicit"):
            raise SpecError(
                f"linear_map={name!r} of training",
                "explicit",
                "Training changes whole matrices: leave it out.",
            )
        return "explicit"

    def seed_fn(
        self, spec: Any, inputs: Training, settings: Settings, keep: bool = False
    ) -> Callable[[Any], Any]:
        """`key -> Measurement` [records, entries] of one network in training.

        Args:
            spec: what is trained.
            inputs: the run.
            settings: dtype and precision of an MLP; a Network decides on its own.
            keep: also return step, time and loss of the records, and the input vectors and output weights of every layer.
        """
        from deepinit import training

        tap = self.tap(spec, inputs)

        def record(snapshot: Any) -> Any:
            measured = tap(snapshot)
            return (
                measured._replace(kept=training.layer_vectors(snapshot.parameters))
                if keep
                else measured
            )

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
            progress = {
                "step": records.step,
                "time": records.time,
                "loss": records.loss,
                "status": records.status,
            }
            return records.values._replace(kept={**records.values.kept, **progress})

        return seed_fn

    def axis(self, spec: Any, inputs: Training) -> Axis:
        """The recorded steps."""
        return Axis(
            "step", len(inputs.record_steps), self.entries(spec, inputs), tuple(inputs.record_steps)
        )

    def cost(self, spec: Any, inputs: Training, linear_map: str) -> float:
        """The work of training one network, in units of the time that a random number takes (10 ns: some 300 operations)."""
        del linear_map
        shapes = (
            spec.matrix_shapes(inputs.dimension)
            if isinstance(spec, Spec)
            else ((inputs.dimension, 100),)
        )
        weights = sum(fan_in * fan_out for fan_in, fan_out in shapes)
        examples = inputs.batch_size or len(inputs.examples.inputs)
        return 6.0 * examples * weights * inputs.record_steps[-1] / 300.0

    def bytes(self, spec: Any, inputs: Training, settings: Settings) -> int:
        """What one network keeps at hand: its values on all examples."""
        widest = max((*getattr(spec, "widths", ()), inputs.dimension))
        return np.dtype(settings["dtype"]).itemsize * len(inputs.examples.inputs) * widest


def trained_network(spec: Any, dtype: str = "float32", precision: str = "highest") -> Any:
    """The network that is trained: a Network itself, the perceptron of an MLP."""
    from deepinit import training

    if not isinstance(spec, Spec):
        return spec
    return training.perceptron(spec, dtype=dtype, precision=precision)  # type: ignore[arg-type]
