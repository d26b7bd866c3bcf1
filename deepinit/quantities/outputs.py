"""Excess kurtosis of the preactivations of one layer, over networks.

Given the layer before, with q = |x|^2 / n, preactivations at one input are i.i.d. N(0, G),
G = bias_var + weight_var q: v = 3 Var G / (E G)^2 exactly. Standard error from R networks: 3
sqrt(2 / R) v by q, sqrt(24 / R) by outputs.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from deepinit.core.by_kind import by_kind
from deepinit.core.errors import SpecError, refusal
from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.results import Estimate, Prediction
from deepinit.core.specs import MLP, Spec
from deepinit.quantities import layer_expansions, layer_limits, row_functions
from deepinit.quantities.corrections import next_layers
from deepinit.quantities.kernels import nngp, point_names, tap_overlaps
from deepinit.quantities.kinds import Forward
from deepinit.quantities.kinds.axis import is_own
from deepinit.quantities.layer_limits import composed_limit
from deepinit.quantities.quantity import SCALED_EVENTS, Quantity
from deepinit.quantities.theory import Theory

_REFERENCE = "arXiv 2106.10165, chapter 4; derived in deepinit.quantities.outputs"


_laws_of_next_layer = by_kind(
    "output_kurtosis",
    {
        MLP: lambda spec: (spec.weight_law, spec.output_law, spec.bias_law),
        object: lambda spec: (getattr(spec, "output_law", None),),
    },
)


def _why_no_kurtosis(spec: Spec, inputs: Inputs) -> str | None:
    del inputs
    for law in () if is_own(spec) else _laws_of_next_layer(spec):
        if law is not None and not (isinstance(law, Law) and law.is_gaussian):
            given = f"output_kurtosis with the law {getattr(law, 'name', 'matrix')!r}"
            allowed = "Gaussian weights and biases: others add a kurtosis of their own"
            return refusal(given, allowed, "Take di.normal(...), or the kurtosis of samples.")
    return None


def _measure(state: Any, inputs: Inputs) -> Any:
    from deepinit.observables.measurement import Measurement

    overlaps, own = tap_overlaps(state, inputs), _own_entries(inputs)
    value, event, log_scale = overlaps.value, overlaps.event, overlaps.log_scale
    return Measurement(value[own], event[own], log_scale=log_scale[own])


def _measure_squares(state: Any, inputs: Inputs) -> Any:
    """z^2 of the first output, at the last position."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    del inputs
    rows = state.postactivations
    steps = jnp.exp(rows.displacement_scales)[:, None] * rows.displacements
    every = jnp.concatenate([rows.points, rows.of_bases(rows.points) + steps])
    scales = jnp.concatenate([rows.point_scales, rows.of_bases(rows.point_scales)])
    value = every[:, -state.shape.width] ** 2
    return Measurement(value, jnp.zeros(value.shape, jnp.int8), log_scale=2 * scales)


_next_layer = by_kind(
    "output_kurtosis",
    {MLP: next_layers, object: lambda spec: (np.ones(1), 0.0)},  # others: readout without biases
)
"""(weight_var [layers or 1], bias_var) after every hidden layer."""


