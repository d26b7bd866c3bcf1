"""What the theory of order 1/width says of kernels of fully connected networks."""

from typing import Any

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, Spec

FORM = "first_order"
_REFERENCE = "arXiv 2106.10165, 1910.00019, 1909.05989; derived in deepinit.theory.kernel_corrections_walk"


def has_corrections(spec: Spec) -> bool:
    """An MLP with Gaussian weights, and Gaussian biases or none."""
    if not isinstance(spec, MLP):
        return False
    laws = (spec.weight_law, spec.output_law, spec.bias_law)
    return all(law is None or (isinstance(law, Law) and law.is_gaussian) for law in laws)


def correction_forms(spec: Spec) -> tuple[str, ...]:
    """Of second moments of activations."""
    return (FORM,) if has_corrections(spec) else ()


def tangent_forms(spec: Spec) -> tuple[str, ...]:
    """Of tangent kernels, which need an output layer."""
    return correction_forms(spec) if isinstance(spec, MLP) and spec.output_width is not None else ()


def _corrections(spec: MLP, inputs: Inputs) -> tuple[Any, np.ndarray, float]:
    """`kernel_corrections` of the spec, the weight variances after every hidden layer, the bias variance."""
    from deepinit.theory.kernel_corrections import kernel_corrections

    points = np.concatenate([inputs.points, inputs.partners])
    laws = [spec.weight_law] * (spec.depth - 1) + [spec.output_law or spec.weight_law]
    weights = np.array(
        [width * law.entry_variance(width, spec.depth) for width, law in zip(spec.widths, laws, strict=True)]  # type: ignore[union-attr]
    )
    bias_var = 0.0 if spec.bias_law is None else spec.bias_law.entry_variance(1)
    first = bias_var + spec.weight_law.entry_variance(inputs.dimension, spec.depth) * points @ points.T  # type: ignore[union-attr]
    return kernel_corrections(spec.activation, first, spec.widths, weights, bias_var), weights, bias_var


def predict_overlaps(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """Mean and variance of <x, x'> / n after every hidden layer: (G - bias_var) / weight_var of the layer that follows."""
    found, weights, bias_var = _corrections(spec, inputs)
    value = (found.kernel + found.kernel_shift - bias_var) / weights[:, None]
    variance = np.diagonal(found.kernel_covariance, axis1=1, axis2=2) / weights[:, None] ** 2
    return _prediction("nngp", form, value, variance, found.valid_for)


def predict_tangent(spec: Any, inputs: Inputs, form: str) -> Prediction:
    """Mean and variance of the tangent kernel of one output."""
    from deepinit.theory.kernel_corrections import tangent_covariance

    found, _, _ = _corrections(spec, inputs)
    value = (found.tangent + found.tangent_shift)[-1:]
    variance = np.diagonal(tangent_covariance(found)[-1])[None]
    return _prediction("ntk", form, value, variance, found.valid_for)


def _prediction(quantity: str, form: str, value: np.ndarray, variance: np.ndarray, valid_for: str) -> Prediction:
    return Prediction(
        quantity=quantity,
        name=form,
        value=value,
        variance=variance,
        error_order="O((sum of 1 / width)^2)",
        valid_for=valid_for,
        reference=_REFERENCE,
    )
