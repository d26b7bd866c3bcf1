"""Programs of residual networks, and groups of their parameters."""

import dataclasses

from deepinit.core import validate
from deepinit.core.activations import linear
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.layer import Shape
from deepinit.core.layers.program import Program
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.spec_parts import LAWS, laws_of

PARAMETERS = ("embedding", "weights", "branch", "biases", "output")


def checked_program(spec: ResNet | ConvResNet, dimension: int) -> Program:
    """The program; non-Gaussian biases, which linear networks may have, are normal ones.

    Raises SpecError: no residual network; wrong dimension; laws without exchangeable coordinates,
        or without Gaussian ones where needed.
    """
    remedy = "Kernels of an MLP: infinite_width.recursion.kernel_layers."
    validate.instance("spec", spec, ResNet | ConvResNet, "di.ResNet or di.ConvResNet", remedy)
    spec.matrix_shapes(dimension)
    _check_laws(spec)
    bias = spec.bias_law
    if bias is not None and not bias.is_gaussian:
        law = dataclasses.replace(bias, name="normal", density=None)
        spec = dataclasses.replace(spec, bias_law=law)
    return spec.layers(Shape((), dimension))


def checked_trained(trained: tuple[str, ...]) -> tuple[str, ...]:
    """Groups in the NTK, in order; SpecError for an unknown one."""
    is_list = isinstance(trained, tuple | list | set | frozenset)
    if not is_list or any(name not in PARAMETERS for name in trained):
        raise SpecError(f"trained={trained!r}", ", ".join(PARAMETERS), "Name groups in a tuple.")
    return tuple(name for name in PARAMETERS if name in trained)


def _check_laws(spec: ResNet | ConvResNet) -> None:
    """Refuse laws without a Gaussian exchangeable stream."""
    for name, law in laws_of(spec, LAWS).items():
        if not isinstance(law, Law):
            remedy = "Simulate; deepinit.theory has the moments in the limit of depth."
            given = f"{name} of correlated or drifting entries, at infinite width"
            raise SpecError(given, "laws with independent centred entries", remedy)
    bias, embedding = spec.bias_law, spec.embedding_law
    remedy = "Take di.normal of the same variance, or simulate."
    is_linear = spec.activation == linear and spec.inner_activation == linear
    if bias is not None and not is_linear and not (bias.is_gaussian or bias.is_haar):
        raise SpecError(f"biases of the law {bias.name!r}, not Gaussian", "normal biases", remedy)
    if is_linear and bias is not None and not bias.is_symmetric:
        given = "constant biases, at infinite width"
        raise SpecError(given, "biases symmetric about 0", "Take random biases, or simulate.")
    is_other = embedding is not None and not (embedding.is_gaussian or embedding.is_haar)
    if embedding is not None and is_other and spec.inner_activation != linear:
        given = f"an embedding of the law {embedding.name!r} before a nonlinear inner activation"
        raise SpecError(given, "a normal embedding", remedy)
