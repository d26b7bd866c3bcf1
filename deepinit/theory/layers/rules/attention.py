"""Softmax attention: independent heads, given the rows.

With K = k k^T / d of one head's keys and X = A v A^T of its scores (`softmax_moments`):

    K:  mean v_k G, covariance Wick / d, averaged over the heads;
    O = E X(G, K) + noise, covariance (Cov X + E Wick(X) / d) / heads.

Scores have variance c^2 d v_q G_tt' K_ss', at the head width d (`mup` scores too). With `qk_norm`
correlations take the place of v_q G and v_k G, K is averaged for queries too, and scores are those
of a Haar frame: one more 1/d in the mean. With rotary embeddings (`rotations`) O is averaged over
keys too, with their 1/d in its mean and covariance.

Control variates: `head_terms` of every head; with `qk_norm`, or heads k^2 > 1024, none of O.

Errors: pairs of rows with up to 4 score differences by lattices, 1e-6. Beyond (4 tokens or more) by
Sobol points, in proportion to the scores' variance; at 1 and 8 tokens means to 1e-4 and derivatives
by scores, which shifts of order 1/d read, to 6e-3 of the largest. Larger errors than 3e-3 and 0.1
are refused, smaller ones recorded by the tape. Variances: 1 % beyond 4 differences of all rows.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.attention import Attention, head_width_of, score_factor
from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.program import expanded
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.entries import (
    count_rows,
    entries,
    matrix_of,
    polynomial,
    vector_of,
    wick,
)
from deepinit.theory.layers.head_terms import head_terms, turned_terms
from deepinit.theory.layers.replay import Replay
from deepinit.theory.layers.rotations import Rates, rates_of
from deepinit.theory.layers.rules_table import FIRST_ORDER, entry_variance
from deepinit.theory.layers.softmax_moments import Mixed, haar_bias, is_sampled, mixed
from deepinit.theory.layers.state import Pending, State, settle
from deepinit.theory.layers.tape import Tape, Terms

_LARGEST_RECORD = 1024  # heads times squared rows; control variates know no means beyond
# Largest relative errors of means and of their derivatives: by lattices, by Sobol points.
_ERRORS = {False: (1e-6, 1e-3), True: (3e-3, 0.1)}


@FIRST_ORDER.rule(Attention)
def _attention(
    layer: Attention, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    _refused(layer, path)
    fan_in = shape.width or 1
    width = head_width_of(layer, fan_in)
    variance = lambda name: fan_in * entry_variance(layer, name, fan_in, depth, path)
    gram = settle(state, tape).gram
    units = layer.heads * width
    factor = score_factor(layer, width) ** 2 * width
    of_heads = lambda mean: tape.average(
        Terms(mean, wick(matrix_of(mean)), units, mean_units=width)
    )
    rates = None if layer.rotary is None else rates_of(layer, width)
    if rates is not None:
        queries, keys = factor * variance("query_law") * gram, variance("key_law") * gram
    elif layer.qk_norm:
        queries = factor * _correlations(of_heads(_correlations(gram)))
        keys = _correlations(of_heads(_correlations(gram)))
    else:
        queries = factor * variance("query_law") * gram
        keys = of_heads(variance("key_law") * gram)
    values = variance("value_law") * gram
    if isinstance(tape, Replay):
        spread = factor * variance("query_law") * variance("key_law")
        heads = _drawn(gram, spread, variance("value_law"), layer, shape, width, tape)
    else:
        heads = _outputs(values, queries, keys, layer, shape, width, rates, tape)
    scale = units * entry_variance(layer, "output_law", units, depth, path)
    return Pending(scale * heads, fan_in, ColumnLaw())


def _outputs(
    values: Any,
    queries: Any,
    keys: Any,
    layer: Attention,
    shape: Shape,
    width: int,
    rates: Rates | None,
    tape: Tape,
) -> Any:
    """[p], the average over heads of A v A^T."""
    seen = _seen(layer, shape)
    x = jnp.concatenate([values, queries, keys])
    found = Mixed(*tape.jet(lambda: mixed(x, seen, rates)))
    allowed = jnp.asarray(_ERRORS[is_sampled(seen)])
    tape.note(jnp.max(jnp.where(found.error > allowed, found.error, 0.0)))
    if is_sampled(seen):
        tape.note_sampled(found.error)
    where = entries(count_rows(len(values)))
    a, b = where.rows, where.columns
    paired = lambda left, right: where.at[np.ix_(left, right)]
    moment = lambda one, other: found.products[one, other]
    spread = moment(paired(a, a), paired(b, b)) + moment(paired(a, b), paired(b, a))
    covariance = found.covariance + (spread + found.key_spread) / width
    at = jnp.broadcast_to(x, (len(values), len(x)))
    mean = polynomial(at, found.value, found.gradient, found.hessian)
    bias = found.key_bias / width if rates is not None else None
    if layer.qk_norm:
        bias = tape.jet(lambda: haar_bias(x, seen)) / width
    return tape.average(Terms(mean, covariance, layer.heads, bias))


def _drawn(
    gram: Any,
    spread: float,
    value_variance: float,
    layer: Attention,
    shape: Shape,
    width: int,
    tape: Replay,
) -> Any:
    """[p], the network's average."""
    _, mix, output = expanded(layer, shape).layers  # type: ignore[attr-defined]
    rows = count_rows(len(gram))
    if layer.qk_norm or layer.heads * rows**2 > _LARGEST_RECORD:
        unknown = jnp.full_like(gram, jnp.nan)
        return tape.average(Terms(unknown, None, layer.heads, columns=tape.inside(output)))
    factor = score_factor(layer, width) * width * mix.scales[0] * mix.scales[1]
    seen = np.kron(np.eye(rows // shape.num_positions, dtype=bool), _seen(layer, shape))

    def terms(scores: Any, outputs: Any) -> Any:
        given = factor * scores, outputs, gram, spread, value_variance, seen
        if layer.rotary is None:
            return head_terms(*given)
        return turned_terms(*given, shape.num_positions, rates_of(layer, width))

    return tape.average_of_heads(tape.heads(mix, layer.heads, layer.rotary), rows, terms)


def _seen(layer: Attention, shape: Shape) -> np.ndarray:
    """[T, T], whether position t sees s."""
    seen = np.ones((shape.num_positions,) * 2, bool)
    return seen if layer.mask is None else np.tril(seen)


def _correlations(gram: Any) -> Any:
    """G_ab / sqrt(G_aa G_bb), [p]."""
    matrix = matrix_of(gram)
    size = jnp.sqrt(jnp.diagonal(matrix))
    return vector_of(matrix / jnp.outer(size, size))


def _refused(layer: Attention, path: str) -> None:
    if layer.rotary is not None and layer.qk_norm:
        given = "rotary embeddings of normed queries and keys, whose scores are no Haar frame's"
        remedy = "Simulate, or take the infinite-width limit."
        raise refuse(path, layer, f"{given}, at order 1/width", "rotary or qk_norm", remedy)
