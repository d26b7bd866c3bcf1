"""log_token_distance: ln(1 - mean cosine) of the tokens of one input, without cancellation."""

from typing import Any

from deepinit.core.inputs import Inputs
from deepinit.quantities.kinds import Forward
from deepinit.quantities.quantity import Quantity

_DEAD, _EQUAL = 1, 2  # places in `events`, from 1


def _names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    del spec
    return tuple(str(number) for number in range(1, len(inputs.points) + 1))


def _measure(state: Any, inputs: Inputs) -> Any:
    """1 - mean over s < t of cos(x_s, x_t) = sum_t |u_t - mean u|^2 / (T - 1), u = x / |x|."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    del inputs
    points, count = state.postactivations.points, state.shape.num_positions
    rows = points.reshape(len(points), count, -1)
    norms = jnp.linalg.norm(rows, axis=2, keepdims=True)
    units = rows / jnp.where(norms > 0, norms, 1)
    centred = units - units.mean(axis=1, keepdims=True)
    distance = jnp.sum(centred**2, axis=(1, 2)) / (count - 1)
    event = jnp.where(jnp.any(norms == 0, axis=(1, 2)), _DEAD, jnp.where(distance > 0, 0, _EQUAL))
    return Measurement(jnp.log(jnp.where(distance > 0, distance, 1)), event.astype(jnp.int8))


log_token_distance = Quantity(
    name="log_token_distance",
    symbol=r"$\ln(1 - \cos)$",
    label="1 - mean cosine between the tokens of one input, as a logarithm",
    measurement=Forward(_measure, entries=_names),
    theories=(),
    transform="ln",
    reference="definition",
    events=("dead", "equal", "not_finite"),
    rounding="absolute",
    input_degree=0,
)
