"""Kernels of single networks: second moments of activations, tangent kernels, gradients by layer, singular values of the Jacobian."""

from typing import Any

import numpy as np

from deepinit.core.errors import refusal
from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ConvResNet, ResNet, Spec
from deepinit.quantities.corrections import (
    EXACT,
    predict_bias_tangent,
    predict_overlaps,
    predict_tangent,
    why_not_bias_tangent,
    why_not_overlaps,
    why_not_tangent,
)
from deepinit.quantities.corrections import FORM as FIRST_ORDER
from deepinit.quantities.diffusions import (
    FORM,
    predict_bias_ntk,
    predict_gradient,
    predict_nngp,
    predict_ntk,
    why_no_diffusion,
    why_no_linear_network,
)
from deepinit.quantities.kinds import Backward, Forward
from deepinit.quantities.kinds.backward import all_points
from deepinit.quantities.quantity import SCALED_EVENTS, Quantity
from deepinit.quantities.theory import Theory, limit, theories

_DEAD, _NOT_FINITE = 2, 3  # places in Quantity.events, from 1
_REFERENCE = "arXiv 1711.00165 (NNGP), 1806.07572 (NTK)"


def pairs_of_points(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Indices (i, j), i <= j, of points and partners, all as points."""
    return np.triu_indices(inputs.num_rows)


def _pair_names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    del spec
    return tuple(f"{i + 1}, {j + 1}" for i, j in zip(*pairs_of_points(inputs), strict=True))


def point_names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    """Numbers of points and partners, from 1."""
    del spec
    return tuple(str(number) for number in range(1, inputs.num_rows + 1))


def tap_overlaps(state: Any, inputs: Inputs) -> Any:
    """<x, x'> / width of every pair, with its log-scale."""
    import jax.numpy as jnp

    from deepinit.networks.cotangents import Products

    rows = state.postactivations
    partners = (
        rows.of_bases(rows.points) + jnp.exp(rows.displacement_scales)[:, None] * rows.displacements
    )
    partners = jnp.where(jnp.isneginf(rows.partner_scales)[:, None], 0, partners)  # dead
    scales = jnp.concatenate(
        [rows.point_scales, rows.of_bases(rows.point_scales) + rows.partner_scales]
    )
    every = jnp.concatenate([rows.points, partners])
    overlaps = jnp.matmul(every, every.T, precision="highest") / every.shape[1]
    return _kernel(Products(overlaps, scales[:, None] + scales[None]), inputs)


def _kernel(products: Any, inputs: Inputs) -> Any:
    """Entries i <= j of the kernel K = exp(log_scale) * value of `Products`, in units of sqrt(K_ii K_jj): rounding is relative to that."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    value, log_scale = products
    own = jnp.diagonal(value)
    logs = 0.5 * (jnp.diagonal(log_scale) + jnp.log(jnp.where(own > 0, own, 1)))
    units, entries = logs[:, None] + logs[None], pairs_of_points(inputs)
    value = jnp.where(value == 0, 0, value * jnp.exp(log_scale - units))[entries]
    return Measurement(value, jnp.zeros(value.shape, jnp.int8), log_scale=units[entries])


def _logarithm(value: Any, gradients: Any) -> Any:
    """A logarithm of gradients; -inf is an event of its own: nothing is left."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    # The derivative of an activation at NaN may be a number: no gradients without outputs.
    finite = jnp.isfinite(gradients.outputs).all() & jnp.isfinite(gradients.output_scales).all()
    value = jnp.where(finite, value, jnp.nan)
    event = jnp.where(jnp.isneginf(value), _DEAD, jnp.where(jnp.isfinite(value), 0, _NOT_FINITE))
    return Measurement(jnp.where(event == 0, value, 0), event.astype(jnp.int8))


def _first_output(spec: Spec, inputs: Inputs) -> tuple[np.ndarray, tuple[int, ...]]:
    """The first output neuron (the first coordinate of the last layer without an output layer), at every point."""
    functions = np.zeros((inputs.num_rows, spec.output_width or spec.widths[-1]))
    functions[:, 0] = 1.0
    return functions, tuple(range(inputs.num_rows))


def _why_no_jacobian(spec: Spec, inputs: Inputs) -> str | None:
    del spec
    if inputs.num_rows == 1:
        return None
    return refusal(
        f"the Jacobian at {inputs.num_rows} points",
        "one point",
        "Take di.inputs.points(x) of one row.",
    )


def _every_output(spec: Spec, inputs: Inputs) -> tuple[np.ndarray, tuple[int, ...]]:
    del inputs
    width = spec.output_width or spec.widths[-1]
    return np.eye(width), (0,) * width


def _measure_ntk(gradients: Any, inputs: Inputs) -> Any:
    return _whole(_kernel(gradients.products, inputs))


def _measure_bias_ntk(gradients: Any, inputs: Inputs) -> Any:
    return _whole(_kernel(gradients.biases, inputs))


def _whole(measured: Any) -> Any:
    """One row, for the whole network."""
    value, event, log_scale = (
        part[None] for part in (measured.value, measured.event, measured.log_scale)
    )
    return measured._replace(value=value, event=event, log_scale=log_scale)


def _measure_gradients(gradients: Any, inputs: Inputs) -> Any:
    del inputs
    return _logarithm(0.5 * gradients.layers, gradients)  # layers: ln of the square


def _measure_singular_values(gradients: Any, inputs: Inputs) -> Any:
    from deepinit.observables.singular_values import log_singular_values

    del inputs
    return _logarithm(
        log_singular_values(gradients.inputs.vectors, gradients.inputs.log_scales)[None], gradients
    )


def _singular_names(spec: Spec, inputs: Inputs) -> tuple[str, ...]:
    count = min(spec.output_width or spec.widths[-1], inputs.dimension)
    return tuple(f"singular value {number}" for number in range(1, count + 1))


def _infinite_nngp(spec: Spec, inputs: Inputs) -> Prediction:
    from deepinit.infinite_width.norms import overlaps

    first, second = pairs_of_points(inputs)
    return _limit("nngp", overlaps(spec, all_points(inputs).points)[:, first, second])


def _infinite_ntk(spec: Spec, inputs: Inputs) -> Prediction:
    from deepinit.infinite_width.recursion import check_output_layer, kernel_layers

    check_output_layer(spec)
    first, second = pairs_of_points(inputs)
    return _limit("ntk", kernel_layers(spec, all_points(inputs).points).ntk[-1:, first, second])


def _infinite_bias_ntk(spec: Spec, inputs: Inputs) -> Prediction:
    from deepinit.infinite_width.recursion import check_output_layer, kernel_layers

    check_output_layer(spec)
    first, second = pairs_of_points(inputs)
    found = kernel_layers(spec, all_points(inputs).points, trained=("biases",)).ntk[
        -1:, first, second
    ]
    law = spec.bias_law if spec.output_width is not None else None
    # biases of an output layer are none of a hidden one
    at_output = law.entry_variance(1) if isinstance(law, Law) and law.scaling == "absolute" else 0.0
    return _limit("bias_ntk", found - at_output)


def _limit(quantity: str, value: np.ndarray) -> Prediction:
    return Prediction(
        quantity=quantity,
        name="infinite_width",
        mean=value,
        variance=np.zeros_like(value),
        error_order="O(depth / width)",
        valid_for="all widths to infinity at fixed depth",
        reference=_REFERENCE,
    )


def _why_no_limit_nngp(spec: Spec, inputs: Inputs) -> str | None:
    del inputs
    if isinstance(spec, ConvResNet):
        return "overlaps of images differ from position to position (infinite_width.residual.position_kernels)"
    return None


def _why_no_limit_tangent(spec: Spec, inputs: Inputs) -> str | None:
    del inputs
    if isinstance(spec, MLP) and spec.output_width is None:
        return "tangent kernels at infinite width are those of outputs (output_width=1)"
    return None


def _why_not_nngp(spec: Spec, inputs: Inputs, form: str) -> str | None:
    if form == EXACT and isinstance(spec, ResNet):
        return why_no_linear_network(spec)
    return why_not_overlaps(spec, inputs, form)


def _predict_nngp(spec: Spec, inputs: Inputs, form: str) -> Prediction:
    return (predict_nngp if isinstance(spec, ResNet) else predict_overlaps)(spec, inputs, form)


def _kernel_theories(
    why_not: Any,
    predict_mlp: Any,
    predict_residual: Any,
    of_mlps: tuple[str, ...] = (EXACT, FIRST_ORDER),
) -> tuple[Theory, ...]:
    """Exact laws and expansion of MLPs, infinite depth of residual networks."""
    return (
        *theories(of_mlps, why_not, predict_mlp),
        *theories((FORM,), lambda spec, inputs, name: why_no_diffusion(spec), predict_residual),
    )


nngp = Quantity(
    name="nngp",
    symbol=r"$\langle x_\ell, x'_\ell \rangle / n$",
    label="second moment of a layer's activations",
    measurement=Forward(tap_overlaps, entries=_pair_names),
    theories=(
        *_kernel_theories(_why_not_nngp, _predict_nngp, predict_nngp),
        limit(_infinite_nngp, _why_no_limit_nngp),
    ),
    transform="none: light-tailed while depth / width is small",
    reference=_REFERENCE,
    events=SCALED_EVENTS,
    light_tailed="log_norm",
    input_degree=2,
)

ntk = Quantity(
    name="ntk",
    symbol=r"$\Theta$",
    label="tangent kernel of the first output, all parameters, in NTK parametrization",
    measurement=Backward(_measure_ntk, _first_output, entries=_pair_names),
    theories=(
        *_kernel_theories(why_not_tangent, predict_tangent, predict_ntk),
        limit(_infinite_ntk, _why_no_limit_tangent),
    ),
    transform="none: light-tailed while depth / width is small",
    reference=_REFERENCE,
    events=SCALED_EVENTS,
    light_tailed="log_gradient_norm",
    input_degree=2,
)

"""Theta(x, x') = sum over all parameters of df(x)/dp df(x')/dp, f the first output.

NTK parametrization: a parameter is its standard deviation times p of variance 1, so that every derivative carries the
standard deviation, W_ij = sqrt(v / fan_in) p_ij for `di.normal(v)`, b_i = sqrt(variance) p_i. No division by the number
of parameters or outputs: Theta is of order depth at infinite width, and (x.x') v / dimension for one linear layer.
Tangent kernels in standard parametrization weigh every layer by fan_in / v instead. Entries: pairs i <= j of points, partners
after the points. One row, for the whole network.
"""

bias_ntk = ntk._replace(
    name="bias_ntk",
    symbol=r"$\Theta_b$",
    label="tangent kernel of the first output, biases of the hidden layers, in NTK parametrization",
    measurement=Backward(_measure_bias_ntk, _first_output, entries=_pair_names),
    theories=(
        *_kernel_theories(
            why_not_bias_tangent, predict_bias_tangent, predict_bias_ntk, (FIRST_ORDER,)
        ),
        limit(_infinite_bias_ntk, _why_no_limit_tangent),
    ),
)
"""The part of `ntk` that the biases of hidden layers make, in the same parametrization: db_i = sqrt(variance) dp_i."""

log_gradient_norm = Quantity(
    name="log_gradient_norm",
    symbol=r"$\ln |\partial f / \partial x_\ell|$",
    label="norm of the gradient of the first output with respect to every layer, as a logarithm",
    measurement=Backward(_measure_gradients, _first_output, per_layer=True, entries=point_names),
    theories=theories((FORM,), lambda spec, inputs, name: why_no_diffusion(spec), predict_gradient),
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
        _measure_singular_values, _every_output, entries=_singular_names, why_not=_why_no_jacobian
    ),
    theories=(),
    transform="ln",
    reference="arXiv 2007.03253, section 5",
    rounding="absolute",
    input_degree=0,
)
