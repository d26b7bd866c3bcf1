"""Layers in order and repeated layers, with records of the sites."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from deepinit.core.layers.containers import Block, Repeat, Sequential, child_paths, joined
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.infinite_width.rules_table import apply
from deepinit.infinite_width.states import State

Record = Callable[[State], Any]


def walk(
    layer: Layer, state: State, shape: Shape, depth: int, path: str, record: Record | None = None
) -> tuple[State, Any]:
    """State after a layer, and the records of its sites as a tree for `in_order`.

    A Block is one site with a record; without `record` it is a Sequential.
    """
    if isinstance(layer, Repeat):
        return _repeated(layer, state, shape, depth, path, record)
    if not isinstance(layer, Sequential) or (record and isinstance(layer, Block)):
        state = apply(layer, state, shape, depth, path)
        return state, record and record(state)
    records = []
    for child, child_path in zip(layer.layers, child_paths(layer, path), strict=True):
        state, part = walk(child, state, shape, depth, child_path, record)
        shape = output_shape(child, shape, child_path)
        records.append(part)
    return state, records


def _repeated(
    layer: Repeat, state: State, shape: Shape, depth: int, path: str, record: Record | None
) -> tuple[State, Any]:
    """One scan over the repetitions that keep the structure of the state."""

    def once(number: int) -> Any:
        inside = joined(path, str(number))
        step = lambda state: walk(layer.layer, state, shape, depth, inside, record)
        return jax.jit(step, inline=True)  # one trace for its structure and its use

    apart: list[Any] = []
    while len(apart) < layer.times:
        step = once(len(apart) + 1)
        if _structure(jax.eval_shape(step, state)[0]) == _structure(state):
            break
        state, part = step(state)
        shape = output_shape(layer.layer, shape, path)
        apart.append(part)
    times = layer.times - len(apart)
    stacked = None
    if times:
        state, stacked = jax.lax.scan(lambda state, _: step(state), state, length=times)
    return state, {"apart": apart, "times": times, "stacked": stacked}


def _structure(state: Any) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)


def in_order(records: Any, is_record: Callable[[Any], bool]) -> Iterator[Any]:
    """Records of a walk in the order of `core.layers.sites`."""
    if is_record(records):
        yield records
    elif isinstance(records, list):
        for part in records:
            yield from in_order(part, is_record)
    else:
        yield from in_order(records["apart"], is_record)
        for number in range(records["times"]):
            one = jax.tree.map(lambda leaf, number=number: leaf[number], records["stacked"])
            yield from in_order(one, is_record)
