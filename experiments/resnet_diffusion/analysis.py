"""Quantities of resnet_diffusion, with their theories."""

import functools
from typing import Any

import numpy as np

import deepinit as di
from deepinit.core.inputs import Inputs
from deepinit.core.results import Prediction
from deepinit.quantities.diffusions import unit_variances, why_no_diffusion
from deepinit.quantities.kinds import Backward, Forward
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import always, limit, theories

REFERENCE = "arXiv 2007.03253"
DOUBLE_LIMIT, EXACT = "double_limit", "infinite_depth"
KERNEL_ENTRIES = (
    "weight kernel 1, 2",
    "bias kernel",
    "mean square 1",
    "mean square 2",
    "overlap 1, 2",
)


def finite(value: Any) -> Any:
    """A Measurement; entries that are not finite are excluded."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    fine = jnp.isfinite(value)
    return Measurement(jnp.where(fine, value, 0), jnp.where(fine, 0, 3).astype(jnp.int8))


def first_coordinate(rows: Any) -> Any:
    """The first coordinate of every point, [points]."""
    import jax.numpy as jnp

    return jnp.exp(rows.point_scales) * rows.points[:, 0]


def prediction(quantity: str, name: str, value: Any, variance: Any = None) -> Prediction:
    """A Prediction of a quantity below."""
    left_out = {"infinite_width": "O(depth / width)", EXACT: "O(1 / depth)"}.get(
        name, "O(1 / depth) + O(1 / width)"
    )
    return Prediction(
        quantity,
        name,
        np.asarray(value),
        variance,
        left_out,
        "shallow residual blocks, psi = id",
        REFERENCE,
    )


def reading(name: str, label: str, measurement: Any, **others: Any) -> Quantity:
    """A quantity of the residual stream."""
    given: dict[str, Any] = {"symbol": r"$x_{t, 1}$", "transform": "none: nearly Gaussian"}
    given |= {"theories": (), "reference": REFERENCE}
    return Quantity(name=name, label=label, measurement=measurement, **(given | others))


# One coordinate as a random function of the input


def limits_by_layer(spec: di.ResNet, inputs: Inputs) -> list[Any]:
    """The double limit at the time of every block, for inputs copied to all coordinates."""
    from deepinit.theory.diffusion import double_limit

    start, variances = inputs.points[:, 0], unit_variances(spec)
    times = np.arange(1, spec.depth + 1) / spec.depth
    return [
        double_limit(spec.activation, np.outer(start, start), *variances, time, start)
        for time in times
    ]


def draw_limit(spec: Any, inputs: Inputs, theory: str) -> Prediction:
    """Mean and variance of x_1 in the double limit."""
    limits = limits_by_layer(spec, inputs)
    variance = np.array([np.diag(limit.conditional_covariance) for limit in limits])
    return prediction("draw", theory, [limit.mean for limit in limits], variance)


def draw_infinite(spec: Any, inputs: Inputs) -> Prediction:
    """Mean and variance at infinite width and this depth: of x_1, or a preactivation of an MLP."""
    if isinstance(spec, di.MLP):
        from deepinit.infinite_width.recursion import kernel_layers

        # one by one: no pairs, each of which is a quadrature
        variance = np.concatenate(
            [kernel_layers(spec, point[None]).nngp[:, 0] for point in inputs.points], axis=1
        )
        return prediction("draw", "infinite_width", np.zeros_like(variance), variance)
    from deepinit.infinite_width.residual import residual_layers

    layers = residual_layers(spec, inputs.points)
    return prediction("draw", "infinite_width", layers.mean, layers.mean_square - layers.mean**2)


def names_of_points(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    """Entry names `z = ...`."""
    del spec
    return tuple(f"z = {z:g}" for z in inputs.points[:, 0])


DRAW = reading(
    "draw",
    "first coordinate of the stream",
    Forward(
        lambda state, inputs: finite(first_coordinate(state.postactivations)),
        entries=names_of_points,
    ),
    theories=(
        *theories(
            (DOUBLE_LIMIT,),
            lambda spec, *_: None if isinstance(spec, di.ResNet) else "it is no ResNet",
            draw_limit,
        ),
        limit(draw_infinite),
    ),
)
PREACTIVATION = DRAW._replace(
    measurement=Forward(
        lambda state, inputs: finite(first_coordinate(state.preactivations)),
        entries=names_of_points,
    ),
    label="first preactivation of the layer",
)


# Its first and second moments at two inputs


def measure_moments(state: Any, inputs: Inputs) -> Any:
    """x_1, its square and its products, as central at the start: of x - x_0."""
    import jax.numpy as jnp

    x = first_coordinate(state.postactivations)
    shift = x - jnp.asarray(inputs.points[:, 0], x.dtype)
    i, j = np.triu_indices(inputs.num_rows)
    return finite(jnp.concatenate([x, shift[i] * shift[j]]))


def moment_entries(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    """mean at z, then (co)variances."""
    del spec
    z, (i, j) = inputs.points[:, 0], np.triu_indices(inputs.num_rows)
    products = [f"covariance at {z[a]:g}, {z[b]:g}" for a, b in zip(i, j, strict=True)]
    return (*(f"mean at {value:g}" for value in z), *products)


def moments_limit(spec: Any, inputs: Inputs, theory: str) -> Prediction:
    """Moments in the double limit; for b = 0 exact at every width."""
    limits, upper = limits_by_layer(spec, inputs), np.triu_indices(inputs.num_rows)
    return prediction(
        "moments",
        theory,
        [np.append(one.mean, one.conditional_covariance[upper]) for one in limits],
    )


def moments_infinite(spec: Any, inputs: Inputs) -> Prediction:
    """Moments at infinite width and this depth, for odd phi."""
    from deepinit.infinite_width.residual import residual_layers

    layers, start = residual_layers(spec, inputs.points), inputs.points[:, 0]
    i, j = np.triu_indices(inputs.num_rows)
    products = layers.nngp[:, i, j] - start[i] * start[j]
    return prediction("moments", "infinite_width", np.concatenate([layers.mean, products], axis=1))


MOMENTS = reading(
    "moments",
    "mean and covariance of the first coordinate, given the inputs",
    Forward(measure_moments, entries=moment_entries),
    theories=(*theories((DOUBLE_LIMIT,), always, moments_limit), limit(moments_infinite)),
)


# Kernels of single networks at two inputs


def measure_kernels(gradients: Any, inputs: Inputs) -> Any:
    """K_W^12, K_b, q_1, q_2, lambda_12 of one network."""
    import jax.numpy as jnp

    del inputs
    stream = jnp.exp(gradients.output_scales)[:, None] * gradients.outputs
    overlaps = jnp.matmul(stream, stream.T, precision="highest") / stream.shape[1]
    weights, biases = (
        part.value[0, 1] * jnp.exp(part.log_scale[0, 1])
        for part in (gradients.weights, gradients.biases)
    )
    return finite(
        jnp.stack([weights, biases, overlaps[0, 0], overlaps[1, 1], overlaps[0, 1]])[None]
    )


def kernels_exact(spec: Any, inputs: Inputs, theory: str) -> Prediction:
    """Infinite depth at this width: means, and all variances except of K_W."""
    tangent, biases, moments = (
        di.predict(spec, quantity, inputs, theory)
        for quantity in (di.quantities.ntk, di.quantities.bias_ntk, di.quantities.nngp)
    )
    order = [0, 2, 1]  # (1, 1), (2, 2), (1, 2)
    value = [tangent.mean[0, 1] - biases.mean[0, 1], biases.mean[0, 1], *moments.mean[-1, order]]
    variance = [np.nan, biases.variance[0, 1], *moments.variance[-1, order]]
    return prediction("kernels", theory, [value], np.array([variance]))


def kernels_infinite(spec: Any, inputs: Inputs) -> Prediction:
    """Infinite width at this depth."""
    from deepinit.infinite_width.residual import residual_layers

    every = residual_layers(spec, inputs.points)
    biases = residual_layers(spec, inputs.points, trained=("biases",)).ntk[-1, 0, 1]
    overlaps = every.nngp[-1]
    value = [every.ntk[-1, 0, 1] - biases, biases, overlaps[0, 0], overlaps[1, 1], overlaps[0, 1]]
    return prediction("kernels", "infinite_width", [value], np.zeros((1, len(value))))


KERNELS = reading(
    "kernels",
    "tangent kernels of weights and biases, mean squares and overlap",
    Backward(
        measure_kernels,
        di.quantities.ntk.measurement.functions,
        entries=lambda spec, inputs: KERNEL_ENTRIES,
    ),
    symbol=r"$K$",
    theories=(
        *theories((EXACT,), lambda spec, *_: why_no_diffusion(spec), kernels_exact, (di.ResNet,)),
        limit(kernels_infinite),
    ),
    transform="none: light-tailed while horizon / width is small",
)


# Positions of an image


def measure_positions(gradients: Any, inputs: Inputs, positions: int) -> Any:
    """Lambda_{0 p}, divided by the channels; the tangent kernel at position 0."""
    import jax.numpy as jnp

    del inputs
    image = (jnp.exp(gradients.output_scales)[0] * gradients.outputs[0]).reshape(positions, -1)
    overlaps = jnp.matmul(image, image[0], precision="highest") / image.shape[1]
    return finite(jnp.append(overlaps, gradients.ntk[0, 0])[None])


def positions_limit(spec: Any, inputs: Inputs, theory: str) -> Prediction:
    """Both limits."""
    from deepinit.theory.diffusion import convolution_limit

    image = inputs.points.reshape(spec.positions, -1)
    gram, shape = image @ image.T / spec.channels, (spec.image_shape, spec.kernel_size)
    limit = convolution_limit(
        spec.activation, gram, *shape, *unit_variances(spec), padding=spec.padding
    )
    return prediction(
        "positions", theory, [np.append(limit.overlap[0, 0, 0], limit.block_kernel[0, 0, 0, 0])]
    )


def positions_infinite(spec: Any, inputs: Inputs) -> Prediction:
    """Infinite width at this depth."""
    from deepinit.infinite_width.residual import position_kernels

    limit = position_kernels(spec, inputs.points)
    return prediction(
        "positions", "infinite_width", [np.append(limit.nngp[0, 0, 0], limit.ntk[0, 0, 0, 0])]
    )


def position_entries(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    """overlap 0, p; then tangent kernel."""
    del inputs
    return (
        *(f"overlap 0, {position}" for position in range(spec.positions)),
        "tangent kernel 0, 0",
    )


def positions_quantity(positions: int) -> Quantity:
    """The quantity for images of this many positions."""
    return KERNELS._replace(
        name="positions",
        label="overlaps of position 0 with all others, and its tangent kernel",
        symbol=r"$\Lambda$",
        measurement=KERNELS.measurement._replace(
            tap=functools.partial(measure_positions, positions=positions), entries=position_entries
        ),
        theories=(*theories((DOUBLE_LIMIT,), always, positions_limit), limit(positions_infinite)),
    )
