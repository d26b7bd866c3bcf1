"""The rows of layer 0, of every kind of input."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.curves import SampledCurve
from deepinit.core.errors import SpecError
from deepinit.core.frames import Frames
from deepinit.core.generator import sequential_bits
from deepinit.core.inputs import Inputs
from deepinit.core.specs import Spec
from deepinit.networks.rows import Rows, check_points, frames_at, rows_from_inputs


def starting_rows(spec: Spec, inputs: Any, dtype: str) -> Callable[[Any], Rows]:
    """`network key -> rows of layer 0`: the same for every network, or drawn for each (nodes of a curve).

    Raises:
        SpecError: inputs of another dimension than the spec's, or that the dtype cannot hold; a frame at a tie.
    """
    spec.matrix_shapes(inputs.dimension)  # refuses what does not fit
    if isinstance(inputs, SampledCurve) and inputs.method == "tangents":
        check_points(_extent(inputs), dtype)
        return lambda key: _random_nodes(inputs, key, dtype)
    if isinstance(inputs, SampledCurve):
        rows = rows_from_inputs(_chords(inputs), partners_are_free=False, dtype=dtype)
    elif isinstance(inputs, Frames):
        _refuse_ties(spec, inputs)
        refuse_narrow_layers(spec, inputs)
        check_points(inputs.points, dtype)
        rows = frames_at(inputs.points.astype(dtype), inputs.tangents.astype(dtype))
    else:
        rows = rows_from_inputs(inputs, partners_are_free=spec.is_homogeneous, dtype=dtype)
    return lambda key: rows


def _random_nodes(inputs: SampledCurve, key: Any, dtype: str) -> Rows:
    """A point and its unit tangent at one uniform place in each piece of the curve; layers draw from keys 1, 2, ..."""
    import jax
    import jax.numpy as jnp

    curve, count = inputs.curve, inputs.num_nodes
    with sequential_bits():
        offsets = jax.random.uniform(jax.random.fold_in(key, 0), (count,), dtype)
    places = (jnp.arange(count, dtype=dtype) + offsets) / count
    t = curve.start + (curve.stop - curve.start) * places
    return frames_at(curve.points(t), (curve.tangents(t) / curve.speed)[:, None])


def _extent(inputs: SampledCurve) -> np.ndarray:
    """[1, dimension]: the largest size of every coordinate along the curve, to a few percent."""
    curve = inputs.curve
    return np.abs(curve.points(np.linspace(curve.start, curve.stop, 17))).max(axis=0, keepdims=True)


def _chords(inputs: SampledCurve) -> Inputs:
    """The polygon's corners, each with the chord to the next one, without cancellation."""
    curve, count = inputs.curve, inputs.num_nodes
    t = np.linspace(curve.start, curve.stop, count + 1)
    step = (curve.stop - curve.start) / count
    if curve.kind == "line":
        chords = np.broadcast_to(step * curve.coefficients[1], (count, curve.dimension))
    else:  # the difference of two points of a circle is its tangent half way, shortened
        chords = 2.0 * np.sin(0.5 * step) * curve.tangents(t[:-1] + 0.5 * step)
    return Inputs(
        curve.points(t[:-1]), np.ascontiguousarray(chords), tuple(range(count)), inputs.label
    )


def _refuse_ties(spec: Spec, inputs: Frames) -> None:
    at_zero = ~np.any(inputs.points, axis=1)
    if at_zero.any() and spec.bias_law is None and spec.activation.has_corner(0.0):
        raise SpecError(
            f"a tangent at the origin of a network without biases, where {spec.activation} has a kink",
            "points other than 0, or a network with biases",
            "Every unit is at the tie there, and the derivative does not exist. Move the point.",
        )


def refuse_narrow_layers(spec: Spec, inputs: Frames) -> None:
    """Refuses frames of more vectors than some layer has neurons."""
    narrowest = min(*spec.widths, spec.output_width or inputs.dimension)
    if inputs.frame_size > narrowest:
        raise SpecError(
            f"a frame of {inputs.frame_size} vectors through a layer of {narrowest} neurons",
            f"at most {narrowest} vectors",
            "The image has fewer dimensions than that, and its volume is exactly 0 in every network.",
        )
