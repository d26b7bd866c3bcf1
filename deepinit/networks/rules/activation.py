"""Row rule of activations."""

from typing import Any

from deepinit.core.layers import Activation, Shape
from deepinit.networks.activate import activate
from deepinit.networks.cotangents import Cotangents, times_derivative
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule
from deepinit.networks.rows import Rows


def _forward(layer: Activation, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    del source, shape, draw
    return Applied(activate(rows, layer.phi), rows)


def _backward(
    layer: Activation,
    rows: Rows,
    saved: Any,
    back: Cotangents,
    source: Any,
    shape: Shape,
    draw: Draw,
) -> tuple[Cotangents, None]:
    del saved, source, shape
    return times_derivative(back, rows, draw.points, layer.phi), None


ROWS.rule(Activation)(RowRule(_forward, _backward))
