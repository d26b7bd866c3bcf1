"""Resolution of the quadrature over preactivations, checked at the variances of a network."""

import functools

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError

_ERROR = 1e-5  # relative, of E phi^2 and E phi'^2: those that are resolved are right to 1e-9
_MOST_LAYERS = 50
_CUTS = (
    -3.0,
    -1.0,
    -0.3,
    0.0,
    0.3,
    1.0,
    3.0,
)  # of the pieces between kinks, in standard deviations, for the finer rule


def checked_resolution(
    activation: Activation, mean_squares: np.ndarray, weight_vars, bias_vars
) -> None:
    """Compares second moments by the rule and by a finer one, layer by layer, for the smallest, median and largest input.

    Raises:
        SpecError: the two differ; `sin` of preactivations of variance 100, a function that bends on the scale 1/20.
    """
    variance = weight_vars[0] * np.quantile(mean_squares, [0.0, 0.5, 1.0]) + bias_vars[0]
    for weight_var, bias_var in list(zip(weight_vars[1:], bias_vars[1:], strict=True))[
        :_MOST_LAYERS
    ]:
        before, variance = variance, weight_var * _resolved(activation, variance) + bias_var
        if not np.isfinite(variance).all() or np.allclose(before, variance, rtol=1e-3):
            return


def checked_blocks(
    phi: Activation, psi: Activation, mean_squares: np.ndarray, weight: float, bias: float
) -> None:
    """The same of residual blocks phi(W psi(x) + b), over the range that the mean squares of their streams span.

    Args:
        phi, psi: of the blocks.
        mean_squares: of the stream before every block, any shape.
        weight: variance of a weight times the entries of psi(x) that a preactivation sums over.
        bias: variance of a bias.

    Raises:
        SpecError: as `checked_resolution`.
    """
    inner = _resolved(psi, np.quantile(mean_squares, np.linspace(0.0, 1.0, 5)))
    _resolved(phi, weight * inner + bias)


def _resolved(activation: Activation, variance: np.ndarray) -> np.ndarray:
    """E phi^2 at the variances, where both rules agree; homogeneous activations have closed forms."""
    if activation.slopes is not None:
        return 0.5 * sum(slope**2 for slope in activation.slopes) * variance
    once, twice = np.asarray(_moments(activation)(variance))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(twice == once, 0.0, np.abs(once / twice - 1.0))
    if (error > _ERROR).any():
        at = variance[np.argmax(np.nan_to_num(error).max(axis=0))]
        raise SpecError(
            f"{activation} of preactivations of variance {at:.3g} at infinite width, which the quadrature does not "
            f"resolve (relative error {np.nanmax(error):.1g})",
            "activations that bend on scales of order 1, or smaller variances",
            "Simulate, or take smaller weights and inputs.",
        )
    return twice[0]


@functools.lru_cache(maxsize=64)
def _moments(activation: Activation):
    """variances [points] -> [by the rule and by the finer one, E phi^2 or E phi'^2, points], compiled."""
    import jax
    import jax.numpy as jnp

    from deepinit.infinite_width.duals import piecewise_rule, quotient, smooth_rule

    def rule(std, finer):
        if not activation.kinks:
            return smooth_rule(std, finer)
        return piecewise_rule(
            jnp.stack(
                [*(quotient(kink, std) for kink in activation.kinks), *(_CUTS if finer else ())]
            )
        )

    def moments(variance, finer):
        def one(q):
            nodes, weights = rule(jnp.sqrt(q), finer)
            u = jnp.sqrt(q) * nodes
            return jnp.stack(
                [
                    jnp.sum(weights * activation(u) ** 2),
                    jnp.sum(weights * activation.derivative(u) ** 2),
                ]
            )

        return jax.vmap(one, out_axes=1)(variance)

    return jax.jit(
        lambda variance: jnp.stack([moments(variance, finer) for finer in (False, True)])
    )
