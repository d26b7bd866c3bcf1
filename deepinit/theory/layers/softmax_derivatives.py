"""Averages of f = a v b and of its derivatives by scores, a and b softmax of two rows' scores.

Derivatives of a mean E_a u under the shares a are joint cumulants of u and the indicators e_i:

    d_ijk E_a u = E u e_i e_j e_k - sum over 3 of E(u e_i) E(e_j e_k),
    d_ijkl E_a u = E u e_i e_j e_k e_l - sum over 4 of E(u e_i) E(e_j e_k e_l)
        - sum over 6 of E(e_i e_j) E(u e_k e_l),

u and e less their means: polynomials in a and c_i = a_i (u_i - E_a u), so that averages are those
of c_i a_j a_k a_l. By Price's theorem they give derivatives of E f by the covariance of the scores
without its inverse: small or dependent scores lose no digits.
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
    weighted = a * weights[:, None]
    of_a, of_b, f = b @ v.T, a @ v, jnp.sum((a @ v) * b, axis=1)[:, None]
    both = v - of_a[:, :, None] - of_b[:, None] + f[..., None]
    both = a[:, :, None] * b[:, None] * both  # f_ik
    crossed = _mixed_curves(a, b, weights)
    curved: dict[tuple[int, ...], Any] = {
        (0, 0): _curves(a, b, weights),
        (0, 1): crossed,
        (1, 0): jnp.swapaxes(crossed, 2, 3),
        (1, 1): _curves(b, a, weights).transpose(1, 0, 2, 3),
    }
    fourth = (
        _fourth(a, a * (of_a - f), weights),
        _third(a, both, weights),
        _second_of_both(a, b, both, weights),
        jnp.moveaxis(_third(b, jnp.swapaxes(both, 1, 2), weights), 3, 0),
        _fourth(b, b * (of_b - f), weights),
    )
    return Averages(weighted.T @ b, _joined(curved), _joined(_placed(fourth)))


def _curves(a: Any, b: Any, weights: Any) -> Any:
    """Of d^2 a_s / dS_i dS_j times b_t: [s, t, i, j]."""
    one, near = jnp.eye(a.shape[1]), _outer(a, a)
    weighted = b * weights[:, None]
    twice = _product(near, weighted)  # a_s a_i b_t
    thrice = _product(_outer(weighted, a), near).transpose(1, 0, 2, 3)
    single = jnp.einsum("st,si,sj->stij", _product(a, weighted), one, one)
    parts = jnp.einsum("si,sjt->stij", one, twice)
    alone = jnp.einsum("ij,sit->stij", one, twice)
    return single - parts - jnp.swapaxes(parts, 2, 3) - alone + 2.0 * thrice


def _mixed_curves(a: Any, b: Any, weights: Any) -> Any:
    """Of da_s / dS_i times db_t / dS'_k: [s, t, i, k]."""
    one, weighted = jnp.eye(a.shape[1]), a * weights[:, None]
    near = _outer(b, b)
    whole = _product(_outer(weighted, a), near).transpose(0, 2, 1, 3)
    left = jnp.einsum("si,stk->stik", one, _product(weighted, near))
    right = jnp.einsum("tk,sit->stik", one, _product(_outer(weighted, a), b))
    return jnp.einsum("st,si,tk->stik", _product(weighted, b), one, one) - left - right + whole


def _fourth(a: Any, c: Any, weights: Any) -> Any:
    """Fourth derivatives of E_a u: [i, j, k, l]."""
    one, c, near = jnp.eye(a.shape[1]), c * weights[:, None], _outer(a, a)
    u, v, w = _product(c, a), _product(c, near), _product(_outer(c, a), near)
    part = lambda pattern, *factors: jnp.einsum(f"{pattern}->ijkl", *factors)
    single = part("jk,kl,ji", one, one, u + u.T) - part("jk,ijl", one, v)
    single = part("jl,ijk", one, v) + part("kl,ikj", one, v) - 3.0 * w - single
    double = part("ij,ikl", one, v) - part("ij,kl,ki", one, one, u)
    double = double + part("ij,kli", one, v) + part("ij,lki", one, v) + part("kl,kij", one, v)
    double = double - part("klij", w) - part("lkij", w)
    whole = part("i,ij,jk,kl", c.sum(axis=0), one, one, one)
    whole = whole + sum(jnp.moveaxis(single, 0, axis) for axis in range(4))
    pairs = itertools.combinations(range(4), 2)
    return whole + sum(jnp.moveaxis(double, (0, 1), pair) for pair in pairs)


def _third(a: Any, c: Any, weights: Any) -> Any:
    """Third derivatives of E_a u, c [N, i, l]: [i, j, k, l]."""
    one, c = jnp.eye(a.shape[1]), c * weights[:, None, None]
    u, v = _product(c, a), _product(c, _outer(a, a))  # [i, l, j], [i, l, j, k]
    part = lambda pattern, *factors: jnp.einsum(f"{pattern}->ijkl", *factors)
    single = 2.0 * part("iljk", v) - part("jk,jli", one, u) - part("jk,ilj", one, u)
    whole = part("il,ij,jk", c.sum(axis=0), one, one)
    return whole + sum(jnp.moveaxis(single, 0, axis) for axis in range(3))


def _second_of_both(a: Any, b: Any, both: Any, weights: Any) -> Any:
    """Of f_ijkl, i and j of the first row, k and l of the second; `both`: f_ik [N, i, k]."""
    one, c = jnp.eye(a.shape[1]), both * weights[:, None, None]
    whole = _product(c, _outer(a, b))  # [i, k, j, l]
    left, right = _product(c, a), _product(c, b)  # [i, k, j], [i, k, l]
    part = lambda pattern, *factors: jnp.einsum(f"{pattern}->ijkl", *factors)
    found = part("ij,kl,ik", one, one, c.sum(axis=0))
    found = found - part("kl,ikj", one, left) - part("kl,jki", one, left)
    found = found - part("ij,ikl", one, right) - part("ij,ilk", one, right)
    whole = part("ikjl", whole) + part("jkil", whole)
    return found + whole + jnp.swapaxes(whole, 2, 3)


def _outer(left: Any, right: Any) -> Any:
    """[N, i, j]."""
    return left[:, :, None] * right[:, None]


def _product(left: Any, right: Any) -> Any:
    """Sum over nodes: [*left, *right] without them."""
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
