"""Survival and norm of one signal with depth."""

from typing import Any

import numpy as np

from deepinit.core.errors import refusal
from deepinit.core.inputs import ArrayInputs, Inputs
from deepinit.core.laws import Law
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities import layer_expansions, layer_limits, row_functions
from deepinit.quantities.diffusions import diffusion_limit, predict_log_norm, why_no_diffusion
from deepinit.quantities.kinds import Forward
from deepinit.quantities.layer_limits import composed_limit
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import limit_prediction, theories

_DEAD, _NOT_FINITE = 2, 3  # places in Quantity.events, from 1

_ERRORS = {
    "exact": "exact",
    "orbit": "no order; its centre is off by less than 1 % at gain 0.58, 5 % at gain 0.8, width 16",
    "random_walk": "O(1 / sqrt(ln(|x_0| / rho))); the saturation of the activation is left out",
}
_RANGES = {
    "exact": "width 1, values kept to multiples of rho",
    "orbit": "tanh, wide layers, gain below 1",
    "random_walk": "rho to 0 at fixed width, drift to 0",
}


def _names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    del spec
    count = len(inputs.points)
    if count == 1:
        return (inputs.label,)
    return tuple(f"{inputs.label}, {number}" for number in range(1, count + 1))


def _measure_survival(state: Any, inputs: Inputs) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    del inputs
    rows = state.postactivations
    alive = jnp.any(rows.points != 0, axis=1).astype(rows.points.dtype)
    # NaN is not alive, 0 at an infinite scale not dead
    finite = jnp.all(jnp.isfinite(rows.points), axis=1) & jnp.isfinite(rows.point_scales)
    return Measurement(alive, jnp.where(finite, 0, _NOT_FINITE).astype(jnp.int8))


def _measure_log_norm(state: Any, inputs: Inputs) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    rows = state.postactivations
    norm2 = jnp.sum(rows.points * rows.points, axis=1)
    start = jnp.asarray(_log_sizes(inputs, rows.points.shape[1]), norm2.dtype)
    value = rows.point_scales + 0.5 * jnp.log(jnp.where(norm2 > 0, norm2, 1)) - start
    finite = jnp.isfinite(norm2) & jnp.isfinite(rows.point_scales)
    event = jnp.where(finite, jnp.where(norm2 > 0, 0, _DEAD), _NOT_FINITE)
    return Measurement(value, event.astype(jnp.int8))


def _log_sizes(inputs: Inputs, width: int) -> Any:
    """ln |x_0|; of sqrt(width) where the input is integers: values are root mean squares."""
    if _is_symbolic(inputs):
        return np.full(len(inputs.points), 0.5 * np.log(float(width)))
    return inputs.log_norms


def _is_symbolic(inputs: Inputs) -> bool:
    """Whether inputs are token numbers or the like, whose size means nothing."""
    return isinstance(inputs, ArrayInputs) and inputs.arrays[0].dtype.kind != "f"


def _why_not_survival(spec: MLP, inputs: Inputs, theory: str) -> str | None:
    if spec.activation.name != "rounded" or spec.bias_law is not None:
        return "survival is predicted for rounded activations (di.rounded) without biases"
    parameters: dict[str, Any] = dict(spec.activation.parameters)
    if theory == "exact":
        if set(spec.widths) != {1} or parameters["rounding"] == "flush":
            return "the exact law is that of width 1 on a grid"
        one = inputs.dimension == 1
        return None if one else "at width 1 the input is one number (di.inputs.ones(1))"
    if set(spec.widths) == {1} and parameters["rounding"] != "flush":
        return "at width 1 the exact law applies"
    if not _is_square_gaussian(spec):
        return "it is worked out for Gaussian weights and layers of one width"
    if theory == "orbit" and parameters["activation"].name != "tanh":
        return "it is worked out for tanh"
    return None if np.any(inputs.points != 0, axis=1).all() else "an input is zero"


def _predict_survival(spec: MLP, inputs: Inputs, theory: str) -> Prediction:
    from deepinit.theory import cutoff

    parameters: dict[str, Any] = dict(spec.activation.parameters)
    inner = parameters["activation"]
    rho, rounding = parameters["rho"], parameters["rounding"]
    assert isinstance(spec.weight_law, Law)
    width, layers = spec.widths[0], np.arange(1, spec.depth + 1)
    variance = width * spec.weight_law.entry_variance(width, spec.depth)
    law = cutoff.log_norm_drift(inner, width, variance) if theory == "random_walk" else None

    def curve(point: np.ndarray) -> Any:
        if theory == "exact":
            options = rho, rounding, spec.depth
            start = float(point[0])
            assert isinstance(spec.weight_law, Law)
            chain = cutoff.scalar_survival(inner, spec.weight_law, *options, x0=start)
            return chain.survival[1:]
        if theory == "orbit":
            mean_square, gain = float(np.mean(point**2)), variance**0.5
            options = rho, rounding, spec.depth
            return cutoff.rounded_survival(width, gain, *options, mean_square=mean_square)[1:]
        assert law is not None
        length = float(np.log(np.linalg.norm(point) / rho))
        return cutoff.first_passage_profile(length, law.drift, law.variance, layers).survival

    value = np.stack([np.asarray(curve(point)) for point in inputs.points], axis=1)
    return Prediction(
        quantity="survival",
        name=theory,
        mean=value,
        variance=value * (1.0 - value),
        error_order=_ERRORS[theory],
        valid_for=_RANGES[theory],
        reference="arXiv 2104.10727 (the chain), arXiv 2608.15914 (the profile); derived in "
        "deepinit.theory.cutoff",
    )


