"""Causal transformers of characters.

z = z + alpha O attention(N z),  z = z + alpha F2 phi(F1 N z), each then normalized if `post`.
Scores are temperature q.k / sqrt(head width). Variances are divided by fan-in: `value`, `output`,
`inner` (F1), `outer` (F2); 1 of queries, keys and readout. N is LayerNorm if `pre`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.diagnosis.formulas import attention_entropy
from deepinit.diagnosis.probe import Pass, Probe, explicit_probe
from deepinit.diagnosis.study.activations import activate, number_of
from deepinit.diagnosis.study.stacks import normalized

HEADS = 4


class Shape(NamedTuple):
    """Static sizes; depth is the number of blocks."""

    width: int
    depth: int
    tokens: int
    classes: int


def values_of(network: dict[str, Any]) -> dict[str, Any]:
    """Traced values of a configuration."""
    names = ("value", "output", "inner", "outer", "temperature", "alpha")
    found = {name: jnp.float32(network[name]) for name in names}
    norms = {name: jnp.int32(network["norm"] == name) for name in ("pre", "post")}
    return found | norms | {"activation": number_of(network["activation"])}


def init(shape: Shape, values: dict[str, Any], key: Any) -> dict[str, Any]:
    """Parameters."""
    width, depth = shape.width, shape.depth

    def normal(number: int, sizes: tuple[int, ...], variance: Any) -> Any:
        key_here = jax.random.fold_in(key, number)
        return jax.random.normal(key_here, sizes) * jnp.sqrt(variance)

    blocks = {
        "query": normal(0, (depth, width, width), 1 / width),
        "key": normal(1, (depth, width, width), 1 / width),
        "value": normal(2, (depth, width, width), values["value"] / width),
        "output": normal(3, (depth, width, width), values["output"] / width),
        "inner": normal(4, (depth, width, 2 * width), values["inner"] / width),
        "outer": normal(5, (depth, 2 * width, width), values["outer"] / (2 * width)),
        "inner_bias": jnp.zeros((depth, 2 * width)),
        "outer_bias": jnp.zeros((depth, width)),
    }
    return {
        "tokens": normal(6, (shape.classes, width), 0.5),
        "positions": normal(7, (shape.tokens, width), 0.5),
        "blocks": blocks,
        "readout": normal(8, (width, shape.classes), 1 / width),
        "readout_bias": jnp.zeros(shape.classes),
    }


def embed(parameters: dict[str, Any], tokens: Any) -> Any:
    """[rows, tokens, width] of integers [rows, tokens]."""
    return parameters["tokens"][tokens] + parameters["positions"]


def forward(
    shape: Shape, values: dict[str, Any], parameters: dict[str, Any], x: Any, shifts: Any = None
) -> Pass:
    """Of embedded tokens [rows, tokens, width]; states are those after every block."""
    norm = {name: lambda z, on=values[name]: normalized(on, z) for name in ("pre", "post")}
    alpha = values["alpha"]

    def step(z: Any, layer: Any) -> tuple[Any, Any]:
        block, shift = layer
        branch, entropy = attention(shape, values["temperature"], block, norm["pre"](z))
        z = norm["post"](z + alpha * branch)
        hidden = norm["pre"](z) @ block["inner"] + block["inner_bias"]
        hidden = activate(values["activation"], hidden) @ block["outer"] + block["outer_bias"]
        z = norm["post"](z + alpha * hidden)
        z = z if shift is None else z + shift
        return z, (z, entropy)

    given = (parameters["blocks"], None if shifts is None else shifts[0])
    z, (states, entropies) = jax.lax.scan(step, x, given)
    features = norm["pre"](z)
    outputs = features @ parameters["readout"] + parameters["readout_bias"]
    return Pass(outputs, features, (states,), entropies)


def attention(shape: Shape, temperature: Any, block: Any, h: Any) -> tuple[Any, Any]:
    """Causal attention, and its entropy."""
    rows, tokens, width = h.shape
    split = lambda each: each.reshape(rows, tokens, HEADS, width // HEADS)
    query, key, value = (split(h @ block[name]) for name in ("query", "key", "value"))
    scores = jnp.einsum("rthd,rshd->rhts", query, key) * temperature / (width // HEADS) ** 0.5
    causal = jnp.tril(jnp.ones((tokens, tokens), bool))
    weights = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf))
    mixed = jnp.einsum("rhts,rshd->rthd", weights, value).reshape(rows, tokens, width)
    return mixed @ block["output"], attention_entropy(weights)


def probe(shape: Shape, values: dict[str, Any]) -> Probe:
    """For scores."""
    own = functools.partial(init, shape, values), functools.partial(forward, shape, values)
    return explicit_probe(*own, "tokens", embed, sequences=True)
