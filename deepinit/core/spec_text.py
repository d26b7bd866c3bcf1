"""Text of a spec's fields that decide whether a theory applies."""

from typing import Any

from deepinit.core.activations import linear
from deepinit.core.by_kind import by_kind
from deepinit.core.layers import Layer
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.specs import MLP, ConvResNet, ResNet


def _mlp(spec: MLP) -> str:
    constant = spec.bias_law.value if spec.bias_law is not None else None
    ending = "" if constant is None else f" and biases that are all {constant:g}"
    return f"MLP networks with the activation {spec.activation}{ending}"


def _resnet(spec: ResNet) -> str:
    blocks = f"{spec.block.replace('_', '-')} blocks"
    return f"ResNet networks of {blocks} with {_residual_parts(spec)}"


def _residual_parts(spec: ResNet | ConvResNet) -> str:
    inner = spec.inner_activation
    parts = [
        f"the activation {spec.activation}",
        "" if inner == linear else f"the inner activation {inner}",
        _law(spec.weight_law, "weights"),
        _law(spec.branch_law, "branch weights"),
        _law(spec.bias_law, "biases"),
        "" if spec.embedding_law is None else "an embedding",
        "" if spec.output_width is None else "an output layer",
    ]
    return ", ".join(filter(None, parts))


def _law(law: Any, name: str) -> str:
    if law is None:
        return ""
    if isinstance(law, MatrixLaw):
        return f"correlated {name}"
    if getattr(law, "value", None) is not None:
        return f"{name} that are all {law.value:g}"
    return f"{name} {law.name} ({law.scaling})"


format_spec = by_kind(
    "a text",
    {
        MLP: _mlp,
        ResNet: _resnet,
        ConvResNet: lambda spec: f"ConvResNet networks with {_residual_parts(spec)}",
        Layer: lambda spec: "networks of layers",
        object: lambda spec: "a Network of your own",
    },
)
"""Architecture and activations; for residual networks blocks, laws, end layers."""
