"""Families: shape, values, data and compiled programs of a network of the study."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.diagnosis import estimates
from deepinit.diagnosis.probe import Batch
from deepinit.diagnosis.study import gated, stacks, training, transformers
from deepinit.diagnosis.study.data import TOKENS, Data, data

NUM_SEEDS = 64
_ROWS, _SEQUENCES = 16, 12  # that scores are measured on
_BATCH_KEY = 7
_GRID = 4


class Programs(NamedTuple):
    """Compiled for a shape and data set.

    Attributes:
        trainer: of values and a key.
        scores: `(values, batch, key) -> values [num_seeds, ...]`.
        batch: for scores.
    """

    trainer: training.Trainer
    scores: Callable[..., Any]
    batch: Batch


def values_of(network: dict[str, Any]) -> dict[str, Any]:
    """Traced values of a configuration."""
    return _module(network["family"]).values_of(network)


def programs(network: dict[str, Any]) -> Programs:
    """Programs of the network's shape."""
    kind = {"transformer": "transformer", "gated": "gated", "conv": "conv"}
    family = kind.get(network["family"], "dense")
    return _programs(family, network["width"], network["depth"], network["data"])


def given(name: str, family: str = "") -> Data:
    """The data set as the family sees it."""
    return data(name, patches=family == "conv")


@functools.lru_cache(maxsize=2)
def _programs(family: str, width: int, depth: int, name: str) -> Programs:
    module, rows = _module(family), given(name, family)
    shape = _shape(family, width, depth, rows)

    def outputs(values: Any, parameters: Any, inputs: Any) -> Any:
        x = transformers.embed(parameters, inputs) if family == "transformer" else inputs
        return module.forward(shape, values, parameters, x).outputs

    def scores(values: Any, batch: Batch, key: Any) -> Any:
        return estimates.many(module.probe(shape, values), batch, key, NUM_SEEDS)

    init = lambda values, key: module.init(shape, values, key)
    return Programs(training.trainer(init, outputs, rows), jax.jit(scores), score_batch(rows))


def score_batch(rows: Data) -> Batch:
    """16 rows or 12 sequences, and two labelled batches for the first step; equal for all."""
    labels = None if rows.labels is None else jnp.asarray(rows.labels)
    inputs, key = jnp.asarray(rows.inputs), jax.random.key(_BATCH_KEY)
    parts = [training.batch(inputs, labels, jax.random.fold_in(key, i)) for i in range(4)]
    if labels is None:
        own = jnp.concatenate([parts[0][0], parts[3][0]])[:_SEQUENCES]
    else:
        own = parts[0][0][:_ROWS]
    return Batch(own, *parts[1], *parts[2])


def reference(rows: Data) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init` and `outputs` of the model that P = 1 stands for: logistic regression; of texts
    embedding, normalization and readout, which sees one character.
    """
    if rows.labels is not None:
        size = rows.inputs[0].size

        def outputs(values: Any, parameters: Any, inputs: Any) -> Any:
            return inputs.reshape(len(inputs), -1) @ parameters["weights"] + parameters["bias"]

        zeros = {"weights": jnp.zeros((size, rows.classes)), "bias": jnp.zeros(rows.classes)}
        return lambda values, key: zeros, outputs
    shape = transformers.Shape(32, 0, TOKENS, rows.classes)
    values = {name: jnp.float32(1) for name in ("value", "output", "inner", "outer")}

    def init(_: Any, key: Any) -> Any:
        drawn = transformers.init(shape, values, key)
        return {name: drawn[name] for name in ("tokens", "readout", "readout_bias")}

    def bigram(_: Any, parameters: Any, inputs: Any) -> Any:
        features = stacks.normalized(jnp.int32(1), parameters["tokens"][inputs])
        return features @ parameters["readout"] + parameters["readout_bias"]

    return init, bigram


def _module(family: str) -> Any:
    return {"transformer": transformers, "gated": gated}.get(family, stacks)


def _shape(family: str, width: int, depth: int, rows: Data) -> Any:
    if family == "transformer":
        return transformers.Shape(width, depth, TOKENS, rows.classes)
    inputs = rows.inputs.shape[-1]
    if family == "gated":
        return gated.Shape(width, depth, inputs, rows.classes)
    return stacks.Shape(width, depth, inputs, rows.classes, _GRID if family == "conv" else 0)
