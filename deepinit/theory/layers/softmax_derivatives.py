"""Averages of f = a v b and of its derivatives by scores, a and b softmax of two rows' scores.

Derivatives of a mean E_a u under the shares a are joint cumulants of u and the indicators e_i:

    d_ijk E_a u = E u e_i e_j e_k - sum over 3 of E(u e_i) E(e_j e_k),
    d_ijkl E_a u = E u e_i e_j e_k e_l - sum over 4 of E(u e_i) E(e_j e_k e_l)
        - sum over 6 of E(e_i e_j) E(u e_k e_l),

u and e less their means. By Price's theorem they give derivatives of E f by the covariance of the
scores without its inverse: small or dependent scores lose no digits.
"""

import itertools
from typing import Any, NamedTuple

import jax.numpy as jnp


class Averages(NamedTuple):
    """Over the scores S [2 T] of both rows.

    Attributes:
        shares: [T, T], of a_s b_s'.
        curved_shares: [T, T, 2 T, 2 T], of their second derivatives.
        fourth: [2 T, 2 T, 2 T, 2 T], of the fourth derivatives of f.
    """

    shares: Any
    curved_shares: Any
    fourth: Any


def averages(a: Any, b: Any, v: Any, weights: Any) -> Averages:
    """Of shares a, b [N, T] at nodes of `weights` [N]; v [T, T]."""
    one, other, curved_a, curved_b = _slopes(a), _slopes(b), _curves(a), _curves(b)
    of_b = lambda part: _weighted(part, weights)
    curved = {
        (0, 0): _product(curved_a, of_b(b)).transpose(0, 3, 1, 2),
        (0, 1): _product(one, of_b(other)).transpose(0, 2, 1, 3),
        (1, 1): _product(a, of_b(curved_b)),
    }
    curved[1, 0] = jnp.swapaxes(curved[0, 1], 2, 3)
    through = jnp.einsum("nsij,st->ntij", curved_a, v)
    fourth = (
        _fourth(a, b @ v.T, weights),
        _third(a, jnp.einsum("st,ntl->nsl", v, other), weights),
        _product(_rows(through), _rows(of_b(curved_b))),
        jnp.moveaxis(_third(b, jnp.einsum("st,nsl->ntl", v, one), weights), 3, 0),
        _fourth(b, a @ v, weights),
    )
    return Averages(_product(a, of_b(b)), _joined(curved), _joined(_placed(fourth)))


def _slopes(a: Any) -> Any:
    """d a_s / dS_i [N, s, i]."""
    return a[:, :, None] * _centred(a)


def _curves(a: Any) -> Any:
    """d^2 a_s / dS_i dS_j [N, s, i, j]."""
    return (
        _slopes(a)[..., None] * _centred(a)[:, :, None] - a[..., None, None] * _spread(a)[:, None]
    )


def _centred(a: Any) -> Any:
    """e_i less its mean, at s: [N, s, i]."""
    return jnp.eye(a.shape[1]) - a[:, None]


def _spread(a: Any) -> Any:
    """E e_i e_j [N, i, j]."""
    return a[:, :, None] * (jnp.eye(a.shape[1]) - a[:, None])


def _third(a: Any, u: Any, weights: Any) -> Any:
    """Third derivatives of E_a u, u [N, s, l]: [i, j, k, l]."""
    centred, own = _centred(a), _weighted(a, weights)[..., None] * _less_mean(a, u)
    squares = centred[..., None] * centred[:, :, None]
    whole = _product(_rows(own[:, :, None] * centred[..., None]), _rows(squares))  # [i, l, j, k]
    whole = whole.transpose(0, 2, 3, 1)
    split = _product(own, _spread(a)).transpose(0, 2, 3, 1)
    return whole - sum(jnp.moveaxis(split, 0, axis) for axis in range(3))


def _fourth(a: Any, u: Any, weights: Any) -> Any:
    """Fourth derivatives of E_a u, u [N, s]: [i, j, k, l]."""
    centred, own = _centred(a), _weighted(a, weights) * _less_mean(a, u[..., None])[..., 0]
    squares = centred[..., None] * centred[:, :, None]
    whole = _product(_rows(own[..., None, None] * squares), _rows(squares))
    thirds = jnp.einsum("ns,nsj,nskl->njkl", a, centred, squares)
    single = _product(own, thirds)
    double = _product(jnp.einsum("ns,nsij->nij", own, squares), _spread(a))
    whole = whole - sum(jnp.moveaxis(single, 0, axis) for axis in range(4))
    pairs = itertools.combinations(range(4), 2)
    return whole - sum(jnp.moveaxis(double, (0, 1), pair) for pair in pairs)


def _less_mean(a: Any, u: Any) -> Any:
    """u [N, s, l] less its mean under a."""
    return u - jnp.sum(a[..., None] * u, axis=1, keepdims=True)


def _weighted(part: Any, weights: Any) -> Any:
    return part * weights.reshape(-1, *(1,) * (part.ndim - 1))


def _rows(part: Any) -> Any:
    """[N, s, ...] -> [N s, ...]."""
    return part.reshape(-1, *part.shape[2:])


def _product(left: Any, right: Any) -> Any:
    """Sum over the first axis: [*left, *right] without it."""
    flat = left.reshape(len(left), -1).T @ right.reshape(len(right), -1)
    return flat.reshape(*left.shape[1:], *right.shape[1:])


def _placed(parts: tuple[Any, ...]) -> dict[tuple[int, ...], Any]:
    """Blocks of all places of rows, of those with the second row last, n times: [*a, *b]."""
    blocks = {}
    for rows in itertools.product((0, 1), repeat=len(parts) - 1):
        order = sorted(range(len(rows)), key=lambda axis: rows[axis])
        blocks[rows] = jnp.moveaxis(parts[sum(rows)], range(len(rows)), order)
    return blocks


def _joined(blocks: dict[tuple[int, ...], Any]) -> Any:
    """One array [..., 2 T, 2 T, ...] of blocks by rows."""
    order = len(next(iter(blocks)))
    for axis in range(-1, -order - 1, -1):
        heads = dict.fromkeys(rows[:-1] for rows in blocks)
        blocks = {
            rows: jnp.concatenate([blocks[*rows, 0], blocks[*rows, 1]], axis=axis) for rows in heads
        }
    return blocks[()]
