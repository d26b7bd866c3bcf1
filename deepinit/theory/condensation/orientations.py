"""Orientations of the input weights of a two-layer network at tiny initialization.

sigma(0) != 0: the mean is fitted first. Within a time 1/(m sigma(0)^2) all a_j move by
ybar / (m sigma(0)), and the residual becomes y - ybar. If the move is large against the initial
a_j, all have the sign of ybar / sigma(0), and neurons ascend the centred form with that sign.
"""

from typing import Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.condensation.cube import cube_maxima
from deepinit.theory.condensation.multiplicity import multiplicity
from deepinit.theory.condensation.sphere import sphere_maxima
from deepinit.theory.condensation.target_form import TargetForm, condensation_exponent, target_form
from deepinit.theory.condensation.validate import VANISHING, check_rows, check_targets

Geometry = Literal["l2", "linf"]


class Orientations(NamedTuple):
    """K unit directions of condensed input weights, largest |H| first; opposite ones are two.

    values, output_sign: H, and +-1 of the output weights; kappa: misalignment is proportional to
    (|w| / |w_0|)^{-kappa}.
    """

    directions: Float[np.ndarray, "K D"]
    values: Float[np.ndarray, "K"]
    output_sign: Real[np.ndarray, "K"]
    kappa: Float[np.ndarray, "K"]


def predict_orientations(
    x: Real[Array, "n *d"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    activation: ActivationLike,
    *,
    geometry: Geometry = "l2",
    bias: bool = True,
) -> Orientations:
    """Directions on which input weights of a two-layer network condense at tiny initialization.

    Strict local maxima of |H|, H(u) = (c/n) sum_i y_i (u.z_i)^p, on the unit sphere of the
    optimizer's norm; K = 0 without any. p = 1, "l2": +-v / |v|, v = (1/n) sum_i y_i z_i. p = 2,
    "l2": at most 4, extreme eigenvectors of (c/n) sum_i y_i z_i z_i^T. For sigma(0) != 0 targets
    are centred, and unless ybar = 0 only directions with H(u) ybar sigma(0) > 0 remain.

    Args:
        activation: `Activation`, name or JAX function of multiplicity p.
        geometry: "l2": gradient descent, also with momentum or stochastic; "linf": sign descent,
            and Adam with negligible epsilon.

    Other arguments: `target_form`. SpecError: bad data, no multiplicity (ReLU:
    `homogeneous_orientations`), H = 0 everywhere. Valid for: square loss, outputs small against y.
    p >= 2: under gradient flow the first neurons fit the data before the rest has turned; Adam
    turns all. Exact for p = 1, p = 2, d = 1; else basins below 0.1 % of the sphere can be missed.
    Error O(|w.z|), O(|w.z|^2) for odd or even sigma. sigma(0) != 0: |ybar| / (m |sigma(0)|) large
    against the initial output weights, or ybar = 0. Reference: arXiv:2105.11686 for p = 1 and
    d = 1; else `condensation.target_form`, `condensation.cube`.
    """
    remedy = "Gradient flow is 'l2', Adam is 'linf'."
    validate.choice("geometry", geometry, ("l2", "linf"), remedy)
    inputs = check_rows("x", x)
    targets = check_targets(y, len(inputs))
    p, value_at_0, c, *_ = multiplicity(activation)
    mean_sign = 0.0
    if value_at_0:
        mean = targets.mean()
        if abs(mean) > VANISHING * np.abs(targets).mean():
            mean_sign = float(np.sign(mean / value_at_0))
        targets = targets - mean
    form = target_form(inputs, targets, p, c, bias=bias)
    check_not_zero(form, centred=bool(value_at_0))
    maxima = sphere_maxima(form) if geometry == "l2" else cube_maxima(form)
    if mean_sign and len(maxima):
        maxima = maxima[form.value(maxima) * mean_sign > 0.0]
    if not len(maxima):
        return Orientations(maxima, np.zeros(0), np.zeros(0), np.zeros(0))
    directions = maxima / np.linalg.norm(maxima, axis=1, keepdims=True)
    values = form.value(directions)
    kappa = np.ones(len(maxima))
    if geometry == "l2":
        kappa = np.array([condensation_exponent(form, u) for u in directions])
    return Orientations(directions, values, np.sign(values), kappa)


def check_not_zero(form: TargetForm, *, centred: bool = False) -> None:
    """Refuse forms that are 0 up to rounding."""
    # A polynomial other than 0 vanishes at no random point.
    points = np.random.default_rng(0).standard_normal((64, form.dimension))
    terms = np.abs(points @ form.rows.T) ** form.p @ np.abs(form.weights)
    if (np.abs(form.value(points)) <= VANISHING * terms).all():
        targets = "y minus its mean (sigma(0) != 0)" if centred else "y"
        given = f"targets for which sum_i y_i (u.z_i)^{form.p} is 0 for every u"
        allowed = f"{targets} with a component along the monomials of degree {form.p} of (x, 1)"
        raise SpecError(given, allowed, "By symmetry nothing moves at leading order.")
