"""NNGP, NTK and curve velocities of the last layer, by neural-tangents."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.activations import linear
from deepinit.core.curves import Curve
from deepinit.core.errors import SpecError
from deepinit.core.layers.pooling import Pool
from deepinit.core.layers.program import Program
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.specs import MLP, Spec
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.neural_tangents.layers import stax_network
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances
from deepinit.infinite_width.residual import checked_program
from deepinit.infinite_width.validate import checked_limit, checked_rows

Kernels = tuple[Float[np.ndarray, "num num"], Float[np.ndarray, "num num"]]


def nngp_and_ntk(spec: Spec, x: Real[Array, "num dimension"] | Plain) -> Kernels:
    """NNGP and NTK (NTK parametrization) of the last layer, by neural-tangents in float64.

    Of z^depth, or a stream coordinate (averaged over positions), without an output layer. Compile
    time is constant in depth. Every layer: `recursion.kernel_layers`.

    `spec`: an MLP; or a residual network with an embedding and two-layer or linear shallow blocks.
    Raises SpecError: other residual networks; kinks without homogeneity; kernels not finite.
        ResourceError: neural-tangents is absent or does not work.
    Valid for: infinite width, fixed depth; relative error about 1e-8 a layer. Without a closed
        form: Gauss-Hermite, QUADRATURE_NODES nodes a dimension, for smooth activations at variances
        of order 1.
    Reference: arXiv 1912.02803.
    """
    x = checked_rows(x)
    if isinstance(spec, MLP):
        layers = layer_variances(spec, x.shape[1])
        return _kernels(lambda: stax_network(spec.activation, *layers), x)
    net = checked_program(spec, x.shape[1])
    _check_expressible(spec)
    if net.readout is None and spec.image_shape:
        net = net._replace(readout=Pool())
    return program_kernels(net, x)


def program_kernels(net: Program, x: Float[np.ndarray, "num dimension"]) -> Kernels:
    """NNGP and NTK of a program's output, by neural-tangents."""
    from deepinit.infinite_width.neural_tangents.composed import stax_program

    x = x.reshape(len(x), *(net.shape.positions or ()), -1)
    return _kernels(lambda: stax_program(net), x)


def _kernels(network: Callable[[], Any], x: np.ndarray) -> Kernels:
    with host_float64(), warnings.catch_warnings():
        import jax

        # Branches end in fresh weights and are independent, which it warns not to verify.
        warnings.simplefilter("ignore", UserWarning)
        kernel_fn = network()[2]
        kernel = jax.jit(lambda rows: kernel_fn(rows, None, ("nngp", "ntk")))(x)
        nngp, ntk = np.asarray(kernel.nngp), np.asarray(kernel.ntk)
    return checked_limit(nngp, "NNGP kernel"), checked_limit(ntk, "NTK kernel")


def _check_expressible(spec: ResNet | ConvResNet) -> None:
    remedy = "infinite_width.recursion.kernel_layers has the kernels of every block."
    if spec.branch_law is None and spec.activation != linear:
        given = f"shallow blocks x + {spec.activation.name}(W x + b) for neural-tangents"
        raise SpecError(given, "two-layer blocks, or shallow ones that are linear", remedy)
    if spec.embedding_law is None:
        given = "a residual network without an embedding for neural-tangents"
        raise SpecError(given, "an embedding, e.g. embedding_law=di.normal(1.0)", remedy)


def neural_tangents_velocities(
    spec: MLP, curve: Curve, t: Float[np.ndarray, "pairs"], s: Float[np.ndarray, "pairs"]
) -> Float[np.ndarray, "pairs"]:
    """C(t, s) = d^2 K(gamma(t), gamma(s)) / dt ds of pairs t != s, by neural-tangents, in float64.

    Arc-cosine kernels have no second derivative at t = s. `curve`: in input space.
    Raises SpecError: an activation that neural-tangents lacks; `layer_variances`. ResourceError: no
        working neural-tangents.
    """
    with host_float64():
        import jax
        import jax.numpy as jnp

        kernel_fn = stax_network(spec.activation, *layer_variances(spec, curve.dimension))[2]

        def kernel(t, s):
            return kernel_fn(curve.points(t[None]), curve.points(s[None]), "nngp")[0, 0]

        def by_s(t, s):
            return jax.jvp(lambda s: kernel(t, s), (s,), (jnp.ones_like(s),))[1]

        def by_both(t, s):
            return jax.jvp(lambda t: by_s(t, s), (t,), (jnp.ones_like(t),))[1]

        return np.asarray(jax.jit(jax.vmap(by_both))(jnp.asarray(t), jnp.asarray(s)))
