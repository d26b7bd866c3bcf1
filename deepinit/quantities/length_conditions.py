"""Where laws of lengths and volumes at finite width apply."""

import dataclasses
from typing import Any

from deepinit.core.by_kind import by_kind
from deepinit.core.curves import SampledCurve
from deepinit.core.frames import Frames
from deepinit.core.laws import Law
from deepinit.core.spec_parts import laws_of
from deepinit.core.spec_text import format_spec
from deepinit.core.specs import MLP, ResNet, Spec

RELU_BOUNDS = ("price_tanner", "raghu")
_LAWS = ("weight_law", "branch_law", "output_law")


def _why_not_coins(spec: Spec) -> str | None:
    """Why masks of units are not independent fair coins, or None."""
    if not spec.activation.is_homogeneous:
        return f"the activation {spec.activation}, which is not positively homogeneous"
    if spec.bias_law is not None and not spec.bias_law.is_symmetric:
        value = f"{spec.bias_law.value:g}, not symmetric about 0"
        return f"biases that are all {value}: they switch units on, and the masks are no fair coins"
    return None


def _laws(spec: Spec) -> set[str]:
    return {law.name for law in laws_of(spec, _LAWS).values()}


def _why_not_gaussian(spec: Spec) -> str | None:
    if others := ", ".join(sorted(_laws(spec) - {"normal"})):
        return f"weights of the law {others}, whose images of a tangent are not Gaussian"
    return None


def _why_not_mlp(spec: MLP) -> str | None:
    if _laws(spec) == {"orthogonal"} and spec.output_width is None:
        return _why_not_coins(spec)
    return _why_not_coins(spec) or _why_not_gaussian(spec)


def _why_not_resnet(spec: ResNet) -> str | None:
    if not spec.has_plain_blocks:
        return _why_not_worked_out(spec)
    reason = _why_not_coins(spec) or _why_not_gaussian(spec)
    if reason is None and spec.activation.slopes != (0.0, 1.0):
        return f"residual branches with {spec.activation}; the law is worked out for relu"
    return reason


def _why_not_worked_out(spec: Any) -> str:
    return f"{format_spec(spec)}, whose lengths are not worked out"


why_not_exact = by_kind(
    "the law at one point",
    {MLP: _why_not_mlp, ResNet: _why_not_resnet, object: _why_not_worked_out},
)
"""Why the one-point law is not exact, or None."""


def idealized(spec: Spec) -> Spec:
    """The spec with Gaussian weights of equal variance, no biases."""
    changes: dict[str, Any] = {"bias_law": None}
    for name in _LAWS:
        law = getattr(spec, name, None)
        if isinstance(law, Law):
            changes[name] = dataclasses.replace(law, name="normal", density=None)
    return dataclasses.replace(spec, **changes)


def _why_not_one_point(spec: Spec, theory: str) -> str | None:
    reason = why_not_exact(spec)
    if theory == "exact":
        return reason and f"the law is not exact for {reason}"
    if reason is None:
        return "the exact law applies"
    # with more than half of the units on, the deviation is O(1)
    if spec.bias_law is not None and not spec.bias_law.is_symmetric:
        return f"no law is near for {reason}"
    return why_not_exact(idealized(spec))


def why_not_volume(spec: Spec, inputs: Frames, theory: str) -> str | None:
    """Conditions for log_volume."""
    reason = _why_not_one_point(spec, theory)
    return reason if reason is not None or inputs.frame_size == 1 else _why_no_volumes(spec)


def _why_no_volumes_of_mlp(spec: MLP) -> str | None:
    slopes = spec.activation.slopes
    if slopes is not None and slopes[0] == 0.0:
        return None
    return f"volumes through {spec.activation} are not worked out"


_why_no_volumes = by_kind(
    "log_volume",
    {
        MLP: _why_no_volumes_of_mlp,
        ResNet: lambda spec: (
            "volumes through residual blocks are not worked out, lengths (one tangent) are"
        ),
    },
)


def why_not_curve(spec: Spec, inputs: SampledCurve, theory: str) -> str | None:
    """Conditions for length_distortion."""
    del inputs
    return _why_not_one_point(spec, theory)


def why_not_expansion(spec: MLP, inputs: SampledCurve, theory: str) -> str | None:
    """Conditions for approximations and bounds of length_distortion."""
    reason = why_not_curve(spec, inputs, "exact")
    if reason is not None:
        return reason
    is_gaussian = spec.weight_law is not None and spec.weight_law.is_gaussian
    if theory in RELU_BOUNDS and not (spec.activation.slopes == (0.0, 1.0) and is_gaussian):
        return "it is worked out for relu with Gaussian weights"
    return None
