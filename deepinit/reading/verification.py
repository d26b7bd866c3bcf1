"""The network that was read, evaluated at the model's own parameters: outputs must be equal."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.layers import Block, Layer, Shape
from deepinit.networks.interpreter import Draw, apply
from deepinit.networks.rows import Rows, points_alone
from deepinit.reading.pieces import Array, Beside, Loop, Weights
from deepinit.reading.programs import BATCH, Traced
from deepinit.reading.scope import Parameter

LARGEST = 2**25  # numbers of parameters: a larger network is not drawn for the comparison
_ROUNDING = 1e-6  # relative change of inputs, whose effect is the unit of what rounding does
_UNITS, _LEAST = 100.0, 1e-4
_LONG = 150  # equations

quickly = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def verify(
    network: Any,
    programs: Traced,
    parameters: Sequence[Parameter],
    layers: tuple[Layer, ...],
    sources: Any,
    tokens: bool,
) -> None:
    """Compare with the network at random parameters and inputs, unless it is larger than `LARGEST`.

    Raises SpecError: outputs that differ by more than rounding; parameters of other variances.
    """
    key = jax.random.key(1)
    sizes = sum(math.prod(aval.shape) for aval in programs.closed.in_avals[: len(programs.names)])
    if sizes > LARGEST:
        return
    inputs = _inputs(programs)
    near = tuple(_moved(own) for own in inputs)

    def drawn(key: Any) -> Any:
        return network.batch.init(key, *inputs)

    is_long = len(programs.init.equations) > _LONG  # compiling it would take longest
    draw = drawn if is_long else quickly(drawn)

    @quickly
    def outputs(given: Any, others: Any, own: Any) -> Any:
        return network.batch.apply(given, others, key, *own).reshape(BATCH, -1)

    @quickly
    def read(leaves: Any) -> Any:
        values = dict(zip(programs.apply.inputs, leaves, strict=False))
        squares = [
            jnp.mean((leaves[parameter.number] - parameter.law.mean) ** 2)
            for parameter in parameters
        ]
        return _outputs(layers, sources, values, _rows(inputs[0], tokens)), squares

    with jax.default_matmul_precision("highest"):
        given, others = draw(key)
        wanted, moved = (
            np.asarray(outputs(given, others, own), np.float64) for own in (inputs, near)
        )
        found, squares = read(jax.tree.leaves(given))
    found = np.asarray(found, np.float64)
    for parameter, square in zip(parameters, squares, strict=True):
        _check_variance(parameter, float(square))
    size = np.abs(wanted).max()
    allowed = _LEAST * size + _UNITS * np.abs(moved - wanted).max()
    if found.shape != wanted.shape or not np.abs(found - wanted).max() <= allowed:
        given = f"layers that compute other values than the network: {layers!r:.400}"
        remedy = "Please report this network: the layers were read wrongly."
        raise SpecError(given, "the values of the network, at equal parameters", remedy)


def _check_variance(parameter: Parameter, square: float) -> None:
    variance, size = parameter.law.std**2, math.prod(parameter.shape)
    error = 8 * math.sqrt(2 / size) * variance + 1e-10
    if abs(square - variance) > error:
        given = f"{parameter.name}: entries of variance {square:.4g}, read as {variance:.4g}"
        raise SpecError(given, "the variance of the law", "Please report this network.")


def _inputs(programs: Traced) -> tuple[Any, ...]:
    rng = np.random.default_rng(3)

    def one(shape: Any) -> Any:
        if np.dtype(shape.dtype).kind in "iub":
            return np.arange(math.prod(shape.shape)).reshape(shape.shape).astype(shape.dtype) % 2
        return rng.standard_normal(shape.shape).astype(shape.dtype)

    return tuple(map(one, programs.arrays))


def _moved(own: Any) -> Any:
    if own.dtype.kind in "iub":
        return own
    rng = np.random.default_rng(4)
    return (own * (1 + _ROUNDING * rng.standard_normal(own.shape))).astype(own.dtype)


def _outputs(
    layers: tuple[Layer, ...], sources: Any, values: dict[int, Any], rows: tuple[Rows, Shape]
) -> Any:
    """Outputs [batch, numbers] of the layers at given parameters."""
    draw = Draw(
        _given, lambda source, number, index: source[index], lambda source, first, times: source, 1
    )
    after = apply(Block(*layers), rows[0], _arrays(sources, values), rows[1], draw).rows
    return jnp.exp(jnp.asarray(after.point_scales))[:, None] * after.points


def _rows(inputs: Any, tokens: bool) -> tuple[Rows, Shape]:
    if tokens:
        width = int(inputs.max()) + 1
        hot = np.eye(width, dtype=np.float32)[inputs]
        return points_alone(hot.reshape(len(inputs), -1)), Shape(inputs.shape[1:], width, True)
    shape = Shape(inputs.shape[1:-1], inputs.shape[-1])
    return points_alone(jnp.asarray(inputs.reshape(len(inputs), -1), jnp.float32)), shape


def _given(source: Any, rows: Rows, layer: Any) -> tuple[Any, Any, Any]:
    """The image of rows under given matrices; tokens beyond those of the rows are not read."""
    stacked, matrix = rows.stacked, source["weights"]
    matrix = matrix[:, : stacked.shape[1]]
    return jnp.matmul(stacked, matrix.T, precision="highest"), source["bias"], ()


def _arrays(source: Any, values: dict[int, Any]) -> Any:
    """Sources of layers with arrays in place of `Weights`."""
    if isinstance(source, Weights):
        return _weights(source, values)
    if isinstance(source, Beside):
        parts = [(_weights(own, values), rows) for own, rows in source.parts]
        taken = [
            {name: own if own is None or rows is None else own[rows] for name, own in part.items()}
            for part, rows in parts
        ]
        biases = [part["bias"] for part in taken]
        bias = None if biases[0] is None else jnp.concatenate(biases)
        return {"weights": jnp.concatenate([part["weights"] for part in taken]), "bias": bias}
    if isinstance(source, Loop):
        fed = {inner: own(values[outer]) for inner, outer, own in source.feeds}
        of_step = lambda values: _arrays(source.inside, values)
        return of_step(fed) if source.is_tied else jax.vmap(of_step)(fed)
    if isinstance(source, tuple | list):
        return tuple(_arrays(own, values) for own in source)
    return ()


def _weights(source: Weights, values: dict[int, Any]) -> dict[str, Any]:
    """[fan_out, fan_in] and [fan_out]."""
    matrix = source.matrix
    kernel = jnp.transpose(_value(matrix.array, values), matrix.order)
    weights = kernel.reshape(matrix.fan_out, matrix.fan_in) * source.factor
    bias = None
    if source.bias is not None:
        bias = source.bias_factor * _value(source.bias, values).ravel()
    return {"weights": weights, "bias": bias}


def _value(array: Array, values: dict[int, Any]) -> Any:
    return array.steps(values[array.number])
