"""Parametrizations in width n, and the exponents of n that they predict for the first step.

Readout entries of std n^-r, learning rates n^a, n^b, n^c of first layer, hidden layers, readout;
gradients at the output of order 1, inputs of fixed dimension, two or more hidden layers.
"""

from typing import Literal, NamedTuple

from deepinit.core import validate

Optimizer = Literal["sgd", "adam"]
OPTIMIZERS = ("sgd", "adam")


class Parametrization(NamedTuple):
    """How readout and learning rates scale with width.

    Attributes:
        readout: r; the readout's std is that of the network's law times n^(1/2 - r).
        sgd, adam: exponents (a, b, c) of the learning rates of first layer, hidden layers, readout.
    """

    name: str
    readout: float
    sgd: tuple[float, float, float]
    adam: tuple[float, float, float]

    def rates(self, optimizer: Optimizer) -> tuple[float, float, float]:
        """(a, b, c)."""
        return self.sgd if optimizer == "sgd" else self.adam


_UNIT = (0.0, 0.0, 0.0)
PARAMETRIZATIONS = {
    each.name: each
    for each in (
        Parametrization("standard", 0.5, _UNIT, _UNIT),
        Parametrization("ntk", 0.5, (0.0, -1.0, -1.0), (0.0, -0.5, -0.5)),
        Parametrization("mup", 1.0, (1.0, 0.0, -1.0), (0.0, -1.0, -1.0)),
        Parametrization("mean_field", 1.0, (0.0, -1.0, -1.0), (0.0, -0.5, -0.5)),
    )
}
NAMES = {
    "standard": "standard",
    "ntk": "NTK",
    "mup": "muP",
    "mean_field": "mean-field readout, NTK rates",
}


class Exponents(NamedTuple):
    """Powers of n: own changes of first and hidden layers and readout, change and value of f."""

    first: float
    hidden: float
    readout: float
    change: float
    output: float


def parametrization(given: str | Parametrization) -> Parametrization:
    """By name (`standard`, `ntk`, `mup`, `mean_field`), or one's own."""
    if isinstance(given, Parametrization):
        return given
    return PARAMETRIZATIONS[
        validate.choice("parametrization", given, tuple(PARAMETRIZATIONS), "mup is also muP.")
    ]


def predicted(given: str | Parametrization, optimizer: Optimizer) -> Exponents:
    """Exponents of the first step, learning rate to 0.

    Backpropagated delta^l have entries n^-r. Own change of a hidden layer: rate, delta (SGD; its
    sign for Adam), and a sum over n aligned products. Change of f: the largest of the contributions
    of readout, hidden layers and first layer; v dh sums n aligned terms of v delta ~ n^-2r (SGD) or
    v sign(delta) ~ n^-r (Adam).

    Adam's first step is the sign of the gradient. Reference: Yang and Hu 2021, 2011.14522 (SGD);
    Yang and Littwin 2023, 2308.01814 (Adam).
    """
    own = parametrization(given)
    a, b, c = own.rates(optimizer)
    r = own.readout
    size = r if optimizer == "sgd" else 0.0
    aligned = 1.0 - r - size
    return Exponents(
        first=a - size,
        hidden=b - size + 1.0,
        readout=c + 1.0,
        change=max(c + 1.0, b + 1.0 + aligned, a + aligned),
        output=0.5 - r,
    )
