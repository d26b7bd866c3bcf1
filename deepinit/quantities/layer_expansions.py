"""Order 1/width of composed networks, per site."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Layer, outline, shape_of
from deepinit.core.layers.containers import mixes_batch
from deepinit.core.layers.raw_inputs import check_raw
from deepinit.core.results import Prediction
from deepinit.quantities.row_functions import Target, grouped, rows_of
from deepinit.quantities.theory import Theory, always

FIRST_ORDER = "first_order"
_REFERENCE = "layer rules: deepinit.theory.layers.rules"
_HYPOTHESES = "Gaussian weights and biases; order 1/width at the network's own widths"
_LEAST_SIN2 = 1e-6  # below it 1 - cos^2 and its derivatives lose more than three digits
_SMALL, _LARGE = 0.1, 1.0  # second over first order of the variance: mean only, neither


class Expanded(NamedTuple):
    """[sites, entries] at infinite width, and of order 1/width.

    `sampled`: relative errors of means over random points and of their derivatives.
    """

    infinite: np.ndarray
    shift: np.ndarray
    variance: np.ndarray
    ratio: np.ndarray
    sampled: tuple[float, float] = (0.0, 0.0)


TargetOf = Callable[[Any, Inputs], Target]
Finish = Callable[[Any, Inputs, Expanded], Expanded]


def expansion(
    target: TargetOf,
    conditions: Callable[[Any, Any], str | None] = always,
    finish: Finish | None = None,
    covers: tuple[type, ...] = (Layer,),
) -> Theory:
    """The first order of composed networks for `target(network, inputs)`, and what follows."""

    def why_not(network: Any, inputs: Any) -> str | None:
        reason = conditions(network, inputs)
        if reason is not None:
            return reason
        from deepinit.theory.layers import check

        try:
            own = len(target(network, inputs).groups[0])
            check(
                _program(network, inputs),
                inputs.num_rows if mixes_batch(_program(network, inputs).body) else own,
            )
        except SpecError as error:
            return str(error)
        return None

    def predict(network: Any, inputs: Any) -> Prediction:
        found = _of_target(network, inputs, target(network, inputs))
        if finish is not None:
            found = finish(network, inputs, found)
        layers = tuple(f"layer {number + 1}" for number in range(len(found.infinite)))
        return predicted(found, outline(network, shape_of(inputs)).paths or layers)

    return Theory(FIRST_ORDER, why_not, predict, covers=covers)


def predicted(found: Expanded, paths: tuple[str, ...]) -> Prediction:
    """Mean and variance where they are sound, and their range."""
    wrong = ~np.isfinite(found.infinite + found.shift) | (found.variance < 0)
    if wrong.any():
        place = paths[int(np.flatnonzero(wrong.any(axis=1))[0])]
        given = f"{place}: an expansion that is not finite (parallel, equal or zero rows)"
        allowed = "rows that differ in direction, of sizes from 1e-75 to 1e75"
        raise SpecError(given, allowed, "Simulate.")
    variance = np.where(found.ratio <= _LARGE, found.variance, np.nan)
    return Prediction(
        quantity="",
        name=FIRST_ORDER,
        mean=found.infinite + found.shift,
        variance=variance,
        error_order="O(1 / width^2)",
        valid_for="; ".join([_HYPOTHESES, _range(paths, found.ratio), *_sampled(found.sampled)]),
        reference=_REFERENCE,
    )


def with_expansion(
    found: tuple[Theory, ...], target: TargetOf, finish: Finish | None = None
) -> tuple[Theory, ...]:
    """Theories of architectures; that of first order covers composed networks too.

    Where an architecture's own theory does not apply, its layers' rules do.
    """
    composed = expansion(target, finish=finish)
    return tuple(_either(one, composed) if one.name == FIRST_ORDER else one for one in found)


def _either(own: Theory, composed: Theory) -> Theory:
    def choose(spec: Any, inputs: Any) -> Theory:
        if isinstance(spec, Layer):
            return composed
        known = own.conditions(spec, inputs) is None
        return own if known or composed.conditions(spec, inputs) is not None else composed

    return Theory(
        FIRST_ORDER,
        lambda spec, inputs: choose(spec, inputs).conditions(spec, inputs),
        lambda spec, inputs: choose(spec, inputs).predict(spec, inputs),
        tuple(dict.fromkeys((*own.covers, Layer))),
    )


def _range(paths: tuple[str, ...], ratio: np.ndarray) -> str:
    """Layers from which second-order terms are large, as text."""
    largest, words = ratio.max(axis=1), []
    for bound, what in ((_SMALL, "variance"), (_LARGE, "mean and variance")):
        beyond = np.flatnonzero(largest > bound)
        if len(beyond):
            words.append(f"{what} unreliable from {paths[beyond[0]]} on")
    return "; ".join(words) or f"reliable at every site (largest ratio {largest.max():.2g})"


def _sampled(errors: tuple[float, float]) -> list[str]:
    """Errors of means over random points, as text."""
    if not max(errors):
        return []
    mean, slope = errors
    given = f"softmax by quasi-Monte Carlo: relative error {mean:.1g} of means at infinite width"
    return [f"{given}, {slope:.1g} of their derivatives in 1/width terms"]


def _program(network: Any, inputs: Inputs) -> Any:
    net = outline(network, shape_of(inputs)).program
    check_raw(net)
    return net


@functools.lru_cache(maxsize=16)
def _expanded(network: Any, inputs: Inputs, functions: Any, places: tuple[Any, ...]) -> Expanded:
    """Functions [m] of the rows of the inputs at `places`, tuples of one length.

    Returns:
        `Expanded` [sites, places, m].
    """
    from deepinit.theory.layers import first_order

    target = Target(functions, places, ())
    of_rows, groups = grouped(target, inputs, together=mixes_batch(_program(network, inputs).body))
    found = first_order(_program(network, inputs), rows_of(inputs)[np.array(groups)], of_rows)
    # variances below 0 by more than rounding: the derivatives of f have lost their digits
    rounding = 1e-9 * (found.infinite**2 + found.shift**2)
    variance = np.where(np.abs(found.variance) < rounding * 1e-9, 0.0, found.variance)
    sound = (found.second_variance >= -1e-9 * np.abs(variance)) & ~np.isnan(found.ratio)
    ratio = np.where(sound, np.maximum(found.ratio, 0.0), np.inf)
    own = (found.infinite, found.shift, variance, ratio)
    infinite, shift, variance, ratio = (part.reshape(len(part), len(places), -1) for part in own)
    mean, slope = found.sampled.tolist()
    return Expanded(infinite, shift, variance, ratio, (mean, slope))


def _of_target(network: Any, inputs: Inputs, target: Target) -> Expanded:
    """[sites, entries]."""
    found = _expanded(network, inputs, target.functions, target.groups)
    infinite, shift, variance, ratio = map(target.chosen, found[:4])
    return Expanded(infinite + target.offset, shift, variance, ratio, found.sampled)


def check_angles(network: Any, inputs: Inputs, found: Expanded) -> Expanded:
    """Raise the SpecError of angles whose digits are lost."""
    if (small := ~(found.infinite > math.log(_LEAST_SIN2))).any():
        paths = outline(network, shape_of(inputs)).paths or ()
        given = f"{paths[int(np.flatnonzero(small.any(axis=1))[0])]}: an angle below 1e-3"
        allowed = "larger angles: 1 - cos^2 cancels in float64"
        raise SpecError(given, allowed, "Simulate, or take di.MLP without biases.")
    return found


def kurtosis(network: Any, inputs: Inputs, own: Expanded) -> Expanded:
    """3 Var q / (E q)^2."""
    del network, inputs
    if not ((own.infinite > 1e-150) & (own.infinite < 1e150)).all():
        given = "mean squares outside 1e-150 to 1e150"
        raise SpecError(given, "mean squares with squares in float64", "Rescale the inputs.")
    value, zero = 3.0 * own.variance / (own.infinite + own.shift) ** 2, np.zeros_like(own.infinite)
    return Expanded(zero, value, np.full_like(value, np.nan), own.ratio, own.sampled)
