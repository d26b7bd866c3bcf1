"""Lengths and volumes at finite width: `theory.lengths` for specs.

Exact at one point: positively homogeneous activations, Gaussian weights (without output layer also
orthogonal), symmetric biases; residual: ReLU and Gaussian weights.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.by_kind import by_kind
from deepinit.core.curves import SampledCurve
from deepinit.core.errors import SpecError
from deepinit.core.frames import Frames
from deepinit.core.layers import outline, shape_of
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities.diffusions import predict_log_volume
from deepinit.quantities.length_conditions import idealized, why_not_exact

if TYPE_CHECKING:
    from deepinit.theory.lengths import HomogeneousNetwork

PAPER = "Hanin, Jeong & Rolnick 2022, arXiv 2102.10492"
_EXACT = (
    "Gaussian (or orthogonal) weights, homogeneous activation, biases symmetric about 0, every "
    "input"
)
_ORDERS = {
    "second_order": "O(sum 1/width^3)",
    "first_order": "O(sum 1/width^2)",
    "price_tanner": "a lower bound",
    "raghu": "a lower bound up to a constant per layer, here 1",
}


def network_of(spec: MLP, dimension: int) -> "HomogeneousNetwork":
    """`HomogeneousNetwork` of an MLP; SpecError for `absolute` variances at different fan-ins."""
    from deepinit.theory.lengths import HomogeneousNetwork

    assert spec.weight_law is not None
    assert spec.activation.slopes is not None
    left, right = spec.activation.slopes
    fan_ins = [fan_in for fan_in, _ in spec.matrix_shapes(dimension)]
    widths = (dimension, *spec.widths)
    options: dict[str, Any] = {
        "hidden_var": _variance(spec.weight_law, fan_ins, spec.depth) * right**2,
        "negative_slope": left / right,
        "output": None,
        "law": "orthogonal" if spec.weight_law.is_haar else "normal",
    }
    if spec.output_width is not None:
        assert spec.output_law is not None
        widths += (spec.output_width,)
        options["output"] = "linear"
        options["output_var"] = _variance(spec.output_law, [spec.widths[-1]], spec.depth)
    return HomogeneousNetwork(widths, **options)


def residual_of(spec: ResNet) -> dict[str, Any]:
    """Arguments of `residual_length_moment`."""
    assert spec.weight_law is not None
    assert spec.branch_law is not None
    return {
        "width": spec.width,
        "mid_width": spec.branch_width,
        "hidden_var": _variance(spec.weight_law, [spec.width], spec.depth),
        "branch_var": _variance(spec.branch_law, [spec.branch_width], spec.depth),
    }


def _variance(law: Any, fan_ins: list[Any], depth: int) -> float:
    """fan_in times the weight variance, if equal."""
    variances = {law.entry_variance(fan_in, depth) * fan_in for fan_in in fan_ins}
    low, high = min(variances), max(variances)
    if high - low > 1e-12 * high:
        given = "weights of one absolute variance in layers of different widths"
        remedy = "Write di.normal(2.0), or give all layers one width."
        raise SpecError(given, "variances that scale with fan_in", remedy)
    return high


def check_fit(spec: Spec, inputs: Frames) -> None:
    """Refuse inputs or frames that do not fit."""
    from deepinit.networks.input_rows import refuse_narrow_layers

    spec.matrix_shapes(inputs.dimension)
    refuse_narrow_layers(outline(spec, shape_of(inputs)), inputs)


def predict_volume(spec: Spec, inputs: Frames, theory: str) -> Prediction:
    """ln vol_d(J U)."""
    check_fit(spec, inputs)
    mean, variance = _log_moments(idealized(spec) if theory == "idealized" else spec, inputs)
    shape = (len(mean), len(inputs.points))
    return Prediction(
        quantity="log_volume",
        name=theory,
        mean=np.broadcast_to(0.5 * np.asarray(mean)[:, None], shape),
        variance=np.broadcast_to(0.25 * np.asarray(variance)[:, None], shape),
        error_order="exact" if theory == "exact" else f"O(1/width): {why_not_exact(spec)}",
        valid_for=f"{_EXACT}; networks that are alive",
        reference="derived in deepinit.theory.lengths.log_moments",
    )


def predict_diffusion(spec: ResNet, inputs: Frames, theory: str) -> Prediction:
    """ln vol_d(J U) at infinite depth."""
    check_fit(spec, inputs)
    return predict_log_volume(spec, inputs, theory)


def predict_curve(spec: Spec, inputs: SampledCurve, theory: str) -> Prediction:
    """Mean length of the image over the curve's."""
    spec.matrix_shapes(inputs.dimension)  # refuses inputs of another width
    ideal = idealized(spec) if theory == "idealized" else spec
    order = "exact" if theory == "exact" else f"O(1/width): {why_not_exact(spec)}"
    return _curve_prediction(theory, _mean_lengths(ideal, inputs.dimension), order)


