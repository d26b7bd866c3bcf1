"""Rows of layer 0."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.curves import SampledCurve
from deepinit.core.errors import SpecError
from deepinit.core.frames import Frames
from deepinit.core.generator import sequential_bits
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Outline, outline, shape_of
from deepinit.core.layers.outline import activations, has_biases
from deepinit.core.specs import NetworkSpec
from deepinit.networks.renormalization import orthogonalize_partners, rescale
from deepinit.networks.rows import InnerProducts, Rows, frames_at


class Start(NamedTuple):
    """Rows of layer 0 by the network's key; the same for all networks if `is_fixed`."""

    rows: Callable[[Any], Rows]
    is_fixed: bool = True

    def __call__(self, key: Any) -> Rows:
        """Rows of one network."""
        return self.rows(key)


def input_rows(spec: NetworkSpec, inputs: Any, dtype: str) -> Start:
    """Rows of layer 0; only curve nodes depend on the key.

    Raises SpecError: another dimension, inputs outside the dtype's range, a frame at a kink.
    """
    seen = outline(spec, shape_of(inputs))  # raises where the width does not fit
    if isinstance(inputs, SampledCurve) and inputs.method == "tangents":
        _check_points(_extent(inputs), dtype)
        return Start(lambda key: _random_nodes(inputs, key, dtype), is_fixed=False)
    if isinstance(inputs, SampledCurve):
        rows = rows_from_inputs(_chords(inputs), scale_invariant=False, dtype=dtype)
    elif isinstance(inputs, Frames):
        _refuse_ties(seen, inputs)
        refuse_narrow_layers(seen, inputs)
        _check_points(inputs.points, dtype)
        rows = frames_at(inputs.points.astype(dtype), inputs.tangents.astype(dtype))
    else:
        rows = rows_from_inputs(inputs, scale_invariant=seen.is_homogeneous, dtype=dtype)
    return Start(lambda key: rows)


def _random_nodes(inputs: SampledCurve, key: Any, dtype: str) -> Rows:
    """A point and unit tangent, uniform per piece of curve; layers use keys >= 1."""
    import jax
    import jax.numpy as jnp

    curve, count = inputs.curve, inputs.num_nodes
    with sequential_bits():
        offsets = jax.random.uniform(jax.random.fold_in(key, 0), (count,), dtype)
    places = (jnp.arange(count, dtype=dtype) + offsets) / count
    t = curve.start + (curve.stop - curve.start) * places
    return frames_at(curve.points(t), (curve.tangents(t) / curve.speed)[:, None])


def _extent(inputs: SampledCurve) -> np.ndarray:
    """[1, dimension]: largest coordinates along the curve, to a few percent."""
    curve = inputs.curve
    return np.abs(curve.points(np.linspace(curve.start, curve.stop, 17))).max(axis=0, keepdims=True)


def _chords(inputs: SampledCurve) -> Inputs:
    """Corners and chords, without cancellation."""
    curve, count = inputs.curve, inputs.num_nodes
    t = np.linspace(curve.start, curve.stop, count + 1)
    step = (curve.stop - curve.start) / count
    if curve.kind == "line":
        chords = np.broadcast_to(step * curve.coefficients[1], (count, curve.dimension))
    else:  # the chord of a circle is the shortened tangent at its middle
        chords = 2.0 * np.sin(0.5 * step) * curve.tangents(t[:-1] + 0.5 * step)
    corners, bases = curve.points(t[:-1]), tuple(range(count))
    return Inputs(corners, np.ascontiguousarray(chords), bases, inputs.label)


