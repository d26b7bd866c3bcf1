"""NNGP and NTK of a network's last layer, and velocities along a curve, through neural-tangents."""

import warnings

import numpy as np

from deepinit.core.curves import Curve
from deepinit.core.residual_specs import ConvResNet
from deepinit.core.specs import MLP, Spec
from deepinit.infinite_width.neural_tangents.layers import residual_stax_network, stax_network
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances
from deepinit.infinite_width.residual_parts import residual_variances
from deepinit.infinite_width.validate import checked_limit, checked_rows


def nngp_and_ntk(spec: Spec, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The kernels of the last layer at infinite width, by neural-tangents in float64.

    `recursion.kernel_layers` has every layer without neural-tangents. Equal layers run under one
    scan, so that compile time does not grow with depth.

    Args:
        spec: an MLP; or a residual network with an embedding and two-layer blocks, or shallow
            blocks with a linear activation (pre-activation blocks).
        x: [num, dimension], finite rows.

    Returns:
        (nngp, ntk), each [num, num] float64: of one output, or of z^depth or a coordinate of the
        stream (averaged over positions) without an output layer; all parameters, NTK
        parametrization. Relative error about 1e-8 a layer: neural-tangents takes angles from
        differences of products.

    Raises:
        SpecError: x is not a matrix of finite numbers; a residual network that neural-tangents
            cannot express; kinks without homogeneity; kernels that are not finite.
        ResourceError: neural-tangents is absent or does not work here.

    Valid for: widths to infinity at fixed depth. Activations without a closed form: Gauss-Hermite
        quadrature with QUADRATURE_NODES nodes a dimension, for smooth ones at variances of order 1.

    Reference: arXiv 1912.02803 (neural-tangents).
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


def neural_tangents_velocities(spec: MLP, curve: Curve, t: np.ndarray, s: np.ndarray) -> np.ndarray:
    """C(t, s) = d^2 K(gamma(t), gamma(s)) / dt ds, pair by pair: a second way to `lengths`.

    Forward mode twice through neural-tangents' NNGP kernel.

    Args:
        spec: the network; its activation one that neural-tangents has.
        curve: in the space of the inputs.
        t: [pairs], parameters of the curve.
        s: [pairs], different from t, where arc-cosine kernels have no second derivative in float64.

    Returns:
        [pairs], float64.

    Raises:
        SpecError: an activation that neural-tangents lacks; `layer_variances`.
        ResourceError: no working neural-tangents.
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