def _is_square_gaussian(spec: MLP) -> bool:
    gaussian = spec.weight_law is not None and spec.weight_law.is_gaussian
    return len(set(spec.widths)) == 1 and gaussian


def _why_no_diffusion(spec: ResNet, inputs: Inputs, theory: str) -> str | None:
    del inputs, theory
    return "there are biases" if spec.bias_law is not None else why_no_diffusion(spec)


def why_no_walk(spec: MLP, inputs: Inputs, theory: str) -> str | None:
    """Why ln |x_l| has no independent steps, or None."""
    del inputs
    if not (spec.is_homogeneous and any(spec.activation.slopes or ())):
        why = "the activation is not homogeneous, is 0, or there are biases"
        return f"the norm alone is no Markov chain: {why}"
    exact = spec.weight_law is not None and (spec.weight_law.is_gaussian or spec.weight_law.is_haar)
    if theory == "exact":
        return None if exact else "the weights are neither Gaussian nor orthogonal"
    if exact:
        return "the exact law applies"
    if spec.weight_law is not None and spec.weight_law.density is not None:
        return "the weights are sparse: the expansion needs width * density far above 1"
    return None


def _why_no_growth(spec: Spec, inputs: Inputs) -> str | None:
    del spec
    if _is_symbolic(inputs) or np.any(inputs.points != 0, axis=1).all():
        return None
    remedy = "The norm of 0 does not grow."
    return refusal("an input that is zero", "inputs of positive norm", remedy)


def predict_walk(spec: MLP, inputs: Inputs, theory: str) -> Prediction:
    """ln |x_l| / |x_0|: `theory.cutoff.log_norm_propagation`."""
    from deepinit.theory.cutoff import log_norm_propagation

    walk = log_norm_propagation(spec, inputs.points)
    order = "O(1 / width^2) in every layer, of the law of the weights"
    weights = "independent weights, wide layers"
    if walk.is_exact:
        order, weights = "exact", "Gaussian or orthogonal weights, every width"
    return Prediction(
        quantity="log_norm",
        name=theory,
        mean=walk.mean,
        variance=walk.variance,
        error_order=order,
        valid_for=f"no bias, homogeneous activation; networks that are alive; {weights}",
        reference="derived in deepinit.theory.cutoff.norm_propagation",
    )


def _infinite_log_norm(spec: Spec, inputs: Inputs) -> Prediction:
    from deepinit.infinite_width.norms import mean_squares

    start, widths = np.sum(inputs.points**2, axis=1), np.array(spec.widths)[:, None]
    return growth_limit(0.5 * np.log(widths * mean_squares(spec, inputs.points) / start[None]))


def growth_limit(value: np.ndarray) -> Prediction:
    """Limit of ln of a norm over its start."""
    valid_for = "every width to infinity at fixed depth; here with the widths of the spec"
    return limit_prediction("log_norm", value, valid_for, "NNGP kernel")


survival = Quantity(
    name="survival",
    symbol=r"$P(x_\ell \neq 0)$",
    label="is the signal still there",
    measurement=Forward(_measure_survival, entries=_names),
    theories=theories(
        ("exact", "orbit", "random_walk"), _why_not_survival, _predict_survival, (MLP,)
    ),
    transform="none: 0 or 1",
    reference="Avelin & Karlsson 2022, arXiv 2104.10727",
    rounding="absolute",
    input_degree=0,
)

log_norm = Quantity(
    name="log_norm",
    symbol=r"$\ln (|x_\ell| / |x_0|)$",
    label="growth of one signal, as a logarithm",
    measurement=Forward(_measure_log_norm, entries=_names, why_not=_why_no_growth),
    theories=(
        *layer_expansions.with_expansion(
            theories(("exact", "first_order"), why_no_walk, predict_walk, (MLP,)),
            row_functions.log_norm,
        ),
        *diffusion_limit(predict_log_norm, _why_no_diffusion),
        composed_limit(_infinite_log_norm, layer_limits.log_norm),
    ),
    transform="ln",
    reference="derived in deepinit.theory.cutoff.log_norm_drift",
    rounding="absolute",
    input_degree=0,
    target=row_functions.log_norm,
)
