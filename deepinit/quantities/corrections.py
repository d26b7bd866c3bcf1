"""Kernels of MLPs at finite width: first order in 1/width, and exact.

Exact: Gaussian weights, no biases, positively homogeneous activation, one input; any inputs for
second moments of linear networks.
"""

from typing import Any

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP

FORM, EXACT = "first_order", "exact"
_THEORY = "deepinit.theory.kernel_corrections"
_REFERENCE = f"arXiv 2106.10165, 1910.00019, 1909.05989; derived in {_THEORY}.expansion"
_EXACT_REFERENCE = (
    f"arXiv 1812.05994, 1909.05989; derived in {_THEORY}.exact and {_THEORY}.linear_network"
)


def _why_no_corrections(spec: MLP) -> str | None:
    """Conditions: Gaussian weights, Gaussian biases or none."""
    laws = [law for law in (spec.weight_law, spec.output_law) if law is not None]
    if not all(isinstance(law, Law) and law.is_gaussian for law in laws):
        return "the 1/width expansion needs Gaussian weights"
    if not (spec.bias_law is None or spec.bias_law.is_gaussian or _no_biases(spec)):
        return "the 1/width expansion needs Gaussian biases, or none"
    return None


def _no_biases(spec: MLP) -> bool:
    law = spec.bias_law
    return law is None or (law.variance == 0.0 and not law.value)


def _is_linear(spec: MLP) -> bool:
    slopes = spec.activation.slopes
    return slopes is not None and slopes[0] == slopes[1]


def why_not_overlaps(spec: MLP, inputs: Inputs, form: str) -> str | None:
    """Conditions of second moments."""
    return _why_not(spec, inputs, form, every=True)


def why_not_tangent(spec: MLP, inputs: Inputs, form: str) -> str | None:
    """Conditions of tangent kernels."""
    if spec.output_width is None:
        return "tangent kernels are predicted with an output layer (output_width=1)"
    return _why_not(spec, inputs, form)


def why_not_bias_tangent(spec: MLP, inputs: Inputs, form: str) -> str | None:
    """Conditions of hidden-bias tangent kernels."""
    if _no_biases(spec):
        return "there are no biases"
    return why_not_tangent(spec, inputs, form)


def _why_not(spec: MLP, inputs: Inputs, form: str, every: bool = False) -> str | None:
    """`every`: also several inputs of linear networks."""
    from deepinit.theory.kernel_corrections.validate import LARGEST_SUM

    reason = _why_no_corrections(spec)
    if reason is not None:
        return reason
    if form == EXACT:
        if not (_no_biases(spec) and any(spec.activation.slopes or ())):
            return "the exact law needs a homogeneous activation that is not 0, and no biases"
        if inputs.num_rows == 1 or (every and _is_linear(spec)):
            return None
        return f"the exact law is that of one input, not of {inputs.num_rows}"
    total = float(np.sum(1.0 / np.asarray(spec.widths)))
    if total <= LARGEST_SUM:
        return None
    return f"the sum of 1/width is {total:.3g}, beyond {LARGEST_SUM:g}"


def next_layers(spec: MLP) -> tuple[np.ndarray, float]:
    """(fan-in times weight variance [L], bias variance)."""
    laws = [spec.weight_law] * (spec.depth - 1) + [spec.output_law or spec.weight_law]
    weights = [
        width * law.entry_variance(width, spec.depth)  # type: ignore[union-attr]
        for width, law in zip(spec.widths, laws, strict=True)
    ]
    return np.array(weights), 0.0 if spec.bias_law is None else spec.bias_law.entry_variance(1)


def _first_layer(spec: MLP, inputs: Inputs) -> tuple[np.ndarray, np.ndarray, float]:
    """K^1, and `next_layers`."""
    points = np.concatenate([inputs.points, inputs.partners])
    weights, bias_var = next_layers(spec)
    variance = spec.weight_law.entry_variance(inputs.dimension, spec.depth)  # type: ignore[union-attr]
    first = bias_var + variance * points @ points.T
    return first, weights, bias_var


