"""The seed function of a quantity that is measured while networks train."""

from collections.abc import Callable
from typing import Any

from deepinit.core.specs import Spec
from deepinit.core.trainings import Training
from deepinit.quantities.quantity import Quantity


def training_seed_fn(
    spec: Any, quantity: Quantity, inputs: Training, *, dtype: str, precision: str, keep: bool
) -> tuple[Callable[[Any], Any], dict[str, str]]:
    """`key -> Measurement` [records, entries] of one network in training, and the settings its numbers depend on.

    Args:
        spec: an MLP with an output layer, trained as `training.perceptron(spec)`; or a Network.
        quantity: what is measured at every recorded step.
        inputs: the run.
        dtype: of an MLP's parameters; a Network decides on its own.
        precision: of an MLP's matrix products.
        keep: also return step, time and loss of the records, and the input vectors and output weights of every layer.
    """
    from deepinit import training
    from deepinit.quantities.routes import check_numbers

    check_numbers(dtype, precision)
    measure = quantity.measure(spec, inputs)

    def record(snapshot: Any) -> Any:
        measured = measure(snapshot)
        return measured._replace(kept=training.layer_vectors(snapshot.parameters)) if keep else measured

    run = training.training_seed_fn(
        network_of(spec, dtype, precision),
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
        progress = {"step": records.step, "time": records.time, "loss": records.loss, "status": records.status}
        return records.values._replace(kept={**records.values.kept, **progress})

    return seed_fn, {"linear_map": "explicit", "dtype": dtype, "precision": precision}


def network_of(spec: Any, dtype: str = "float32", precision: str = "highest") -> Any:
    """The network that is trained: a Network itself, the perceptron of an MLP."""
    from deepinit import training

    if not isinstance(spec, Spec):
        return spec
    return training.perceptron(spec, dtype=dtype, precision=precision)  # type: ignore[arg-type]
