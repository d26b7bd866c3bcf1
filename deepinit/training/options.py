"""The options of a training run: modes, rates, steps, and what is refused of them."""

from typing import Any

import optax  # type: ignore[import-untyped]

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.training_config import MODES
from deepinit.training.optimizers import adam, has_own_neurons, neuron_flow, sign_descent

_DEFAULT_RATES = {"flow": 0.1, "neuron_flow": 0.02}
_SMALLEST_DROP = {"float32": 1e-5, "float64": 1e-12}  # a hundred roundings of the loss


def log_spaced_steps(last: int, num_records: int = 20, *, first: int = 1) -> tuple[int, ...]:
    """Step 0 and about `num_records` steps from `first` to `last` in geometric progression, without repetitions.

    Under exponential growth of the weights take equally spaced ones instead: `range(0, last + 1, ...)`.
    """
    validate.integer("first", first, 1, "Step 0 is always recorded.")
    validate.integer("last", last, first, "The last record ends the run.")
    validate.integer("num_records", num_records, 2, "Record the first and the last step.")
    ratio = last / first
    steps = {round(first * ratio ** (k / (num_records - 1))) for k in range(num_records)}
    return (0, *sorted(steps))


def optimizer_of(
    mode: str | optax.GradientTransformation, pace: float
) -> optax.GradientTransformationExtraArgs | None:
    """The transformation behind a mode, whose update takes further keywords; None for gradient flow."""
    if not isinstance(mode, str):
        return optax.with_extra_args_support(mode)
    if mode == "flow":
        return None
    made = {
        "gd": optax.sgd,
        "sgd": optax.sgd,
        "adam": adam,
        "sign": sign_descent,
        "neuron_flow": neuron_flow,
    }
    return optax.with_extra_args_support(made[mode](pace))


def pace_of(mode: str | optax.GradientTransformation, rate: float | None) -> float:
    """The rate of a mode, and the time that a step counts for."""
    if not isinstance(mode, str):
        return 1.0
    return float(_DEFAULT_RATES[mode] if rate is None else rate)


def check_optimizer(mode: Any) -> None:
    """Refuses what is neither a mode nor an optax transformation."""
    named = isinstance(mode, str)
    if (named and mode not in MODES) or not (
        named or isinstance(mode, optax.GradientTransformation)
    ):
        raise SpecError(
            f"mode={mode!r}",
            ", ".join(MODES) + ", or an optax transformation",
            "Check the spelling.",
        )


def check_layout(mode: Any, parameters: Any) -> None:
    """Refuses `neuron_flow` for parameters without neurons of their own."""
    if mode == "neuron_flow" and not has_own_neurons(parameters):
        raise SpecError(
            "the mode 'neuron_flow' for a network of another form",
            "training.perceptron of one hidden layer without output bias, whose neurons have weights of their own",
            "Take mode='flow'.",
        )


def check_drop(stop_drop: float | None, dtype: str) -> None:
    """Refuses drops that the loss cannot resolve."""
    smallest = _SMALLEST_DROP.get(dtype, 0.0)
    if stop_drop is not None and stop_drop < smallest:
        raise SpecError(
            f"stop_drop={stop_drop:g} in {dtype}",
            f"{smallest:g} or more, below which rounding of the loss decides",
            "Take 1e-3, or float64.",
        )
