"""How a network stretches lengths and volumes: at a point, and along a curve."""

from typing import Any

import numpy as np

from deepinit.core.curves import SampledCurve
from deepinit.core.frames import Frames
from deepinit.core.residual_specs import is_plain_resnet
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities.diffusions import FORM, predict_log_volume, why_no_diffusion
from deepinit.quantities.kinds import ExactLaw, Forward
from deepinit.quantities.length_sampler import log_volume_sampler
from deepinit.quantities.length_setup import idealized, network_of, residual_of, why_not_exact
from deepinit.quantities.quantity import SCALED_EVENTS, Quantity
from deepinit.quantities.theory import limit, theories

_PAPER = "Hanin, Jeong & Rolnick 2022, arXiv 2102.10492"
_EXACT = "Gaussian (or orthogonal) weights, homogeneous activation, biases symmetric about 0, every input; networks that are alive"


def _measure_volume(state: Any, inputs: Frames) -> Any:
    from deepinit.observables import lengths

    del inputs
    return lengths.log_volume(state.postactivations)


def _measure_curve(state: Any, inputs: SampledCurve) -> Any:
    from deepinit.observables import lengths

    if inputs.method == "tangents":
        return lengths.curve_length_by_tangents(state.postactivations)
    return lengths.curve_length_by_chords(
        state.postactivations, inputs.curve.length / inputs.num_nodes
    )


_RELU_BOUNDS = ("price_tanner", "raghu")


def _why_not_one_point(spec: Spec, form: str) -> str | None:
    """Of the exact law at one point, and of the same law for the spec with Gaussian weights and no biases."""
    reason = why_not_exact(spec)
    if form == "exact":
        return reason and f"the law is not exact for {reason}"
    if reason is None:
        return "the exact law applies"
    if (
        spec.bias_law is not None and not spec.bias_law.is_symmetric
    ):  # more units than half are on: O(1)
        return f"no law is near for {reason}"
    return why_not_exact(idealized(spec))


def _why_not_volume(spec: Spec, inputs: Frames, form: str) -> str | None:
    if form == FORM:
        return why_no_diffusion(spec)
    reason = _why_not_one_point(spec, form)
    if reason is not None or inputs.frame_size == 1:
        return reason
    if not isinstance(spec, MLP):
        return "volumes through residual blocks are not worked out, lengths (one tangent) are"
    slopes = spec.activation.slopes
    return (
        None
        if slopes is not None and slopes[0] == 0.0
        else f"volumes through {spec.activation} are not worked out"
    )


def _why_not_curve(spec: Spec, inputs: SampledCurve, form: str) -> str | None:
    del inputs
    if form == "idealized":
        return _why_not_one_point(spec, form)
    reason = _why_not_one_point(spec, "exact")
    if reason is not None or form == "exact":
        return reason
    if not isinstance(spec, MLP):
        return "it is worked out for fully connected networks"
    is_relu = (
        spec.activation.slopes == (0.0, 1.0)
        and spec.weight_law is not None
        and spec.weight_law.is_gaussian
    )
    return (
        "it is worked out for relu with Gaussian weights"
        if form in _RELU_BOUNDS and not is_relu
        else None
    )


def _predict_volume(spec: Spec, inputs: Frames, form: str) -> Prediction:
    from deepinit.theory import lengths

    _check_fit(spec, inputs)
    if form == FORM:
        return predict_log_volume(spec, inputs, form)
    ideal = idealized(spec) if form == "idealized" else spec
    if isinstance(ideal, ResNet):
        mean, variance = _residual_logs(ideal)
    else:
        network = network_of(ideal, inputs.dimension)
        if inputs.frame_size == 1:
            moments = lengths.log_length_moments_by_layer(
                lengths.HomogeneousNetwork(network.widths, **network.options)
            )
        else:
            options = dict(network.options)
            del options["negative_slope"]
            moments = lengths.log_volume_moments_by_layer(
                lengths.HomogeneousNetwork(network.widths, **options), inputs.frame_size
            )
        mean, variance = moments.mean, moments.variance
    entries = (len(mean), len(inputs.points))
    return Prediction(
        quantity="log_volume",
        name=form,
        mean=np.broadcast_to(0.5 * np.asarray(mean)[:, None], entries),
        variance=np.broadcast_to(0.25 * np.asarray(variance)[:, None], entries),
        error_order="exact" if form == "exact" else f"O(1/width): {why_not_exact(spec)}",
        valid_for=_EXACT,
        reference="derived in deepinit.theory.lengths.log_moments",
    )


def _predict_curve(spec: Spec, inputs: SampledCurve, form: str) -> Prediction:
    from deepinit.theory import lengths

    spec.matrix_shapes(inputs.dimension)  # refuses what does not fit
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
        if form in ("exact", "idealized"):
            value = lengths.length_moments_by_layer(
                lengths.HomogeneousNetwork(network.widths, **network.options)
            )
        else:
            value = np.array(
                [
                    _curve_form(network, layer, spec.depth, form)
                    for layer in range(1, len(network.widths))
                ]
            )
    return Prediction(
        quantity="length_distortion",
        name=form,
        mean=np.asarray(value)[:, None],
        variance=None,
        error_order=orders[form],
        valid_for="the mean of every rectifiable curve: " + _EXACT.rsplit(";", 1)[0],
        reference=f"{_PAPER}, Theorem 3.1"
        if form == "first_order"
        else "derived in deepinit.theory.lengths.moments",
    )


