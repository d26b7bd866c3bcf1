"""Options of a training run: modes, rates, record steps."""

from typing import Any

import optax  # type: ignore[import-untyped]

from deepinit.core import validate
from deepinit.core.training_config import MODES
from deepinit.core.typing import PyTree
from deepinit.training.optimizers import adam, has_own_neurons, neuron_flow, sign_descent

_DEFAULT_RATES = {"flow": 0.1, "neuron_flow": 0.02}
_SMALLEST_DROP = {"float32": 1e-5, "float64": 1e-12}  # 100 roundings of the loss


def log_spaced_steps(last: int, num_records: int = 20, *, first: int = 1) -> tuple[int, ...]:
    """Step 0 and about `num_records` steps, log-spaced from `first` to `last`.

    For exponential growth use equal spacing: `range(0, last + 1, ...)`.
    """
    validate.integer("first", first, 1, "Step 0 is always recorded.")
    validate.integer("last", last, first, "The last record ends the run.")
    validate.integer("num_records", num_records, 2, "Record the first and the last step.")
    ratio = last / first
    steps = {round(first * ratio ** (k / (num_records - 1))) for k in range(num_records)}
    return (0, *sorted(steps))


def optimizer_of(
    mode: str | optax.GradientTransformation, pace: Any
) -> optax.GradientTransformationExtraArgs | None:
    """A mode's transformation; None for gradient flow."""
    if not isinstance(mode, str):
        return optax.with_extra_args_support(mode)
    if mode == "flow":
        return None
    named = {"adam": adam, "sign": sign_descent, "neuron_flow": neuron_flow}
    return optax.with_extra_args_support(named.get(mode, optax.sgd)(pace))


def pace_of(mode: str | optax.GradientTransformation, rate: float | None) -> float:
    """Rate of a mode: time of one step."""
    if not isinstance(mode, str):
        return 1.0
    return float(_DEFAULT_RATES[mode] if rate is None else rate)


def check_optimizer(mode: Any) -> None:
    """Raise SpecError unless a mode or optax transformation."""
    valid = (
        mode in MODES if isinstance(mode, str) else isinstance(mode, optax.GradientTransformation)
    )
    validate.require(valid, f"mode={mode!r}", ", ".join(MODES) + ", or an optax transformation")


def check_layout(mode: Any, parameters: PyTree) -> None:
    """Raise SpecError for `neuron_flow` without a vector per neuron."""
    valid = mode != "neuron_flow" or has_own_neurons(parameters)
    allowed = "training.perceptron of one hidden layer without output bias"
    validate.require(valid, "mode='neuron_flow' for another network", allowed, "Use mode='flow'.")


def check_drop(stop_drop: float | None, dtype: str) -> None:
    """Raise SpecError for drops below the loss's rounding."""
    smallest = _SMALLEST_DROP.get(dtype, 0.0)
    valid = stop_drop is None or stop_drop >= smallest
    remedy = "Smaller drops are rounding: take 1e-3, or float64."
    validate.require(valid, f"stop_drop={stop_drop} in {dtype}", f"numbers >= {smallest:g}", remedy)
