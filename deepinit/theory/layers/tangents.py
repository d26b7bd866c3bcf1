"""Control variates of tangent kernels of perceptrons, of mean 0 given the past.

z_l = W_l h_(l-1) + b_l, h_l = phi(z_l), f = W_(L+1) h_L + b_(L+1); S_l = u_l u_l^T, u_l = df/dz_l:

    Theta = sum_l S_l R_l,   R_l = v_l G_(l-1) + b_l,   G = h h^T / n,   S_(L+1) = 1.

The past grows by the layers forward, then by the layers backward.

Forward: G_l and D_l = phi' phi'^T / n are averages of known means given R_l. With

    T_1 = R_1,   T_(l+1) = R_(l+1) + v_(l+1) D_l T_l,

T_(L+1) follows Theta; its derivatives by (G_l, D_l) at infinite width weigh the differences.

Backward: given all rows, W^T u of W = W_(l+1), u = u_(l+1), n = n_l, has the mean h^T k and the
covariance (v/n) S (1 - (v/n) h^T R^-1 h), with k = (v/n) R^-1 p and p_ca = z_c . u_a. So

    E S_l = v D_l S + n sum_cd (k_ca k_db - (v/n)^2 S_ab R^-1_cd) B_ab,cd,
    B_ab,cd = phi'_a phi'_b h_c h_d averaged over neurons;          E S_L = v_(L+1) D_L,

and Theta - T_(L+1) - sum_l T_l (S_l - E S_l) is of order 1/width: variances fall in proportion to
the width. Each term has mean exactly 0, of first and backward uses of the same weights too.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activation import Activation
from deepinit.theory.layers.column_means import column_means
from deepinit.theory.numerics.entries import entries

_STEP = 1e-4  # of differences, relative; their error costs no bias
_CHUNK = 4096  # networks at once
_RANK = 1e-6  # of eigenvalues of R over the largest, which count


class Layers(NamedTuple):
    """[L + 1] of all layers, the output's last: v = fan_in x entry variance, b, fan_in."""

    weights: tuple[float, ...]
    biases: tuple[float, ...]
    fan_in: tuple[int, ...]


class Moments(NamedTuple):
    """Of drawn networks after layers 1 to L, [networks, L, ...]: G, D, B, S, p (module)."""

    kernel: np.ndarray
    slopes: np.ndarray
    fourth: np.ndarray
    cotangents: np.ndarray
    crossed: np.ndarray


class _Derivative:
    """phi' as a smooth function of `column_means`."""

    slopes, kinks = None, ()

    def __init__(self, phi: Activation) -> None:
        self.phi = phi

    def __call__(self, z: Any) -> Any:
        return self.phi.derivative(z)


