"""Form of the data: the potential of every neuron at tiny initialization.

f(x) = sum_j a_j sigma(w_j.z), loss 1/(2n) sum_i (f(x_i) - y_i)^2, sigma(s) = c s^p near 0. While f
is small against y, neurons move independently, with H of `target_form`, r = |w|, u = w/r:

    a' = H(w),    w' = a grad H(w),    |w|^2 - p a^2 conserved,
    u' = a r^{p-2} grad_S H(u),    grad_S H = grad H - p H u,    r' = p a r^{p-1} H(u).
"""

import dataclasses
import math
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Like, Plain, Real
from deepinit.theory.condensation.validate import check_rows, check_targets, nonzero, with_bias


@dataclasses.dataclass(frozen=True, eq=False)
class TargetForm:
    """The form H of `target_form`: rows z_i, weights c y_i / n, degree p; derivatives at u."""

    rows: Float[np.ndarray, "n D"]
    weights: Float[np.ndarray, "n"]
    p: int

    @property
    def dimension(self) -> int:
        """D: input weights of a neuron, with its bias."""
        return self.rows.shape[1]

    def value(self, u: Real[Array, "*shape D"] | Plain) -> Float[Like, "*shape"]:
        """H(u)."""
        return (self._products(u) ** self.p) @ self.weights

    def gradient(self, u: Real[Array, "*shape D"] | Plain) -> Float[np.ndarray, "*shape D"]:
        """grad H(u)."""
        return self.p * (self._products(u) ** (self.p - 1) * self.weights) @ self.rows

    def sphere_gradient(self, u: Real[Array, "*shape D"] | Plain) -> Float[np.ndarray, "*shape D"]:
        """grad_S H(u) for unit vectors u."""
        gradient, u = self.gradient(u), self._vectors(u)
        return gradient - (gradient * u).sum(axis=-1, keepdims=True) * u

    def hessian(self, u: Real[Array, "D"] | Plain) -> Float[np.ndarray, "D D"]:
        """Hessian of H at one vector u."""
        if self._vectors(u).ndim != 1:
            allowed = f"one vector [{self.dimension}]"
            raise SpecError(f"u of shape {np.shape(u)}", allowed, "Call once per vector.")
        if self.p == 1:
            return np.zeros((self.dimension, self.dimension))
        curvature = self.p * (self.p - 1) * self._products(u) ** (self.p - 2) * self.weights
        return (self.rows.T * curvature) @ self.rows

    def _products(self, u: Any) -> np.ndarray:
        return self._vectors(u) @ self.rows.T

    def _vectors(self, u: Any) -> np.ndarray:
        remedy = "A neuron's bias is the last coordinate."
        array = validate.array("u", u, remedy=remedy)
        if array.shape[-1:] != (self.dimension,):
            allowed = f"finite vectors [..., {self.dimension}]"
            raise SpecError(f"u of shape {array.shape}", allowed, remedy)
        return array

    @property
    def size(self) -> float:
        """(|c|/n) sum_i |y_i| |z_i|^p: a bound of |H| on the unit sphere."""
        return float(np.abs(self.weights) @ np.linalg.norm(self.rows, axis=1) ** self.p)


def target_form(
    x: Real[Array, "n *d"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    p: int,
    c: float = 1.0,
    *,
    bias: bool = True,
) -> TargetForm:
    """H(u) = (c/n) sum_i y_i (u.z_i)^p, whose maxima in size are neurons' orientations.

    Args:
        x: inputs [n, d], or [n] for d = 1.
        p, c: multiplicity; sigma^{(p)}(0) / p!, not 0; double it for the loss (1/n) sum of squares.
        bias: z = (x, 1), the bias last in u; False: z = x.

    Valid for: |w.z|^p sum |a| << |y|, sigma(0) = 0 (else center y). Relative error O(|w.z|),
    O(|w.z|^2) for odd and even activations. Reference: arXiv:2105.11686 for p = 1 and d = 1; else
    module docstring.
    """
    inputs = check_rows("x", x)
    targets = check_targets(y, len(inputs))
    p = validate.integer("p", p, 1, "The multiplicity of tanh is 1; see multiplicity.")
    factor = nonzero("c", c, "It is sigma^(p)(0) / p!; see multiplicity.")
    return TargetForm(with_bias(inputs, bias), factor * targets / len(targets), p)


def condensation_exponent(form: TargetForm, u: Float[np.ndarray, "D"]) -> float:
    """kappa(u) = 1 - mu / (p |H(u)|) at a critical unit vector u of H on the sphere, H(u) != 0.

    mu is the largest eigenvalue of sign(H) Hess H on the tangent space. |u(t) - u| is proportional
    to (|w|/|w_0|)^{-kappa} under gradient flow: for H > 0, r'/r = p a r^{p-2} H, and the tangent
    part grows at rate a r^{p-2} (mu - p H). kappa > 0 exactly at strict local maxima of |H|; 1 for
    p = 1; infinity for D = 1.
    """
    check_form(form)
    value = float(form.value(u))
    if form.dimension == 1:
        return math.inf
    if form.p == 1:
        return 1.0
    tangent = np.linalg.svd(u[None])[2][1:]
    hessian = math.copysign(1.0, value) * tangent @ form.hessian(u) @ tangent.T
    return 1.0 - float(np.linalg.eigvalsh(hessian)[-1]) / (form.p * abs(value))


def check_form(form: TargetForm) -> None:
    """Refuse anything but a `TargetForm`."""
    validate.instance("form", form, TargetForm, "a TargetForm", "Write target_form(x, y, p).")
