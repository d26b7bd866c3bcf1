"""Softmax attention: independent heads, given the rows.

With K = k k^T / d of one head's keys and X = A v A^T of its scores (`softmax_moments`):

    K:  mean v_k G, covariance Wick / d, averaged over the heads;
    O = E X(G, K) + noise, covariance (Cov X + E Wick(X) / d) / heads.

Scores have variance c^2 d v_q G_tt' K_ss', at the head width d (`mup` scores too).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.attention import Attention, head_width_of, score_factor
from deepinit.core.layers.layer import Shape, refuse
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.entries import count_rows, entries, matrix_of, polynomial, wick
from deepinit.theory.layers.rules_table import FIRST_ORDER, entry_variance
from deepinit.theory.layers.softmax_moments import Mixed, is_sampled, mixed
from deepinit.theory.layers.state import Pending, State, settle
from deepinit.theory.layers.tape import Tape

# Largest relative errors of means and of their derivatives: by lattices, by Sobol points.
_ERRORS = {False: (1e-6, 1e-3), True: (3e-3, 0.2)}


@FIRST_ORDER.rule(Attention)
def _attention(
    layer: Attention, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    _refused(layer, path)
    fan_in = shape.width or 1
    width = head_width_of(layer, fan_in)
    variance = lambda name: fan_in * entry_variance(layer, name, fan_in, depth, path)
    gram = settle(state, tape).gram
    queries = score_factor(layer, width) ** 2 * width * variance("query_law") * gram
    keys = variance("key_law") * gram
    units = layer.heads * width
    keys = tape.average(keys, wick(matrix_of(keys)), units, mean_units=width)
    heads = _outputs(variance("value_law") * gram, queries, keys, layer, shape, width, tape)
    scale = units * entry_variance(layer, "output_law", units, depth, path)
    return Pending(scale * heads, fan_in, ColumnLaw())


def _outputs(
    values: Any, queries: Any, keys: Any, layer: Attention, shape: Shape, width: int, tape: Tape
) -> Any:
    """[p], the average over heads of A v A^T."""
    seen = np.ones((shape.num_positions,) * 2, bool)
    seen = seen if layer.mask is None else np.tril(seen)
    x = jnp.concatenate([values, queries, keys])
    found = Mixed(*tape.jet(lambda: mixed(x, seen)))
    allowed = jnp.asarray(_ERRORS[is_sampled(seen)])
    tape.note(jnp.max(jnp.where(found.error > allowed, found.error, 0.0)))
    where = entries(count_rows(len(values)))
    a, b = where.rows, where.columns
    paired = lambda left, right: where.at[np.ix_(left, right)]
    moment = lambda one, other: found.products[one, other]
    spread = moment(paired(a, a), paired(b, b)) + moment(paired(a, b), paired(b, a))
    covariance = found.covariance + spread / width
    at = jnp.broadcast_to(x, (len(values), len(x)))
    mean = polynomial(at, found.value, found.gradient, found.hessian)
    return tape.average(mean, covariance, layer.heads)


def _refused(layer: Attention, path: str) -> None:
    for given, present in (
        ("rotary embeddings", layer.rotary is not None),
        ("norms of queries and keys", layer.qk_norm),
    ):
        if present:
            given = f"{given} at order 1/width"
            raise refuse(path, layer, given, "attention without them", "Simulate.")
