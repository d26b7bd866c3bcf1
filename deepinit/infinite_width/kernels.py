"""NNGP, NTK and curve velocities of the last layer, by neural-tangents."""

import warnings

import numpy as np

from deepinit.core.curves import Curve
from deepinit.core.residual_specs import ConvResNet
from deepinit.core.specs import MLP, Spec
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.neural_tangents.layers import residual_stax_network, stax_network
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances
from deepinit.infinite_width.residual_parts import residual_variances
from deepinit.infinite_width.validate import checked_limit, checked_rows


def nngp_and_ntk(
    spec: Spec, x: Real[Array, "num dimension"] | Plain
) -> tuple[Float[np.ndarray, "num num"], Float[np.ndarray, "num num"]]:
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
    with host_float64(), warnings.catch_warnings():
        import jax

        if isinstance(spec, MLP):
            kernel_fn = stax_network(spec.activation, *layer_variances(spec, x.shape[1]))[2]
        else:
            kernel_fn = residual_stax_network(spec, residual_variances(spec, x.shape[1]))[2]
            # Branches end in fresh weights and are independent, which it warns not to verify.
            warnings.simplefilter("ignore", UserWarning)
        if isinstance(spec, ConvResNet):
            x = x.reshape(len(x), *spec.image_shape, -1)
        kernel = jax.jit(lambda rows: kernel_fn(rows, None, ("nngp", "ntk")))(x)
        nngp, ntk = np.asarray(kernel.nngp), np.asarray(kernel.ntk)
    return checked_limit(nngp, "NNGP kernel"), checked_limit(ntk, "NTK kernel")


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
