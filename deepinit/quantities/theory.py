"""One record a theory: a prediction of one quantity, at finite or infinite width, and where it applies."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.core.training_config import Training

INFINITE_WIDTH = "infinite_width"


class Theory(NamedTuple):
    """One prediction of one quantity.

    Attributes:
        name: `exact`, `second_order`, `first_order`, `infinite_width`, ...: in tables and legends.
        conditions: `(spec, inputs) -> why the theory does not apply`, None where it does. Cheap: nothing is
            computed.
        predict: `(spec, inputs) -> Prediction`. Raises SpecError where only the computation shows that the
            theory does not apply (a kernel that overflows, inputs that a layer makes collinear).
    """

    name: str
    conditions: Callable[[Any, Any], str | None]
    predict: Callable[[Any, Any], Prediction]

    @property
    def is_limit(self) -> bool:
        """Is it the infinite-width limit?"""
        return self.name == INFINITE_WIDTH

    def evaluate(self, spec: Any, inputs: Any) -> Prediction | str:
        """The prediction, or the reason why the theory does not apply.

        A mean or variance that overflows is a reason, and so is a logarithm of 0. NaN marks steps of a training run that a
        prediction leaves out; a prediction that leaves out everything is a reason too.
        """
        reason = self.conditions(spec, inputs)
        if reason is not None:
            self._require(isinstance(reason, str), "conditions", reason, "text, or None")
            return reason
        try:
            with np.errstate(all="ignore"):  # what leaves the range of float64 shows in the result
                prediction = self.predict(spec, inputs)
        except SpecError as error:
            return str(error)
        except (ArithmeticError, ValueError) as error:
            if not (
                isinstance(error, ArithmeticError | np.linalg.LinAlgError)
                or str(error) == "math domain error"
            ):
                raise
            return f"its formula leaves the range of float64 ({error}): variances nearer to 1 are needed"
        self._require(isinstance(prediction, Prediction), "predict", prediction, "a Prediction")
        finite = np.isfinite(prediction.mean)
        allows_nan = isinstance(inputs, Training)
        if np.isinf(prediction.mean).any() or not (finite.any() if allows_nan else finite.all()):
            return "its mean is not finite in float64: a smaller variance or depth, or other inputs, are needed"
        if prediction.variance is not None and np.isinf(prediction.variance).any():
            return "its variance is not finite in float64: a smaller variance or depth is needed"
        return prediction

    def _require(self, holds: bool, function: str, returned: Any, allowed: str) -> None:
        if not holds:
            given = f"{returned!r:.80} from {function} of the theory {self.name!r}"
            raise SpecError(given, allowed, "Mend that function.")

    def why_not(self, spec: Any, inputs: Any) -> str | None:
        """None where the theory applies, else the reason. The only place that knows."""
        found = self.evaluate(spec, inputs)
        return found if isinstance(found, str) else None


def always(spec: Any, inputs: Any, name: str = "") -> None:
    """No conditions beyond what the computation checks."""
    del spec, inputs, name


def theories(
    names: tuple[str, ...],
    conditions: Callable[[Any, Any, str], str | None],
    predict: Callable[[Any, Any, str], Prediction],
) -> tuple[Theory, ...]:
    """Theories that share their functions, which take the name as third argument."""
    return tuple(
        Theory(
            name,
            functools.partial(_named, conditions, name),
            functools.partial(_named, predict, name),
        )
        for name in names
    )


def _named(function: Callable[[Any, Any, str], Any], name: str, spec: Any, inputs: Any) -> Any:
    return function(spec, inputs, name)


def limit(
    predict: Callable[[Any, Any], Prediction], conditions: Callable[[Any, Any], str | None] = always
) -> Theory:
    """The infinite-width limit."""
    return Theory(INFINITE_WIDTH, conditions, predict)
