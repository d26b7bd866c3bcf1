"""Stacks of equal layers, plain, normalized or residual; dense, or convolutions.

z^1 = W^1 x + b,   z^{l+1} = skip z^l + alpha (b + W phi(N z^l)),   logits = V phi(N z^L) + c

Variances of weights are divided by fan-in: `first` of W^1, `weight` of W, 1 of V. N is the
identity, LayerNorm or BatchNorm, without parameters. Convolutions are 3 x 3 on a periodic grid of
patches of the image. All values are arguments: one program serves all stacks of a shape.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.diagnosis.probe import Pass, Probe, explicit_probe
from deepinit.diagnosis.study.activations import activate, number_of

NORMS = ("none", "layer", "batch")
_EPSILON = 1e-6


class Shape(NamedTuple):
    """Static sizes. grid: positions on each side, 0 for dense."""

    width: int
    depth: int
    inputs: int
    classes: int
    grid: int = 0

    @property
    def fan_in(self) -> int:
        """Of hidden layers."""
        return self.width * (9 if self.grid else 1)

    @property
    def features(self) -> int:
        """Inputs of the readout."""
        return self.width * (self.grid**2 if self.grid else 1)


def values_of(network: dict[str, Any]) -> dict[str, Any]:
    """Traced values of a configuration."""
    names = ("weight", "first", "bias", "skip", "alpha")
    found = {name: jnp.float32(network[name]) for name in names}
    norm = jnp.int32(NORMS.index(network["norm"]))
    return found | {"norm": norm, "activation": number_of(network["activation"])}


def init(shape: Shape, values: dict[str, Any], key: Any) -> dict[str, Any]:
    """Parameters."""
    keys = [jax.random.fold_in(key, number) for number in range(5)]
    normal = lambda number, sizes, variance: (
        jax.random.normal(keys[number], sizes) * jnp.sqrt(variance)
    )
    width, steps = shape.width, shape.depth - 1
    return {
        "first": normal(0, (width, shape.inputs), values["first"] / shape.inputs),
        "first_bias": normal(1, (width,), values["bias"]),
        "weights": normal(2, (steps, width, shape.fan_in), values["weight"] / shape.fan_in),
        "biases": normal(3, (steps, width), values["bias"]),
        "readout": normal(4, (shape.classes, shape.features), 1 / shape.features),
        "readout_bias": jnp.zeros(shape.classes),
    }


def forward(
    shape: Shape, values: dict[str, Any], parameters: dict[str, Any], x: Any, shifts: Any = None
) -> Pass:
    """Of rows [n, inputs]; of convolutions [n, grid, grid, inputs]."""
    first_shift, later = (0.0, None) if shifts is None else (shifts[0][0], shifts[1])
    active = lambda z: activate(values["activation"], normalized(values["norm"], z))
    z = x @ parameters["first"].T + parameters["first_bias"] + first_shift

    def step(z: Any, layer: Any) -> tuple[Any, Any]:
        weights, bias, shift = layer
        h = neighbours(active(z)) if shape.grid else active(z)
        z = values["skip"] * z + values["alpha"] * (h @ weights.T + bias)
        z = z if shift is None else z + shift
        return z, z

    start = z
    z, states = jax.lax.scan(step, z, (parameters["weights"], parameters["biases"], later))
    features = active(z).reshape(len(x), -1)
    outputs = features @ parameters["readout"].T + parameters["readout_bias"]
    return Pass(outputs, features, (start[None], states))


def normalized(norm: Any, z: Any) -> Any:
    """z, or over neurons, or over batch and positions, with mean 0 and variance 1."""

    def over(axes: tuple[int, ...]) -> Any:
        def normalize(z: Any) -> Any:
            moved = z - jnp.mean(z, axes, keepdims=True)
            return moved * jax.lax.rsqrt(jnp.mean(moved**2, axes, keepdims=True) + _EPSILON)

        return normalize

    return jax.lax.switch(norm, [lambda z: z, over((-1,)), over(tuple(range(z.ndim - 1)))], z)


def neighbours(h: Any) -> Any:
    """The 3 x 3 periodic neighbourhood of every position, [n, grid, grid, 9 channels]."""
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return jnp.concatenate([jnp.roll(h, shift, (1, 2)) for shift in shifts], axis=-1)


def probe(shape: Shape, values: dict[str, Any]) -> Probe:
    """For scores."""
    own = functools.partial(init, shape, values), functools.partial(forward, shape, values)
    return explicit_probe(*own, "first")
