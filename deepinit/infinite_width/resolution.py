"""Resolution of the quadrature over preactivations, checked at the variances of a network."""

import functools

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError, refusal

_ERROR = 1e-5  # relative, of E phi^2 and E phi'^2: those that are resolved are right to 1e-9
_MOST_LAYERS = 50


def checked_resolution(activation: Activation, mean_squares: np.ndarray, weight_vars, bias_vars) -> None:
    """Compares second moments at 129 and 257 nodes, layer by layer, for the smallest, median and largest input.

    Smooth activations only: homogeneous activations have closed forms, activations with kinks are not checked.

    Raises:
        SpecError: the two differ; `sin` of preactivations of variance 100, a function that bends on the scale 1/20.
    """
    if activation.slopes is not None or activation.kinks:
        return
    variance = weight_vars[0] * np.quantile(mean_squares, [0.0, 0.5, 1.0]) + bias_vars[0]
    for weight_var, bias_var in list(zip(weight_vars[1:], bias_vars[1:], strict=True))[:_MOST_LAYERS]:
        once, twice = np.asarray(_moments(activation)(variance))
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.where(twice == once, 0.0, np.abs(once / twice - 1.0))
        if (error > _ERROR).any():
            at = variance[np.argmax(np.nan_to_num(error).max(axis=0))]
            raise SpecError(
                refusal(
                    f"{activation} of preactivations of variance {at:.3g} at infinite width, which the quadrature does not "
                    f"resolve (relative error {np.nanmax(error):.1g})",
                    "activations that bend on scales of order 1, or smaller variances",
                    "Simulate, or take smaller weights and inputs.",
                )
            )
        before, variance = variance, weight_var * twice[0] + bias_var
        if not np.isfinite(variance).all() or np.allclose(before, variance, rtol=1e-3):
            return


@functools.lru_cache(maxsize=64)
def _moments(activation: Activation):
    """variances [points] -> [nodes once or twice, E phi^2 or E phi'^2, points], compiled."""
    import jax
    import jax.numpy as jnp

    from deepinit.infinite_width.duals import smooth_rule

    def moments(variance, doubled):
        def one(q):
            nodes, weights = smooth_rule(jnp.sqrt(q), doubled)
            u = jnp.sqrt(q) * nodes
            return jnp.stack([jnp.sum(weights * activation(u) ** 2), jnp.sum(weights * activation.derivative(u) ** 2)])

        return jax.vmap(one, out_axes=1)(variance)

    return jax.jit(lambda variance: jnp.stack([moments(variance, doubled) for doubled in (False, True)]))
