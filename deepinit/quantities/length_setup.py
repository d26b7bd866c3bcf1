"""What the exact laws of lengths need of a spec, and whether they hold for it."""

import dataclasses
from typing import Any, NamedTuple

from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.residual_specs import is_plain_resnet
from deepinit.core.spec_text import in_words
from deepinit.core.specs import MLP, ResNet, Spec


class Network(NamedTuple):
    """A network as `deepinit.theory.lengths` takes it.

    Attributes:
        widths: (n_0, n_1, ..., n_H), and the output width where there is one.
        options: keyword arguments `hidden_var`, `output_var`, `negative_slope`, `law`, `output`.
    """

    widths: tuple[int, ...]
    options: dict[str, Any]


def why_not_exact(spec: Spec) -> str | None:
    """Why the one-point law of lengths is not exact for a spec, in words; None where it is.

    Hypotheses: positively homogeneous activation, Gaussian (or, without an output layer, orthogonal) weights, biases
    symmetric about 0; of residual networks, ReLU branches and Gaussian weights.
    """
    if not isinstance(spec, MLP) and not is_plain_resnet(spec):
        return f"{in_words(spec)}, whose lengths are not worked out"
    if not spec.activation.is_homogeneous:
        return f"the activation {spec.activation}, which is not positively homogeneous"
    if spec.bias_law is not None and not spec.bias_law.is_symmetric:
        return f"biases that are all {spec.bias_law.value:g}, not symmetric about 0: they switch units on, and the masks are no fair coins"
    laws = [getattr(spec, name, None) for name in ("weight_law", "branch_law", "output_law")]
    names = {law.name for law in laws if law is not None}
    if names == {"orthogonal"} and isinstance(spec, MLP) and spec.output_width is None:
        return None
    if names != {"normal"}:
        return f"weights of the law {', '.join(sorted(names - {'normal'}))}, whose images of a tangent are not Gaussian"
    if isinstance(spec, ResNet) and spec.activation.slopes != (0.0, 1.0):
        return f"residual branches with {spec.activation}; the law is worked out for relu"
    return None


def idealized(spec: Spec) -> Spec:
    """The spec with Gaussian weights of the same variance and no biases: where the exact law holds."""
    changes: dict[str, Any] = {"bias_law": None}
    for name in ("weight_law", "branch_law", "output_law"):
        law = getattr(spec, name, None)
        if isinstance(law, Law):
            changes[name] = dataclasses.replace(law, name="normal", density=None)
    return dataclasses.replace(spec, **changes)


def network_of(spec: Spec, dimension: int) -> Network:
    """An MLP in the terms of the theory.

    Raises:
        SpecError: `absolute` weight variances in layers of different fan-in, for which the theory has no name.
    """
    assert isinstance(spec, MLP)
    assert spec.weight_law is not None
    assert spec.activation.slopes is not None
    left, right = spec.activation.slopes
    hidden_var = _variance(
        spec.weight_law, [fan_in for fan_in, _ in spec.matrix_shapes(dimension)], spec.depth
    )
    widths = (dimension, *spec.widths)
    options: dict[str, Any] = {
        "hidden_var": hidden_var * right**2,
        "negative_slope": left / right,
        "output": None,
    }
    options["law"] = "orthogonal" if spec.weight_law.is_haar else "normal"
    if spec.output_width is not None:
        assert spec.output_law is not None
        widths += (spec.output_width,)
        options |= {
            "output": "linear",
            "output_var": _variance(spec.output_law, [spec.widths[-1]], spec.depth),
        }
    return Network(widths, options)


def residual_of(spec: ResNet) -> dict[str, Any]:
    """A residual network in the terms of the theory: keyword arguments of `residual_length_moment`."""
    assert spec.weight_law is not None
    assert spec.branch_law is not None
    return {
        "width": spec.width,
        "mid_width": spec.branch_width,
        "hidden_var": _variance(spec.weight_law, [spec.width], spec.depth),
        "branch_var": _variance(spec.branch_law, [spec.branch_width], spec.depth),
    }


def _variance(law: Any, fan_ins: list[Any], depth: int) -> float:
    """The variance of one weight times fan_in, the same in all these layers."""
    found = {law.entry_variance(fan_in, depth) * fan_in for fan_in in fan_ins}
    low, high = min(found), max(found)
    if high - low > 1e-12 * high:
        raise SpecError(
            "weights of one absolute variance in layers of different widths",
            "variances that scale with fan_in",
            "Write di.normal(2.0), or give all layers one width.",
        )
    return high
