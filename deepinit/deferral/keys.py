"""Which draws share a key: the keys alone are computed, for two sets of random arguments.

Equal keys in different forms (a slice, an index, a step of a loop) are one array to f.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.host import outside_traces
from deepinit.deferral.interpret import run
from deepinit.deferral.program import Constant, Equation, Operand, Program, read
from deepinit.deferral.rules.loops import looped
from deepinit.deferral.scans import layout_of
from deepinit.deferral.session import Decisions, Session
from deepinit.deferral.simplify import live


class KeySharing(NamedTuple):
    """Names of draws whose keys no argument changes, and of those with a key used elsewhere."""

    constant: tuple[Any, ...]
    shared: tuple[Any, ...]


def key_sharing(program: Program, shapes: tuple[Any, ...]) -> KeySharing:
    """Of the draws of a program on arguments of these shapes.

    A key that enters a branch or a loop that stays as it is counts as used there.
    """
    names: list[list[Any]] = []

    def keys() -> list[list[Any]]:
        found = [_keys(program, shapes, seed) for seed in (0, 1)]
        names[:] = [own for own, _ in found]
        return [data for _, data in found]

    data = outside_traces(lambda: jax.jit(keys)())  # one compilation, also where f is traced
    first, second = (
        list(zip(own, map(_words, found), strict=True))
        for own, found in zip(names, data, strict=True)
    )
    users: dict[bytes, list[Any]] = collections.defaultdict(list)
    for name, own in first:
        for key in own:
            users[key.tobytes()].append(name)
    constant = [
        name
        for (name, one), (_, other) in zip(first, second, strict=True)
        if (one == other).all(axis=1).any()
    ]
    shared = [name for names in users.values() if len(names) > 1 for name in names]
    return KeySharing(tuple(dict.fromkeys(constant)), tuple(dict.fromkeys(shared)))


def _keys(program: Program, shapes: tuple[Any, ...], seed: int) -> tuple[list[Any], list[Any]]:
    """Names of draws, loops included, and data of their keys."""
    bits = np.random.default_rng(seed)
    types = {own: shape.dtype for own, shape in zip(program.inputs, shapes, strict=True)}
    session = Session(Decisions(), True, False, {"scan": looped})
    names, only = _with_keys(program, types, (), itertools.count(-1, -1), {}, bits)
    only = live(only)
    needed = read(only)
    arguments = tuple(
        _random(shape, bits) if own in needed else None
        for own, shape in zip(program.inputs, shapes, strict=True)
    )
    return names, list(map(_data, run(session, only, arguments)))


def _data(key: Any) -> Any:
    key = jnp.asarray(key)
    return jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key


def _words(data: Any) -> np.ndarray:
    """[keys, words]."""
    array = np.asarray(data)
    return array.reshape(-1, array.shape[-1] if array.ndim else 1)


def _with_keys(
    program: Program,
    types: dict[int, Any],
    path: tuple[int, ...],
    fresh: Iterator[int],
    traced: dict[int, Any],
    bits: np.random.Generator,
) -> tuple[list[Any], Program]:
    """Names of draws, and the program with their keys as its only outputs."""
    names: list[Any] = []
    keys: list[Operand] = []
    equations = []
    types = dict(types)

    def known(operand: Operand) -> Operand:
        """Random numbers in place of an array that a surrounding transformation traces."""
        if isinstance(operand, int) or not isinstance(operand.value, jax.core.Tracer):
            return operand
        value = operand.value
        return Constant(traced.setdefault(id(value), _random(value, bits)))

    for number, equation in enumerate(program.equations):
        inputs = tuple(map(known, equation.inputs))
        equation = dataclasses.replace(equation, inputs=inputs, has_effects=False)
        types |= {
            own: shape.dtype for own, shape in zip(equation.outputs, equation.shapes, strict=True)
        }
        if equation.body is None:
            own = tuple(_used(equation, types))
            names += [("draw", path, number)] * len(own)
            keys += own
        elif layout_of(equation).length > 0:
            body = equation.body
            inner = {
                name: _type(operand, types)
                for name, operand in zip(body.inputs, inputs, strict=True)
            }
            below, only = _with_keys(body, inner, (*path, number), fresh, traced, bits)
            more = tuple(next(fresh) for _ in below)
            body = dataclasses.replace(only, outputs=(*map(known, body.outputs), *only.outputs))
            equation = dataclasses.replace(equation, body=body, outputs=(*equation.outputs, *more))
            names, keys = names + below, [*keys, *more]
        equations.append(equation)
    return names, Program(program.inputs, tuple(keys), tuple(equations))


def _used(equation: Equation, types: dict[int, Any]) -> Iterable[Operand]:
    """Keys of a draw; keys, typed or not, that enter a branch or an unknown loop."""
    if equation.draw is not None or equation.primitive.name == "random_bits":
        return equation.inputs[:1]
    if not any(map(_is_function, equation.params.values())):
        return ()
    is_key = lambda dtype: jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32
    return (operand for operand in equation.inputs if is_key(_type(operand, types)))


def _is_function(parameter: Any) -> bool:
    items = parameter if isinstance(parameter, list | tuple) else (parameter,)
    return any(hasattr(item, "eqns") for item in items)


def _type(operand: Operand, types: dict[int, Any]) -> Any:
    if isinstance(operand, int):
        return types.get(operand, np.dtype(bool))  # of what nobody needs
    return jnp.result_type(operand.value) if operand.value is not None else np.dtype(bool)


def _random(shape: Any, bits: np.random.Generator) -> Any:
    """An array of a shape and type."""
    if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
        return _random_key(jax.ShapeDtypeStruct(shape.shape, shape.dtype), bits)
    if jnp.issubdtype(shape.dtype, jnp.integer):
        largest = int(jnp.iinfo(shape.dtype).max)
        return jnp.asarray(bits.integers(largest, size=shape.shape, dtype=np.uint64), shape.dtype)
    found = bits.random(shape.shape)
    return jnp.asarray(found < 0.5 if shape.dtype == bool else found, shape.dtype)


def _random_key(shape: Any, bits: np.random.Generator) -> Any:
    kinds: list[Any] = []

    def data(key: Any) -> Any:
        kinds.append(jax.random.key_impl(key))
        return jax.random.key_data(key)

    words = jax.eval_shape(data, shape).shape
    numbers = jnp.asarray(bits.integers(2**32, size=words), jnp.uint32)
    return jax.random.wrap_key_data(numbers, impl=kinds[0])
