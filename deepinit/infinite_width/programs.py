"""Compiled kernels of a program: one compilation for all programs that differ in numbers alone."""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.containers import Sequential, kind_name, leaves
from deepinit.core.layers.linear import Conv, Dense, Embed
from deepinit.core.layers.neuronwise import Activation, Dropout, Gate
from deepinit.core.layers.norms import LayerNorm, RMSNorm
from deepinit.core.layers.pooling import Flatten
from deepinit.core.layers.program import Program
from deepinit.core.placeholders import CAPACITY, Recorder, Unresolved
from deepinit.core.placeholders import Recorded as Asked
from deepinit.core.structure import joined, split, with_numbers
from deepinit.infinite_width import rules as rules
from deepinit.infinite_width.centres import with_centres
from deepinit.infinite_width.random_nodes import REPLICAS
from deepinit.infinite_width.rules_table import apply
from deepinit.infinite_width.states import Engine, State, absorbed, start
from deepinit.infinite_width.walk import walk
from deepinit.infinite_width.windows import mean_over_positions

# The first one is fast at run time, for many pairs.
ENGINES: tuple[Engine, ...] = (("series", 64), ("series", 256), ("quadrature", 0))
# Layers that read pairs of one position only, where they give such.
_BY_POSITION = (Activation, Conv, Dense, Dropout, Embed, Flatten, Gate, LayerNorm, RMSNorm)


class SiteKernels(NamedTuple):
    """Kernels after a layer: cov = E h_ap h_bq over neurons, ntk (or None), E h_ap, E h_ap^2."""

    cov: Any
    ntk: Any
    mean: Any
    mean_square: Any


class Recorded(NamedTuple):
    """Kernels, and the largest flaws of the numerics so far."""

    kernels: SiteKernels
    missing: Any
    error: Any
    standard_error: SiteKernels | None = None


class Task(NamedTuple):
    """What is computed of a program.

    Attributes:
        engine: of activations without a closed form.
        ntk: whether tangent kernels are.
        at_sites: kernels after every site; "averaged" over positions.
        square: one list of inputs.
        closure: of a stream, which counts as Gaussian although functions of neurons are added:
            "centred" if their means are 0, else "centres" (`centres`).
        trained: `State.trained`.
    """

    engine: Engine = ENGINES[1]
    ntk: bool = True
    at_sites: bool | Literal["averaged"] = False
    square: bool = False
    closure: Literal["centred", "centres"] | None = None
    trained: tuple[str, ...] | None = None


def keeps_positions_apart(program: Program) -> bool:
    """Whether pairs of one position suffice: convolutions and functions, then Flatten."""
    layers = program.body.layers if isinstance(program.body, Sequential) else ()
    flat = any(isinstance(layer, Flatten) for layer in layers)
    return flat and all(type(leaf) in _BY_POSITION for leaf in leaves(program.body))


def run(program: Program, task: Task, first: Any, second: Any, same: Any) -> tuple[Any, Recorded]:
    """Records of the sites, as `walk` gives them, and of the output; in `host_float64`.

    Compiled once for all programs that differ in numbers alone.
    """
    structure, numbers = split(tuple(program))
    shapes = np.shape(first), np.shape(second)
    compiled, asked = _compiled(structure, task, shapes)
    arrays = first, second, same
    if not asked:
        try:
            compiled.eval_shape(jax.ShapeDtypeStruct((CAPACITY,), np.float64), *arrays)
        except (Unresolved, TypeError):  # code that asks for a value
            fixed = with_numbers(structure, numbers)
            return _compiled(fixed, task, shapes)[0](np.zeros(CAPACITY), *arrays)
    return compiled(asked[-1].vector(numbers, np.float64), *arrays)


@functools.lru_cache(maxsize=256)
def _compiled(structure: Any, task: Task, shapes: Any) -> tuple[Any, list[Asked]]:
    """The compiled program of a structure, and what it asks of its numbers once it is traced."""
    del shapes
    asked: list[Asked] = []

    @jax.jit
    def compiled(vector: Any, first: Any, second: Any, same: Any) -> Any:
        recorder = Recorder(vector)
        found = _kernels(Program(*joined(structure, recorder)), task, first, second, same)
        recorder.require_resolved()
        asked.append(recorder.recorded)
        return found

    return compiled, asked


def _kernels(
    program: Program, task: Task, first: Any, second: Any, same: Any
) -> tuple[Any, Recorded]:
    lists = first, None if task.square else second, same
    aligned = not task.at_sites and keeps_positions_apart(program)
    recorded = functools.partial(_recorded, averaged=task.at_sites == "averaged")
    record = recorded if task.at_sites else None

    @functools.partial(jax.jit, inline=True)  # one trace for all calls
    def run(replica: Any) -> tuple[Any, State]:
        state = start(*lists, task.ntk, task.engine, replica, aligned, task.trained)
        if program.embedding is not None:
            state = apply(program.embedding, state, program.shape, program.depth, "embedding")
        if task.closure == "centred":
            state = state.replace(closed=True)
        elif task.closure:
            state = with_centres(state, first if program.embedding is None else None)
        state, records = walk(program.body, state, program.body_shape, program.depth, "", record)
        if program.readout is not None:
            path = kind_name(program.readout)
            state = absorbed(state)
            state = apply(program.readout, state, program.last_shape, program.depth, path)
        return records if task.at_sites else [], state

    def of_replica(replica: Any) -> tuple[Any, Recorded]:
        records, state = run(replica)
        return records, _recorded(state)

    replicas = np.arange(REPLICAS, dtype=np.int32)
    if not jax.eval_shape(run, replicas[0])[1].sampled:
        return of_replica(replicas[0])
    many = jax.lax.map(of_replica, replicas)
    return jax.tree.map(_averaged, many, is_leaf=lambda part: isinstance(part, Recorded))


def _recorded(state: State, averaged: bool = False) -> Recorded:
    state = absorbed(state)
    mean, mean_square = (part[: len(state.same)] for part in (state.mean, state.variance))
    if averaged:
        mean, mean_square = (part.mean(-1, keepdims=True) for part in (mean, mean_square))
        state = mean_over_positions(state)
    kernels = SiteKernels(state.cross.cov, state.cross.ntk, mean, mean_square)
    return Recorded(kernels, state.missing, state.error)


def _averaged(replicas: Any) -> Any:
    """Mean and standard error over the first axis; counts as they are."""
    if not isinstance(replicas, Recorded):
        return replicas[0]
    error = lambda values: jnp.std(values, axis=0, ddof=1) / len(values) ** 0.5
    return Recorded(
        jax.tree.map(lambda values: jnp.mean(values, axis=0), replicas.kernels),
        jnp.max(replicas.missing, axis=0),
        jnp.max(replicas.error, axis=0),
        jax.tree.map(error, replicas.kernels),
    )
