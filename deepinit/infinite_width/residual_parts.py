"""Variances, start of the stream and patches of a residual network."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import linear
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.spec_parts import LAWS, laws_of
from deepinit.core.typing import Float

PARAMETERS = ("embedding", "weights", "branch", "biases", "output")


class Variances(NamedTuple):
    """Weight variances times coordinates, and bias variances; 0 for none."""

    embedding: float
    weight: float
    bias: float
    branch: float
    output: float
    output_bias: float


class Trained(NamedTuple):
    """1.0 for parameters in the NTK, else 0.0."""

    embedding: float
    weights: float
    branch: float
    biases: float
    output: float


class Start(NamedTuple):
    """The stream before the first block; sites are (input, position), position fastest.

    `means`: the inputs; zeros [sites, 1] after an embedding. `covariance`: 0 without an embedding.
    `mean`: over coordinates. `second_moment`: lambda.
    """

    means: Float[np.ndarray, "sites coordinates"]
    covariance: Float[np.ndarray, "sites sites"]
    mean: Float[np.ndarray, "sites"]
    second_moment: Float[np.ndarray, "sites sites"]


def residual_variances(spec: ResNet | ConvResNet, dimension: int) -> Variances:
    """Variances of every linear map; widths matter only for scaling `absolute`.

    Raises SpecError: no residual network; wrong dimension; laws without exchangeable coordinates,
        or without Gaussian ones where needed.
    """
    remedy = "Kernels of an MLP: infinite_width.recursion.kernel_layers."
    validate.instance("spec", spec, ResNet | ConvResNet, "di.ResNet or di.ConvResNet", remedy)
    spec.matrix_shapes(dimension)
    _check_laws(spec)
    stream = spec.width // spec.positions

    def weight(law: Any, fan_in: int | None) -> float:
        return 0.0 if law is None else law.entry_variance(fan_in, spec.depth) * fan_in

    bias = 0.0 if spec.bias_law is None else spec.bias_law.entry_variance(1, spec.depth)
    scaling = None if spec.bias_law is None else spec.bias_law.scaling
    has_output_bias = spec.output_width is not None and scaling == "absolute"
    return Variances(
        weight(spec.embedding_law, dimension // spec.positions),
        weight(spec.weight_law, stream),
        bias,
        weight(spec.branch_law, spec.branch_width),
        weight(spec.output_law, stream),
        bias if has_output_bias else 0.0,
    )


def start_of_stream(
    spec: ResNet | ConvResNet, x: Float[np.ndarray, "num dimension"], embedding_var: float
) -> Start:
    """The stream before the first block; embedding_var times fan_in."""
    sites = x.reshape(len(x) * spec.positions, -1)
    products = sites @ sites.T / sites.shape[1]
    if spec.embedding_law is not None:
        zero = np.zeros(len(sites))
        return Start(zero[:, None], embedding_var * products, zero, embedding_var * products)
    return Start(sites, np.zeros_like(products), np.mean(sites, axis=1), products)


def trained_flags(trained: tuple[str, ...]) -> Trained:
    """Flags of the groups in the NTK; SpecError for an unknown one."""
    is_list = isinstance(trained, tuple | list | set | frozenset)
    if not is_list or any(name not in PARAMETERS for name in trained):
        raise SpecError(f"trained={trained!r}", ", ".join(PARAMETERS), "Name groups in a tuple.")
    return Trained(*(1.0 if name in trained else 0.0 for name in PARAMETERS))


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
