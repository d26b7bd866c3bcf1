"""Number of orientations: counts and bounds."""

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.theory.condensation.sphere import critical_angles
from deepinit.theory.condensation.target_form import TargetForm, check_form

_PARALLEL = 1e-3  # angle below which two lines are one


def critical_lines(form: TargetForm) -> Float[np.ndarray, "lines"]:
    """Lines of 1-D inputs on which neurons do not turn: increasing angles atan2(b, w) in [0, pi).

    t = b/w at the at most p real roots of sum_i y_i (x_i + t)^{p-1} (1 - x_i t); w = 0 if its
    leading coefficient is 0. Lines with H(phi) H''(phi) < 0 attract. None if H is constant.
    SpecError: not a form of two variables. Valid for: gradient flow at leading order. Reference:
    arXiv:2105.11686, the case d = 1.
    """
    check_form(form)
    given, allowed = f"a form of {form.dimension} variables", "two variables"
    validate.require(form.dimension == 2, given, allowed, "Take predict_orientations.")
    return critical_angles(form)


def count_lines(directions: Real[Array, "directions D"] | Plain) -> int:
    """Number of lines spanned by directions of any norms, u and -u as one.

    Directions are parallel to 1e-3 in angle or clearly not. SpecError: a row of zeros. Reference:
    arXiv:2105.11686.
    """
    rows = validate.array("directions", directions)
    if rows.ndim != 2 or not rows.any(axis=1).all():
        given = f"directions of shape {rows.shape}, or with a row of zeros"
        raise SpecError(given, "[K, D], rows other than 0", "Drop zero rows.")
    lines: list[np.ndarray] = []
    for row in rows:
        unit = row / np.max(np.abs(row))
        unit = unit / np.linalg.norm(unit)
        gaps = [min(np.linalg.norm(unit - v), np.linalg.norm(unit + v)) for v in lines]
        if min(gaps, default=np.inf) > _PARALLEL:
            lines.append(unit)
    return len(lines)


def conjectured_most_orientations(p: int) -> int:
    """2p, the conjectured largest number of orientations at multiplicity p.

    True for p <= 2 or d = 1. Counterexample for d >= p >= 3: the d + 1 vertices of a regular
    simplex (`targets.simplex`) have 2(d + 1), H being a sum of p-th powers of independent
    coordinates. Reference: arXiv:2105.11686.
    """
    return 2 * validate.integer("p", p, 1, "The multiplicity; see multiplicity.")


def most_critical_lines(p: int, dimension: int) -> int:
    """1 + (p-1) + ... + (p-1)^{D-1}, the number of complex critical lines of a generic form.

    Bounds finitely many real ones; attracting orientations: at most twice as many. Reference:
    arXiv:1004.4953 (eigenvectors of a symmetric tensor).
    """
    validate.integer("p", p, 1, "The multiplicity; see multiplicity.")
    validate.integer("dimension", dimension, 1, "Input weights of a neuron, with its bias.")
    return sum((p - 1) ** k for k in range(dimension))
