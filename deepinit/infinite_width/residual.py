"""NNGP and NTK of residual networks at infinite width and finite depth, by the interpreter.

Where functions of neurons are added to a stream that a nonlinear psi reads, the stream is taken as
Gaussian around its start (`centres`): x_id = x_id^0 + Gaussian of mean mu_i and covariance C_ij,
equal for every d.

Exact except for shallow blocks with nonlinear phi and psi, whose shift, a sum of L terms, is taken
as Gaussian: cumulants of order phi''(0)/L (odd phi: 1/L^2) are omitted. Error of E x^2 at unit
variances, depths 2 to 4: up to 0.05 % (tanh in tanh), 0.13 % (SiLU around tanh), 0.4 % (SiLU around
ReLU); tests/infinite_width/test_residual_closure.py.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import linear
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.layer import Shape
from deepinit.core.layers.program import Program
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.spec_parts import LAWS, laws_of
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.validate import checked_limit, checked_rows

PARAMETERS = ("embedding", "weights", "branch", "biases", "output")


class ResidualLayers(NamedTuple):
    """The stream after every block, averaged over positions; last the output.

    `mean`: of the coordinates. `mean_square`: |x^l|^2 / width. `nngp`: second moment of a
    coordinate; last the output covariance. `nngp`, `ntk`: [depth (+1), num, num].
    """

    mean: Float[np.ndarray, "depth num"]
    mean_square: Float[np.ndarray, "depth num"]
    nngp: Float[np.ndarray, "layers num num"]
    ntk: Float[np.ndarray, "layers num num"]


class Positions(NamedTuple):
    """Mean, second moment (`nngp`) and NTK of one channel after the last block, by position."""

    mean: Float[np.ndarray, "num positions"]
    nngp: Float[np.ndarray, "num positions num positions"]
    ntk: Float[np.ndarray, "num positions num positions"]


def residual_layers(
    spec: ResNet | ConvResNet,
    x: Real[Array, "num dimension"] | Plain,
    *,
    trained: tuple[str, ...] = PARAMETERS,
) -> ResidualLayers:
    """Means, second moments and NTK of the stream after every block, in float64.

    Output layer: K = v_o lambda + b_o, Theta_o = K + v_o Theta, averaged over positions. Widths
    matter only for scaling `absolute`; without an embedding the dimension of x is the width.

    `trained`, in the NTK: "embedding" (A), "weights" (W), "branch" (V), "biases" (output too),
    "output" (G). NTK parametrization; positions share filters and biases.
    Raises SpecError: correlated, drifting or constant parameters; non-Gaussian biases or (nonlinear
        psi) embedding; unresolved activation; moments not finite.
    Valid for: infinite width, fixed depth, error O(1/width). Shallow blocks with nonlinear phi and
        psi: up to O(1/depth), O(1/depth^2) for odd phi. Relative error of a block: 1e-10 for smooth
        activations that bend at 0 on the scale 1; 1e-8 with kinks; others below 1e-5, checked at
        every site.
        Memory: about 12 float64 matrices [num * positions] squared; nonlinear psi without an
            embedding: num * positions * channels * 256 more. Slow, by quadrature for every pair: a
            kinked psi with a mean, beyond some ten coordinates; smooth activations except centred
            erf at preactivation deviations above about 2.5, beyond some ten sites (a 3 x 3 filter
            multiplies the variance by up to e^9 in the limit of depth).
    Reference: arXiv:2007.03253, section 5 (order parameters, limit of depth).
    """
    limit = _limit(spec, x, trained, whole=True)
    last = () if spec.output_width is None else (limit.output,)
    nngp, ntk = (
        np.stack([part[place][..., 0, 0] for part in (*limit.sites, *last)]) for place in (0, 1)
    )
    mean, mean_square = (np.stack([site[place][:, 0] for site in limit.sites]) for place in (2, 3))
    layers = ResidualLayers(mean, mean_square, nngp, ntk)
    return checked_limit(layers, "of the stream", along="layer")


def position_kernels(
    spec: ResNet | ConvResNet,
    x: Real[Array, "num dimension"] | Plain,
    *,
    trained: tuple[str, ...] = PARAMETERS,
) -> Positions:
    """Second moment Lambda_{ip,jp'} and NTK by position after the last block.

    As `residual_layers`. Fully connected networks have one position.
    Reference: arXiv:2007.03253, section 5.6.
    """
    output = _limit(spec, x, trained, whole=False).output
    nngp, ntk = (part.swapaxes(1, 2) for part in output[:2])
    return checked_limit(Positions(output.mean, nngp, ntk), "of the positions")


def closure(spec: Any) -> Literal["centred", "centres"] | None:
    """`Task.closure` of a network: of inner activations on a stream that is not Gaussian."""
    if not isinstance(spec, ResNet | ConvResNet) or spec.inner_activation == linear:
        return None
    from deepinit.core.gaussian import is_odd

    adds_neurons = spec.branch_law is None and spec.activation != linear
    if spec.embedding_law is not None and not adds_neurons:
        return None
    if spec.embedding_law is not None and is_odd(spec.activation):
        return "centred"
    return "centres"


def _limit(spec: ResNet | ConvResNet, x: Any, trained: tuple[str, ...], *, whole: bool) -> Any:
    from deepinit.infinite_width.interpreter import Task, interpret

    rows = checked_rows(x)
    net, groups = checked_program(spec, rows.shape[1]), checked_trained(trained)
    net = net if whole else net._replace(readout=None)
    task = Task(at_sites="averaged" if whole else False, closure=closure(spec), trained=groups)
    return interpret(net, rows, task=task)


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
    if isinstance(bias, Law) and not bias.is_gaussian:
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
