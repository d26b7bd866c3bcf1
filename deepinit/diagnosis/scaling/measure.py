"""Squares of every network at one width: of a stack of layers, or of one's own network."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.layers import Activation, Dense, shape_of
from deepinit.diagnosis.scaling.first_step import Stack, Step, first_step
from deepinit.diagnosis.scaling.maps import ENGINES
from deepinit.diagnosis.scaling.parametrizations import Parametrization
from deepinit.diagnosis.stacks import composed, unrolled

ENGINE_NAMES = tuple(ENGINES)
PROBES = ("new input", "training input")


class Label(NamedTuple):
    """What a column of squares is: fields of `Row`."""

    layer: str
    role: str
    part: str
    probe: str


class Measured(NamedTuple):
    """squares [networks, labels]: mean squares over neurons."""

    labels: tuple[Label, ...]
    squares: np.ndarray


def measured_stack(
    model: Any,
    width: int,
    scheme: Parametrization,
    optimizer: Any,
    inputs: Inputs,
    num_networks: int,
    engine: str,
    key: int,
) -> Measured:
    """Squares of networks of a spec; the network of number i is the same for every count."""
    maps = ENGINES[engine]
    stack = stack_of(model, inputs, width ** (0.5 - scheme.readout))
    first, hidden, readout = (float(width) ** power for power in scheme.rates(optimizer))
    rates = (first, *(hidden,) * (len(stack.widths) - 1), readout)
    rows = np.asarray(inputs.points, np.float64).T
    batch, probe = rows[:, :-1], rows[:, -1:]
    generator = lambda number: np.random.default_rng((key, width, number))
    steps = [
        first_step(
            stack,
            generator(i),
            maps,
            batch,
            probe,
            slopes_of(batch.shape[1]),
            rates,
            optimizer == "adam",
        )
        for i in range(num_networks)
    ]
    names = [f"layer {number}" for number in range(1, len(stack.widths) + 1)]
    roles = ["first", *("hidden",) * (len(names) - 1)]
    return Measured(labels_of(names, roles), np.stack([squares_of(step) for step in steps]))


def slopes_of(batch: int) -> np.ndarray:
    """Fixed gradients at the outputs: +1, -1, ... over their number."""
    return np.where(np.arange(batch) % 2 == 0, 1.0, -1.0) / batch


def labels_of(names: list[str], roles: list[str]) -> tuple[Label, ...]:
    """Labels in the order of `squares_of`."""
    layers = list(zip(names, roles, strict=True))
    parts = [
        Label(name, role, part, probe)
        for part in ("own change", "total change")
        for name, role in layers
        for probe in PROBES
    ]
    sizes = [Label(name, role, "size", PROBES[0]) for name, role in layers]
    ends = [
        Label(name, role, part, probe)
        for name, role, part in (
            ("readout", "readout", "own change"),
            ("output", "output", "total change"),
        )
        for probe in PROBES
    ]
    return (*parts, *sizes, *ends, Label("output", "output", "size", PROBES[0]))


def squares_of(step: Step) -> np.ndarray:
    """One row of squares."""
    parts = (step.own, step.total, step.sizes, step.readout, step.change, step.output)
    return np.concatenate([np.ravel(part) for part in parts])


def stack_of(model: Any, inputs: Inputs, readout_factor: float) -> Stack:
    """A plain network of dense layers and one activation; SpecError for others."""
    shape = shape_of(inputs)
    parts = list(unrolled(composed(model, inputs)))
    if not isinstance(parts[-1], Dense):  # an MLP without outputs
        parts.append(Dense(1))
    dense: list[Any] = parts[::2]
    phis: list[Any] = parts[1::2]
    alternate = all(type(part) is Dense for part in dense)
    alternate = alternate and all(isinstance(part, Activation) for part in phis)
    if not alternate or len({part.phi for part in phis}) != 1:
        given = f"a network of {', '.join(dict.fromkeys(type(part).__name__ for part in parts))}"
        allowed = "dense layers with one activation between them, or one's own di.Network"
        raise SpecError(given, allowed, "Wrap other networks: make(width) -> di.from_linen(...).")
    fan_in, stds, biases, depth = shape.size, [], [], max(len(dense) - 1, 1)
    for layer in dense:
        if not (isinstance(layer.law, Law) and layer.law.is_gaussian):
            given, remedy = f"the weight law {layer.law!r}", "Take di.normal."
            raise SpecError(given, "normal laws", remedy)
        stds.append(layer.law.entry_variance(fan_in, depth) ** 0.5)
        bias = layer.bias
        biases.append(0.0 if bias is None else bias.entry_variance(fan_in, depth) ** 0.5)
        fan_in = layer.width
    widths = tuple(layer.width for layer in dense[:-1])
    readout = stds[-1] * readout_factor
    return Stack(widths, phis[0].phi, tuple(stds[:-1]), tuple(biases[:-1]), readout)