def _of_ensemble(spec: Spec, estimate: Estimate) -> Estimate:
    """3 Var G / (E G)^2, error by the delta method; no spread or quantiles.

    Of a Network Var z^2 / (E z^2)^2 - 2, by its outputs z themselves.
    With control variates the covariance of variance and mean is unknown: the error is the sum of
    the two, an upper bound.
    """
    weight_var, bias_var = _next_layer(spec)
    factor, shift = (1.0, 2.0) if is_own(spec) else (3.0, 0.0)
    weight_var = weight_var[:, None]
    count = estimate.num_seeds - estimate.num_excluded
    assert estimate.relative_variance_error is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        # G over its mean: squares of the kernel itself may underflow
        unit = weight_var / (bias_var + weight_var * estimate.mean)
        spread = unit * estimate.standard_error * np.sqrt(count)
        variance = spread**2
        value = factor * variance - shift
        # errors of the variance and of the mean, and the covariance of the two
        common = (
            estimate.relative_variance_error**2
            + 4.0 * variance / count
            - 4.0 * estimate.skewness * spread / count
        )
        error2 = (factor * variance) ** 2 * common
        error = np.sqrt(np.maximum(np.where(variance > 0, error2, 0.0), 0.0))
        if estimate.plain is not None:
            value = 3.0 * unit**2 * estimate.variance
            relative = estimate.relative_variance_error + 2.0 * unit * estimate.standard_error
            error = value * relative
    unknown = np.full_like(value, np.nan)
    dead = bias_var + weight_var * estimate.mean == 0  # G = 0 in every network: 0 / 0
    every = estimate.events["dead"] + np.where(dead, count, 0)
    return dataclasses.replace(
        estimate,
        events={**estimate.events, "dead": every},
        mean=value,
        standard_error=error,
        variance=unknown,
        variance_standard_error=unknown,
        skewness=unknown,
        minimum=unknown,
        maximum=unknown,
        quantiles=np.full_like(estimate.quantiles, np.nan),
    )


def _own_entries(inputs: Inputs) -> np.ndarray:
    first, second = np.triu_indices(inputs.num_rows)
    return np.flatnonzero(first == second)


def _of_kernel(theory: Theory) -> Theory:
    """The theory from that of the kernel at one input."""
    conditions, predict = functools.partial(_why_not, theory), functools.partial(_predict, theory)
    return Theory(theory.name, conditions, predict, theory.covers)


def _why_not(theory: Theory, spec: Spec, inputs: Inputs) -> str | None:
    from deepinit.core.inputs import points

    return theory.conditions(spec, points(inputs.points[0]))


def _predict(theory: Theory, spec: Spec, inputs: Inputs) -> Prediction:
    """From mean and variance of the kernel."""
    from deepinit.core.inputs import points

    rows = np.concatenate([inputs.points, inputs.partners])
    kernels = [theory.predict(spec, points(row)) for row in rows]
    weight_var, bias_var = _next_layer(spec)
    weight_var = weight_var[:, None]
    mean = bias_var + weight_var * np.hstack([kernel.mean for kernel in kernels])
    variance = weight_var**2 * np.hstack([np.asarray(kernel.variance) for kernel in kernels])
    with np.errstate(over="ignore", invalid="ignore"):
        value = 3.0 * variance / mean**2
    if not np.isfinite(value).all():
        given = f"kernels of {np.max(mean):.3g}, whose squares overflow"
        remedy = "Take smaller inputs or a smaller weight variance."
        raise SpecError(given, "kernels between 1e-150 and 1e150", remedy)
    return dataclasses.replace(
        kernels[0], quantity="output_kurtosis", mean=value, variance=None, reference=_REFERENCE
    )


def _infinite(spec: Spec, inputs: Inputs) -> Prediction:
    value = np.zeros((spec.depth, inputs.num_rows))
    return Prediction(
        quantity="output_kurtosis",
        name="infinite_width",
        mean=value,
        variance=None,
        error_order="O(depth / width)",
        valid_for="all widths to infinity at fixed depth",
        reference=_REFERENCE,
    )


output_kurtosis = Quantity(
    name="output_kurtosis",
    symbol=r"$3\,\mathrm{Var}\,G / (\mathrm{E}\,G)^2$",
    label="excess kurtosis over networks of the next layer's preactivations, or outputs",
    measurement=Forward(
        _measure,
        entries=point_names,
        why_not=_why_no_kurtosis,
        statistic=_of_ensemble,
        own_tap=_measure_squares,
    ),
    theories=(
        *layer_expansions.with_expansion(
            tuple(_of_kernel(theory) for theory in nngp.theories if not theory.is_limit),
            row_functions.output_kurtosis,
            layer_expansions.kurtosis,
        ),
        composed_limit(_infinite, layer_limits.output_kurtosis),
    ),
    transform="none: light-tailed while depth / width is small",
    reference=_REFERENCE,
    events=SCALED_EVENTS,
    input_degree=2,
    rounding="absolute",
    light_tailed="log_norm",
    target=row_functions.output_kurtosis,
)
