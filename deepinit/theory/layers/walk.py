"""Layers in order, with records of the sites on the way; equal steps are compiled once."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from deepinit.core.layers.containers import Block, Repeat, Sequential, child_paths, joined
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.core.layers.program import Program
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.flow import Flow, Moments, moments, push
from deepinit.theory.layers.rules_table import apply
from deepinit.theory.layers.sharing import Depth, bare, filled, run
from deepinit.theory.layers.state import State

Functions = Callable[[Any, Any], Any]


class Path(str):
    """A path for messages; all are equal, so that a layer is compiled once for all its places."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Path)

    def __hash__(self) -> int:
        return 0


def places(layer: Layer, shape: Shape, path: str = "") -> Iterator[tuple[Layer, Shape, str]]:
    """Layers that are measured as one, in order, with shapes of their inputs and paths."""
    parts: Iterable[tuple[Layer, str]]
    if isinstance(layer, Repeat):
        parts = ((layer.layer, joined(path, str(i + 1))) for i in range(layer.times))
    elif isinstance(layer, Sequential) and not isinstance(layer, Block):
        parts = zip(layer.layers, child_paths(layer, path), strict=True)
    else:
        yield layer, shape, path
        return
    for child, inside in parts:
        yield from places(child, shape, inside)
        shape = output_shape(child, shape, inside)


def steps(program: Program) -> Iterator[tuple[Layer, Shape, str]]:
    """Layers that are measured as one, the embedding first, with shapes and paths."""
    if program.embedding is not None:
        yield program.embedding, program.shape, "embedding"
    yield from places(program.body, program.body_shape)


def advance(layer: Layer, flow: Flow, shape: Shape, depth: int, path: Path, half: int) -> Flow:
    """The flow after a layer."""
    spec = layer, shape, Depth(depth), path, half, bare(flow.state)
    state, (leaves, *rest) = run(_advanced, spec, (jax.tree.leaves(flow.state), *flow[1:]))
    return Flow(filled(state, leaves), *rest)


def record(functions: Functions, flow: Flow, half: int) -> Moments:
    """Moments [m] of functions of the rows."""
    spec = functions, half, bare(flow.state)
    return run(_recorded, spec, (jax.tree.leaves(flow.state), *flow[1:]))[1]


def _advanced(spec: Any, arrays: Any) -> tuple[State, Any]:
    layer, shape, depth, path, half, state = spec
    leaves, *rest = arrays
    step = lambda state, tape: apply(layer, state, shape, depth.number, str(path), tape)
    after = push(step, Flow(filled(state, leaves), *rest), half)
    return bare(after.state), (jax.tree.leaves(after.state), *after[1:])


def _recorded(spec: Any, arrays: Any) -> tuple[None, Moments]:
    functions, half, state = spec
    leaves, *rest = arrays
    of_state = lambda state: functions(matrix_of(state.gram), state.mean)
    return None, moments(of_state, Flow(filled(state, leaves), *rest), half)
