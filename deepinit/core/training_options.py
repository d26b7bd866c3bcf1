"""Which options of a training run go together, and what can be trained."""

import math
from typing import Any

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP


def check_options(
    mode: Any, rate: Any, stop_drop: Any, batch_size: Any, tolerance: Any, num_examples: int
) -> None:
    """Refuses rates, drops and batch sizes that are out of range or do not go with the mode."""
    named = isinstance(mode, str)
    if rate is not None and not named:
        raise SpecError(
            f"rate={rate!r} beside an optax transformation",
            "one of them",
            "Give the rate to optax.",
        )
    if (rate is None and mode in ("gd", "sgd", "adam", "sign")) or (
        rate is not None and not is_positive(rate)
    ):
        raise SpecError(
            f"rate={rate!r} for the mode {mode!r}",
            "a finite number > 0",
            "Accurate are 0.02 / |v| for gd of small tanh-like networks, v = mean of y (x, 1), a tenth of the "
            "standard deviation for sign, and ten of them for adam.",
        )
    if stop_drop is not None and not (is_positive(stop_drop) and stop_drop < 1):
        raise SpecError(
            f"stop_drop={stop_drop!r}", "a number in (0, 1)", "1e-3 is the first visible drop."
        )
    if not (is_positive(tolerance) and tolerance < 1):
        raise SpecError(f"tolerance={tolerance!r}", "a number in (0, 1)", "Leave it out for 1e-6.")
    if batch_size is not None:
        validate.integer(
            "batch_size", batch_size, 1, "Leave it out for all examples.", most=num_examples
        )
    flows = mode in ("flow", "neuron_flow")
    if (mode == "sgd") > (batch_size is not None) or (flows and batch_size is not None):
        raise SpecError(
            f"batch_size={batch_size!r} for the mode {mode!r}",
            "minibatches for sgd (needed), gd, adam, sign and optax transformations",
            "A flow follows the gradient on all examples.",
        )


def check_end_time(mode: Any, end_time: Any) -> None:
    """Refuses an end time that is no number > 0, or that goes with another mode than `flow`."""
    if end_time is not None and not (
        is_positive(end_time) and isinstance(mode, str) and mode == "flow"
    ):
        raise SpecError(
            f"end_time={end_time!r} for the mode {mode!r}",
            "a finite number > 0 with mode='flow'",
            "The steps of other modes have one length: end them by record_steps.",
        )


def is_positive(value: Any) -> bool:
    """Is this a finite number > 0, Python's or NumPy's?"""
    return validate.is_number(value) and 0.0 < value < math.inf


def require_output_layer(spec: Any) -> None:
    """Refuse what is no MLP with an output layer, the only spec that is trained.

    Raises:
        SpecError: any other spec.
    """
    if not isinstance(spec, MLP) or spec.output_width is None:
        raise SpecError(
            f"the spec {spec!r}",
            "an MLP with an output layer",
            "Write di.MLP(..., output_width=1).",
        )
