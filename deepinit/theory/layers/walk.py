"""Layers in order and repeated layers, with records of the sites on the way."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

from deepinit.core.layers.containers import Block, Repeat, Sequential, child_paths, joined
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.theory.layers.flow import Flow, push
from deepinit.theory.layers.rules_table import apply
from deepinit.theory.layers.state import settle

Record = Callable[[Flow], Any]


def walk(
    layer: Layer, flow: Flow, shape: Shape, depth: int, path: str, record: Record, half: int
) -> tuple[Flow, Any]:
    """Flow after a layer, and the records of its settled sites as a tree for `in_order`."""
    if isinstance(layer, Repeat):
        return _repeated(layer, flow, shape, depth, path, record, half)
    if not isinstance(layer, Sequential) or isinstance(layer, Block):
        flow = push(lambda state, tape: apply(layer, state, shape, depth, path, tape), flow, half)
        return flow, record(push(settle, flow, half))
    records = []
    for child, child_path in zip(layer.layers, child_paths(layer, path), strict=True):
        flow, part = walk(child, flow, shape, depth, child_path, record, half)
        shape = output_shape(child, shape, child_path)
        records.append(part)
    return flow, records


def _repeated(
    layer: Repeat, flow: Flow, shape: Shape, depth: int, path: str, record: Record, half: int
) -> tuple[Flow, Any]:
    """One scan over the repetitions that keep the structure of the state."""

    def once(flow: Flow, number: int) -> tuple[Flow, Any]:
        inside = joined(path, str(number))
        return walk(layer.layer, flow, shape, depth, inside, record, half)

    apart: list[Any] = []
    while len(apart) < layer.times:
        number = len(apart) + 1
        after = jax.eval_shape(lambda flow, number=number: once(flow, number)[0], flow)
        if _structure(after) == _structure(flow):
            break
        flow, part = once(flow, number)
        shape = output_shape(layer.layer, shape, path)
        apart.append(part)
    times = layer.times - len(apart)
    stacked = None
    if times:
        number = len(apart) + 1
        flow, stacked = jax.lax.scan(lambda flow, _: once(flow, number), flow, length=times)
    return flow, {"apart": apart, "times": times, "stacked": stacked}


def _structure(flow: Flow) -> Any:
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), flow)


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
