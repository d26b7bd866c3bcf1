"""Functions of the sites of a composed network, to order 1/width."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers.containers import kind_name
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.program import Program, sites
from deepinit.theory.layers import rules as rules
from deepinit.theory.layers.flow import Moments, start
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.rules_table import apply, unresolved
from deepinit.theory.layers.state import Settled, State, num_rows
from deepinit.theory.layers.tape import Tape
from deepinit.theory.layers.walk import Functions, Path, advance, record, steps
from deepinit.theory.numerics.entries import entries

LARGEST_ERROR = 1e-8  # of quadratures; kinked activations of nearly parallel rows
LARGEST_ROWS = 8  # the fluctuations of k rows are k^6 numbers
LARGEST_FIXED = 1024  # that enter a first layer of fewer rows, without fluctuations
_ACCURATE = 1e-12
_HALVES = (84, 180)  # steps of quadratures, tried in order


class FirstOrder(NamedTuple):
    """Functions of the rows after every site, [sites, groups, m].

    E f = infinite + shift and Var f = variance, to order 1/width.

    Attributes:
        paths: of the sites.
        infinite: at infinite width.
        shift, variance: order 1/width, at the network's widths.
        second_variance: part of order 1/width^2 of the variance, from the quadratic terms of f.
        sampled: [2], relative errors of means over random points, 0 for none, and of their
            derivatives, which shifts and variances read.
    """

    paths: tuple[str, ...]
    infinite: np.ndarray
    shift: np.ndarray
    variance: np.ndarray
    second_variance: np.ndarray
    sampled: np.ndarray = np.zeros(2)

    @property
    def ratio(self) -> np.ndarray:
        """q = second_variance / variance; 0 where both are 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.second_variance / self.variance
        return np.where(self.second_variance == 0, 0.0, ratio)


def first_order(program: Program, rows: Any, functions: Functions) -> FirstOrder:
    """Mean and variance of functions of a network's rows, to order 1/width.

    Args:
        program: `core.layers.program(network, shape)`.
        rows: [groups, inputs, ...], inputs of `program.shape`; at most 8 rows (inputs x positions)
            a group, or 1024 before a first random linear layer (patches) of at most 8.
        functions: `(gram [k, k], mean [k]) -> [m]` in JAX: products and means of the k rows after a
            site, over neurons.

    Returns:
        `FirstOrder`, float64.

    Raises:
        SpecError: a layer without a rule, or whose rule refuses, by its path; more than 8 rows; an
            unresolved activation.

    Valid for: Gaussian weights and biases; error O(1/width^2), with `ratio` as a guide: below 0.1
        mean and variance, below 1 the mean.

    Reference: derived in deepinit.theory.layers.flow.
    """
    given = validate.array("rows", rows, remedy="One input a row.")
    groups, inputs = given.shape[:2]
    count = inputs * program.shape.num_positions
    check(program, inputs)
    given = given.reshape(groups, count, -1)
    gram, means = np.einsum("gan,gbn->gab", given, given) / given.shape[2], given.mean(axis=2)
    with host_float64():
        for half in _HALVES:
            many = [
                _records(program, functions, half, *group)
                for group in zip(gram, means, strict=True)
            ]
            error = max(found[-1].errors[0] for found in many)
            if error <= _ACCURATE:
                break
    if not error <= LARGEST_ERROR:
        raise unresolved(error)
    paths = tuple(site.path for site in sites(program.body, program.body_shape))
    field = lambda i: np.swapaxes([[site[i] for site in found] for found in many], 0, 1)
    sampled = np.max([found[-1].errors[1:] for found in many], axis=0)
    return FirstOrder(paths, field(0), field(1), field(2), field(3), sampled)


def check(program: Program, num_inputs: int = 1, *, fixed: bool = True) -> None:
    """Raise the SpecError of a layer without a rule, or whose rule refuses.

    Args:
        fixed: whether a first random linear layer may have more rows than the others.
    """
    count = num_inputs * program.shape.num_positions
    if count > (LARGEST_FIXED if fixed else LARGEST_ROWS):
        raise _too_many(count)
    with host_float64():
        _structure(program, count)


def _too_many(count: int) -> SpecError:
    given, remedy = f"{count} rows (inputs x positions)", "Take fewer positions, or simulate."
    return SpecError(f"{given} at order 1/width", f"at most {LARGEST_ROWS}", remedy)


@functools.lru_cache(maxsize=256)
def _structure(program: Program, count: int) -> None:
    """Trace the rules, equal steps once."""
    products = jax.ShapeDtypeStruct((count * (count + 1) // 2,), jnp.float64)
    state: State = Settled(products, jax.ShapeDtypeStruct((count,), jnp.float64))
    seen: dict[Any, State] = {}
    for number, (layer, shape, path) in enumerate(steps(program)):
        leaves, structure = jax.tree.flatten(state)
        key = layer, shape, structure, tuple(leaf.shape for leaf in leaves)
        if key not in seen:
            tape, name = Tape(20), path or kind_name(layer)
            step = functools.partial(_applied, layer, shape, program.depth, name, tape)
            try:
                seen[key] = jax.eval_shape(step, state)
            except SpecError as error:
                error.__notes__ = []  # of JAX
                raise
            drawn = number == 0 and count > LARGEST_ROWS and tape.averages
            if drawn or num_rows(seen[key]) > LARGEST_ROWS:
                raise _too_many(num_rows(state))
        state = seen[key]


def _applied(layer: Layer, shape: Shape, depth: int, path: str, tape: Tape, state: State) -> State:
    return apply(layer, state, shape, depth, path, tape)


def _records(
    program: Program, functions: Functions, half: int, gram: np.ndarray, mean: np.ndarray
) -> list[Moments]:
    """Of every site."""
    where = entries(gram.shape[-1])
    vector = jnp.asarray(gram[where.rows, where.columns])
    state: State = Settled(vector, jnp.asarray(mean))
    flow, found = None if len(mean) > LARGEST_ROWS else start(state), []
    for layer, shape, path in steps(program):
        name = Path(path or kind_name(layer))
        if flow is None:  # a first linear map of fixed rows
            flow = start(apply(layer, state, shape, program.depth, name, Tape(half)))
        else:
            flow = advance(layer, flow, shape, program.depth, name, half)
        if layer is not program.embedding:
            found.append(record(functions, flow, half))
    return [jax.tree.map(np.asarray, part) for part in found]