def means(phi: Activation, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E phi_a phi_b and E phi'_a phi'_b, [networks, k, k], of z ~ N(0, variance [networks, k, k]).

    `phi` is smooth, or x -> left x, right x.
    """
    if len(variance) > _CHUNK:
        parts = [means(phi, variance[at : at + _CHUNK]) for at in range(0, len(variance), _CHUNK)]
        return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]
    where = entries(variance.shape[-1])
    found = _means(phi, variance.shape[-1])(jnp.asarray(variance[:, where.rows, where.columns]))
    return tuple(np.asarray(part)[:, where.at] for part in found)  # type: ignore[return-value]


@functools.lru_cache(maxsize=16)
def _means(phi: Activation, rows: int) -> Callable[[Any], tuple[Any, Any]]:
    """Of [networks, p]."""
    where = entries(rows)

    def one(variance: Any) -> tuple[Any, Any]:
        second = column_means((phi,), variance)[1]
        if phi.slopes is None:
            return second, column_means((_Derivative(phi),), variance)[1]
        left, right = phi.slopes
        straight, bent = 0.5 * (right + left), 0.5 * (right - left)
        own = variance[where.diagonal]
        size = own[where.rows] * own[where.columns]
        rho = jnp.clip(variance / jnp.sqrt(jnp.where(size > 0, size, 1.0)), -1.0, 1.0)
        return second, straight**2 + bent**2 * (2.0 / math.pi) * jnp.arcsin(rho)

    return jax.jit(jax.vmap(one))


def infinite(phi: Activation, layers: Layers, start: np.ndarray) -> list[np.ndarray]:
    """G_0 to G_L, [k, k]."""
    found = [start]
    for weight, bias in zip(layers.weights[:-1], layers.biases[:-1], strict=True):
        found.append(means(phi, (weight * found[-1] + bias)[None])[0][0])
    return found


def tangent_kernel(
    phi: Activation, layers: Layers, kernel: np.ndarray, slopes: Any, tangent: np.ndarray, at: int
) -> np.ndarray:
    """T_(L+1) of G_l, D_l and T_l [..., k, k], l = at, at infinite width beyond."""
    for number in range(at, len(layers.weights)):
        weight, bias = layers.weights[number], layers.biases[number]
        variance = weight * kernel + bias
        tangent = variance + weight * slopes * tangent
        if number + 1 < len(layers.weights):
            kernel, slopes = means(phi, variance)
    return tangent


def derivatives(phi: Activation, layers: Layers, start: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """Of T_(L+1) by (G_l, D_l), entries a <= b, [2 p, k, k] of l = 1 to L; and T_(L+1)."""
    where = entries(len(start))
    found, kernel, tangent = [], start, layers.weights[0] * start + layers.biases[0]
    for at in range(1, len(layers.weights)):
        variance = layers.weights[at - 1] * kernel + layers.biases[at - 1]
        (kernel,), (slopes,) = means(phi, variance[None])
        root = np.sqrt(np.diagonal(kernel))
        changes = np.zeros((2, len(where.rows), 2, *kernel.shape))
        steps = np.empty((2, len(where.rows)))
        for entry, (a, b) in enumerate(zip(where.rows, where.columns, strict=True)):
            steps[:, entry] = _STEP * root[a] * root[b], _STEP
            for part in range(2):
                changes[part, entry, part, a, b] = changes[part, entry, part, b, a] = 1.0
        changes = changes.reshape(-1, 2, *kernel.shape)
        steps = steps.ravel()[:, None, None]
        sides = [
            tangent_kernel(
                phi,
                layers,
                kernel + sign * steps * changes[:, 0],
                slopes + sign * steps * changes[:, 1],
                tangent,
                at,
            )
            for sign in (1.0, -1.0)
        ]
        found.append((sides[0] - sides[1]) / (2.0 * steps))
        weight, bias = layers.weights[at], layers.biases[at]
        tangent = weight * kernel + bias + weight * slopes * tangent
    return found, tangent


def control_variates(
    phi: Activation, layers: Layers, start: np.ndarray, weights: list[Any], drawn: Moments
) -> np.ndarray:
    """Of Theta, [networks, k, k].

    Args:
        start: G_0 [k, k].
        weights: of `derivatives`.
        drawn: float64.
    """
    where = entries(len(start))
    depth = len(layers.weights) - 1
    kernel = np.broadcast_to(start, drawn.kernel[:, 0].shape)
    variances: list[np.ndarray] = []
    tangents: list[np.ndarray] = []
    control = np.zeros(kernel.shape)
    for at in range(depth + 1):
        variances.append(layers.weights[at] * kernel + layers.biases[at])
        own = variances[-1]
        if at:
            own = own + layers.weights[at] * drawn.slopes[:, at - 1] * tangents[-1]
        tangents.append(own)
        if at == depth:
            break
        expected = means(phi, variances[-1])
        kernel = drawn.kernel[:, at]
        alive = np.diagonal(variances[-1], axis1=1, axis2=2) > 0
        alive = alive[:, where.rows] & alive[:, where.columns]
        pair = [drawn.kernel[:, at] - expected[0], drawn.slopes[:, at] - expected[1]]
        pair = [part[:, where.rows, where.columns] for part in pair]
        # none where a mean is not resolved, which the past decides
        noise = [np.where(alive & np.isfinite(part), part, 0.0) for part in pair]
        control = control + np.tensordot(np.concatenate(noise, axis=1), weights[at], 1)
    for at in range(depth, 0, -1):
        expected_square = layers.weights[at] * drawn.slopes[:, at - 1]
        if at < depth:
            expected_square = _cotangents(layers, drawn, variances[at], at)
        control = control + tangents[at - 1] * (drawn.cotangents[:, at - 1] - expected_square)
    return control


def _cotangents(layers: Layers, drawn: Moments, variance: np.ndarray, at: int) -> np.ndarray:
    """E S_l, l = at, given all rows and u_(l+1)."""
    size = layers.fan_in[at]
    share = layers.weights[at] / size
    square, inverse = drawn.cotangents[:, at], np.linalg.pinv(variance, _RANK, hermitian=True)
    k = share * inverse @ drawn.crossed[:, at]
    fourth = drawn.fourth[:, at - 1]
    both = np.einsum("nca,ndb,nabcd->nab", k, k, fourth)
    known = np.einsum("ncd,nabcd->nab", inverse, fourth)
    return layers.weights[at] * drawn.slopes[:, at - 1] * square + size * (
        both - share**2 * square * known
    )
