"""Number of orientations: counts, bounds, and data with more than 2p."""

from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.theory.condensation.sphere import critical_angles
from deepinit.theory.condensation.target_form import TargetForm, check_form

_PARALLEL = 1e-3  # angle below which two lines are one


def critical_lines(form: TargetForm) -> np.ndarray:
    """Lines of 1-D inputs on which neurons do not turn, attracting or not: angles of (w, b).

    With t = b/w: the real roots of sum_i y_i (x_i + t)^{p-1} (1 - x_i t) and, if its leading
    coefficient is 0, w = 0: at most p lines. Lines with H(phi) H''(phi) < 0 attract.

    Args:
        form: from `target_form`, two variables.

    Returns:
        Angles phi = atan2(b, w) in [0, pi), increasing, at most p; empty if H is constant on the
        circle.

    Raises:
        SpecError: no form, or one of another number of variables.

    Valid for: gradient flow at leading order.

    Reference: arXiv:2105.11686, the case d = 1.
    """
    check_form(form)
    given, allowed = f"a form of {form.dimension} variables", "two variables"
    validate.require(form.dimension == 2, given, allowed, "Take predict_orientations.")
    return critical_angles(form)


def count_lines(directions: Any) -> int:
    """Number of lines spanned by directions, u and -u as one.

    Args:
        directions: [K, D], rows other than 0, of any norms; K = 0 has no line.

    Returns:
        The number of classes of rows that are parallel to 1e-3 in angle.

    Raises:
        SpecError: no matrix of finite numbers, a row that is 0.

    Valid for: directions either parallel to 1e-3 or clearly not, as predicted ones.

    Reference: arXiv:2105.11686, which counts orientations as lines.
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
    """2p, the conjectured largest number of orientations; true for p <= 2 and 1-D inputs only.

    Counterexample for p >= 3 and input dimension d >= p: the d + 1 vertices of a regular simplex
    (`targets.simplex`) have 2(d + 1) > 2p. (x_k, 1) are orthogonal: H is a sum of p-th powers of
    independent coordinates, whose strict maxima in size are +-z_k / |z_k| for targets without zero.

    Args:
        p: multiplicity, >= 1.

    Returns:
        2p.

    Raises:
        SpecError: p < 1.

    Valid for: p <= 2, or d = 1.

    Reference: arXiv:2105.11686.
    """
    return 2 * validate.integer("p", p, 1, "The multiplicity; see multiplicity.")


def most_critical_lines(p: int, dimension: int) -> int:
    """Number of complex critical lines of a generic form: a bound on finitely many real ones.

    ((p-1)^D - 1) / (p - 2) = 1 + (p-1) + ... + (p-1)^{D-1}; 1 for p = 1, D for p = 2, p for D = 2.

    Args:
        p: degree, >= 1.
        dimension: D, number of variables, >= 1.

    Returns:
        The number of lines; attracting orientations are at most twice as many.

    Raises:
        SpecError: p or dimension below 1.

    Valid for: forms with finitely many critical lines.

    Reference: arXiv:1004.4953 (number of eigenvectors of a symmetric tensor).
    """
    validate.integer("p", p, 1, "The multiplicity; see multiplicity.")
    validate.integer("dimension", dimension, 1, "Input weights of a neuron, with its bias.")
    return sum((p - 1) ** k for k in range(dimension))
