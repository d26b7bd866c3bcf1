"""Residual sums x + a b, b independent columns with fresh weights.

With e = E b, S = Cov b, c = Cov(b_a b_b, b_c), C = Cov(b_a b_b, b_c b_d) of one column, a absorbed:

    G' = G + m e^T + e m^T + E b b^T,    m' = m + e,
    n Cov(G'_ab, G'_cd) = G_ac S_bd + G_ad S_bc + G_bc S_ad + G_bd S_ac
        + m_a c_cd,b + m_b c_cd,a + m_c c_ab,d + m_d c_ab,c + C_ab,cd,
    n Cov(G'_ab, m'_c) = m_a S_bc + m_b S_ac + c_ab,c,    n Cov(m'_a, m'_c) = S_ac.
"""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.containers import Residual, joined
from deepinit.core.layers.layer import Shape, refuse
from deepinit.theory.layers.columns import column_moments
from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.rules_table import FIRST_ORDER, apply
from deepinit.theory.layers.state import Pending, Settled, State, settle
from deepinit.theory.layers.tape import Tape, Terms
from deepinit.theory.numerics.entries import entries


@FIRST_ORDER.rule(Residual)
def _residual(
    layer: Residual, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    scale = depth**-0.5 if layer.scale == "1/sqrt(depth)" else layer.scale
    # read by branch and skip
    entering = tape.same_rows(dataclasses.replace(settle(state, tape), frame=""), state)
    branch = apply(layer.branch, entering, shape, depth, joined(path, "branch"), tape)
    skip: State = entering
    if layer.skip is not None:
        skip = apply(layer.skip, entering, shape, depth, joined(path, "skip"), tape)
    if not isinstance(branch, Pending) or branch.law.channels > 1:
        given = "a branch that does not end in a random linear layer and functions of neurons"
        remedy = "End the branch in di.layers.Dense, or simulate."
        raise refuse(path, layer, given, "branches of fresh, independent columns", remedy)
    return add(skip, branch, scale, tape)


def add(skip: State, branch: Pending, scale: float, tape: Tape) -> State:
    """skip + scale branch, the branch's columns independent of the skip's."""
    if isinstance(skip, Pending) and skip.law.is_gaussian and branch.law.is_gaussian:
        outer, inner = skip.law.scale**2, (scale * branch.law.scale) ** 2
        variance = outer * skip.variance + inner * branch.variance
        return Pending(variance, branch.width, skip.law._replace(scale=1.0))
    rows = settle(skip, tape)
    law = branch.law._replace(scale=scale * branch.law.scale)
    b = column_moments(branch.variance, law, tape)
    size = len(branch.variance)
    crossed = jnp.outer(rows.mean, b.first)
    covariance = b.covariance() + _crossed(rows, b.covariance())
    change = jnp.concatenate([vector_of(crossed + crossed.T) + b.second, b.first])
    terms = Terms(change, covariance, branch.width, columns=tape.added(skip))
    average = tape.average(terms._replace(slope=_slope(b.first)))
    return Settled(rows.gram + average[:size], rows.mean + average[size:])


def _slope(mean: Any) -> Any:
    """[p + k, k], of x_a e_b + e_a x_b and e_a in x."""
    where, unit = entries(len(mean)), jnp.eye(len(mean))
    a, b = where.rows, where.columns
    products = unit[a] * mean[b][:, None] + unit[b] * mean[a][:, None]
    return jnp.concatenate([products, jnp.zeros_like(unit)])


def _crossed(rows: Settled, own: Any) -> Any:
    """The covariance's terms in rows' products and means, [p + k, p + k]."""
    size = len(rows.gram)
    where = entries(len(rows.mean))
    a, b = where.rows, where.columns
    g, s, m = matrix_of(rows.gram), own[size:, size:], rows.mean
    third = own[:size, size:]  # c_ab,c
    near = lambda matrix, left, right: matrix[np.ix_(left, right)]
    high = near(g, a, a) * near(s, b, b) + near(g, a, b) * near(s, b, a)
    high = high + near(g, b, a) * near(s, a, b) + near(g, b, b) * near(s, a, a)
    tied = third[:, b] * m[a] + third[:, a] * m[b]  # m_c c_ab,d + m_d c_ab,c
    mixed = m[a][:, None] * s[b] + m[b][:, None] * s[a]
    return jnp.block([[high + tied + tied.T, mixed], [mixed.T, jnp.zeros_like(s)]])
