"""One line a layer of a user's own network: law, size, cosine, gradient."""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers.summary import text_table
from deepinit.core.own_models import network_remedy

if TYPE_CHECKING:
    import xarray


_COLUMNS = (
    "size: rms before bias and activation, at the first input; cosine: of the first two inputs;\n"
    "|gradient|: norm of d(first output)/d(layer), at the first input"
)


class Spread(NamedTuple):
    """Mean and standard deviation over networks."""

    mean: float
    deviation: float

    def __str__(self) -> str:
        if not np.isfinite(self.mean):
            return ""
        return f"{self.mean:.3g} +- {self.deviation:.1g}"


class Line(NamedTuple):
    """A layer.

    Attributes:
        law: of its kernel, read from the initializer; empty if it is not known.
        size: root mean square of its neurons at the first input, before bias and activation.
        cosine: of the first two inputs; NaN at one input.
        gradient: norm of the gradient of the first output by it, at the first input.
    """

    name: str
    law: str
    size: Spread
    cosine: Spread
    gradient: Spread


@dataclasses.dataclass(frozen=True, repr=False)
class Annotation:
    """Layers in order of use; prints a table."""

    label: str
    lines: tuple[Line, ...]
    num_networks: int

    def __repr__(self) -> str:
        head = ("layer", "law of the weights", "size", "cosine", "|gradient|")
        rows = [
            (line.name, line.law, *map(str, (line.size, line.cosine, line.gradient)))
            for line in self.lines
        ]
        note = f"{self.label}: mean +- standard deviation over {self.num_networks} networks"
        return f"{note}\n{text_table([head, *rows])}\n{_COLUMNS}"

    def to_dataset(self) -> "xarray.Dataset":
        """Means and standard deviations along `layer`."""
        import xarray

        columns: dict[str, Any] = {"law": ("layer", [line.law for line in self.lines])}
        for name in ("size", "cosine", "gradient"):
            spreads = [getattr(line, name) for line in self.lines]
            columns[name] = ("layer", np.array([spread.mean for spread in spreads]))
            columns[f"{name}_deviation"] = ("layer", np.array([s.deviation for s in spreads]))
        return xarray.Dataset(columns, {"layer": [line.name for line in self.lines]})


def annotate(network: Any, inputs: Inputs, *, num_seeds: int = 50, key: Any = 0) -> Annotation:
    """One line for each layer of a user's own network, with spreads over random draws.

    Args:
        network: a `Network`; `network.at(pattern)` chooses layers.
        inputs: as for `simulate`: one input, or more for cosines.

    Raises SpecError: no layer with a row for every input.
    """
    from deepinit.networks.network import Network

    remedy = network_remedy(network, "Write di.from_linen(module).")
    validate.instance("network", network, Network, "a Network", remedy)
    validate.instance("inputs", inputs, Inputs, "Inputs", "Write di.inputs.arrays(x).")
    network = network if network.layers is not None else network.at()
    names, values = _measured(network, inputs, validate.num_seeds(num_seeds), key)
    laws = _laws(network, inputs, names)
    lines = []
    for place, name in enumerate(names):
        spreads = [Spread(float(x.mean()), float(x.std())) for x in values[:, place].T]
        lines.append(Line(name, laws.get(name, ""), *spreads))
    return Annotation(network.label or "network", tuple(lines), num_seeds)


def _measured(
    network: Any, inputs: Inputs, num_seeds: int, key: Any
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of layers, and [networks, layers, 3]: size, cosine, norm of the gradient."""
    import jax

    from deepinit.deferral.function import deferred
    from deepinit.ensembles.keys import root_key
    from deepinit.quantities.own import functions, gradients

    f, places = gradients.layer_values(network, inputs)
    one, root = deferred(f, gaussianize=network.gaussianize), root_key(key)
    arrays = functions.batch_of(network, inputs)
    keys = jax.vmap(lambda seed: jax.random.fold_in(root, seed))(np.arange(num_seeds))
    found = jax.jit(lambda keys: jax.lax.map(lambda key: one(key, *arrays), keys))(keys)
    return tuple(name for place in places for name in place.names), np.asarray(found)


def _laws(network: Any, inputs: Inputs, names: tuple[str, ...]) -> dict[str, str]:
    """By layers: kernels and layers are in order of use, and their names end alike."""
    from deepinit.reading.kernels import kernels

    try:
        found = list(kernels(network, inputs))
    except SpecError:
        return {}
    bare = [name.split("[")[0].split("#")[0] for name in names]
    laws = {}
    for name, own in zip(names, bare, strict=True):
        fitting = [kernel.law for kernel in found if f"/{own}".endswith(f"/{kernel.layer}")]
        if len(fitting) == 1:
            laws[name] = fitting[0]
    if not laws and len(found) == len(names):
        laws = {name: kernel.law for name, kernel in zip(names, found, strict=True)}
    return laws
