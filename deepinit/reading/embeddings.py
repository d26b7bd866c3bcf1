"""Embeddings of tokens, and vectors of positions."""

import math
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.layers import Embed, Layer, Positions
from deepinit.deferral.program import Constant
from deepinit.networks.rules.positions import sinusoids
from deepinit.reading.constants import as_numpy
from deepinit.reading.dense import array_of, covers
from deepinit.reading.entry_laws import law_of
from deepinit.reading.pieces import Match, Matrix, Nothing, Spot, Weights, Whole
from deepinit.reading.programs import layer_name
from deepinit.reading.refusals import parameters_of, refusal
from deepinit.reading.scope import PARAMETER
from deepinit.reading.steps import steps
from deepinit.reading.views import is_lookup, view_of


def embed(spot: Spot) -> Match | None:
    """Rows of a table by token numbers."""
    scope = spot.scope
    for at in range(spot.at + 1, len(spot.chain)):
        equation = scope.makers[spot.chain[at]]
        if equation.primitive.name == "gather":
            break
        if equation.shapes[0].dtype.kind not in "iub":
            return None
    else:
        return None
    table = equation.inputs[0]
    if scope.marks_of(table) != {PARAMETER}:
        return None
    name = layer_name((parameters_of(scope, table) or ("",))[0])
    array = array_of(scope, table, name)
    shape = array.view.shape
    index = steps(scope.makers, (spot.start,), equation.inputs[1])
    if index is None or not is_lookup(equation, shape) or not _are_tokens(index, spot, shape[0]):
        raise refusal(name, "an embedding that is not a look-up of rows by token numbers")

    def make(law: Any, bias: Any) -> Layer:
        if bias is not None:
            raise refusal(name, "an embedding with biases")
        return Embed(shape[1], law)

    matrix = Matrix(name, array, (1, 0), shape[0], shape[1], make, "absolute")
    return Match((matrix,), at, spot.positions)


def positions(spot: Spot) -> Match | None:
    """A vector of every position, added: learned or sinusoidal."""
    scope, equation = spot.scope, spot.scope.makers[spot.end]
    places = tuple(range(1, 1 + spot.positions))
    if not places or equation.primitive.name not in ("add", "add_any"):
        return None
    others = [operand for operand in equation.inputs if operand != spot.start]
    if len(others) != 1:
        return None
    (operand,) = others
    if isinstance(operand, Constant):
        return _sinusoidal(spot, as_numpy(operand.value))
    view = view_of(scope, operand)
    if view is None or not covers(view, spot.shape, (*places, *spot.neurons)):
        return None
    name = layer_name(view.parameter.name)
    array, offset = array_of(scope, operand, name), len(spot.shape) - len(view.shape)
    drawn = view.parameter.law
    if drawn.name == "constant" and drawn.mean == 0.0:
        return Match((Nothing(spot.before),), spot.at + 1, spot.positions)
    outer, inner = (
        tuple(axis - offset for axis in axes if axis >= offset) for axes in (places, spot.neurons)
    )
    rest = tuple(range(len(view.shape) - len(outer) - len(inner)))
    count, width = (math.prod(spot.shape[axis] for axis in axes) for axes in (places, spot.neurons))
    layer = Positions("learned", law_of(name, drawn, view.factor, spot.gaussianize))
    matrix = Matrix(name, array, (*rest, *inner, *outer), count, width, lambda law, bias: layer)
    return Match((Whole(name, layer, Weights(matrix, 1.0)),), spot.at + 1, spot.positions)


def _sinusoidal(spot: Spot, array: np.ndarray) -> Match | None:
    if array.ndim < 2 or spot.positions != 1 or len(spot.neurons) != 1:
        return None
    length, width = spot.shape[1:]
    if array.size != length * width:
        return None
    same = np.abs(array.reshape(length, width) - sinusoids(length, width)).max() < 1e-5
    if not same:
        raise refusal(f"after {spot.before}", "a fixed array that is added", "sinusoidal positions")
    piece = Whole("positions", Positions("sinusoidal"), None)
    return Match((piece,), spot.at + 1, spot.positions)


def _are_tokens(index: Any, spot: Spot, size: int) -> bool:
    """Whether rows are looked up by the tokens themselves."""
    import jax.numpy as jnp

    tokens = np.random.default_rng(2).integers(0, size, spot.shape)
    tokens.ravel()[:2] = (0, size - 1)
    try:
        found = np.asarray(index(jnp.asarray(tokens, jnp.int32)))
    except (TypeError, SpecError):
        return False
    return bool((found.reshape(tokens.shape) == tokens).all())
