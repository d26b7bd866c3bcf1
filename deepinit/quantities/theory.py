"""One prediction, and where it applies."""

import dataclasses
import functools
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.by_kind import kind_text
from deepinit.core.errors import SpecError
from deepinit.core.layers import Layer
from deepinit.core.results import Prediction
from deepinit.core.training_config import TrainingConfig

INFINITE_WIDTH = "infinite_width"
_TEXTS = ("quantity", "name", "error_order", "valid_for", "reference", "symbol")


class Theory(NamedTuple):
    """One prediction of one quantity.

    Attributes:
        name: `exact`, `second_order`, `first_order`, `infinite_width`, ...
        conditions: `(spec, inputs) -> why the theory does not apply`, or None; cheap.
        predict: `(spec, inputs) -> Prediction` [length, entries]; SpecError for failures in the
            computation (overflow, inputs that become collinear).
        covers: types of networks: `MLP`, `ResNet`, `ConvResNet`, and `Layer` for composed networks;
            () for all but composed networks.
    """

    name: str
    conditions: Callable[[Any, Any], str | None]
    predict: Callable[[Any, Any], Prediction]
    covers: tuple[type, ...] = ()

    def __repr__(self) -> str:
        kinds = self.covers if isinstance(self.covers, tuple) else (self.covers,)  # not checked yet
        names = ", ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
        return f"Theory({self.name}, of {names or 'named architectures'})"

    @property
    def is_limit(self) -> bool:
        """Whether it is the infinite-width limit."""
        return self.name == INFINITE_WIDTH

    def evaluate(
        self, spec: Any, inputs: Any, axis: Callable[[Any, Any], Any] | None = None
    ) -> Prediction | str:
        """The prediction, or the reason why the theory does not apply.

        Reasons: `covers`, `conditions`, a SpecError of `predict`, an arithmetic error, moments not
        finite in float64. NaN marks steps without prediction; all NaN is a reason.
        Raises SpecError: a result of wrong kind, sign or, given `axis`, shape.
        """
        if not (isinstance(spec, self.covers) if self.covers else not isinstance(spec, Layer)):
            covered = kind_text(self.covers) or "named architectures"
            return f"it covers {covered}, not {kind_text([type(spec)])}"
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
            arithmetic = isinstance(error, ArithmeticError | np.linalg.LinAlgError)
            if not (arithmetic or str(error) == "math domain error"):
                raise
            if not _is_builtin(self.predict):
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{place.name}, {place.filename}:{place.lineno}"
                return f"its predict raised {type(error).__name__}: {error} (in {where})"
            return f"its formula leaves the range of float64 ({error}): take variances nearer to 1"
        prediction = self._checked(prediction, spec, inputs, axis)
        finite = np.isfinite(prediction.mean)
        allows_nan = isinstance(inputs, TrainingConfig)
        if np.isinf(prediction.mean).any() or not (finite.any() if allows_nan else finite.all()):
            return "its mean is not finite in float64: take a smaller variance, depth or input"
        variance = np.zeros(1) if prediction.variance is None else prediction.variance
        if np.isinf(variance).any():
            return "its variance is not finite in float64: take a smaller variance or depth"
        if not _is_builtin(self.predict):
            scale = np.maximum(prediction.mean**2, np.nanmax(np.abs(variance), initial=0.0))
            right = not np.any(variance < -1e-9 * scale)  # rounding, of E x^2 - (E x)^2
            self._require(right, "predict", variance, "numbers >= 0", "variance")
        return prediction

    def _checked(self, prediction: Any, spec: Any, inputs: Any, axis: Any) -> Prediction:
        """The Prediction in float64."""
        self._require(isinstance(prediction, Prediction), "predict", prediction, "a Prediction")
        for field in _TEXTS:
            text = getattr(prediction, field)
            self._require(isinstance(text, str), "predict", text, "text", field)
        mean = validate.real_numbers(prediction.mean)
        shape = () if mean is None else mean.shape
        if axis is not None:
            names = axis(spec, inputs)
            shape = (names.length, len(names.entries))
        allowed = f"real numbers of shape {shape}"
        if mean is None or mean.shape != shape:
            self._require(False, "predict", prediction.mean, allowed, "mean")
        if prediction.variance is None:
            return dataclasses.replace(prediction, mean=mean)
        variance = validate.real_numbers(prediction.variance)
        right = variance is not None and variance.shape == shape
        allowed = f"{allowed}; or None"
        self._require(right, "predict", prediction.variance, allowed, "variance")
        return dataclasses.replace(prediction, mean=mean, variance=variance)

    def _require(
        self, holds: bool, function: str, returned: Any, allowed: str, field: str = ""
    ) -> None:
        if not holds:
            shape = f" of shape {returned.shape}" if hasattr(returned, "shape") else ""
            text = " ".join(f"{field and field + '='}{returned!r:.80}".split()) + shape
            given = f"{text} from {function} of the theory {self.name!r}"
            raise SpecError(given, allowed, "Correct that function.")

    def why_not(
        self, spec: Any, inputs: Any, axis: Callable[[Any, Any], Any] | None = None
    ) -> str | None:
        """The reason of `evaluate`, or None."""
        result = self.evaluate(spec, inputs, axis)
        return result if isinstance(result, str) else None


def _is_builtin(function: Any) -> bool:
    """Whether deepinit defines the function."""
    while isinstance(function, functools.partial):
        function = function.args[0] if function.func is _named else function.func
    return getattr(function, "__module__", "").partition(".")[0] == "deepinit"


def always(spec: Any, inputs: Any, name: str = "") -> None:
    """No conditions."""
    del spec, inputs, name


def theories(
    names: tuple[str, ...],
    conditions: Callable[[Any, Any, str], str | None],
    predict: Callable[[Any, Any, str], Prediction],
    covers: tuple[type, ...] = (),
) -> tuple[Theory, ...]:
    """Theories that share functions of (spec, inputs, name), and the networks that they cover."""
    return tuple(
        Theory(
            name,
            functools.partial(_named, conditions, name),
            functools.partial(_named, predict, name),
            covers,
        )
        for name in names
    )


def _named(function: Callable[[Any, Any, str], Any], name: str, spec: Any, inputs: Any) -> Any:
    return function(spec, inputs, name)


def limit(
    predict: Callable[[Any, Any], Prediction],
    conditions: Callable[[Any, Any], str | None] = always,
    *,
    covers: tuple[type, ...] = (),
) -> Theory:
    """The infinite-width limit."""
    return Theory(INFINITE_WIDTH, conditions, predict, covers)


def limit_prediction(
    quantity: str,
    mean: np.ndarray,
    valid_for: str,
    reference: str,
    variance: np.ndarray | None = None,
    error_order: str = "O(depth / width)",
) -> Prediction:
    """Infinite-width Prediction; variance None is 0."""
    variance = np.zeros_like(mean) if variance is None else variance
    return Prediction(quantity, INFINITE_WIDTH, mean, variance, error_order, valid_for, reference)
