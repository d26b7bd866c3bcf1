"""Text of a spec's fields that decide whether a theory applies."""

from typing import Any

from deepinit.core.activations import linear
from deepinit.core.layers import Layer
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.residual_specs import ResNet
from deepinit.core.specs import MLP, Spec


def in_words(spec: Any) -> str:
    """Architecture and activations; for residual networks blocks, laws, end layers."""
    if isinstance(spec, Layer):
        return "networks of layers"
    if not isinstance(spec, Spec):
        return "networks that no spec describes"
    activation, biases = f"the activation {spec.activation}", spec.bias_law
    if isinstance(spec, MLP):
        constant = biases.value if biases is not None else None
        ending = "" if constant is None else f" and biases that are all {constant:g}"
        return f"MLP networks with {activation}{ending}"
    blocks = f" of {spec.block.replace('_', '-')} blocks" if isinstance(spec, ResNet) else ""
    inner = spec.inner_activation
    parts = [
        activation,
        "" if inner == linear else f"the inner activation {inner}",
        _law(spec.weight_law, "weights"),
        _law(getattr(spec, "branch_law", None), "branch weights"),
        _law(biases, "biases"),
        "" if spec.embedding_law is None else "an embedding",
        "" if spec.output_width is None else "an output layer",
    ]
    return f"{type(spec).__name__} networks{blocks} with {', '.join(filter(None, parts))}"


def _law(law: Any, name: str) -> str:
    if law is None:
        return ""
    if isinstance(law, MatrixLaw):
        return f"correlated {name}"
    if getattr(law, "value", None) is not None:
        return f"{name} that are all {law.value:g}"
    return f"{name} {law.name} ({law.scaling})"
