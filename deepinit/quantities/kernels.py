"""Second moments of activations and tangent kernels."""

from typing import Any

import numpy as np

from deepinit.core.by_kind import by_kind
from deepinit.core.errors import refusal
from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.layers import outline, shape_of
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities import layer_expansions, layer_limits, row_functions
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
    diffusion_limit,
    predict_bias_ntk,
    predict_nngp,
    predict_ntk,
    why_no_linear_network,
)
from deepinit.quantities.kinds import Backward, Forward
from deepinit.quantities.kinds.axis import is_own
from deepinit.quantities.kinds.backward import all_points
from deepinit.quantities.layer_limits import composed_limit
from deepinit.quantities.quantity import SCALED_EVENTS, Quantity
from deepinit.quantities.theory import limit, limit_prediction, theories

_REFERENCE = "arXiv 1711.00165 (NNGP), 1806.07572 (NTK)"


def pairs_of_points(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Indices i <= j of points, then partners."""
    return np.triu_indices(inputs.num_rows)


def _pair_names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    del spec
    return tuple(f"{i + 1}, {j + 1}" for i, j in zip(*pairs_of_points(inputs), strict=True))


def point_names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    """Numbers from 1."""
    del spec
    return tuple(str(number) for number in range(1, inputs.num_rows + 1))


def tap_overlaps(state: Any, inputs: Inputs) -> Any:
    """<x, x'> / width."""
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
    """Entries i <= j of exp(log_scale) * value, over sqrt(K_ii K_jj)."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    value, log_scale = products
    own = jnp.diagonal(value)
    logs = 0.5 * (jnp.diagonal(log_scale) + jnp.log(jnp.where(own > 0, own, 1)))
    units, entries = logs[:, None] + logs[None], pairs_of_points(inputs)
    value = jnp.where(value == 0, 0, value * jnp.exp(log_scale - units))[entries]
    return Measurement(value, jnp.zeros(value.shape, jnp.int8), log_scale=units[entries])


def first_output(spec: Spec, inputs: Inputs) -> tuple[np.ndarray, tuple[int, ...]]:
    """First output, or coordinate of the last layer; of composed networks at the
    last position.
    """
    seen = outline(spec, shape_of(inputs))
    size, width = seen.output.size, seen.output.width or 1
    functions = np.zeros((inputs.num_rows, size))
    functions[:, 0 if seen.paths is None else size - width] = 1.0
    return functions, tuple(range(inputs.num_rows))


def _measure_ntk(gradients: Any, inputs: Inputs) -> Any:
    return _whole(_kernel(gradients.products, inputs))


def _measure_bias_ntk(gradients: Any, inputs: Inputs) -> Any:
    return _whole(_kernel(gradients.biases, inputs))


def _ntk_control(spec: Spec, inputs: Inputs) -> Any:
    from deepinit.quantities.tangent_controls import control_of

    return control_of(spec, inputs)


def _whole(measured: Any) -> Any:
    """The Measurement as one row."""
    return measured._replace(
        value=measured.value[None], event=measured.event[None], log_scale=measured.log_scale[None]
    )


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
    layers = kernel_layers(spec, all_points(inputs).points, trained=("biases",))
    law = spec.bias_law if spec.output_width is not None else None
    # without the bias of the output layer
    at_output = law.entry_variance(1) if isinstance(law, Law) and law.scaling == "absolute" else 0.0
    return _limit("bias_ntk", layers.ntk[-1:, first, second] - at_output)


def _limit(quantity: str, value: np.ndarray) -> Prediction:
    valid_for = "all widths to infinity at fixed depth"
    return limit_prediction(quantity, value, valid_for, _REFERENCE)


_EXACT_NNGP = theories(
    (EXACT,),
    by_kind(
        "the exact law of second moments",
        {MLP: why_not_overlaps, ResNet: lambda spec, *_: why_no_linear_network(spec)},
    ),
    by_kind("second moments", {MLP: predict_overlaps, ResNet: predict_nngp}),
    (MLP, ResNet),
)


nngp = Quantity(
    name="nngp",
    symbol=r"$\langle x_\ell, x'_\ell \rangle / n$",
    label="second moment of a layer's activations",
    measurement=Forward(tap_overlaps, entries=_pair_names),
    theories=(
        *_EXACT_NNGP,
        *layer_expansions.with_expansion(
            theories((FIRST_ORDER,), why_not_overlaps, predict_overlaps, (MLP,)), row_functions.nngp
        ),
        *diffusion_limit(predict_nngp),
        composed_limit(_infinite_nngp, layer_limits.nngp),
    ),
    transform="none: light-tailed while depth / width is small",
    reference=_REFERENCE,
    events=SCALED_EVENTS,
    light_tailed="log_norm",
    input_degree=2,
    target=row_functions.nngp,
)

ntk = Quantity(
    name="ntk",
    symbol=r"$\Theta$",
    label="tangent kernel of the first output, all parameters, in NTK parametrization",
    measurement=Backward(_measure_ntk, first_output, entries=_pair_names),
    theories=(
        *theories((EXACT, FIRST_ORDER), why_not_tangent, predict_tangent, (MLP,)),
        *diffusion_limit(predict_ntk),
        composed_limit(_infinite_ntk, layer_limits.ntk),
    ),
    transform="none: light-tailed while depth / width is small",
    reference=_REFERENCE,
    events=SCALED_EVENTS,
    light_tailed="log_gradient_norm",
    input_degree=2,
    control=_ntk_control,
)

"""Theta(x, x') = sum over all parameters of df(x)/dp df(x')/dp, f the first output.

NTK parametrization: W_ij = sqrt(v / fan_in) p_ij for `di.normal(v)`, b_i = sqrt(variance) p_i, so
that every derivative carries the standard deviation of its parameter. No division by the number of
parameters or outputs: Theta is of order depth at infinite width, and (x.x') v / dimension for one
linear layer. The standard parametrization weighs every layer by fan_in / v instead. Entries: pairs
i <= j of points, then partners. One row, for the whole network.
"""


def _why_no_biases(spec: Any, inputs: Inputs) -> str | None:
    del inputs
    if not is_own(spec):
        return None
    given = "bias_ntk of a Network, whose biases have no name"
    return refusal(given, "architectures of deepinit", "Measure ntk, of all its parameters.")


bias_ntk = ntk._replace(
    name="bias_ntk",
    control=None,
    symbol=r"$\Theta_b$",
    label="tangent kernel of the first output, biases of the hidden layers, in NTK parametrization",
    measurement=Backward(
        _measure_bias_ntk, first_output, entries=_pair_names, why_not=_why_no_biases
    ),
    theories=(
        *theories((FIRST_ORDER,), why_not_bias_tangent, predict_bias_tangent, (MLP,)),
        *diffusion_limit(predict_bias_ntk),
        limit(_infinite_bias_ntk),
    ),
)
"""The part of `ntk` from the biases of hidden layers, in the same parametrization."""
