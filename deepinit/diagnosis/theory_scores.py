"""Scores by theory, without simulation: what the verdict sees of stacks of equal layers."""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs.rows import points
from deepinit.core.layers import Activation, Block
from deepinit.core.specs import MLP, NetworkSpec
from deepinit.diagnosis.stack_angles import Stack, collapse, stretch
from deepinit.diagnosis.stack_theory import mlp_theory, stack_theory
from deepinit.diagnosis.stacks import composed, parts_of, readout_of, unrolled
from deepinit.diagnosis.uniform import Uniform, uniform


class _Seen(NamedTuple):
    """What scores see: whether the readout sees an activation, whether states are of blocks."""

    activated: bool
    blocks: bool


def predictions(network: Any, inputs: Any) -> dict[str, float]:
    """Theory of scores, where there is one.

    `di.MLP` of independent weights, and stacks of `di.layers`: equal dense layers with or without
    norms, equal residual blocks. Infinite width; gradient_spread of order 1/width, at one input.
    Without one: {}.
    """
    if not isinstance(network, NetworkSpec):
        return {}
    rows = np.asarray(inputs, float).reshape(len(inputs), -1)
    if not np.all(np.any(rows, axis=1)):  # a row of zeros has no angle
        return {}
    with np.errstate(all="ignore"):
        found = _of_layers(network, rows)
        if isinstance(network, MLP):
            theory = mlp_theory(network, rows)
            if theory is None:
                return {}
            found |= {
                "gradient_slope": theory.gradient_slope,
                "gradient_spread": theory.gradient_spread,
                "stretch": theory.stretch,
            }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _of_layers(network: NetworkSpec, rows: np.ndarray) -> dict[str, float]:
    """{} if the network is no stack, or maps everything to 0."""
    inputs = points(rows)
    try:
        return _of_stack(uniform(network, inputs), _seen(network, inputs), rows)
    except (SpecError, ZeroDivisionError, OverflowError):
        return {}


def _of_stack(stack: Uniform, seen: _Seen, rows: np.ndarray) -> dict[str, float]:
    """The first map of a residual stack precedes its blocks."""
    scale = stack.scale_at(stack.depth)
    squares = np.mean(rows**2, axis=1)
    square = float(np.mean(squares))
    own: dict[str, Any] = {
        "weight": stack.weight_var,
        "bias": stack.bias_var,
        "normalized": stack.norm,
        "depth": stack.depth + (scale is not None),
        "skip": 0.0 if scale is None else 1.0,
        "alpha": 1.0 if scale is None else scale,
        "first": max((stack.first_variance - stack.bias_var) / square, 0.0),
    }
    theory = stack_theory(stack.phi, width=stack.width, mean_square=square, **own)
    slope, angles = theory.gradient_slope, Stack(stack.phi, activated=seen.activated, **own)
    if seen.blocks and scale is None:  # states are those after activations: factors 2 .. depth
        more = {**own, "depth": own["depth"] + 1}
        longer = stack_theory(stack.phi, width=stack.width, mean_square=square, **more)
        slope = float(longer.log_gradient2[1])
    elif stack.norm and scale is None:  # the first norm divides by the norm of each row
        slope += math.log(square * float(np.mean(1 / squares)))
    return {
        "collapse": collapse(angles, rows),
        "gradient_slope": slope,
        "gradient_spread": theory.gradient_spread,
        "stretch": stretch(angles, rows),
    }


def _seen(network: NetworkSpec, inputs: Any) -> _Seen:
    net = composed(network, inputs)
    parts = unrolled(net)
    last = parts[-2] if readout_of(net) is not None else parts[-1]
    blocks = any(isinstance(each, Block) for each in parts_of(net))
    return _Seen(isinstance(last, Activation), blocks)
