"""The options of a training run: modes, rates, steps, and what is refused of them."""

import math
from typing import Any

import optax  # type: ignore[import-untyped]

from deepinit.core.checks import check_integer, is_number
from deepinit.core.errors import SpecError, refusal
from deepinit.core.trainings import MODES
from deepinit.training.optimizers import adam, has_own_neurons, neuron_flow, sign_descent

_DEFAULT_RATES = {"flow": 0.1, "neuron_flow": 0.02}
_SMALLEST_DROP = {"float32": 1e-5, "float64": 1e-12}  # a hundred roundings of the loss


def log_spaced_steps(last: int, num_records: int = 20, *, first: int = 1) -> tuple[int, ...]:
    """Step 0 and about `num_records` steps from `first` to `last` in geometric progression, without repetitions.

    Under exponential growth of the weights take equally spaced ones instead: `range(0, last + 1, ...)`.
    """
    check_integer("first", first, 1, "Step 0 is always recorded.")
    check_integer("last", last, first, "The last record ends the run.")
    check_integer("num_records", num_records, 2, "Record the first and the last step.")
    ratio = last / first
    steps = {round(first * ratio ** (k / (num_records - 1))) for k in range(num_records)}
    return (0, *sorted(steps))


def optimizer_of(mode: str | optax.GradientTransformation, pace: float) -> optax.GradientTransformationExtraArgs | None:
    """The transformation behind a mode, whose update takes further keywords; None for gradient flow."""
    if not isinstance(mode, str):
        return optax.with_extra_args_support(mode)
    if mode == "flow":
        return None
    made = {"gd": optax.sgd, "sgd": optax.sgd, "adam": adam, "sign": sign_descent, "neuron_flow": neuron_flow}
    return optax.with_extra_args_support(made[mode](pace))


def pace_of(mode: str | optax.GradientTransformation, rate: float | None) -> float:
    """The rate of a mode, and the time that a step counts for."""
    if not isinstance(mode, str):
        return 1.0
    return float(_DEFAULT_RATES[mode] if rate is None else rate)


def check_options(mode: Any, rate: Any, stop_drop: Any, batch_size: Any, tolerance: Any, num_examples: int) -> None:
    """Refuses modes, rates, drops and batch sizes that are unknown, out of range or do not go together."""
    named = isinstance(mode, str)
    if (named and mode not in MODES) or not (named or isinstance(mode, optax.GradientTransformation)):
        raise SpecError(
            refusal(f"mode={mode!r}", ", ".join(MODES) + ", or an optax transformation", "Check the spelling.")
        )
    if rate is not None and not named:
        raise SpecError(
            refusal(f"rate={rate!r} beside an optax transformation", "one of them", "Give the rate to optax.")
        )
    if (rate is None and mode in ("gd", "sgd", "adam", "sign")) or (rate is not None and not is_positive(rate)):
        raise SpecError(
            refusal(
                f"rate={rate!r} for the mode {mode!r}",
                "a finite number > 0",
                "Accurate are 0.02 / |v| for gd of small tanh-like networks, v = mean of y (x, 1), a tenth of the standard deviation for "
                "sign, and ten of them for adam.",
            )
        )
    if stop_drop is not None and not (is_positive(stop_drop) and stop_drop < 1):
        raise SpecError(refusal(f"stop_drop={stop_drop!r}", "a number in (0, 1)", "1e-3 is the first visible drop."))
    if not (is_positive(tolerance) and tolerance < 1):
        raise SpecError(refusal(f"tolerance={tolerance!r}", "a number in (0, 1)", "Leave it out for 1e-6."))
    if batch_size is not None:
        check_integer("batch_size", batch_size, 1, "Leave it out for all examples.", most=num_examples)
    flows = mode in ("flow", "neuron_flow")
    if (mode == "sgd") > (batch_size is not None) or (flows and batch_size is not None):
        raise SpecError(
            refusal(
                f"batch_size={batch_size!r} for the mode {mode!r}",
                "minibatches for sgd (needed), gd, adam, sign and optax transformations",
                "A flow follows the gradient on all examples.",
            )
        )


def check_end_time(mode: Any, end_time: Any) -> None:
    """Refuses an end time that is no number > 0, or that goes with another mode than `flow`."""
    if end_time is not None and not (is_positive(end_time) and isinstance(mode, str) and mode == "flow"):
        raise SpecError(
            refusal(
                f"end_time={end_time!r} for the mode {mode!r}",
                "a finite number > 0 with mode='flow'",
                "The steps of other modes have one length: end them by record_steps.",
            )
        )


def check_layout(mode: Any, parameters: Any) -> None:
    """Refuses `neuron_flow` for parameters without neurons of their own."""
    if mode == "neuron_flow" and not has_own_neurons(parameters):
        raise SpecError(
            refusal(
                "the mode 'neuron_flow' for a network of another form",
                "training.perceptron of one hidden layer without output bias, whose neurons have weights of their own",
                "Take mode='flow'.",
            )
        )


def check_drop(stop_drop: float | None, dtype: str) -> None:
    """Refuses drops that the loss cannot resolve."""
    smallest = _SMALLEST_DROP.get(dtype, 0.0)
    if stop_drop is not None and stop_drop < smallest:
        raise SpecError(
            refusal(
                f"stop_drop={stop_drop:g} in {dtype}",
                f"{smallest:g} or more, below which rounding of the loss decides",
                "Take 1e-3, or float64.",
            )
        )


def is_positive(value: Any) -> bool:
    """Is this a finite number > 0, Python's or NumPy's?"""
    return is_number(value) and 0.0 < value < math.inf
