"""Contraction of the Thompson metric max_i |log x_i - log y_i| by a layer with positive weights.

Supremum of the row sums of |d log T_i / d log x_j|, z - b_i = sum_j x_j W_ij > 0 arbitrary.
Sigmoid, u = z - b: stationary at u sigmoid(z) = 1, value u - 1, at most 1 if and only if b >= -2.
"""

import numpy as np
from scipy.special import wrightomega

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import derivatives, values
from deepinit.core.typing import ActivationLike, Numbers

_FARTHEST = 1e12  # stands for infinity


def thompson_lipschitz(activation: ActivationLike, bias: Numbers = 0.0) -> float:
    """Lipschitz constant of x -> phi(W x + b) in the Thompson metric, for every W > 0.

    sup_{z > b} (z - b) |phi'(z)| / phi(z), largest over the neurons, may be inf; sigmoid:
    W_0(e^-(1 + b)), the Lambert function. At most 1: non-expansive (semi-invariant); below 1:
    backward iterates converge. phi > 0 on (min b, infinity), else SpecError: sigmoid and softplus
    at any bias; linear, ReLU, tanh, SiLU at biases >= 0. Valid for: phi smooth between kinks;
    sigmoid to 1e-15, others 1e-9. Reference: arXiv:2104.10727 (sigmoid, b > -2).
    """
    phi = as_activation(activation)
    biases = validate.array("bias", bias, remedy="Omit it for no bias.")
    validate.require(biases.size, f"bias={bias!r}", "at least one number", "Omit it for no bias.")
    if phi.name == "sigmoid":
        # W_0(e^y), without overflow of e^y
        return float(wrightomega(-(1.0 + float(biases.min()))).real)
    return max(_largest_elasticity(phi, float(b)) for b in np.unique(biases))


def _largest_elasticity(phi: Activation, bias: float) -> float:
    from scipy.optimize import minimize_scalar

    def elasticity(log_u: np.ndarray) -> np.ndarray:
        u = np.exp(log_u)
        z = bias + u
        heights = values(phi, z)
        if not (np.isfinite(heights).all() and (heights > 0.0).all()):
            given = f"the activation {phi!r} with bias {bias:g}, not positive for all z > {bias:g}"
            remedy = "Take sigmoid or softplus; ReLU, linear, tanh or SiLU at bias >= 0."
            raise SpecError(given, "phi(z) > 0 for z > bias", remedy)
        return u * np.abs(derivatives(phi, z)) / heights

    # z - bias must survive the rounding of z
    smallest = max(abs(bias), 1.0) * 1e-9 if bias else 1e-30
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