def rows_from_inputs(inputs: Inputs, *, scale_invariant: bool, dtype: Any) -> Rows:
    """Rows of layer 0, rescaled in float64 on the host, then cast.

    Raises SpecError: squares outside the dtype's range (float64's if scale-invariant).
    """
    _check_sizes(inputs, "float64" if scale_invariant else np.dtype(dtype).name)
    num_points, num_pairs = len(inputs.points), inputs.num_pairs
    rows = Rows(
        points=inputs.points,
        displacements=inputs.displacements,
        point_scales=np.zeros(num_points),
        displacement_scales=np.zeros(num_pairs),
        partner_scales=np.zeros(num_pairs),
        events=np.zeros(num_pairs, np.int8),
        bases=inputs.bases,
        scale_invariant=scale_invariant,
    ).with_inner_products()
    with np.errstate(divide="ignore", invalid="ignore"):
        if scale_invariant:
            rows = orthogonalize_partners(rows)
        rows = rescale(rows, rescale_points=scale_invariant).with_inner_products()
    _check_ratios(rows, np.dtype(dtype).name)
    assert rows.cached is not None
    names = ("points", "displacements", "point_scales", "displacement_scales", "partner_scales")
    cast: dict[str, Any] = {name: np.asarray(getattr(rows, name), dtype) for name in names}
    cached = InnerProducts(*(np.asarray(values, dtype) for values in rows.cached))
    return dataclasses.replace(rows, **cast, cached=cached)


def _check_sizes(inputs: Inputs, dtype: str) -> None:
    """Squares must stay in range; a displacement's length is a logarithm."""
    limits, host = np.finfo(dtype), np.finfo(np.float64)
    _check_points(inputs.points, dtype)
    least = max(float(limits.tiny), _smallest(host))
    _check_size("displacements", inputs.displacements, dtype, least)


def _check_points(points: np.ndarray, dtype: str) -> None:
    _check_size("points", points, dtype, _smallest(np.finfo(dtype)))


def _smallest(limits: Any) -> float:
    """sqrt(tiny / eps): parts of a square keep their digits."""
    return float(np.sqrt(limits.tiny / limits.eps))


def _check_size(name: str, rows: np.ndarray, dtype: str, least: float) -> None:
    limits = np.finfo(dtype)
    largest = float(np.sqrt(limits.max * limits.eps))  # the factor 1/eps of `_smallest`
    size = np.abs(rows).max(axis=1, initial=0.0)  # the largest coordinate: squares may overflow
    wrong = (size > largest) | ((size > 0) & (size < least))
    if np.any(wrong):
        given = f"{name} of size {size[wrong][0]:.2g} in {dtype}"
        other = ", or take dtype='float64'" if dtype == "float32" else ""
        allowed = f"0, or sizes from {least:.2g} to {largest:.2g}"
        raise SpecError(given, allowed, f"Rescale the inputs{other}.")


def _check_ratios(rows: Rows, dtype: str) -> None:
    """Squared ratios must stay in range."""
    limits = np.finfo(dtype)
    largest = 0.5 * float(np.log(limits.max) + np.log(limits.eps))
    if np.any(rows.displacement_scales > largest):
        decades = np.max(rows.displacement_scales) / np.log(10.0)
        given = f"a pair whose second member is 1e{decades:.0f} times the first"
        allowed = f"ratios up to {np.exp(largest):.2g} in {dtype}"
        raise SpecError(given, allowed, "Give both members a similar norm.")


def _refuse_ties(seen: Outline, inputs: Frames) -> None:
    at_zero = ~np.any(inputs.points, axis=1)
    if not at_zero.any() or has_biases(seen.program.body):
        return
    for activation in activations(seen.program.body):
        if activation.has_corner(0.0):
            given = f"a tangent at the point 0 without biases, a kink of {activation}"
            raise SpecError(given, "points other than 0, or biases", "Move the point.")


def refuse_narrow_layers(seen: Outline, inputs: Frames) -> None:
    """Raise SpecError for frames larger than a layer."""
    if inputs.frame_size > seen.least_size:
        given = (
            f"a frame of {inputs.frame_size} vectors through a layer of {seen.least_size} neurons"
        )
        raise SpecError(given, f"at most {seen.least_size} vectors: larger volumes are exactly 0")
