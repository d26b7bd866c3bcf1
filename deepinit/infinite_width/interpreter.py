"""Infinite-width kernels of composed networks, by rules of layers.

A rule, one layer kind a file in `rules/` (a new file registers itself):

    @INFINITE.rule(Kind)
    def _rule(layer: Kind, state: State, shape: Shape, depth: int, path: str) -> State

- `shape`: the layer's input; `depth`: the network's; `path`: the layer's name in refusals.
- `State` (`states`): kernels `cross` [A, B, P, P] and `within` [R, P, P], R = A + B, each with cov
  and ntk (or None); `mean` [R, P]. The last two axes are positions.
  `each_block(state, fn, *rows, **changes)` applies a function to both, `linear_map` to cov and ntk
  alike, `on_ntk` skips None.
- Functions of neurons take `gaussian` columns (`require_gaussian`); random linear maps make them
  (`random_map`) and set `fresh`, anything nonlinear ends them (`gaussian=False`).
- Trained gains are `state.gain`; a rule that reads ntk of settled rows starts with `absorbed`.
- `mean` is E h over neurons: rules of centred columns set it to 0.
- Equal inputs: `each_block` copies `within` into `cross`: angles 0 stay 0.
- Layers that mix inputs (`Layer.mixes_batch`) have a `square` state: one list, R = A = B, `cross`
  holds every pair.
- `apply(layer, ...)` runs a part of a layer; layers without a rule use `core.layers.expanded`.
- Quadratures put their largest relative error in `state.error`. Averages over
  `random_nodes(dimension, state.replica)` set `sampled`: the spread of independent replicas is the
  standard error.
- Layers of neurons leave `source`, for layers that read the Gaussian columns before them.

Engines are tried in order until no series misses a share of a mean square.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers.program import Program, sites
from deepinit.infinite_width import rules as rules
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.programs import ENGINES, Recorded, SiteKernels, Task, run
from deepinit.infinite_width.resolution import LARGEST_ERROR
from deepinit.infinite_width.rules_table import INFINITE as INFINITE
from deepinit.infinite_width.validate import checked_limit
from deepinit.infinite_width.walk import in_order

MISSING_SHARE = 1e-11  # of a mean square; above it the next engine is taken


class Limit(NamedTuple):
    """A network at infinite width.

    Attributes:
        paths: of the sites (`core.layers.sites`); () if not asked.
        sites: kernels after every site.
        output: kernels of an output: [A, B, P, P], P = 1 for vectors.
        standard_error: of `output`, from averages over randomized nodes; else None.
    """

    paths: tuple[str, ...]
    sites: tuple[SiteKernels, ...]
    output: SiteKernels
    standard_error: SiteKernels | None = None


def interpret(
    program: Program,
    first: Any,
    second: Any = None,
    *,
    ntk: bool = True,
    at_sites: bool = True,
    task: Task | None = None,
) -> Limit:
    """Kernels of a network at infinite width between two lists of inputs.

    Args:
        program: `core.layers.program(network, shape)`.
        first: [A, ...], of `program.shape`, or flattened.
        second: [B, ...]; None for `first`.
        ntk: also tangent kernels; all parameters trained, standard normal.
        at_sites: also the kernels after every site.
        task: more choices; replaces `ntk` and `at_sites`.

    Returns: float64. Closed forms (homogeneous activations, erf, sin, GELU): 1e-13; other smooth
        activations 1e-11 a layer where 256 Hermite polynomials suffice (deviations up to about
        2.5), else, and with kinks, quadrature at every entry: slow. Averages over randomized nodes
        (attention, norms of small groups; batch norms and maxima in part): `standard_error`, from 8
        replicas.

    Raises:
        SpecError: a layer without a rule, or whose input is not Gaussian; unresolved activation;
            kernels not finite.

    Valid for: infinite width at fixed depth, error O(1/width).
    Reference: arXiv 1711.00165 (NNGP), arXiv 1806.07572 (NTK), arXiv 1910.12478 (tensor programs).
    """
    first = checked_inputs(program, first)
    others = first if second is None else checked_inputs(program, second)
    same = equal_inputs(program, first, None if second is None else others)
    task = (task or Task(ntk=ntk, at_sites=at_sites))._replace(square=second is None)
    with host_float64(), plain_refusals():
        for engine in ENGINES[1:]:
            found = run(program, task._replace(engine=engine), first, others, same)
            recorded, output = jax.tree.map(np.asarray, found)
            if float(output.missing) <= MISSING_SHARE:
                break
    recorded = list(in_order(recorded, lambda part: isinstance(part, Recorded)))
    paths = _paths(program) if task.at_sites else ()
    check_resolved(paths, recorded, output)
    kernels = checked_limit(output.kernels, "of the output")
    return Limit(paths, tuple(part.kernels for part in recorded), kernels, output.standard_error)


@contextlib.contextmanager
def plain_refusals() -> Iterator[None]:
    """Refusals without JAX's notes on traced functions."""
    try:
        yield
    except SpecError as error:
        error.__notes__ = []
        raise


def checked_inputs(program: Program, inputs: Any) -> np.ndarray:
    """Inputs [num, ...] as [num, P, n] of `program.shape`."""
    array = validate.array("inputs", inputs, remedy="One input a row.")
    shape = program.shape
    if array.ndim < 2 or array[:1].size != shape.size:
        given = f"inputs of shape {array.shape}"
        raise SpecError(given, f"[num, {shape.size}], of {shape}", "One input a row.")
    return array.reshape(len(array), shape.num_positions, -1)


def equal_inputs(program: Program, first: np.ndarray, second: np.ndarray | None) -> np.ndarray:
    """[A, B]: 2 for one input, 1 for two equal ones, else 0.

    Equal inputs of two lists are one.
    """
    numbers: dict[bytes, int] = {}
    parts = (first + 0.0, first + 0.0 if second is None else second + 0.0)  # -0.0 is 0.0
    own, others = (
        np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in part])
        for part in parts
    )
    equal = (own[:, None] == others[None]).astype(np.int8)
    return equal + (np.eye(len(own), dtype=np.int8) if second is None else equal)


def _paths(program: Program) -> tuple[str, ...]:
    return tuple(site.path for site in sites(program.body, program.body_shape))


def check_resolved(paths: tuple[str, ...], recorded: list[Recorded], output: Recorded) -> None:
    """Refuse quadratures with large errors; names the first site."""
    if not float(output.error) > LARGEST_ERROR:
        return
    errors = [float(part.error) for part in recorded] + [float(output.error)]
    place = next(number for number, error in enumerate(errors) if error > LARGEST_ERROR)
    where = (*paths, "the readout")[place] if paths else "the network"
    given = f"{where}: an activation that the quadrature does not resolve at infinite width"
    if math.isinf(errors[place]):
        given, allowed = f"{given} (variance below 1e-285)", "larger variances, or less depth"
        raise SpecError(given, allowed, "Take larger weights or inputs.")
    raise SpecError(
        f"{given} (relative error {errors[place]:.1g})",
        "activations that bend on scales of order 1, or smaller variances",
        "Simulate, or take smaller weights and inputs.",
    )
