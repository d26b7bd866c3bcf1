"""Covariance of velocities as derivatives of neural-tangents' NNGP kernel: the second way to what `lengths` gets by recursion."""

import numpy as np

from deepinit.core.curves import Curve
from deepinit.core.specs import MLP
from deepinit.infinite_width.kernels import stax_network
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances


def neural_tangents_velocities(spec: MLP, curve: Curve, t: np.ndarray, s: np.ndarray) -> np.ndarray:
    """C(t, s) = d^2 K(gamma(t), gamma(s)) / dt ds, pair by pair, by forward mode twice through neural-tangents' kernel.

    Args:
        spec: the network; its activation one that neural-tangents has.
        curve: in the space of the inputs.
        t: [pairs], parameters of the curve.
        s: [pairs], different from t: at t = s the arc-cosine kernels have no second derivative in float64, and the
            diagonal of `lengths.velocity_kernel` is to be taken.

    Returns:
        [pairs], float64.

    Raises:
        SpecError: an activation that neural-tangents lacks, or what `layer_variances` refuses.
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
