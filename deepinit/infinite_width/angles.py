"""Angles between two inputs, layer by layer, at infinite width."""

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP
from deepinit.infinite_width.limits import checked_limit
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import half_angle, layer_variances


def log_sin2_angles(spec: MLP, inputs: Inputs) -> np.ndarray:
    r"""ln sin^2 of the angle between phi(z^l) of each pair, deterministic when all widths are infinite.

    cos(theta^l) = E[phi(u) phi(v)] / sqrt(E[phi(u)^2] E[phi(v)^2]) with (u, v) ~ N(0, K^l), l = 1..depth, and K^l as in
    `recursion.kernel_layers`. For ReLU without bias: cos(theta^l) = (sin t + (pi - t) cos t)/pi with t = theta^{l-1}
    and theta^0 the angle of the inputs; theta^l ~ 3 pi / l.

    Args:
        spec: the network; an output layer plays no part.
        inputs: pairs of rows, of any norms; every displacement from its base point is one pair.

    Returns:
        [depth, pairs] float64, natural logarithms, to relative accuracy in the angle (1e-12 and far below) also where
        cos(theta) is 1 to rounding. -inf where phi(z) of the two are collinear (the angle is exactly 0 or pi).

    Raises:
        SpecError: biases that are not Gaussian; the quadrature does not resolve the activation.

    Valid for: widths to infinity at fixed depth. The mean over finite networks lies below by about 2 depth/width.

    Reference: arXiv 2302.09712; derivation in the docstrings of `duals` and `pairs`.
    """
    weight_vars, bias_vars = layer_variances(spec, inputs.dimension)
    with host_float64():
        import jax
        import jax.numpy as jnp

        from deepinit.infinite_width.resolution import check_resolution

        run = jax.jit(angle_scan, static_argnums=0)
        rows, layers = _rows(inputs), (weight_vars[: spec.depth], bias_vars[: spec.depth])
        check_resolution(spec.activation, np.asarray(rows.variance), *layers, with_derivative=False)
        angles = np.asarray(run(spec.activation, rows, *map(jnp.asarray, layers)))
    return checked_limit(angles, "ln sin^2 of the angle", along="layer", is_log=True)


def angle_scan(activation, rows, weight_vars, bias_vars):
    """`log_sin2_angles` for use under jit and vmap.

    Args:
        activation: static.
        rows: `pairs.Rows`, the inputs.
        weight_vars: [layers], variance of a weight times fan_in.
        bias_vars: [layers].

    Returns:
        [layers, pairs].
    """
    import jax

    from deepinit.infinite_width.pairs import affine, nonlinearity

    def layer(rows, variances):
        after = nonlinearity(activation, _within_range(affine(rows, *variances)))[0]
        return after, after.angle.log_sin2

    return jax.lax.scan(layer, rows, (weight_vars, bias_vars))[1]


def _within_range(rows):
    """The rows, multiplied by a constant where they would soon underflow or overflow.

    At preactivations of 1e-100 or 1e100 every activation is homogeneous, of some degree, to all digits (so is the affine
    map, next to which a bias is then nothing), and a common factor leaves the angles as they are.
    """
    import jax.numpy as jnp

    largest = jnp.max(rows.variance)
    # to 1e-100 and 1e100 exactly: the next layer may multiply by 1e-200 or 1e200
    target = jnp.where(largest < 1.0, 1e-100, 1e100)
    is_within = (largest >= 1e-150) & (largest <= 1e150) | (largest == 0.0)
    factor = jnp.where(is_within, 1.0, target / jnp.where(is_within, 1.0, largest))
    scaled = {name: factor * getattr(rows, name) for name in ("variance", "growth", "covariance")}
    return rows._replace(**scaled)


def _rows(inputs: Inputs):
    import jax.numpy as jnp

    from deepinit.infinite_width.pairs import Rows

    points, displacements = jnp.asarray(inputs.points), jnp.asarray(inputs.displacements)
    bases = np.asarray(inputs.bases)
    start = points[bases]
    partners = start + displacements
    return Rows(
        variance=jnp.mean(jnp.concatenate([points, partners]) ** 2, axis=1),
        growth=jnp.mean(displacements * (start + partners), axis=1),
        angle=half_angle(start, displacements),
        covariance=jnp.mean(start * partners, axis=1),
        first=bases,
        second=points.shape[0] + np.arange(inputs.num_pairs),
    )
