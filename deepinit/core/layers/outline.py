"""What measurements need to know of a network: its sites, random maps and sizes."""

import functools
from typing import Any, NamedTuple

from deepinit.core.activation import Activation as Function
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.attention import Positions
from deepinit.core.layers.containers import leaves
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.core.layers.linear import Conv, Dense, Embed
from deepinit.core.layers.neuronwise import Activation, Dropout, Gate
from deepinit.core.layers.parameters import PARAMETERS, placed_leaves
from deepinit.core.layers.pooling import Flatten, Pool
from deepinit.core.layers.program import Program, program, sites
from deepinit.core.matrix_laws import MatrixLaw, acts_on_rows

LINEAR_MAPS = ("auto", "explicit", "conditional")


class RandomMap(NamedTuple):
    """One kind of random linear map in a network.

    `rows`: that it acts on per input (positions, patches). `uses`: number of such maps.
    """

    fan_in: int
    fan_out: int
    rows: int
    uses: int
    law: Law | MatrixLaw


class Outline(NamedTuple):
    """A network at one shape of inputs.

    Attributes:
        paths: of the `num_sites` measured sites; None for the numbered layers of an architecture.
        output: shape of the output (readout, or last site).
        maps: random linear maps, those of the readout last.
        least_size: entries of the smallest rows at a site or output.
        is_homogeneous: F(c x) = c F(x), c > 0.
    """

    program: Program
    paths: tuple[str, ...] | None
    num_sites: int
    output: Shape
    maps: tuple[RandomMap, ...]
    least_size: int
    is_homogeneous: bool

    @property
    def has_readout(self) -> bool:
        """Whether a linear layer follows the sites."""
        return self.program.readout is not None


@functools.lru_cache(maxsize=1024)
def outline(network: Any, shape: Shape) -> Outline:
    """The outline of a named architecture or composed network.

    Raises SpecError: inputs that do not fit; a network without sites.
    """
    net = program(network, shape)
    is_composed = isinstance(network, Layer)
    maps = random_maps(network, shape)
    homogeneous = is_homogeneous(network) if is_composed else network.is_homogeneous
    if is_composed:
        measured = list(sites(net.body, net.body_shape))
        paths = tuple(site.path for site in measured)
        sizes = {output_shape(site.layer, site.shape).size for site in measured}
        least = min(sizes | {net.output_shape.size})
        return Outline(net, paths, len(paths), net.output_shape, maps, least, homogeneous)
    least = min(*network.widths, net.output_shape.size)
    depth = network.depth
    return Outline(net, None, depth, net.output_shape, maps, least, homogeneous)


def random_maps(network: Any, shape: Shape) -> tuple[RandomMap, ...]:
    """Random linear maps of a network, from the matrices among its parameters."""
    maps = []
    for leaf in placed_leaves(network, shape):
        rule = PARAMETERS.get(leaf.layer)
        for matrix in () if rule is None else rule(leaf.layer, leaf.shape):
            if matrix.law is not None and len(matrix.shape) == 2:
                fan_out, fan_in = matrix.shape
                rows = matrix.positions or leaf.shape.num_positions
                maps.append(RandomMap(fan_in, fan_out, rows, leaf.times * leaf.uses, matrix.law))
    return tuple(maps)


def is_homogeneous(layer: Layer) -> bool:
    """Whether F(c x) = c F(x), c > 0, is known: homogeneous activations, no biases, no norms."""
    return all(_leaf_is_homogeneous(leaf) for leaf in leaves(layer))


def _leaf_is_homogeneous(leaf: Layer) -> bool:
    if isinstance(leaf, Activation):
        return leaf.phi.is_homogeneous
    if isinstance(leaf, Dense | Conv):
        drifts = isinstance(leaf.law, MatrixLaw) and not leaf.law.is_symmetric
        return leaf.bias is None and not drifts
    return isinstance(leaf, Embed | Dropout | Pool | Flatten)


def activations(layer: Layer) -> tuple[Function, ...]:
    """The distinct elementwise functions of a network."""
    functions = [leaf.phi for leaf in leaves(layer) if isinstance(leaf, Activation | Gate)]
    return tuple(dict.fromkeys(functions))


def has_biases(layer: Layer) -> bool:
    """Whether a layer adds random vectors."""
    return any(
        isinstance(leaf, Positions) or getattr(leaf, "bias", None) is not None
        for leaf in leaves(layer)
    )


def is_conditional(law: Law | MatrixLaw, num_rows: int, fan_in: int) -> bool:
    """Whether `auto` draws a matrix by its action on `num_rows` rows: exact, and cheaper.

    True for Gaussian laws and at most fan_in / 4 rows: to orthogonalize more costs more than a
    matrix.
    """
    return acts_on_rows(law) and not law.is_haar and 4 * num_rows <= fan_in


def choose_maps(network: Layer, shape: Shape, name: str, *, backward: bool = False) -> str:
    """How a composed network draws its maps; `auto` chooses layer by layer.

    Raises SpecError: another name; `conditional` with a law that must be drawn as a matrix.
    """
    if name not in LINEAR_MAPS:
        raise SpecError(f"linear_map={name!r}", ", ".join(LINEAR_MAPS), "Leave linear_map out.")
    if name != "conditional":
        return name
    for used in outline(network, shape).maps:
        if not acts_on_rows(used.law) or (used.law.is_haar and backward):
            given = f"linear_map='conditional' with the weight law {used.law.name!r}"
            raise SpecError(given, "Gaussian laws", "Leave linear_map out.")
    return name
