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
from deepinit.diagnosis.one_network import NETWORK, measured, state_scores, step_scores
from deepinit.diagnosis.stacks import mapped, parts_of

_QUICK = 3 * 10**7  # entries, which unoptimized code takes about half a second for


def values(
    net: Program, batch: Any, key: int, networks: range, *, parts: str, chunk: int
) -> dict[str, np.ndarray]:
    """Scores [len(networks), ...] of networks `fold_in(key, i)`, `chunk` at once.

    A chunk is drawn while JAX scores the one before.
    """
    import jax

    from deepinit.diagnosis.doors.parameters import HOST, parameters_of

    keys = host_draws.fold_in(host_draws.key_data(key), np.array(networks))
    run = _scorer(_without_laws(net), parts, _is_quick(net, batch, chunk))
    found: list[Any] = []
    before = None
    for start in range(0, len(keys), chunk):
        own = keys[start : start + chunk]
        given = np.resize(own, (chunk, 2))  # the last chunk repeats networks
        parameters = parameters_of(net, host_draws.fold_in(given, NETWORK), HOST)
        scores = run(host_draws.drawn(parameters), given, batch)
        found += [] if before is None else [jax.device_get(before)]
        before = scores
    found.append(jax.device_get(before))
    return {name: np.concatenate([each[name] for each in found])[: len(keys)] for name in found[0]}


def size(net: Program) -> int:
    """Number of parameters."""
    import jax

    from deepinit.diagnosis.doors.parameters import HOST, parameters_of

    requests = parameters_of(net, host_draws.key_data(0)[None], HOST)
    is_request = lambda each: isinstance(each, host_draws.Request)
    return sum(each.size for each in jax.tree.leaves(requests, is_leaf=is_request))


def options(*, quick: bool) -> dict[str, Any]:
    """Of the compiler. Quick: unoptimized code, compiled in a third of the time."""
    return {
        "xla_backend_optimization_level": 0 if quick else 1,
        "xla_cpu_use_fusion_emitters": False,  # which compile more slowly
    }


@functools.lru_cache(maxsize=64)
def _scorer(net: Program, parts: str, quick: bool) -> Any:
    """`(parameters, key words, batch) -> scores`, all with an axis of networks but the batch."""
    import jax

    from deepinit.diagnosis.doors.layers import probe_of

    probe = probe_of(net)
    given = probe.given
    assert given is not None

    def of_network(parameters: Any, words: Any, batch: Any) -> dict[str, Any]:
        own = probe._replace(draw=lambda key: given(parameters))
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        if parts == "states":
            return state_scores(own, batch, key)
        if parts == "first_step" and batch.step_labels is None:
            return step_scores(own, batch, key)
        return measured(own, batch, key, kernel=parts == "all")

    many = jax.vmap(of_network, in_axes=(0, 0, None))
    return jax.jit(many, compiler_options=options(quick=quick))


def _is_quick(net: Program, batch: Any, chunk: int) -> bool:
    """Whether a chunk has little work elementwise: differences of rows in every layer."""
    if any(isinstance(part, Conv) for part in parts_of(net.body)):
        return False
    shape = net.last_shape
    pairs = len(batch.inputs) ** 2 * max(shape.num_positions, 1)
    return chunk * net.depth * pairs * shape.size <= _QUICK


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
