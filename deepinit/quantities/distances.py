"""Distance between the images of two inputs, by layer."""

import dataclasses
from typing import Any

import numpy as np

from deepinit.core import inputs as kinds
from deepinit.core.activations import linear
from deepinit.core.errors import SpecError, refusal
from deepinit.core.inputs import Inputs
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities import layer_limits
from deepinit.quantities.diffusions import diffusion_limit, predict_log_norm
from deepinit.quantities.kinds import Forward
from deepinit.quantities.layer_limits import composed_limit
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.survival import growth_limit, predict_walk, why_no_walk
from deepinit.quantities.theory import theories

_EQUAL, _NOT_FINITE = 1, 2  # places in `events`, from 1
_COLLINEAR = 1e-14  # angles up to rounding


def _measure(state: Any, inputs: Inputs) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement
    from deepinit.observables.pairs import log_distance

    value = log_distance(state.postactivations)
    event = jnp.where(
        jnp.isneginf(value), _EQUAL, jnp.where(jnp.isfinite(value), 0, _NOT_FINITE)
    ).astype(jnp.int8)
    start = jnp.asarray(inputs.log_distances, value.dtype)
    return Measurement(jnp.where(event == 0, value - start, 0), event)


def _why_no_growth(spec: Spec, inputs: Inputs) -> str | None:
    del spec
    if inputs.num_pairs and np.any(inputs.displacements != 0, axis=1).all():
        return None
    alone = f"{len(inputs.points)} points without a partner"
    given = f"log_distance at {'a pair of equal inputs' if inputs.num_pairs else alone}"
    remedy = "Write di.inputs.pair(0.1), or di.inputs.from_arrays(first, second)."
    return refusal(given, "pairs of different inputs", remedy)


def _is_one_signal(spec: MLP, inputs: Inputs) -> bool:
    """Whether the images' difference is the image of one input, up to sign.

    Linear networks; homogeneous ones at parallel inputs.
    """
    parallel = bool(np.all(inputs.angles <= _COLLINEAR))
    return _is_linear(spec) or (spec.is_homogeneous and parallel)


def _is_linear(spec: Spec) -> bool:
    return spec.activation == getattr(spec, "inner_activation", linear) == linear


def _as_one_signal(spec: Spec, inputs: Inputs) -> tuple[Any, Inputs]:
    """That network (without biases) and input."""
    return dataclasses.replace(spec, bias_law=None), kinds.points(inputs.displacements)


def _why_not(spec: MLP, inputs: Inputs, theory: str) -> str | None:
    if _is_one_signal(spec, inputs):
        return why_no_walk(*_as_one_signal(spec, inputs), theory)
    if theory == "exact":
        return "the activation is nonlinear: the distance depends on both norms and the angle"
    assert spec.weight_law is not None
    if not spec.weight_law.is_gaussian:
        return f"the weights are {spec.weight_law.name}: their own 1/width terms are left out"
    if spec.bias_law is not None and not spec.bias_law.is_gaussian:
        law = spec.bias_law.name
        return f"the biases have the law {law!r}: preactivations are not Gaussian at any width"
    if np.any(inputs.angles <= _COLLINEAR):
        return "a pair is parallel: the walk is that of norms and an angle"
    return None


def _predict_diffusion(spec: ResNet, inputs: Inputs, theory: str) -> Prediction:
    """phi is linear in the limit, and biases cancel."""
    return predict_log_norm(spec, kinds.points(inputs.displacements), theory)


def _predict(spec: MLP, inputs: Inputs, theory: str) -> Prediction:
    from deepinit.theory.angles.kernel_propagation import VALID_FOR, input_grams, kernel_propagation

    if _is_one_signal(spec, inputs):
        return predict_walk(*_as_one_signal(spec, inputs), theory)
    walks = [kernel_propagation(spec, gram) for gram in input_grams(inputs)]
    mean = 0.5 * np.array([walk.log_distance2_mean for walk in walks]).T
    if not np.isfinite(mean).all():
        end = int(np.argmin(np.isfinite(mean).all(axis=1)))
        reason = "fluctuations are of order 1 beyond"
        raise SpecError(f"the expansion in 1/width holds up to layer {end} only: {reason}")
    return Prediction(
        quantity="log_distance",
        name=theory,
        mean=mean + 0.5 * np.log(np.array(spec.widths))[:, None] - inputs.log_distances,
        variance=0.25 * np.array([walk.log_distance2_variance for walk in walks]).T,
        error_order="O(depth / width^2)",
        valid_for=VALID_FOR,
        reference="derived in deepinit.theory.angles.kernel_propagation and distances",
    )


def _infinite(spec: Spec, inputs: Inputs) -> Prediction:
    from deepinit.infinite_width.norms import mean_square_distances, mean_squares

    if _is_linear(spec):
        spec, signal = _as_one_signal(spec, inputs)
        squares = mean_squares(spec, signal.points)
    else:
        squares = mean_square_distances(spec, inputs)
    if np.any(squares == 0.0):
        raise SpecError("the images of a pair are equal at infinite width: their distance is 0")
    return growth_limit(
        0.5 * np.log(squares * np.array(spec.widths)[:, None]) - inputs.log_distances
    )


log_distance = Quantity(
    name="log_distance",
    symbol=r"$\ln (|x_\ell - x'_\ell| / |x_0 - x'_0|)$",
    label="growth of the distance of two inputs, as a logarithm",
    measurement=Forward(_measure, why_not=_why_no_growth),
    theories=(
        *theories(("exact", "first_order"), _why_not, _predict, (MLP,)),
        *diffusion_limit(_predict_diffusion),
        composed_limit(_infinite, layer_limits.log_distance),
    ),
    transform="ln",
    reference="derived in deepinit.theory.angles.distances",
    events=("equal", "not_finite"),
    rounding="absolute",
    input_degree=0,
)
