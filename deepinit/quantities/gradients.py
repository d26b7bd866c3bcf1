"""Logarithms of gradient norms and singular values."""

from typing import Any

import numpy as np

from deepinit.core.errors import refusal
from deepinit.core.inputs import Inputs
from deepinit.core.layers import outline, shape_of
from deepinit.core.specs import Spec
from deepinit.quantities.diffusions import diffusion_limit, predict_gradient
from deepinit.quantities.kernels import first_output, point_names
from deepinit.quantities.kinds import Backward
from deepinit.quantities.kinds.axis import is_own
from deepinit.quantities.own.functions import output_size
from deepinit.quantities.quantity import Quantity

_DEAD, _NOT_FINITE = 2, 3  # places in Quantity.events, from 1


def _logarithm(value: Any, gradients: Any) -> Any:
    """Logarithm of gradients; -inf is the event `dead`."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    # The derivative of an activation at NaN may be finite: undefined without outputs.
    finite = jnp.isfinite(gradients.outputs).all() & jnp.isfinite(gradients.output_scales).all()
    value = jnp.where(finite, value, jnp.nan)
    event = jnp.where(jnp.isneginf(value), _DEAD, jnp.where(jnp.isfinite(value), 0, _NOT_FINITE))
    return Measurement(jnp.where(event == 0, value, 0), event.astype(jnp.int8))


def _why_no_jacobian(spec: Spec, inputs: Inputs) -> str | None:
    del spec
    if inputs.num_rows == 1:
        return None
    given = f"the Jacobian at {inputs.num_rows} points"
    return refusal(given, "one point", "Take di.inputs.points(x) of one row.")


def _every_output(spec: Spec, inputs: Inputs) -> tuple[np.ndarray, tuple[int, ...]]:
    size = outline(spec, shape_of(inputs)).output.size
    return np.eye(size), (0,) * size


def _measure_gradients(gradients: Any, inputs: Inputs) -> Any:
    del inputs
    return _logarithm(0.5 * gradients.layers, gradients)  # layers: ln of the square


def _measure_singular_values(gradients: Any, inputs: Inputs) -> Any:
    from deepinit.observables.singular_values import log_singular_values

    del inputs
    jacobian = gradients.inputs
    return _logarithm(log_singular_values(jacobian.vectors, jacobian.log_scales)[None], gradients)


def _singular_names(spec: Spec, inputs: Inputs) -> tuple[str, ...]:
    own = is_own(spec)
    size = output_size(spec, inputs) if own else outline(spec, shape_of(inputs)).output.size
    count = min(size, inputs.dimension)
    return tuple(f"singular value {number}" for number in range(1, count + 1))


log_gradient_norm = Quantity(
    name="log_gradient_norm",
    symbol=r"$\ln |\partial f / \partial x_\ell|$",
    label="norm of the gradient of the first output with respect to every layer, as a logarithm",
    measurement=Backward(_measure_gradients, first_output, per_layer=True, entries=point_names),
    theories=diffusion_limit(predict_gradient),
    transform="ln",
    reference="arXiv 2007.03253, section 5",
    rounding="absolute",
    input_degree=0,
)

log_singular_values = Quantity(
    name="log_singular_values",
    symbol=r"$\ln s_i$",
    label="singular values of the Jacobian, from the largest, as logarithms",
    measurement=Backward(
        _measure_singular_values,
        _every_output,
        every_output=True,
        entries=_singular_names,
        why_not=_why_no_jacobian,
    ),
    theories=(),
    transform="ln",
    reference="arXiv 2007.03253, section 5",
    rounding="absolute",
    input_degree=0,
)