def predict_overlaps(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """<x, x'> / n = (G - bias_var) / weight_var."""
    from deepinit.theory.kernel_corrections import (
        homogeneous_kernel_layers,
        kernel_corrections,
        linear_kernel_layers,
    )

    first, weights, bias_var = _first_layer(spec, inputs)
    if form == EXACT:
        if inputs.num_rows == 1:
            layers: Any = homogeneous_kernel_layers(
                spec.activation, float(first[0, 0]), spec.widths, weights
            )
            mean, variance = layers.mean[:, None], layers.variance[:, None]
        else:
            entries = (slice(None), *np.triu_indices(len(first)))
            slope = spec.activation.slopes[1]
            layers = linear_kernel_layers(first, spec.widths, weights * slope**2)
            mean, variance = (part[entries] for part in layers)
        return _exact("nngp", mean / weights[:, None], variance / weights[:, None] ** 2)
    expansion = kernel_corrections(spec.activation, first, spec.widths, weights, bias_var)
    value = (expansion.kernel + expansion.kernel_shift - bias_var) / weights[:, None]
    variance = np.diagonal(expansion.kernel_covariance, axis1=1, axis2=2) / weights[:, None] ** 2
    return _first_order("nngp", value, variance, expansion.valid_for)


def predict_tangent(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """Tangent kernel of one output."""
    from deepinit.theory.kernel_corrections import (
        homogeneous_ntk_moments,
        kernel_corrections,
        tangent_covariance,
    )

    first, weights, bias_var = _first_layer(spec, inputs)
    if form == EXACT:
        moments = homogeneous_ntk_moments(spec.activation, float(first[0, 0]), spec.widths, weights)
        return _exact("ntk", np.array([[moments.mean]]), np.array([[moments.variance]]))
    expansion = kernel_corrections(spec.activation, first, spec.widths, weights, bias_var)
    value = (expansion.tangent + expansion.tangent_shift)[-1:]
    variance = np.diagonal(tangent_covariance(expansion)[-1])[None]
    return _first_order("ntk", value, variance, expansion.valid_for)


def predict_bias_tangent(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """Tangent kernel of hidden biases."""
    from deepinit.theory.kernel_corrections import kernel_corrections, tangent_covariance

    first, weights, bias_var = _first_layer(spec, inputs)
    rates = np.append(np.full(spec.depth - 1, bias_var), 0.0)  # none for the output layer's
    expansion = kernel_corrections(
        spec.activation,
        first,
        spec.widths,
        weights,
        bias_var,
        first_tangent=np.full_like(first, bias_var),
        weight_rate=0.0,
        bias_rate=rates,
    )
    value = (expansion.tangent + expansion.tangent_shift)[-1:]
    variance = np.diagonal(tangent_covariance(expansion)[-1])[None]
    return _first_order("bias_ntk", value, variance, expansion.valid_for)


def _exact(quantity: str, value: np.ndarray, variance: np.ndarray) -> Prediction:
    spread = float(np.max(np.sqrt(variance[-1]) / np.maximum(np.abs(value[-1]), 1e-150))) ** 2
    return Prediction(
        quantity=quantity,
        name=EXACT,
        mean=value,
        variance=variance,
        error_order="exact",
        valid_for=(
            "independent Gaussian weights, no biases, homogeneous activation; every width. "
            f"Relative variance in the last layer {spread:.3g}: beyond about 0.3 sample variances "
            "have heavy tails"
        ),
        reference=_EXACT_REFERENCE,
    )


def _first_order(
    quantity: str, value: np.ndarray, variance: np.ndarray, valid_for: str
) -> Prediction:
    return Prediction(
        quantity=quantity,
        name=FORM,
        mean=value,
        variance=variance,
        error_order="O((sum of 1 / width)^2)",
        valid_for=valid_for,
        reference=_REFERENCE,
    )
