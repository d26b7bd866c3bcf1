"""Similarity of the positions of one input, entropy of attention.

A site with several attention layers (a Block) shows the last; none inside its Repeat or Tied.
"""

from collections.abc import Iterator
from typing import Any

from deepinit.core.errors import refusal
from deepinit.core.inputs import Inputs
from deepinit.core.layers import (
    Attention,
    AttentionMix,
    Layer,
    Shape,
    output_shape,
    program,
    shape_of,
    sites,
)
from deepinit.core.layers.containers import leaves
from deepinit.quantities import layer_expansions, layer_limits, row_functions
from deepinit.quantities.kinds import Forward
from deepinit.quantities.kinds.axis import is_own
from deepinit.quantities.layer_limits import layers_limit
from deepinit.quantities.own.functions import abstract_outputs
from deepinit.quantities.quantity import Quantity

_DEAD, _ONE_POSITION = 1, 2  # places in `events`, from 1
_NO_ATTENTION = 1


def _measure_cosine(state: Any, inputs: Inputs) -> Any:
    """Mean over positions s < t of the cosine of rows s and t: [num_points]."""
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    del inputs
    points, count = state.postactivations.points, state.shape.num_positions
    zeros = jnp.zeros(len(points), points.dtype)
    if count == 1:
        return Measurement(zeros, jnp.full(len(points), _ONE_POSITION, jnp.int8))
    rows = points.reshape(len(points), count, -1)
    largest = jnp.max(jnp.abs(rows), axis=2, keepdims=True)
    rows = rows / jnp.where(largest > 0, largest, 1)  # squares of small rows may underflow
    norms = jnp.sqrt(jnp.sum(rows * rows, axis=2, keepdims=True))
    rows = rows / jnp.where(norms > 0, norms, 1)
    cosines = jnp.einsum("isj,itj->ist", rows, rows, precision="highest")
    pairs = 0.5 * count * (count - 1)
    value = jnp.sum(jnp.triu(cosines, 1), axis=(1, 2)) / pairs
    dead = jnp.any(largest == 0, axis=(1, 2))
    return Measurement(value, jnp.where(dead, _DEAD, 0).astype(jnp.int8))


def _measure_entropy(state: Any, inputs: Inputs) -> Any:
    """Mean over heads and positions t of -sum_s A_ts ln A_ts: [num_points]."""
    import jax.numpy as jnp
    from jax.scipy.special import entr

    from deepinit.observables.measurement import Measurement

    del inputs
    points, weights = state.postactivations.points, (state.notes or {}).get("attention")
    if weights is None:
        zeros = jnp.zeros(len(points), points.dtype)
        return Measurement(zeros, jnp.full(len(points), _NO_ATTENTION, jnp.int8))
    value = jnp.mean(jnp.sum(entr(weights), axis=-1), axis=(1, 2))
    return Measurement(value, jnp.zeros(len(points), jnp.int8))


def _names(spec: Any, inputs: Inputs) -> tuple[str, ...]:
    del spec
    return tuple(str(number) for number in range(1, len(inputs.points) + 1))


def _sites(spec: Any, inputs: Inputs) -> Iterator[tuple[Layer, Shape]]:
    """Layers of the sites, and shapes after them."""
    net = program(spec, shape_of(inputs))
    for site in sites(net.body, net.body_shape):
        yield site.layer, output_shape(site.layer, site.shape, site.path)


def _why_no_pairs(spec: Any, inputs: Inputs) -> str | None:
    if is_own(spec):
        has_pairs = spec.layers is not None or abstract_outputs(spec, inputs).ndim > 2
    else:
        has_pairs = any(shape.num_positions > 1 for _, shape in _sites(spec, inputs))
    if has_pairs:
        return None
    if is_own(spec):
        given = "token_cosine of a Network whose outputs have one position"
        remedy = "Measure layers inside: net.at('*')."
        return refusal(given, "outputs [batch, positions, width]", remedy)
    given = "token_cosine at one position everywhere"
    remedy = "Take di.inputs.tokens(8), or sequences or images."
    return refusal(given, "networks and inputs with two positions or more", remedy)


def _why_no_limit(spec: Any, inputs: Inputs) -> str | None:
    if all(shape.num_positions > 1 for _, shape in _sites(spec, inputs)):
        return None
    return "a site has one position, and no pairs"


def _why_no_attention(spec: Any, inputs: Inputs) -> str | None:
    if is_own(spec):
        given = "attention_entropy of a Network, whose attention weights have no name"
        remedy = "Return the weights from a function of your own, or write it in di.layers."
        return refusal(given, "networks of di.layers", remedy)
    kinds = Attention, AttentionMix
    every = (leaf for layer, _ in _sites(spec, inputs) for leaf in leaves(layer))
    if any(isinstance(leaf, kinds) for leaf in every):
        return None
    given, remedy = "attention_entropy of a network without attention", "Try di.zoo.gpt2()."
    return refusal(given, "networks with a layer Attention", remedy)


token_cosine = Quantity(
    name="token_cosine",
    symbol=r"$\langle \cos(x_s, x_t) \rangle_{s<t}$",
    label="mean cosine between the positions of one input",
    measurement=Forward(_measure_cosine, entries=_names, why_not=_why_no_pairs),
    theories=(
        layer_expansions.expansion(row_functions.token_cosine, _why_no_limit),
        layers_limit(layer_limits.token_cosine, _why_no_limit),
    ),
    transform="none: bounded",
    reference="definition",
    events=("dead", "one_position", "not_finite"),
    rounding="absolute",
    input_degree=0,
    target=row_functions.token_cosine,
)

attention_entropy = Quantity(
    name="attention_entropy",
    symbol=r"$-\langle \sum_s A_{ts} \ln A_{ts} \rangle_{h,t}$",
    label="entropy of attention over positions, mean over heads and positions, in nats",
    measurement=Forward(_measure_entropy, entries=_names, why_not=_why_no_attention),
    theories=(),
    transform="none: bounded",
    reference="definition",
    events=("no_attention", "not_finite"),
    rounding="absolute",
    input_degree=0,
)
