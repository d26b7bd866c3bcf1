"""Contraction of the Thompson metric max_i |log x_i - log y_i| by a layer T(x) = phi(W x + b) with positive weights.

In logarithmic coordinates the metric is the maximum norm, so that the Lipschitz constant is the supremum of the row sums of
|d log T_i / d log x_j|. With z = (W x + b)_i and W, x > 0, sum_j x_j W_ij = z - b_i takes every positive value, and

    Lip = sup_{z > b} (z - b) |phi'(z)| / phi(z),    whatever the positive W.

Sigmoid: the stationary point u = z - b satisfies u sigmoid(z) = 1, that is (u - 1) e^(u - 1) = e^-(1 + b), where the elasticity
u (1 - sigmoid(z)) = u - 1 = W_0(e^-(1 + b)). It is at most 1 if and only if b >= -2.
"""

from typing import Any

import numpy as np
from scipy.special import wrightomega

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import values
from deepinit.theory.cutoff.validate import derivative

_FARTHEST = 1e12  # where a limit at infinity is read off


def thompson_lipschitz(activation: Any, bias: Any = 0.0) -> float:
    """The Lipschitz constant of x -> phi(W x + b) in the Thompson metric, for every W > 0 entrywise.

        sup_{z > b} (z - b) |phi'(z)| / phi(z);    sigmoid: W_0(e^-(1 + b)), the Lambert function.

    At most 1: non-expansive (semi-invariant); below 1: a contraction, and backward iterates converge.

    Args:
        activation: an `Activation`, a built-in's name or a JAX function, with phi > 0 on (min b, infinity): sigmoid and softplus
            at any bias; linear, ReLU, tanh, SiLU at biases >= 0.
        bias: [...], of the neurons; the constant is the largest over them.

    Returns:
        The constant; inf where the elasticity is unbounded. It is a supremum: ReLU, linear and unbiased tanh approach 1 and do not attain it.

    Raises:
        SpecError: phi not positive above the smallest bias: the layer leaves the cone; biases that are not finite.

    Valid for: phi smooth between kinks; sigmoid to 1e-15, others about 1e-9 (maximum over log(z - b) on a grid of spacing
        0.01, refined).

    Reference: arXiv:2104.10727 for non-expansiveness (sigmoid, b > -2); the constant: derivation in the module docstring.
    """
    phi = as_activation(activation)
    biases = validate.real_numbers(bias)
    if biases is None or not biases.size or not np.isfinite(biases).all():
        raise SpecError(f"bias={bias!r}", "finite numbers", "Leave it out for no bias.")
    if phi.name == "sigmoid":
        return float(
            wrightomega(-(1.0 + float(biases.min()))).real
        )  # W_0(e^y), without overflow of e^y
    return max(_largest_elasticity(phi, float(b)) for b in np.unique(biases))


def _largest_elasticity(phi: Activation, bias: float) -> float:
    from scipy.optimize import minimize_scalar

    def elasticity(log_u: np.ndarray) -> np.ndarray:
        u = np.exp(log_u)
        z = bias + u
        heights = values(phi, z)
        if not (np.isfinite(heights).all() and (heights > 0.0).all()):
            raise SpecError(
                f"the activation {phi!r} with bias {bias:g}, not positive on the whole of z > {bias:g}",
                "phi(z) > 0 for z > bias: sigmoid and softplus at any bias, ReLU, linear, tanh, SiLU at bias >= 0",
                "The Thompson metric lives on the open positive cone.",
            )
        return u * np.abs(derivative(phi, z)) / heights

    smallest = (
        max(abs(bias), 1.0) * 1e-9 if bias else 1e-30
    )  # z - bias must survive the rounding of z
    grid = np.arange(np.log(smallest), np.log(_FARTHEST), 0.01)
    samples = elasticity(grid)
    best = int(np.argmax(samples))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    refined = minimize_scalar(
        lambda log_u: -float(elasticity(np.array([log_u]))[0]),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return max(float(samples[best]), -float(refined.fun))
