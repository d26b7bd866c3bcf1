"""ln sin^2 of the angle between two images, by layer."""

from typing import Any

import numpy as np

from deepinit.core.errors import refusal
from deepinit.core.inputs import Inputs
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP
from deepinit.quantities import layer_expansions, layer_limits, row_functions
from deepinit.quantities.kinds import Forward
from deepinit.quantities.layer_limits import composed_limit
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import limit_prediction, theories

_PAPER = "Jakub & Nica 2024, arXiv 2302.09712"
_RELU_ONLY = ("tapered", "hybrid", "paper", "approximation")
_THEORIES = ("tapered", "hybrid", "second_order", "first_order", "paper", "approximation")
# Up to 23 / width^2 at right angles, measured at widths 128 to 512; below 0.2 unresolved.
_GAUSSIAN = "O(1/width^2) from skewed steps at large angles"
_ERRORS = {
    "second_order": f"O(sum 1/width^3), {_GAUSSIAN}",
    "tapered": f"O(sum 1/width^3), exact at small angles, {_GAUSSIAN}",
    "hybrid": f"O(sum 1/width^3), exact at small angles, off at angles near pi, {_GAUSSIAN}",
    "first_order": "O(sum 1/width^2)",
    "paper": "O(sum 1/width^2), constant about 100",
    "approximation": "O(sum 1/width^2) and O(angle^2), constant about 100",
}


def _measure(state: Any, inputs: Inputs) -> Any:
    del inputs
    from deepinit.observables import pairs

    return pairs.log_sin2_angle(state.postactivations)


def _why_not(spec: MLP, inputs: Inputs, theory: str) -> str | None:
    del inputs
    if spec.weight_law is not None and spec.weight_law.name == "orthogonal":
        return "the weights are orthogonal: dependent entries change the 1/width terms"
    if spec.bias_law is not None and not spec.bias_law.is_gaussian:
        law = spec.bias_law.name
        return f"the biases have the law {law!r}: preactivations are not Gaussian at any width"
    if theory in _RELU_ONLY and not (spec.is_homogeneous and spec.activation.name == "relu"):
        return "it is worked out for relu without biases"
    if theory == "second_order" and not spec.is_homogeneous:
        return (
            "the angle is no Markov chain: the activation is not homogeneous, or there are biases"
        )
    return None


def _predict(spec: MLP, inputs: Inputs, theory: str) -> Prediction:
    """Angle chain where Markov, else expansion with both norms."""
    return _angle_chain(spec, inputs, theory) if spec.is_homogeneous else _kernel_walk(spec, inputs)


def _angle_chain(spec: MLP, inputs: Inputs, theory: str) -> Prediction:
    from deepinit.theory.angles import log_sin2_moments

    moments = [
        log_sin2_moments(float(theta), spec.widths, theory=theory, activation=spec.activation)
        for theta in inputs.angles
    ]
    means, variances = zip(*moments, strict=True)
    derived = "derived in deepinit.theory.numerics.delta_method and deepinit.theory.angles.layer"
    of_paper = theory in ("paper", "approximation")
    return Prediction(
        quantity="log_sin2_angle",
        name=theory,
        mean=np.stack(means, axis=1),
        variance=np.stack(variances, axis=1),
        error_order=_ERRORS[theory],
        valid_for="Gaussian weights (other independent laws add a term of order excess kurtosis / "
        "width, and in the first layer excess kurtosis times sum x^4 / (sum x^2)^2, 1 along an "
        "axis), no bias, homogeneous activation; networks with a defined angle",
        reference=f"{_PAPER}, Theorem 1 and Approximation 2" if of_paper else derived,
    )


def _kernel_walk(spec: MLP, inputs: Inputs) -> Prediction:
    from deepinit.theory.angles.kernel_propagation import VALID_FOR, log_sin2_kernel_walk

    mean, variance = log_sin2_kernel_walk(spec, inputs)
    return Prediction(
        quantity="log_sin2_angle",
        name="first_order",
        mean=mean,
        variance=variance,
        error_order="O(depth / width^2)",
        valid_for=VALID_FOR,
        reference="derived in deepinit.theory.angles.kernel_propagation",
    )


def _why_no_angle(spec: Any, inputs: Inputs) -> str | None:
    del spec
    if inputs.num_pairs:
        return None
    given = f"log_sin2_angle at {len(inputs.points)} points without a partner"
    remedy = "Write di.inputs.pair(0.1), or di.inputs.from_arrays(first, second)."
    return refusal(given, "pairs of inputs", remedy)


def _infinite(spec: MLP, inputs: Inputs) -> Prediction:
    from deepinit.infinite_width import angles

    return limit_prediction(
        "log_sin2_angle",
        angles.log_sin2_angles(spec, inputs),
        valid_for="every width to infinity at fixed depth",
        reference="NNGP kernel; Cho & Saul 2009 for ReLU",
    )


log_sin2_angle = Quantity(
    name="log_sin2_angle",
    symbol=r"$\ln \sin^2 \theta^\ell$",
    label="angle between two inputs, as ln sin^2",
    measurement=Forward(_measure, why_not=_why_no_angle),
    theories=(
        *layer_expansions.with_expansion(
            theories(_THEORIES, _why_not, _predict, (MLP,)),
            row_functions.log_sin2_angle,
            layer_expansions.check_angles,
        ),
        composed_limit(_infinite, layer_limits.log_sin2_angle, (MLP,)),
    ),
    transform="ln sin^2",
    reference=_PAPER,
    rounding="absolute",
    input_degree=0,
    target=row_functions.log_sin2_angle,
)
