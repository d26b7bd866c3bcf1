"""What the residual recursion takes from a spec and its inputs: variances, the start of the stream, the patches of a convolution."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import linear
from deepinit.core.conv_specs import neighbours
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.spec_parts import LAWS, laws_of

PARAMETERS = ("embedding", "weights", "branch", "biases", "output")


class Variances(NamedTuple):
    """Variances of weights times the number of coordinates they sum over (of one position), and of biases; 0 where there are none."""

    embedding: float
    weight: float
    bias: float
    branch: float
    output: float
    output_bias: float


class Trained(NamedTuple):
    """1.0 for parameters whose gradients are in the tangent kernel, 0.0 for frozen ones."""

    embedding: float
    weights: float
    branch: float
    biases: float
    output: float


class Start(NamedTuple):
    """The stream before the first block; sites are (input, position), position fastest.

    Attributes:
        means: [sites, coordinates] of the psi-expectations: the inputs' own coordinates, or [sites, 1] of zeros after an embedding.
        covariance: [sites, sites], of one coordinate after an embedding; 0 without one.
        mean: [sites], of the coordinates.
        second_moment: [sites, sites], lambda of the start.
    """

    means: np.ndarray
    covariance: np.ndarray
    mean: np.ndarray
    second_moment: np.ndarray


def residual_variances(spec: ResNet | ConvResNet, dimension: int) -> Variances:
    """The variances of every linear map.

    Args:
        spec: its widths matter only for a law whose scaling is `absolute`.
        dimension: of the inputs.

    Raises:
        SpecError: no residual network; inputs that do not fit; laws for which the stream's coordinates are not exchangeable or not Gaussian where they need be.
    """
    if not isinstance(spec, ResNet | ConvResNet):
        raise SpecError(
            f"spec=an object of type {type(spec).__name__}, for kernels of residual networks",
            "di.ResNet or di.ConvResNet",
            "Kernels of an MLP: deepinit.infinite_width.recursion.kernel_layers.",
        )
    spec.matrix_shapes(dimension)
    _check_laws(spec)
    stream = spec.channels if isinstance(spec, ConvResNet) else spec.width

    def weight(law: Any, fan_in: int | None) -> float:
        return 0.0 if law is None else law.entry_variance(fan_in, spec.depth) * fan_in

    branch_width = spec.branch_width if isinstance(spec, ResNet) else None
    bias = 0.0 if spec.bias_law is None else spec.bias_law.entry_variance(1, spec.depth)
    at_output = (
        spec.output_width is not None
        and spec.bias_law is not None
        and spec.bias_law.scaling == "absolute"
    )
    return Variances(
        weight(spec.embedding_law, dimension // spec.positions),
        weight(spec.weight_law, stream),
        bias,
        weight(getattr(spec, "branch_law", None), branch_width),
        weight(spec.output_law, stream),
        bias if at_output else 0.0,
    )


def start_of_stream(spec: ResNet | ConvResNet, x: np.ndarray, embedding_var: float) -> Start:
    """The stream before the first block.

    Args:
        spec: the network.
        x: [num, dimension].
        embedding_var: variance of an embedding weight times its fan_in.
    """
    sites = x.reshape(len(x) * spec.positions, -1)
    products = sites @ sites.T / sites.shape[1]
    if spec.embedding_law is not None:
        zero = np.zeros(len(sites))
        return Start(zero[:, None], embedding_var * products, zero, embedding_var * products)
    return Start(sites, np.zeros_like(products), np.mean(sites, axis=1), products)


def patches(spec: ResNet | ConvResNet) -> tuple[tuple[int, ...], ...]:
    """[positions, patch]: what every position's weights see; -1 for zeros."""
    if isinstance(spec, ConvResNet):
        return neighbours(spec.image_shape, spec.kernel_size, spec.padding)
    return ((0,),)


def trained_flags(trained: tuple[str, ...]) -> Trained:
    """The groups of parameters in the tangent kernel.

    Raises:
        SpecError: an unknown group.
    """
    is_list = isinstance(trained, tuple | list | set | frozenset)
    if not is_list or any(name not in PARAMETERS for name in trained):
        raise SpecError(
            f"trained={trained!r}", ", ".join(PARAMETERS), "Name groups of parameters, in a tuple."
        )
    return Trained(*(1.0 if name in trained else 0.0 for name in PARAMETERS))


def _check_laws(spec: ResNet | ConvResNet) -> None:
    for name, law in laws_of(spec, LAWS).items():
        if not isinstance(law, Law):
            raise SpecError(
                f"{name} of correlated or drifting entries, at infinite width",
                "laws with independent centred entries",
                "Simulate; deepinit.theory has the moments of such networks in the limit of depth.",
            )
    bias = spec.bias_law
    is_linear = spec.activation == linear and spec.inner_activation == linear
    if bias is not None and not is_linear and not (bias.is_gaussian or bias.is_haar):
        raise SpecError(
            f"biases of the law {bias.name!r}, with which preactivations are not Gaussian and centred",
            "normal biases",
            "Take di.normal of the same variance, or simulate.",
        )
    if is_linear and bias is not None and not bias.is_symmetric:
        raise SpecError(
            "constant biases, at infinite width",
            "biases symmetric about 0",
            "Take random biases, or simulate.",
        )
    embedding = spec.embedding_law
    if (
        embedding is not None
        and spec.inner_activation != linear
        and not (embedding.is_gaussian or embedding.is_haar)
    ):
        raise SpecError(
            f"an embedding of the law {embedding.name!r} before a nonlinear inner activation: the stream is not Gaussian",
            "a normal embedding",
            "Take di.normal of the same variance, or simulate.",
        )
