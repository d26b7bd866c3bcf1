"""RMSNorm and LayerNorm: maps of products and means of settled rows.

G_ab / (s_a s_b),  m_a / s_a,  s_a^2 = G_aa + eps;      LayerNorm: of G - m m^T, m = 0.
"""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.norms import LayerNorm, RMSNorm
from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.rules_table import FIRST_ORDER
from deepinit.theory.layers.state import Frame, Normed, Pending, Settled, State, settle
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(RMSNorm, LayerNorm)
def _norm(
    layer: RMSNorm | LayerNorm, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    del shape, depth, path
    rows = settle(state, tape)
    gram, mean = matrix_of(rows.gram), rows.mean
    if isinstance(layer, LayerNorm):
        gram, mean = gram - jnp.outer(mean, mean), jnp.zeros_like(mean)
    size = jnp.sqrt(jnp.diagonal(gram) + layer.eps)
    return Settled(vector_of(gram / jnp.outer(size, size)), mean / size, _frame(layer, state))


def _frame(layer: RMSNorm | LayerNorm, state: State) -> Frame:
    """The norm that Gaussian columns have passed."""
    if isinstance(state, Normed) or (isinstance(state, Pending) and not state.law.is_gaussian):
        return ""
    before: Frame = "rms" if isinstance(state, Pending) else state.frame
    return "centred" if before and isinstance(layer, LayerNorm) else before