def predict_expansion(spec: MLP, inputs: SampledCurve, theory: str) -> Prediction:
    """Approximations and bounds of that mean."""
    network = network_of(spec, inputs.dimension)
    layers = range(1, len(tuple(network.widths)))
    value = np.array([_curve_expansion(network, layer, spec.depth, theory) for layer in layers])
    return _curve_prediction(theory, value, _ORDERS[theory])


def _curve_prediction(theory: str, value: np.ndarray, error_order: str) -> Prediction:
    derived = "derived in deepinit.theory.lengths.moments"
    return Prediction(
        quantity="length_distortion",
        name=theory,
        mean=np.asarray(value)[:, None],
        variance=None,
        error_order=error_order,
        valid_for=f"the mean of every rectifiable curve: {_EXACT}",
        reference=f"{PAPER}, Theorem 3.1" if theory == "first_order" else derived,
    )


def _curve_expansion(network: "HomogeneousNetwork", layer: int, depth: int, theory: str) -> float:
    """An approximation after one layer (from 1)."""
    from deepinit.theory import lengths

    widths = tuple(network.widths)[: layer + 1]
    network = network._replace(widths=widths, output=None if layer <= depth else network.output)
    if theory in ("first_order", "second_order"):
        return lengths.expansion(network, 1 if theory == "first_order" else 2)
    if theory == "price_tanner":
        return lengths.price_tanner_bound(network)
    assert network.hidden_var is not None
    hidden, variance = widths[1 : 1 + min(layer, depth)], network.hidden_var
    base = math.prod(lengths.raghu_lower_bound(n, 1, hidden_var=variance) for n in hidden)
    return base * math.sqrt(widths[-1] / widths[0])


def _logs(spec: MLP, inputs: Frames) -> tuple[Any, Any]:
    """Mean and variance of ln vol^2."""
    from deepinit.theory import lengths

    network = network_of(spec, inputs.dimension)
    if inputs.frame_size == 1:
        moments = lengths.log_length_moments_by_layer(network)
    else:
        moments = lengths.log_volume_moments_by_layer(network, inputs.frame_size)
    return moments.mean, moments.variance


def _residual_logs(spec: ResNet, inputs: Frames) -> tuple[np.ndarray, np.ndarray]:
    del inputs
    from deepinit.theory import lengths

    block = lengths.residual_log_length_moments(**residual_of(spec))
    count = np.arange(1, spec.depth + 1)
    mean, variance = count * block.mean, count * block.variance
    if spec.output_width is not None:
        output = _output_of(spec)
        moments = lengths.log_length_moments_by_layer(output)
        mean = np.append(mean, mean[-1] + moments.mean[-1])
        variance = np.append(variance, variance[-1] + moments.variance[-1])
    return mean, variance


def _means(spec: MLP, dimension: int) -> Any:
    from deepinit.theory import lengths

    return lengths.length_moments_by_layer(network_of(spec, dimension))


def _residual_means(spec: ResNet, dimension: int) -> np.ndarray:
    from deepinit.theory import lengths

    del dimension

    means = lengths.residual_length_moment(**residual_of(spec)) ** np.arange(1, spec.depth + 1)
    if spec.output_width is None:
        return means
    output = _output_of(spec)
    moments = lengths.length_moments_by_layer(output)
    return np.append(means, means[-1] * moments[-1])


def _output_of(spec: ResNet) -> "HomogeneousNetwork":
    """The linear output layer."""
    from deepinit.theory.lengths import HomogeneousNetwork

    assert spec.output_law is not None
    assert spec.output_width is not None
    variance = spec.output_law.entry_variance(spec.width, spec.depth) * spec.width
    return HomogeneousNetwork((spec.width, spec.output_width), output_var=variance)


_log_moments = by_kind("log_volume", {MLP: _logs, ResNet: _residual_logs})
_mean_lengths = by_kind("length_distortion", {MLP: _means, ResNet: _residual_means})
