"""Cosine of the images of two inputs, by layer."""

from typing import Any

from deepinit.core.errors import refusal
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Layer
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, Spec
from deepinit.quantities import layer_expansions, layer_limits, row_functions
from deepinit.quantities.kinds import Forward
from deepinit.quantities.kinds.backward import all_points
from deepinit.quantities.layer_limits import composed_limit
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import limit_prediction

_DEAD, _NOT_FINITE = 1, 2  # places in `events`, from 1


def _names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    del spec
    pairs = zip(*row_functions.different_pairs(inputs), strict=True)
    return tuple(f"{i + 1}, {j + 1}" for i, j in pairs)


def _why_no_pair(spec: Any, inputs: Inputs) -> str | None:
    del spec
    if inputs.num_rows > 1:
        return None
    remedy = "Write di.inputs.pair(0.5), or points of two rows."
    return refusal("cosine at one input", "two inputs or more", remedy)


def _measure(state: Any, inputs: Inputs) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    rows = state.postactivations
    steps = jnp.exp(rows.displacement_scales)[:, None] * rows.displacements
    partners = jnp.where(
        jnp.isneginf(rows.partner_scales)[:, None], 0, rows.of_bases(rows.points) + steps
    )
    every = jnp.concatenate([rows.points, partners])
    size = jnp.sqrt(jnp.sum(every * every, axis=1, keepdims=True))
    unit = every / jnp.where(size > 0, size, 1)
    first, second = row_functions.different_pairs(inputs)
    value = jnp.sum(unit[first] * unit[second], axis=1)
    scales = jnp.concatenate([rows.point_scales, rows.of_bases(rows.point_scales)])
    finite = jnp.isfinite(value) & jnp.isfinite(scales[first]) & jnp.isfinite(scales[second])
    dead = (size[first, 0] == 0) | (size[second, 0] == 0)
    event = jnp.where(finite, jnp.where(dead, _DEAD, 0), _NOT_FINITE)
    return Measurement(jnp.where(event == 0, value, 0), event.astype(jnp.int8))


def _infinite(spec: Spec, inputs: Inputs) -> Prediction:
    from deepinit.infinite_width.norms import overlaps

    kernels = overlaps(spec, all_points(inputs).points)
    value = layer_limits.cosines(kernels, inputs)
    return limit_prediction(
        "cosine", value, "all widths to infinity at fixed depth", "arXiv 1711.00165 (NNGP)"
    )


cosine = Quantity(
    name="cosine",
    symbol=r"$\cos(x_\ell, x'_\ell)$",
    label="cosine of the images of two inputs",
    measurement=Forward(_measure, entries=_names, why_not=_why_no_pair),
    theories=(
        layer_expansions.expansion(row_functions.cosine, covers=(Layer, MLP)),
        composed_limit(_infinite, layer_limits.cosine),
    ),
    transform="none: bounded",
    reference="definition",
    events=("dead", "not_finite"),
    rounding="absolute",
    input_degree=0,
    target=row_functions.cosine,
)

"""Entries: pairs i < j of points, then partners. Small angles: `log_sin2_angle` keeps their digits.
"""
