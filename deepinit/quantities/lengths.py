"""Stretching of volumes at a point, lengths along curves."""

from typing import Any

import numpy as np

from deepinit.core.curves import SampledCurve
from deepinit.core.frames import Frames
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities.diffusions import diffusion_limit
from deepinit.quantities.kinds import ExactLaw, Forward
from deepinit.quantities.length_conditions import (
    RELU_BOUNDS,
    why_not_curve,
    why_not_expansion,
    why_not_volume,
)
from deepinit.quantities.length_sampler import log_volume_sampler
from deepinit.quantities.length_theory import (
    PAPER,
    check_fit,
    predict_curve,
    predict_diffusion,
    predict_expansion,
    predict_volume,
)
from deepinit.quantities.quantity import SCALED_EVENTS, Quantity
from deepinit.quantities.theory import limit, limit_prediction, theories


def _measure_volume(state: Any, inputs: Frames) -> Any:
    from deepinit.observables import lengths

    del inputs
    return lengths.log_volume(state.postactivations)


def _measure_curve(state: Any, inputs: SampledCurve) -> Any:
    from deepinit.observables import lengths

    if inputs.method == "tangents":
        return lengths.curve_length_by_tangents(state.postactivations)
    chord = inputs.curve.length / inputs.num_nodes
    return lengths.curve_length_by_chords(state.postactivations, chord)


def _infinite_volume(spec: Spec, inputs: Frames) -> Prediction:
    from deepinit.infinite_width.norm_growth import log_volumes, output_log_volume_variance

    check_fit(spec, inputs)
    value = log_volumes(spec, inputs)
    variance = np.zeros_like(value)
    if spec.output_width is not None:
        variance[-1] = output_log_volume_variance(spec.output_width, inputs.frame_size)
    return _limit("log_volume", value, variance)


def _infinite_curve(spec: Spec, inputs: SampledCurve) -> Prediction:
    from deepinit.infinite_width.norm_growth import mean_lengths, output_length_variance

    value = mean_lengths(spec, inputs.curve)[:, None]
    variance = np.zeros_like(value)
    if spec.output_width is not None:
        variance[-1] = output_length_variance(spec, inputs.curve)
    return _limit("length_distortion", value, variance)


def _limit(quantity: str, value: np.ndarray, variance: np.ndarray) -> Prediction:
    valid_for = "hidden widths to infinity at fixed depth and output width"
    reference = "velocities of the NNGP: derived in deepinit.infinite_width.lengths"
    return limit_prediction(quantity, value, valid_for, reference, variance)


log_volume = Quantity(
    name="log_volume",
    symbol=r"$\ln\, \mathrm{vol}_d(J U)$",
    label="stretch of a tangent frame (length for one vector), as a logarithm",
    measurement=ExactLaw(Forward(_measure_volume, Frames, at_output=True), log_volume_sampler),
    theories=(
        *theories(("exact", "idealized"), why_not_volume, predict_volume, (MLP, ResNet)),
        *diffusion_limit(predict_diffusion),
        limit(_infinite_volume, covers=(MLP, ResNet)),
    ),
    transform="ln",
    reference=PAPER,
    rounding="absolute",
)

_THEORIES_OF_MLPS = ("second_order", "first_order", *RELU_BOUNDS)

length_distortion = Quantity(
    name="length_distortion",
    symbol=r"$\mathrm{len}(F \circ \gamma) / \mathrm{len}(\gamma)$",
    label="length of a curve's image over its own",
    measurement=Forward(_measure_curve, SampledCurve, at_output=True),
    theories=(
        *theories(("exact", "idealized"), why_not_curve, predict_curve, (MLP, ResNet)),
        *theories(_THEORIES_OF_MLPS, why_not_expansion, predict_expansion, (MLP,)),
        limit(_infinite_curve, covers=(MLP, ResNet)),
    ),
    transform="none: light-tailed while depth/width is below about 1",
    reference=PAPER,
    events=SCALED_EVENTS,
    light_tailed="log_volume",
)
