"""Lengths and volumes at finite width: `theory.lengths` for specs.

Exact at one point: positively homogeneous activations, Gaussian weights (without output layer also
orthogonal), symmetric biases; residual: ReLU and Gaussian weights.
"""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.curves import SampledCurve
from deepinit.core.errors import SpecError
from deepinit.core.frames import Frames
from deepinit.core.laws import Law
from deepinit.core.layers import outline, shape_of
from deepinit.core.residual_specs import is_plain_resnet
from deepinit.core.results import Prediction
from deepinit.core.spec_text import in_words
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities.diffusions import FORM, predict_log_volume, why_no_diffusion

if TYPE_CHECKING:
    from deepinit.theory.lengths import HomogeneousNetwork

PAPER = "Hanin, Jeong & Rolnick 2022, arXiv 2102.10492"
RELU_BOUNDS = ("price_tanner", "raghu")
_EXACT = (
    "Gaussian (or orthogonal) weights, homogeneous activation, biases symmetric about 0, every "
    "input"
)
_LAWS = ("weight_law", "branch_law", "output_law")


def why_not_exact(spec: Spec) -> str | None:
    """Why the one-point law is not exact, or None."""
    if not isinstance(spec, MLP) and not is_plain_resnet(spec):
        return f"{in_words(spec)}, whose lengths are not worked out"
    if not spec.activation.is_homogeneous:
        return f"the activation {spec.activation}, which is not positively homogeneous"
    if spec.bias_law is not None and not spec.bias_law.is_symmetric:
        value = f"{spec.bias_law.value:g}, not symmetric about 0"
        return f"biases that are all {value}: they switch units on, and the masks are no fair coins"
    laws = [getattr(spec, name, None) for name in _LAWS]
    names = {law.name for law in laws if law is not None}
    if names == {"orthogonal"} and isinstance(spec, MLP) and spec.output_width is None:
        return None
    if names != {"normal"}:
        others = ", ".join(sorted(names - {"normal"}))
        return f"weights of the law {others}, whose images of a tangent are not Gaussian"
    if isinstance(spec, ResNet) and spec.activation.slopes != (0.0, 1.0):
        return f"residual branches with {spec.activation}; the law is worked out for relu"
    return None


def idealized(spec: Spec) -> Spec:
    """The spec with Gaussian weights of equal variance, no biases."""
    changes: dict[str, Any] = {"bias_law": None}
    for name in _LAWS:
        law = getattr(spec, name, None)
        if isinstance(law, Law):
            changes[name] = dataclasses.replace(law, name="normal", density=None)
    return dataclasses.replace(spec, **changes)


def network_of(spec: Spec, dimension: int) -> "HomogeneousNetwork":
    """`HomogeneousNetwork` of an MLP; SpecError for `absolute` variances at different fan-ins."""
    from deepinit.theory.lengths import HomogeneousNetwork

    assert isinstance(spec, MLP)
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


def _why_not_one_point(spec: Spec, form: str) -> str | None:
    reason = why_not_exact(spec)
    if form == "exact":
        return reason and f"the law is not exact for {reason}"
    if reason is None:
        return "the exact law applies"
    # with more than half of the units on, the deviation is O(1)
    if spec.bias_law is not None and not spec.bias_law.is_symmetric:
        return f"no law is near for {reason}"
    return why_not_exact(idealized(spec))


def why_not_volume(spec: Spec, inputs: Frames, form: str) -> str | None:
    """Conditions for log_volume."""
    if form == FORM:
        return why_no_diffusion(spec)
    reason = _why_not_one_point(spec, form)
    if reason is not None or inputs.frame_size == 1:
        return reason
    if not isinstance(spec, MLP):
        return "volumes through residual blocks are not worked out, lengths (one tangent) are"
    slopes = spec.activation.slopes
    if slopes is not None and slopes[0] == 0.0:
        return None
    return f"volumes through {spec.activation} are not worked out"