def _curve_form(network: Any, layer: int, depth: int, form: str) -> float:
    """One of the approximations, after one layer (from 1)."""
    from deepinit.theory import lengths

    widths, options = network.widths[: layer + 1], dict(network.options)
    if layer <= depth:
        options["output"] = None
    if form in ("first_order", "second_order"):
        return lengths.expansion(
            lengths.HomogeneousNetwork(widths, **options),
            {"first_order": 1, "second_order": 2}[form],
        )
    options = {
        name: options[name] for name in ("hidden_var", "output_var", "output") if name in options
    }
    if form == "price_tanner":
        return lengths.price_tanner_bound(lengths.HomogeneousNetwork(widths, **options))
    hidden = network.widths[1 : 1 + min(layer, depth)]
    base = np.prod(
        [lengths.raghu_lower_bound(width, 1, hidden_var=options["hidden_var"]) for width in hidden]
    )
    return float(base) * np.sqrt(widths[-1] / widths[0])


def _residual_logs(spec: ResNet) -> tuple[np.ndarray, np.ndarray]:
    from deepinit.theory import lengths

    block = lengths.residual_log_length_moments(**residual_of(spec))
    count = np.arange(1, spec.depth + 1)
    mean, variance = count * block.mean, count * block.variance
    if spec.output_width is not None:
        output = _output_of(spec)
        moments = lengths.log_length_moments_by_layer(
            lengths.HomogeneousNetwork(output.widths, **output.options)
        )
        mean, variance = (
            np.append(mean, mean[-1] + moments.mean[-1]),
            np.append(variance, variance[-1] + moments.variance[-1]),
        )
    return mean, variance


def _residual_means(spec: ResNet) -> np.ndarray:
    from deepinit.theory import lengths

    means = lengths.residual_length_moment(**residual_of(spec)) ** np.arange(1, spec.depth + 1)
    if spec.output_width is None:
        return means
    output = _output_of(spec)
    return np.append(
        means,
        means[-1]
        * lengths.length_moments_by_layer(
            lengths.HomogeneousNetwork(output.widths, **output.options)
        )[-1],
    )


def _output_of(spec: ResNet) -> Any:
    """The linear output layer alone, as a network without hidden layers."""
    from deepinit.quantities.length_setup import Network

    assert spec.output_law is not None
    variance = spec.output_law.entry_variance(spec.width, spec.depth) * spec.width
    return Network((spec.width, spec.output_width), {"output": "linear", "output_var": variance})  # type: ignore[arg-type]


def _check_fit(spec: Spec, inputs: Frames) -> None:
    """Refuses inputs of another width than the spec's, and frames of more vectors than some layer has neurons."""
    from deepinit.networks.input_rows import refuse_narrow_layers

    spec.matrix_shapes(inputs.dimension)
    refuse_narrow_layers(spec, inputs)


def _why_no_limit(spec: Spec, inputs: Any) -> str | None:
    del inputs
    if isinstance(spec, MLP) or is_plain_resnet(spec):
        return None
    return "it is worked out for an MLP, or a ResNet of two-layer blocks with relu and neither inner activation nor embedding"


def _infinite_volume(spec: Spec, inputs: Frames) -> Prediction:
    from deepinit.infinite_width.norm_growth import log_volumes, output_log_volume_variance

    _check_fit(spec, inputs)
    value = log_volumes(spec, inputs)
    variance = np.zeros_like(value)
    if spec.output_width is not None:
        variance[-1] = output_log_volume_variance(spec.output_width, inputs.frame_size)
    return _limit(
        "log_volume", value, "hidden widths to infinity at fixed depth and output width", variance
    )


def _infinite_curve(spec: Spec, inputs: SampledCurve) -> Prediction:
    from deepinit.infinite_width.norm_growth import mean_lengths, output_length_variance

    value = mean_lengths(spec, inputs.curve)[:, None]
    variance = np.zeros_like(value)
    if spec.output_width is not None:
        variance[-1] = output_length_variance(spec, inputs.curve)
    return _limit(
        "length_distortion",
        value,
        "hidden widths to infinity at fixed depth and output width",
        variance,
    )


def _limit(quantity: str, value: np.ndarray, valid_for: str, variance: np.ndarray) -> Prediction:
    return Prediction(
        quantity=quantity,
        name="infinite_width",
        mean=value,
        variance=variance,
        error_order="O(depth / width)",
        valid_for=valid_for,
        reference="velocities of the NNGP: derived in deepinit.infinite_width.lengths",
    )


log_volume = Quantity(
    name="log_volume",
    symbol=r"$\ln\, \mathrm{vol}_d(J U)$",
    label="stretch of a tangent frame (length for one vector), as a logarithm",
    measurement=ExactLaw(Forward(_measure_volume, Frames, at_output=True), log_volume_sampler),
    theories=(
        *theories(("exact", "idealized", FORM), _why_not_volume, _predict_volume),
        limit(_infinite_volume, _why_no_limit),
    ),
    transform="ln",
    reference=_PAPER,
    rounding="absolute",
)

length_distortion = Quantity(
    name="length_distortion",
    symbol=r"$\mathrm{len}(F \circ \gamma) / \mathrm{len}(\gamma)$",
    label="length of a curve's image over its own",
    measurement=Forward(_measure_curve, SampledCurve, at_output=True),
    theories=(
        *theories(
            ("exact", "idealized", "second_order", "first_order", *_RELU_BOUNDS),
            _why_not_curve,
            _predict_curve,
        ),
        limit(_infinite_curve, _why_no_limit),
    ),
    transform="none: light-tailed while depth/width is below about 1",
    reference=_PAPER,
    events=SCALED_EVENTS,
    light_tailed="log_volume",
)
