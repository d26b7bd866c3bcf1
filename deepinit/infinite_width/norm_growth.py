"""Growth of tangents, volumes and curves by layer, at infinite hidden width."""

import dataclasses
import math
from typing import Any

import numpy as np

from deepinit.core.by_kind import by_kind
from deepinit.core.curves import Curve
from deepinit.core.errors import SpecError
from deepinit.core.frames import Frames
from deepinit.core.gauss_legendre import panels
from deepinit.core.laws import normal
from deepinit.core.spec_text import format_spec
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.core.typing import Float
from deepinit.infinite_width.lengths import curve_length_moments, squared_speeds
from deepinit.infinite_width.validate import checked_limit

_NUM_NODES = 33


def log_volumes(spec: Spec, frames: Frames) -> Float[np.ndarray, "layers points"]:
    """ln volume of each frame's image: [layers (+1 with an output layer), points].

    Gram matrix n_l C_ij, C the velocity kernel; the output width n_L adds (1/2) sum_j E
    ln(chi^2_{n_L - j} / n_L).
    Raises SpecError: no infinite-width kernel; a frame at a kink.
    """
    from scipy.special import digamma

    size = frames.frame_size
    result = []
    for layer in range(1, spec.depth + 1):
        if spec.activation.is_homogeneous:
            log_growth = _log_growth(spec, frames.dimension, layer)
            result.append(np.full(len(frames.points), 0.5 * size * log_growth))
        else:
            points = range(len(frames.points))
            result.append(np.array([_log_gram_volume(spec, frames, layer, i) for i in points]))
    if spec.output_width is not None:
        assert spec.output_law is not None
        variance = spec.output_law.entry_variance(spec.widths[-1], spec.depth)
        chi2 = sum(digamma(0.5 * (spec.output_width - j)) + math.log(2.0) for j in range(size))
        result.append(result[-1] + 0.5 * (size * math.log(variance) + chi2))
    return checked_limit(np.array(result), "ln of a volume", along="layer", is_log=True)


def output_log_volume_variance(output_width: int, size: int) -> float:
    """Var ln volume of `size` vectors after n outputs: (1/4) sum_j Var ln chi^2_{n - j}."""
    from scipy.special import polygamma

    return 0.25 * float(sum(polygamma(1, 0.5 * (output_width - j)) for j in range(size)))


def mean_lengths(spec: Spec, curve: Curve) -> Float[np.ndarray, "layers"]:
    """Relative length of the curve's image: [layers (+1, a mean, with an output layer)].

    Raises SpecError: no infinite-width kernel; a curve through a kink.
    """
    from scipy.special import poch

    result = []
    for layer in range(1, spec.depth + 1):
        if spec.activation.is_homogeneous:
            with np.errstate(over="ignore"):
                result.append(float(np.exp(0.5 * _log_growth(spec, curve.dimension, layer))))
        else:
            nodes, weights = panels([curve.start, curve.stop], _NUM_NODES)
            squares = squared_speeds(_cut(spec, layer), curve, nodes)
            speeds = np.sqrt(spec.widths[layer - 1] * squares)
            result.append(float(weights @ speeds) / curve.length)
    if spec.output_width is not None:
        assert spec.output_law is not None
        variance = spec.output_law.entry_variance(spec.widths[-1], spec.depth)
        chi = float(poch(0.5 * spec.output_width, 0.5))
        result.append(result[-1] * math.sqrt(2.0 * variance) * chi)
    return checked_limit(np.array(result), "length of a curve", along="layer")


output_length_variance = by_kind(
    "the variance of an output length",
    {
        MLP: lambda spec, curve: curve_length_moments(spec, curve).variance / curve.length**2,
        ResNet: lambda *_: math.nan,
    },
)
"""`(spec, curve) -> variance` of the output curve's relative length; NaN for residual networks."""


def _log_growth(spec: Spec, dimension: int, layer: int) -> float:
    """ln of a tangent's squared growth, homogeneous phi."""
    if spec.bias_law is not None and not spec.bias_law.is_symmetric:
        given = f"biases that are all {spec.bias_law.value:g}, at infinite width"
        raise SpecError(given, "biases symmetric about 0", "Simulate, or take random biases.")
    assert spec.activation.slopes is not None
    active = 0.5 * sum(slope**2 for slope in spec.activation.slopes)
    return _log_growths(spec, active, spec.matrix_shapes(dimension), layer)


def _of_mlp(spec: MLP, active: float, shapes: Any, layer: int) -> float:
    assert spec.weight_law is not None
    return sum(
        math.log(active * fan_out * spec.weight_law.entry_variance(fan_in, spec.depth))
        for fan_in, fan_out in shapes[:layer]
    )


def _of_resnet(spec: ResNet, active: float, shapes: Any, layer: int) -> float:
    if not spec.has_plain_blocks:
        _refuse(spec)
    assert spec.weight_law is not None
    assert spec.branch_law is not None
    (_, inner), (_, outer) = shapes[:2]
    branch = spec.branch_law.entry_variance(inner, spec.depth) * outer
    return layer * math.log1p(
        branch * inner * active * spec.weight_law.entry_variance(outer, spec.depth)
    )


def _refuse(spec: Any, *_: Any) -> Any:
    given = f"growth of tangents at infinite width for {format_spec(spec)}"
    allowed = (
        "an MLP, or a ResNet of two-layer residual blocks with relu, leaky_relu, absolute or "
        "linear, without inner activation and embedding"
    )
    raise SpecError(given, allowed, "Take such a network.")


_log_growths = by_kind("growth of tangents", {MLP: _of_mlp, ResNet: _of_resnet, object: _refuse})


def _cut_mlp(spec: MLP, layer: int) -> MLP:
    """The first layers, with one output of unit weight variance."""
    law = spec.weight_law
    if law is not None and law.scaling == "depth":  # the cut network is shallower
        law = dataclasses.replace(law, scaling="fan_in", variance=law.variance / spec.depth)
    return dataclasses.replace(
        spec,
        widths=spec.widths[:layer],
        weight_law=law,
        output_width=1,
        output_law=normal(1.0),
        bias_law=spec.bias_law,
    )


_cut = by_kind("growth of tangents", {MLP: _cut_mlp, object: _refuse})


def _log_gram_volume(spec: Spec, frames: Frames, layer: int, point: int) -> float:
    """(1/2) ln det of a frame's Gram matrix."""
    vectors, size = frames.tangents[point], frames.frame_size
    cut = _cut(spec, layer)

    def squared(vector: np.ndarray) -> float:
        curve = Curve("line", np.stack([frames.points[point], vector]), 0.0, 1.0, "tangent")
        return float(squared_speeds(cut, curve, np.zeros(1))[0])

    gram = np.diag([squared(vector) for vector in vectors])
    for i in range(size):
        for j in range(i):
            gram[i, j] = gram[j, i] = 0.25 * (
                squared(vectors[i] + vectors[j]) - squared(vectors[i] - vectors[j])
            )
    return 0.5 * float(size * math.log(spec.widths[layer - 1]) + np.linalg.slogdet(gram)[1])
