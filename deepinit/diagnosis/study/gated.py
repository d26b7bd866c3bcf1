"""Gated stacks (SwiGLU and its kin).

z^1 = W^1 x,   z^{l+1} = skip z^l + alpha D (phi(G N z^l) * (U N z^l)),   logits = V N z^L + c

G and U [2 width, width], D [width, 2 width]; variances are divided by fan-in: `gate`, `up`, `down`;
1 of W^1 and V. N is RMSNorm if `norm`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.diagnosis.probe import Pass, Probe, explicit_probe
from deepinit.diagnosis.study.activations import activate, number_of


class Shape(NamedTuple):
    """Static sizes."""

    width: int
    depth: int
    inputs: int
    classes: int


def values_of(network: dict[str, Any]) -> dict[str, Any]:
    """Traced values of a configuration."""
    names = ("gate", "up", "down", "skip", "alpha")
    found = {name: jnp.float32(network[name]) for name in names}
    norm = jnp.int32(network["norm"] == "rms")
    return found | {"norm": norm, "activation": number_of(network["activation"])}


def init(shape: Shape, values: dict[str, Any], key: Any) -> dict[str, Any]:
    """Parameters."""
    width, steps = shape.width, shape.depth - 1

    def normal(number: int, sizes: tuple[int, ...], variance: Any) -> Any:
        key_here = jax.random.fold_in(key, number)
        return jax.random.normal(key_here, sizes) * jnp.sqrt(variance)

    layers = {
        "gate": normal(0, (steps, width, 2 * width), values["gate"] / width),
        "up": normal(1, (steps, width, 2 * width), values["up"] / width),
        "down": normal(2, (steps, 2 * width, width), values["down"] / (2 * width)),
    }
    return {
        "first": normal(3, (shape.inputs, width), 1 / shape.inputs),
        "first_bias": jnp.zeros(width),
        "layers": layers,
        "readout": normal(4, (width, shape.classes), 1 / width),
        "readout_bias": jnp.zeros(shape.classes),
    }


def forward(
    shape: Shape, values: dict[str, Any], parameters: dict[str, Any], x: Any, shifts: Any = None
) -> Pass:
    """Of rows [n, inputs]."""
    first_shift, later = (0.0, None) if shifts is None else (shifts[0][0], shifts[1])
    z = x @ parameters["first"] + parameters["first_bias"] + first_shift
    norm = lambda z: rms_normalized(values["norm"], z)

    def step(z: Any, given: Any) -> tuple[Any, Any]:
        layer, shift = given
        h = norm(z)
        hidden = activate(values["activation"], h @ layer["gate"]) * (h @ layer["up"])
        z = values["skip"] * z + values["alpha"] * (hidden @ layer["down"])
        z = z if shift is None else z + shift
        return z, z

    start = z
    z, states = jax.lax.scan(step, z, (parameters["layers"], later))
    features = norm(z)
    outputs = features @ parameters["readout"] + parameters["readout_bias"]
    return Pass(outputs, features, (start[None], states))


def rms_normalized(on: Any, z: Any) -> Any:
    """z / rms if on."""
    scale = jax.lax.rsqrt(jnp.mean(z**2, axis=-1, keepdims=True) + 1e-6)
    return jnp.where(on > 0, z * scale, z)


def probe(shape: Shape, values: dict[str, Any]) -> Probe:
    """For scores."""
    own = functools.partial(init, shape, values), functools.partial(forward, shape, values)
    return explicit_probe(*own, "first")