def why_not_curve(spec: Spec, inputs: SampledCurve, form: str) -> str | None:
    """Conditions for length_distortion."""
    del inputs
    if form == "idealized":
        return _why_not_one_point(spec, form)
    reason = _why_not_one_point(spec, "exact")
    if reason is not None or form == "exact":
        return reason
    if not isinstance(spec, MLP):
        return "it is worked out for fully connected networks"
    is_gaussian = spec.weight_law is not None and spec.weight_law.is_gaussian
    if form in RELU_BOUNDS and not (spec.activation.slopes == (0.0, 1.0) and is_gaussian):
        return "it is worked out for relu with Gaussian weights"
    return None


def predict_volume(spec: Spec, inputs: Frames, form: str) -> Prediction:
    """ln vol_d(J U)."""
    from deepinit.theory import lengths

    check_fit(spec, inputs)
    if form == FORM:
        return predict_log_volume(spec, inputs, form)
    ideal = idealized(spec) if form == "idealized" else spec
    if isinstance(ideal, ResNet):
        mean, variance = _residual_logs(ideal)
    else:
        network = network_of(ideal, inputs.dimension)
        if inputs.frame_size == 1:
            moments = lengths.log_length_moments_by_layer(network)
        else:
            moments = lengths.log_volume_moments_by_layer(network, inputs.frame_size)
        mean, variance = moments.mean, moments.variance
    shape = (len(mean), len(inputs.points))
    return Prediction(
        quantity="log_volume",
        name=form,
        mean=np.broadcast_to(0.5 * np.asarray(mean)[:, None], shape),
        variance=np.broadcast_to(0.25 * np.asarray(variance)[:, None], shape),
        error_order="exact" if form == "exact" else f"O(1/width): {why_not_exact(spec)}",
        valid_for=f"{_EXACT}; networks that are alive",
        reference="derived in deepinit.theory.lengths.log_moments",
    )


def predict_curve(spec: Spec, inputs: SampledCurve, form: str) -> Prediction:
    """Mean length of the image over the curve's."""
    from deepinit.theory import lengths

    spec.matrix_shapes(inputs.dimension)  # refuses inputs of another width
    ideal = idealized(spec) if form == "idealized" else spec
    orders = {
        "exact": "exact",
        "idealized": f"O(1/width): {why_not_exact(spec)}",
        "second_order": "O(sum 1/width^3)",
        "first_order": "O(sum 1/width^2)",
        "price_tanner": "a lower bound",
        "raghu": "a lower bound up to a constant per layer, here 1",
    }
    if isinstance(ideal, ResNet):
        value = _residual_means(ideal)
    else:
        network = network_of(ideal, inputs.dimension)
        layers = range(1, len(tuple(network.widths)))
        if form in ("exact", "idealized"):
            value = lengths.length_moments_by_layer(network)
        else:
            value = np.array([_curve_form(network, layer, spec.depth, form) for layer in layers])
    derived = "derived in deepinit.theory.lengths.moments"
    return Prediction(
        quantity="length_distortion",
        name=form,
        mean=np.asarray(value)[:, None],
        variance=None,
        error_order=orders[form],
        valid_for=f"the mean of every rectifiable curve: {_EXACT}",
        reference=f"{PAPER}, Theorem 3.1" if form == "first_order" else derived,
    )


def _curve_form(network: "HomogeneousNetwork", layer: int, depth: int, form: str) -> float:
    """An approximation after one layer (from 1)."""
    from deepinit.theory import lengths

    widths = tuple(network.widths)[: layer + 1]
    network = network._replace(widths=widths, output=None if layer <= depth else network.output)
    if form in ("first_order", "second_order"):
        return lengths.expansion(network, 1 if form == "first_order" else 2)
    if form == "price_tanner":
        return lengths.price_tanner_bound(network)
    assert network.hidden_var is not None
    hidden, variance = widths[1 : 1 + min(layer, depth)], network.hidden_var
    base = math.prod(lengths.raghu_lower_bound(n, 1, hidden_var=variance) for n in hidden)
    return base * math.sqrt(widths[-1] / widths[0])


def _residual_logs(spec: ResNet) -> tuple[np.ndarray, np.ndarray]:
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


def _residual_means(spec: ResNet) -> np.ndarray:
    from deepinit.theory import lengths

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
