"""Checks of training options and trainable networks."""

from typing import TYPE_CHECKING, Any

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP, NetworkSpec

if TYPE_CHECKING:
    import optax  # type: ignore[import-untyped]


def check_options(
    mode: "str | optax.GradientTransformation",
    rate: float | None,
    stop_drop: float | None,
    batch_size: int | None,
    tolerance: float | None,
    num_examples: int,
) -> None:
    """Raise SpecError for values out of range or of another mode."""
    named = isinstance(mode, str)
    if rate is not None and not named:
        given = f"rate={rate!r} beside an optax transformation"
        raise SpecError(given, "one of them", "Give the rate to optax.")
    needs_rate = mode in ("gd", "sgd", "adam", "sign")
    if needs_rate if rate is None else not is_positive(rate):
        raise SpecError(
            f"rate={rate!r} for the mode {mode!r}",
            "a finite number > 0",
            "Accurate: 0.02 / |v| for gd of small tanh-like networks, v = mean of y (x, 1); a "
            "tenth of the weights' standard deviation for sign; ten of them for adam.",
        )
    if stop_drop is not None:
        validate.fraction("stop_drop", stop_drop, "1e-3 is the first visible drop.")
    validate.fraction("tolerance", tolerance, "Leave it out for 1e-6.")
    if batch_size is not None:
        remedy = "Leave it out for all examples."
        validate.integer("batch_size", batch_size, 1, remedy, most=num_examples)
    flows = mode in ("flow", "neuron_flow")
    if (mode == "sgd") > (batch_size is not None) or (flows and batch_size is not None):
        given = f"batch_size={batch_size!r} for the mode {mode!r}"
        allowed = "minibatches for sgd (needed), gd, adam, sign and optax transformations"
        raise SpecError(given, allowed, "A flow follows the gradient on all examples.")


def check_end_time(mode: "str | optax.GradientTransformation", end_time: float | None) -> None:
    """Raise SpecError unless None, or > 0 with mode `flow`."""
    is_flow = isinstance(mode, str) and mode == "flow"
    if end_time is not None and not (is_positive(end_time) and is_flow):
        given = f"end_time={end_time!r} for the mode {mode!r}"
        remedy = "Steps of other modes have one length: end them by record_steps."
        raise SpecError(given, "a finite number > 0 with mode='flow'", remedy)


def is_positive(value: Any) -> bool:
    """Whether a finite number > 0."""
    return validate.is_number(value) and 0.0 < value < float("inf")


def require_output_layer(spec: NetworkSpec) -> None:
    """Raise SpecError unless an MLP with an output layer."""
    if not isinstance(spec, MLP) or spec.output_width is None:
        remedy = "Write di.MLP(..., output_width=1)."
        raise SpecError(f"the spec {spec!r}", "an MLP with an output layer", remedy)
