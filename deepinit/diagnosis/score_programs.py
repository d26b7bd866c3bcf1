"""Scores of many networks of layers: matrices drawn on the host, one compiled scorer.

The scorer's arguments are matrices, so that networks which differ in their laws alone share it.
Without samplers, and with little optimization, it compiles in a second; most of its time then goes
into matrix products, which are library calls.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from deepinit.core.laws import normal
from deepinit.core.layers import Conv, Dense, Layer, Program
from deepinit.diagnosis import host_draws
from deepinit.diagnosis.one_network import NETWORK, measured, state_scores
from deepinit.diagnosis.stacks import mapped

_QUICK = 10**8  # entries of states of a chunk, up to which unoptimized code takes about a second
_OPTIONS = {"xla_cpu_use_fusion_emitters": False}  # which compile more slowly


def values(
    net: Program, batch: Any, key: int, num_seeds: int, *, parts: str, chunk: int
) -> dict[str, np.ndarray]:
    """Scores [num_seeds, ...] of networks `fold_in(key, i)`, `chunk` at once."""
    from deepinit.diagnosis.doors.parameters import HOST, parameters_of

    keys = host_draws.fold_in(host_draws.key_data(key), np.arange(num_seeds))
    run = _scorer(_without_laws(net), parts)
    found = []
    for start in range(0, num_seeds, chunk):
        own = keys[start : start + chunk]
        given = np.resize(own, (chunk, 2))  # the last chunk repeats networks
        parameters = parameters_of(net, host_draws.fold_in(given, NETWORK), HOST)
        scores = run(host_draws.drawn(parameters), given, batch)
        found.append({name: np.asarray(each)[: len(own)] for name, each in scores.items()})
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


@functools.lru_cache(maxsize=64)
def _scorer(net: Program, parts: str) -> Any:
    """`(parameters, key words, batch) -> scores`, all with an axis of networks but the batch."""
    import jax

    from deepinit.diagnosis.doors.layers import probe_of

    probe = probe_of(net)
    assert probe.given is not None

    def of_network(parameters: Any, words: Any, batch: Any) -> dict[str, Any]:
        own = probe._replace(draw=lambda key: probe.given(parameters))
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        if parts == "states":
            return state_scores(own, batch, key)
        return measured(own, batch, key, kernel=parts == "all")

    many = jax.vmap(of_network, in_axes=(0, 0, None))
    return jax.jit(many, compiler_options={**_OPTIONS, **_level(net, parts)})


def _level(net: Program, parts: str) -> dict[str, Any]:
    return {"xla_backend_optimization_level": 0}


def _without_laws(net: Program) -> Program:
    """Laws of matrices replaced by one: what remains tells compiled scorers apart."""

    def plain(layer: Layer) -> Layer:
        if not isinstance(layer, Dense | Conv):
            return layer
        bias = None if layer.bias is None else normal(1.0, "absolute")
        return dataclasses.replace(layer, law=normal(1.0), bias=bias)

    one = lambda layer: None if layer is None else mapped(layer, plain)
    return net._replace(
        embedding=one(net.embedding), body=mapped(net.body, plain), readout=one(net.readout)
    )
