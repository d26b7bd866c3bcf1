"""Functions of the sites of a composed network, to order 1/width."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers.program import Program
from deepinit.core.layers.program import sites as sites_of
from deepinit.theory.layers import rules as rules
from deepinit.theory.layers.entries import vector_of
from deepinit.theory.layers.flow import Moments, moments, push, start
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.rules_table import apply, unresolved
from deepinit.theory.layers.state import Settled
from deepinit.theory.layers.walk import in_order, walk

LARGEST_ERROR = 1e-8  # of quadratures; kinked activations of nearly parallel rows
LARGEST_ROWS = 8  # the fluctuations of k rows are k^6 numbers
_ACCURATE = 1e-12
_HALVES = (40, 84, 180)  # steps of quadratures, tried in order


class FirstOrder(NamedTuple):
    """Functions of the rows after every site, [sites, groups, m].

    E f = infinite + shift and Var f = variance, to order 1/width.

    Attributes:
        paths: of the sites.
        infinite: at infinite width.
        shift, variance: order 1/width, at the network's widths.
        second_variance: part of order 1/width^2 of the variance, from the quadratic terms of f.
    """

    paths: tuple[str, ...]
    infinite: np.ndarray
    shift: np.ndarray
    variance: np.ndarray
    second_variance: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """q = second_variance / variance; 0 where both are 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = self.second_variance / self.variance
        return np.where(self.second_variance == 0, 0.0, ratio)


def first_order(
    program: Program, rows: Any, functions: Callable[[Any, Any], Any]
) -> FirstOrder:
    """Mean and variance of functions of a network's rows, to order 1/width.

    Args:
        program: `core.layers.program(network, shape)`.
        rows: [groups, inputs, ...], inputs of `program.shape`; at most 8 rows (inputs x positions)
            a group.
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
    if count > LARGEST_ROWS:
        raise SpecError(
            f"{count} rows (inputs x positions) at order 1/width",
            f"at most {LARGEST_ROWS}",
            "Take fewer positions, or simulate.",
        )
    given = given.reshape(groups, count, -1)
    gram = np.einsum("gan,gbn->gab", given, given) / given.shape[2]
    with host_float64():
        for half in _HALVES:
            try:
                records = compiled(program, functions, half, gram, given.mean(axis=2))
            except SpecError as error:
                error.__notes__ = []
                raise
            parts = list(in_order(jax.tree.map(np.asarray, records), _is_record))
            error = max(float(part.error.max()) for part in parts)
            if error <= _ACCURATE:
                break
    if not error <= LARGEST_ERROR:
        raise unresolved(error)
    paths = tuple(site.path for site in sites_of(program.body, program.body_shape))
    results = zip(*(part[:4] for part in parts), strict=True)
    return FirstOrder(paths, *(np.stack(result) for result in results))


def _is_record(part: Any) -> bool:
    return isinstance(part, Moments)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def compiled(
    program: Program, functions: Callable[[Any, Any], Any], half: int, gram: Any, mean: Any
) -> Any:
    """Records of the sites, `Moments` [groups, m], as `walk` gives them."""
    from deepinit.theory.layers.entries import matrix_of

    of_state = lambda state: functions(matrix_of(state.gram), state.mean)

    def one(group: tuple[Any, Any]) -> Any:
        flow = start(Settled(vector_of(group[0]), group[1]))
        shape, depth = program.shape, program.depth
        if program.embedding is not None:
            embed = lambda state, tape: apply(
                program.embedding, state, shape, depth, "embedding", tape
            )
            flow = push(embed, flow, half)
        record = lambda flow: moments(of_state, flow)
        return walk(program.body, flow, program.body_shape, depth, "", record, half)[1]

    records = jax.lax.map(one, (gram, mean))
    # groups after the repetitions of a scan
    return records
