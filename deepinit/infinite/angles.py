"""Angles between two inputs, layer by layer, at infinite width."""

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP
from deepinit.infinite.precision import host_float64
from deepinit.infinite.recursion import half_angle, layer_variances


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
        Nothing beyond what Inputs and MLP refuse.

    Valid for: widths to infinity at fixed depth. The mean over finite networks lies below by about 2 depth/width.

    Reference: arXiv 2302.09712; derivation in the docstrings of `duals` and `pairs`.
    """
    weight_vars, bias_vars = layer_variances(spec, inputs.dimension)
    weight_vars, bias_vars = weight_vars[: spec.depth], bias_vars[: spec.depth]
    if spec.activation.slopes is not None:
        largest = max(np.mean(inputs.points**2, axis=1).max(), np.mean(inputs.partners**2, axis=1).max())
        weight_vars, bias_vars = _rescaled(spec.activation.slopes, weight_vars, bias_vars, float(largest))
    with host_float64():
        import jax
        import jax.numpy as jnp

        from deepinit.infinite.pairs import propagate

        run = jax.jit(propagate, static_argnums=0)
        layers = run(spec.activation, _rows(inputs), jnp.asarray(weight_vars), jnp.asarray(bias_vars))
        return np.asarray(layers.log_sin2)


def _rows(inputs: Inputs):
    import jax.numpy as jnp

    from deepinit.infinite.pairs import Rows

    points, displacements = jnp.asarray(inputs.points), jnp.asarray(inputs.displacements)
    bases = jnp.asarray(inputs.bases)
    start = points[bases]
    partners = start + displacements
    return Rows(
        variance=jnp.mean(jnp.concatenate([points, partners]) ** 2, axis=1),
        growth=jnp.mean(displacements * (start + partners), axis=1),
        angle=half_angle(start, displacements),
        first=bases,
        second=points.shape[0] + jnp.arange(inputs.num_pairs),
    )


def _rescaled(
    slopes: tuple[float, float], weight_vars: np.ndarray, bias_vars: np.ndarray, variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Variances with which a row of this mean square keeps mean square 1; homogeneity leaves the angles as they are.

    So nothing overflows or underflows, however deep the network and however far from critical its laws.
    """
    mean_square = 0.5 * sum(slope**2 for slope in slopes)
    log_scale = np.log(variance)
    weights, biases = np.empty_like(weight_vars), np.empty_like(bias_vars)
    for layer, (weight_var, bias_var) in enumerate(zip(weight_vars, bias_vars, strict=True)):
        with np.errstate(divide="ignore"):
            terms = np.log([weight_var, bias_var]) + np.array([log_scale, 0.0])
            new_log_scale = np.log(mean_square) + np.logaddexp(*terms)
        # the first layer meets rows of mean square `variance`, the later ones rows of mean square about 1
        incoming = 0.0 if layer == 0 else log_scale
        weights[layer] = weight_var * np.exp(incoming - new_log_scale)
        biases[layer] = bias_var * np.exp(-new_log_scale)
        log_scale = new_log_scale
    return weights, biases
