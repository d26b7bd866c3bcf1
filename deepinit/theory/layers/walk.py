"""Layers in order, with records of the sites on the way; equal steps are compiled once."""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from deepinit.core.layers.containers import Block, Repeat, Sequential, child_paths, joined
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.flow import Flow, Moments, moments, push
from deepinit.theory.layers.rules_table import apply

# A step is short to run and long to compile.
QUICKLY = {"xla_backend_optimization_level": 0}
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


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4, 5), compiler_options=QUICKLY)
def advance(layer: Layer, flow: Flow, shape: Shape, depth: int, path: Path, half: int) -> Flow:
    """The flow after a layer."""
    step = lambda state, tape: apply(layer, state, shape, depth, str(path), tape)
    return push(step, flow, half)


@functools.partial(jax.jit, static_argnums=(0, 2), compiler_options=QUICKLY)
def record(functions: Functions, flow: Flow, half: int) -> Moments:
    """Moments [m] of functions of the rows."""
    of_state = lambda state: functions(matrix_of(state.gram), state.mean)
    return moments(of_state, flow, half)
