"""What becomes of one signal with depth: is it still there, and how large is it?"""

from typing import Any

import numpy as np

from deepinit.core.errors import SpecError, refusal
from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, Spec
from deepinit.quantities.diffusions import FORM, is_diffusion, predict_log_norm
from deepinit.quantities.quantity import Quantity

_DEAD = 2  # place of "dead" in Quantity.events, from 1

_ERRORS = {
    "exact": "exact",
    "orbit": "no order; its centre is off by less than 1 % at gain 0.58, 5 % at gain 0.8 and width 16",
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
    return (inputs.label,) if count == 1 else tuple(f"{inputs.label}, {number}" for number in range(1, count + 1))


def _measure_survival(state: Any, inputs: Inputs) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    del inputs
    points = state.postactivations.points
    alive = jnp.any(points != 0, axis=1).astype(points.dtype)
    return Measurement(alive, jnp.zeros(alive.shape, jnp.int8))


def _measure_log_norm(state: Any, inputs: Inputs) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    rows = state.postactivations
    norm2 = jnp.sum(rows.points * rows.points, axis=1)
    start = jnp.asarray(0.5 * np.log(np.sum(inputs.points**2, axis=1)), norm2.dtype)
    value = rows.point_scales + 0.5 * jnp.log(jnp.where(norm2 > 0, norm2, 1)) - start
    return Measurement(value, jnp.where(norm2 > 0, 0, _DEAD).astype(jnp.int8))


def _survival_forms(spec: Spec) -> tuple[str, ...]:
    if not (isinstance(spec, MLP) and spec.activation.name == "rounded" and spec.bias_law is None):
        return ()
    parameters: dict[str, Any] = dict(spec.activation.parameters)
    if set(spec.widths) == {1} and parameters["rounding"] != "flush":
        return ("exact",)
    if not _is_square_gaussian(spec):
        return ()
    return ("orbit", "random_walk") if parameters["activation"].name == "tanh" else ("random_walk",)


def _predict_survival(spec: Spec, inputs: Inputs, form: str) -> Prediction:
    from deepinit.theory import cutoff

    parameters: dict[str, Any] = dict(spec.activation.parameters)
    inner = parameters["activation"]
    rho, rounding = parameters["rho"], parameters["rounding"]
    assert isinstance(spec.weight_law, Law)
    width, layers = spec.widths[0], np.arange(1, spec.depth + 1)
    variance = width * spec.weight_law.entry_variance(width, spec.depth)
    if form == "exact":
        _check_scalar(inputs)
        curves = [
            cutoff.scalar_survival(inner, spec.weight_law, rho, rounding, spec.depth, x0=float(point[0])).survival[1:]
            for point in inputs.points
        ]
    elif form == "orbit":
        curves = [
            cutoff.rounded_survival(
                width, variance**0.5, rho, rounding, spec.depth, mean_square=float(np.mean(point**2))
            )[1:]
            for point in inputs.points
        ]
    else:
        law = cutoff.log_norm_drift(inner, width, variance)
        lengths = [float(np.log(np.linalg.norm(point) / rho)) for point in inputs.points]
        curves = [
            np.asarray(cutoff.first_passage_profile(length, law.drift, law.variance, layers).survival)
            for length in lengths
        ]
    value = np.stack(curves, axis=1)
    return Prediction(
        quantity="survival",
        name=form,
        mean=value,
        variance=value * (1.0 - value),
        error_order=_ERRORS[form],
        valid_for=_RANGES[form],
        reference="arXiv 2104.10727 (the chain), arXiv 2608.15914 (the profile); derived in deepinit.theory.cutoff",
    )


def _check_scalar(inputs: Inputs) -> None:
    if inputs.dimension != 1:
        raise SpecError(
            refusal(
                f"inputs of dimension {inputs.dimension} for the exact law at width 1",
                "one number",
                "Take di.inputs.ones(1).",
            )
        )


def _is_square_gaussian(spec: MLP) -> bool:
    return len(set(spec.widths)) == 1 and spec.weight_law is not None and spec.weight_law.is_gaussian


def _log_norm_forms(spec: Spec) -> tuple[str, ...]:
    exact = (
        isinstance(spec, MLP) and spec.is_homogeneous and spec.weight_law is not None and spec.weight_law.is_gaussian
    )
    if exact:
        return ("exact",)
    return (FORM,) if is_diffusion(spec) and spec.bias_law is None else ()


def _check_sizes(inputs: Inputs) -> None:
    if not np.any(inputs.points != 0, axis=1).all():
        raise SpecError(refusal("an input that is zero", "inputs of positive norm", "The norm of 0 does not grow."))


def _predict_log_norm(spec: Spec, inputs: Inputs, form: str) -> Prediction:
    _check_sizes(inputs)
    from deepinit.theory.cutoff import log_norm_drift

    if form == FORM:
        return predict_log_norm(spec, inputs, form)
    assert isinstance(spec.weight_law, Law)
    fans = zip((inputs.dimension, *spec.widths[:-1]), spec.widths, strict=True)
    laws = []
    for fan_in, fan_out in fans:
        # of a square layer of the width that is produced, but for its fan_in
        law = log_norm_drift(spec.activation, fan_out, fan_out * spec.weight_law.entry_variance(fan_in, spec.depth))
        laws.append((law.drift, law.variance))
    mean, variance = np.cumsum(np.array(laws), axis=0).T
    shape = (spec.depth, len(inputs.points))
    return Prediction(
        quantity="log_norm",
        name=form,
        mean=np.broadcast_to(mean[:, None], shape),
        variance=np.broadcast_to(variance[:, None], shape),
        error_order="exact",
        valid_for="Gaussian weights, no bias, homogeneous activation, every width; networks that are alive",
        reference="derived in deepinit.theory.cutoff_drift",
    )


def _infinite_log_norm(spec: Spec, inputs: Inputs) -> Prediction:
    _check_sizes(inputs)
    from deepinit.infinite_width.norms import mean_squares

    start = np.sum(inputs.points**2, axis=1)
    value = 0.5 * np.log(np.array(spec.widths)[:, None] * mean_squares(spec, inputs.points) / start[None])
    return Prediction(
        quantity="log_norm",
        name="infinite_width",
        mean=value,
        variance=np.zeros_like(value),
        error_order="O(depth / width)",
        valid_for="every width to infinity at fixed depth; here with the widths of the spec",
        reference="NNGP kernel",
    )


survival = Quantity(
    name="survival",
    symbol=r"$P(x_t \neq 0)$",
    label="is the signal still there",
    measure=_measure_survival,
    predict=_predict_survival,
    forms=_survival_forms,
    infinite=None,
    accepts=Inputs,
    transform="none: 0 or 1",
    reference="Avelin & Karlsson 2022, arXiv 2104.10727",
    entries=_names,
    rounding="absolute",
)

log_norm = Quantity(
    name="log_norm",
    symbol=r"$\ln |x_t| / |x_0|$",
    label="growth of one signal, as a logarithm",
    measure=_measure_log_norm,
    predict=_predict_log_norm,
    forms=_log_norm_forms,
    infinite=_infinite_log_norm,
    accepts=Inputs,
    transform="ln",
    reference="derived in deepinit.theory.cutoff_drift",
    entries=_names,
    rounding="absolute",
)
