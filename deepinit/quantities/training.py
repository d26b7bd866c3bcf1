"""Loss and accuracy at every recorded step."""

from typing import Any

import numpy as np

from deepinit.core.errors import SpecError, reason_against
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP
from deepinit.core.targets import Examples
from deepinit.core.training_config import TrainingConfig
from deepinit.quantities.kinds import Trained
from deepinit.quantities.kinds.trained import trained_network, why_not_trained
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import limit

_EVENTS = ("not_finite",)


def _measure_loss(spec: Any, training: TrainingConfig) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    del spec, training
    return lambda snapshot: Measurement(snapshot.loss[None], jnp.zeros(1, jnp.int8))


def _measure_accuracy(spec: Any, training: TrainingConfig) -> Any:
    import jax
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement
    from deepinit.training.checks import check_examples
    from deepinit.training.losses import cross_entropy, mse

    sets, network = _sets(training), trained_network(spec)
    for examples in sets:
        check_examples(network, examples, cross_entropy if examples.are_classes else mse)
    arrays = [(jnp.asarray(e.inputs, "float32"), jnp.asarray(_classes(e), "int32")) for e in sets]

    def record(snapshot: Any) -> Measurement:
        outputs = [jax.vmap(network.apply, (None, 0))(snapshot.parameters, x) for x, _ in arrays]
        labeled = zip(outputs, arrays, strict=True)
        right = [jnp.mean(jnp.argmax(out, axis=1) == y) for out, (_, y) in labeled]
        # argmax of NaN is 0
        finite = jnp.stack([jnp.all(jnp.isfinite(out)) for out in outputs])
        value = jnp.where(finite & jnp.isfinite(snapshot.loss), jnp.stack(right), jnp.nan)
        return Measurement(value, jnp.zeros(value.shape, jnp.int8))

    return record


def _sets(training: TrainingConfig) -> list[Examples]:
    return [examples for examples in (training.examples, training.test) if examples is not None]


def _why_no_classes(spec: Any, training: TrainingConfig) -> str | None:
    reason = why_not_trained(spec, training)
    return reason or reason_against(lambda: [*map(_classes, _sets(training))])


def _classes(examples: Examples) -> np.ndarray:
    """Classes; of one-hot targets the argmax."""
    if examples.are_classes:
        return examples.targets
    if examples.targets.shape[1] < 2:
        given = "the accuracy on targets that are one number an example"
        remedy = "Take training_loss, or integer targets."
        raise SpecError(given, "classes, or one-hot targets", remedy)
    return np.argmax(examples.targets, axis=1)


def _infinite_loss(spec: Any, training: TrainingConfig) -> Prediction:
    from deepinit.infinite_width.training import ntk_training

    assert training.rate is not None
    times = training.rate * np.array(training.record_steps, dtype=np.float64)
    result = ntk_training(spec, training.examples, times)
    return Prediction(
        quantity="training_loss",
        name="infinite_width",
        mean=result.loss[:, None],
        variance=None,
        error_order="O(1/width) at the scale of the neural tangent kernel; O(1) where networks "
        "condense",
        valid_for="widths so large that the tangent kernel stays constant; small steps",
        reference="neural-tangents' predict; Jacot, Gabriel & Hongler 2018, arXiv 1806.07572",
    )


def _why_no_limit(spec: Any, training: TrainingConfig) -> str | None:
    descends = training.mode == "gd" and training.rate is not None
    # a run that stops repeats its last loss
    to_the_end = training.batch_size is None and training.stop_drop is None
    if training.loss == "mse" and descends and to_the_end:
        return None
    return (
        "linearized training has a closed form for gd on all examples of the mse to the end, not "
        f"under {training.name} of {training.loss}"
    )


training_loss = Quantity(
    name="training_loss",
    symbol="loss $R$, mean over examples",
    label="loss on the training set",
    measurement=Trained(_measure_loss, lambda spec, training: (training.loss,)),
    theories=(limit(_infinite_loss, _why_no_limit, covers=(MLP,)),),
    transform="none",
    reference="Jacot, Gabriel & Hongler 2018, arXiv 1806.07572",
    events=_EVENTS,
)

accuracy = Quantity(
    name="accuracy",
    symbol="fraction of examples",
    label="fraction of examples whose class is recognized",
    measurement=Trained(
        _measure_accuracy,
        lambda spec, training: ("training set", "test set")[: len(_sets(training))],
        _why_no_classes,
    ),
    theories=(),
    transform="none: a fraction",
    reference="Jakub & Nica 2024, arXiv 2302.09712 (training experiment)",
    events=_EVENTS,
)
