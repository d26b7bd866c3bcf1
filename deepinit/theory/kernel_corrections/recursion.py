"""The recursion over layers of mean shifts and covariances of the kernels, order 1/width.

Notation of `kernel_corrections.expansion`. With J the Jacobian of (g, h) and the noise N / n of a
layer of n neurons, per layer and with w = weight_var, t = the learning rate's factor of the
weights:

    V' = w^2 ( C / n + Jg V Jg^T )                                       Cov(G, G) D' = w ( cov(t
    phi phi + w T phi'phi', phi phi) / n ) + R Jg^T w      Cov(Theta, G),   R = L V + w h o D,   L =
    t Jg + w T o Jh A' = cov(t phi phi + w T phi'phi') / n + L V L^T + (L D^T w h + ...) + w h o A o
    h w K1' = w ( Jg K1 + Hg : V / 2 ) T1' = L K1 + (t Hg + w T o Hh) : V / 2 + w Jh : D + w h o T1
    + q

and two tensors beside them: `crossed` is B (the tangent kernel between two different neurons),
`reuse` is Fc, which carries that forward and backward pass use the same weights and makes q.
"""

from typing import NamedTuple

import numpy as np

from deepinit.theory.kernel_corrections.layer_moments import Entries, LayerMoments


class State(NamedTuple):
    """Of the metric G of preactivations and the conditional mean Theta of the tangent kernel, at
    one layer.

    Attributes:
        kernel, tangent: [p], K and T of infinite width.
        kernel_shift, tangent_shift: [p], K1 and T1.
        kernel_covariance, tangent_kernel, tangent_covariance: [p, p], V, D (rows: Theta) and A.
        straight, crossed: [p, p], B_{ab|cd} and B_{ab|dc}.
        reuse: [p, 2, 2], Fc_{cd;ab} with c and d in (a, b); for a = b only the first place means
            anything.
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
    """Width n, weight_var, bias_var, and the learning rates' factors of weights (t) and biases."""

    width: float
    weight_var: float
    bias_var: float
    weight_rate: float
    bias_rate: float


def first_state(kernel: np.ndarray, tangent: np.ndarray) -> State:
    """The first layer: its metric is fixed by the inputs."""
    vector, matrix = np.zeros_like(kernel), np.zeros((len(kernel), len(kernel)))
    return State(
        kernel,
        tangent,
        vector,
        vector,
        matrix,
        matrix,
        matrix,
        matrix,
        matrix,
        np.zeros((len(kernel), 2, 2)),
    )


def next_state(state: State, moments: LayerMoments, scales: LayerScales, where: Entries) -> State:
    """From layer l to layer l + 1, across `scales.width` neurons."""
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
    places = np.stack(
        [np.stack([near[:, 0], near[:, 1]], -1), np.stack([near[:, 1], near[:, 2]], -1)], -2
    )
    new_reuse = (
        moments.phi_slope[places, np.arange(len(near))[:, None, None]] * tangent[:, None, None] / n
    )
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
    """[p, 2, 2] E d_c d_d (phi'_a phi'_b), c and d in (a, b), from the derivatives of h by the
    kernel."""
    aa, ab, bb = gradient.T
    mixed = where.rows != where.columns
    zero = np.zeros_like(aa)
    rows = (
        np.stack([2.0 * aa, np.where(mixed, ab, zero)], -1),
        np.stack([np.where(mixed, ab, zero), 2.0 * bb], -1),
    )
    return np.stack(rows, axis=1)


def _reuse_maps(moments: LayerMoments, where: Entries) -> tuple[np.ndarray, np.ndarray]:
    """Q^a_{ce} = E d_e (phi_c phi'_a) and Q^b_{df} = E d_f (phi_d phi'_b), [p, 2, 2], indices in
    (a, b)."""
    a, b = where.neighbours[:, 0], where.neighbours[:, 2]
    own = (
        moments.g.gradient[where.diagonal[where.rows], 0],
        moments.g.gradient[where.diagonal[where.columns], 0],
    )
    zero, h = np.zeros(len(a)), moments.h.value
    gradient = moments.g.gradient
    forward = np.stack(
        [np.stack([own[0], zero], -1), np.stack([2.0 * gradient[:, 0], h], -1)], axis=1
    )
    backward = np.stack(
        [np.stack([h, 2.0 * gradient[:, 2]], -1), np.stack([zero, own[1]], -1)], axis=1
    )
    same = a == b  # one input: a single place, c = d = a
    only = np.zeros((2, 2))
    only[0, 0] = 1.0
    forward = np.where(same[:, None, None], own[0][:, None, None] * only, forward)
    backward = np.where(same[:, None, None], own[1][:, None, None] * only, backward)
    return forward, backward
