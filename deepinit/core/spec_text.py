"""Specs in words, for refusals: everything that decides whether a theory applies."""

from typing import Any

from deepinit.core.activations import linear
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.residual_specs import ResNet
from deepinit.core.specs import MLP, Spec


def in_words(spec: Any) -> str:
    """Architecture and activation; of residual networks also blocks, laws and end layers where they are not plain Gaussian ones."""
    if not isinstance(spec, Spec):
        return "networks that no spec describes"
    parts = [f"the activation {spec.activation}"]
    biases = spec.bias_law
    if isinstance(spec, MLP):
        constant = biases.value if biases is not None else None
        return f"MLP networks with {parts[0]}" + (
            f" and biases that are all {constant:g}" if constant is not None else ""
        )
    kind = type(spec).__name__
    blocks = (
        f"{kind} networks of {spec.block.replace('_', '-')} blocks"
        if isinstance(spec, ResNet)
        else f"{kind} networks"
    )
    if spec.inner_activation != linear:
        parts.append(f"the inner activation {spec.inner_activation}")
    parts += [
        found
        for found in (
            _law(spec.weight_law, "weights"),
            _law(spec.branch_law, "branch weights") if isinstance(spec, ResNet) else "",
            _law(biases, "biases"),
        )
        if found
    ]
    parts += ["an embedding"] * (spec.embedding_law is not None) + ["an output layer"] * (
        spec.output_width is not None
    )
    return f"{blocks} with {', '.join(parts)}"


def _law(law: Any, name: str) -> str:
    if law is None:
        return ""
    if isinstance(law, MatrixLaw):
        return f"correlated {name}"
    if getattr(law, "value", None) is not None:
        return f"{name} that are all {law.value:g}"
    return f"{name} {law.name} ({law.scaling})"
