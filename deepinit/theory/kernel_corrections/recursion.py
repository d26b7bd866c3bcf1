"""Layer recursion of the kernels' mean shifts and covariances, order 1/width.

`kernel_corrections.expansion`; J: Jacobian of (g, h), C / n: noise covariance of a layer,
w = weight_var, t = weight_rate, L = t Jg + w T o Jh, R = L V + w h o D:

    V'  = w^2 (C / n + Jg V Jg^T)                                               Cov(G, G)
    D'  = w cov(t phi phi + w T phi'phi', phi phi) / n + R Jg^T w               Cov(Theta, G)
    A'  = cov(t phi phi + w T phi'phi') / n + L V L^T + (L D^T w h + ...) + w h o A o h w
    K1' = w (Jg K1 + Hg : V / 2)
    T1' = L K1 + (t Hg + w T o Hh) : V / 2 + w Jh : D + w h o T1 + q
"""

from typing import NamedTuple

import numpy as np

from deepinit.theory.kernel_corrections.layer_moments import LayerMoments
from deepinit.theory.numerics.entries import Entries


class State(NamedTuple):
    """Moments of G and of the conditional mean Theta at one layer.

    Attributes:
        kernel, tangent, kernel_shift, tangent_shift: [p], K, T of infinite width, K1, T1.
        kernel_covariance, tangent_kernel, tangent_covariance: [p, p], V, D (rows: Theta), A.
        straight, crossed: [p, p], B_{ab|cd} and B_{ab|dc}, between two neurons.
        reuse: [p, 2, 2], Fc_{cd;ab}, c and d in (a, b), source of q; for a = b only [0, 0].
    """

    kernel: np.ndarray
    tangent: np.ndarray
    kernel_shift: np.ndarray
    tangent_shift: np.ndarray
    kernel_covariance: np.ndarray
    tangent_kernel: np.ndarray
    tangent_covariance: np.ndarray
    straight: np.ndarray
    crossed: np.ndarray
    reuse: np.ndarray


class LayerScales(NamedTuple):
    """Width, variances, and learning-rate factors of one layer."""

    width: float
    weight_var: float
    bias_var: float
    weight_rate: float
    bias_rate: float


def first_state(kernel: np.ndarray, tangent: np.ndarray) -> State:
    """State of the first layer, whose metric is deterministic."""
    vector, matrix = np.zeros_like(kernel), np.zeros((len(kernel), len(kernel)))
    reuse = np.zeros((len(kernel), 2, 2))
    return State(kernel, tangent, vector, vector, *(matrix,) * 5, reuse)


def next_state(state: State, moments: LayerMoments, scales: LayerScales, where: Entries) -> State:
    """State of layer l + 1."""
    n, w, t = scales.width, scales.weight_var, scales.weight_rate
    g, h, near = moments.g, moments.h, where.neighbours
    tangent = state.tangent
    by_kernel = t * g.gradient + w * tangent[:, None] * h.gradient  # L, [p, 3]
    by_tangent = w * h.value

    def along(jacobian: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Jacobian times matrix."""
        return np.einsum("pi,piq->pq", jacobian, matrix[near])

    # covariance of one neuron's contribution
    phi_phi = moments.phi_phi - np.outer(g.value, g.value)
    phi_slope = moments.phi_slope - np.outer(g.value, h.value)
    slope_slope = moments.slope_slope - np.outer(h.value, h.value)
    slope_part = w * tangent[:, None] * phi_slope.T  # rows: w T phi' phi', columns: phi phi
    noise_kernel = w**2 * phi_phi
    noise_mixed = w * (t * phi_phi + slope_part)
    noise_tangent = (
        t * t * phi_phi
        + t * (slope_part + slope_part.T)
        + w**2 * np.outer(tangent, tangent) * slope_slope
    )

    v, d, a = state.kernel_covariance, state.tangent_kernel, state.tangent_covariance
    jv = along(g.gradient, v)
    lv = along(by_kernel, v)
    cross = along(by_kernel, d.T) * by_tangent  # L Cov(G, Theta) (w h)
    covariance = noise_kernel / n + w**2 * along(g.gradient, jv.T)
    mixed = noise_mixed / n + w * along(g.gradient, (lv + by_tangent[:, None] * d).T).T
    tangents = (
        noise_tangent / n
        + along(by_kernel, lv.T)
        + cross
        + cross.T
        + np.outer(by_tangent, by_tangent) * a
    )

    # mean shifts
    local_v = v[near[:, :, None], near[:, None, :]]
    local_d = d[np.arange(len(near))[:, None], near]
    curved = t * g.hessian + w * tangent[:, None, None] * h.hessian
    shift = w * (_inner(g.gradient, state.kernel_shift[near]) + 0.5 * _inner(g.hessian, local_v))
    tangent_shift = (
        _inner(by_kernel, state.kernel_shift[near])
        + 0.5 * _inner(curved, local_v)
        + w * _inner(h.gradient, local_d)
        + by_tangent * state.tangent_shift
        + w * _inner(state.reuse, _second_derivatives(h.gradient, where))
    )

    # tangent kernel between different neurons; the same weights forward and backward
    slopes = h.value[where.at]
    row, column = where.rows, where.columns
    straight = slopes[np.ix_(row, row)] * slopes[np.ix_(column, column)]
    crossed = slopes[np.ix_(row, column)] * slopes[np.ix_(column, row)]
    source = np.outer(tangent, tangent) * moments.slope_slope / n
    places = near[:, [[0, 1], [1, 2]]]
    sources = moments.phi_slope[places, np.arange(len(near))[:, None, None]]
    new_reuse = sources * tangent[:, None, None] / n
    forward, backward = _reuse_maps(moments, where)

    return State(
        kernel=scales.bias_var + w * g.value,
        tangent=scales.bias_rate + t * g.value + by_tangent * tangent,
        kernel_shift=shift,
        tangent_shift=tangent_shift,
        kernel_covariance=covariance,
        tangent_kernel=mixed,
        tangent_covariance=tangents,
        straight=w**2 * (source + straight * state.straight),
        crossed=w**2 * (source + crossed * state.crossed),
        reuse=w**2 * (new_reuse + forward @ state.reuse @ backward.transpose(0, 2, 1)),
    )


def _inner(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Contraction of all axes but the first."""
    return (left * right).reshape(len(left), -1).sum(axis=1)


def _second_derivatives(gradient: np.ndarray, where: Entries) -> np.ndarray:
    """[p, 2, 2] E d_c d_d (phi'_a phi'_b) from dh/dK."""
    aa, ab, bb = gradient.T
    off = np.where(where.rows != where.columns, ab, np.zeros_like(aa))
    return np.stack([np.stack([2.0 * aa, off], -1), np.stack([off, 2.0 * bb], -1)], axis=1)


def _reuse_maps(moments: LayerMoments, where: Entries) -> tuple[np.ndarray, np.ndarray]:
    """Q^a_{ce} = E d_e (phi_c phi'_a), Q^b_{df} = E d_f (phi_d phi'_b): [p, 2, 2] each."""
    a, b = where.neighbours[:, 0], where.neighbours[:, 2]
    gradient, h = moments.g.gradient, moments.h.value
    own = [gradient[where.diagonal[ends], 0] for ends in (where.rows, where.columns)]
    zero, two_a, two_b = np.zeros(len(a)), 2.0 * gradient[:, 0], 2.0 * gradient[:, 2]
    forward = np.stack([np.stack([own[0], zero], -1), np.stack([two_a, h], -1)], axis=1)
    backward = np.stack([np.stack([h, two_b], -1), np.stack([zero, own[1]], -1)], axis=1)
    same = a == b  # one input: a single place, c = d = a
    only = np.zeros((2, 2))
    only[0, 0] = 1.0
    forward = np.where(same[:, None, None], own[0][:, None, None] * only, forward)
    backward = np.where(same[:, None, None], own[1][:, None, None] * only, backward)
    return forward, backward
