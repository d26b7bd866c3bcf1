"""States of the infinite-width interpreter: kernels between positions of inputs.

Inputs a of the first list, b of the second; positions p, q of one input (one for vectors).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.layers.layer import Layer

Engine = tuple[str, int]  # ("series", terms) or ("quadrature", 0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Kernel:
    """Kernels of one neuron, [..., P, P]: cov = E h h'; ntk in NTK parametrization, or None."""

    cov: Any
    ntk: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """A layer's output on two lists of inputs, A and B; R = A + B inputs, or A = B = R if `square`.

    Attributes:
        cross: [A, B, P, P], inputs of the first list against the second.
        within: [R, P, P], within one input; first list, then second.
        mean: [R, P], E h over neurons; 0 for Gaussian columns.
        same: [A, B], whether two inputs are equal.
        one: [A, B], whether they share masks that are independent across inputs.
        missing, error: largest share of a mean square beyond the series, relative error of a
            quadrature, so far.
        gaussian: `pending`: neurons are independent N(0, cov), an activation may follow; else
            `settled`: only cov and means are known.
        fresh: a random linear map came since the start of the branch.
        square: the two lists are one, and whole.
        gain: g, trained gains of norms: a neuron of rows h has the tangent kernel ntk + g h_a h_b;
            `absorbed` averages it.
        aligned: only pairs of one position are kept: kernels [A, B, P] and [R, P].
        blurred: gains were averaged although neurons are Gaussian: no ntk after an activation.
        engine: of activations without a closed form.
        replica: number of the randomized nodes that `random_nodes` gives.
        sampled: such nodes were used: the interpreter averages over replicas.
        source: Gaussian columns before the last layer of neurons, or None.
        closed: sums of neurons count as Gaussian (`centres`).
        centres: [R, P, coordinates], or None: neurons are N(centre, cov), so many of each;
            `absorbed` averages them.
        trained: groups of parameters in the ntk (`random_maps`), or None for all.
    """

    cross: Kernel
    within: Kernel
    mean: Any
    same: Any
    one: Any
    missing: Any
    error: Any
    replica: Any = 0
    source: "Source | None" = None
    centres: Any = None
    gaussian: bool = dataclasses.field(default=False, metadata={"static": True})
    fresh: bool = dataclasses.field(default=False, metadata={"static": True})
    square: bool = dataclasses.field(default=False, metadata={"static": True})
    gain: float = dataclasses.field(default=0.0, metadata={"static": True})
    blurred: bool = dataclasses.field(default=False, metadata={"static": True})
    sampled: bool = dataclasses.field(default=False, metadata={"static": True})
    aligned: bool = dataclasses.field(default=False, metadata={"static": True})
    engine: Engine = dataclasses.field(default=("series", 256), metadata={"static": True})
    closed: bool = dataclasses.field(default=False, metadata={"static": True})
    trained: tuple[str, ...] | None = dataclasses.field(default=None, metadata={"static": True})

    @property
    def with_ntk(self) -> bool:
        """Whether tangent kernels are computed."""
        return self.cross.ntk is not None

    @property
    def variance(self) -> Any:
        """E h^2, [R, P]."""
        cov = self.within.cov
        return cov if self.aligned else jnp.diagonal(cov, axis1=-2, axis2=-1)

    def replace(self, **changes: Any) -> "State":
        """The state with other fields."""
        return dataclasses.replace(self, **changes)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Source:
    """Gaussian columns, and the layer of neurons after them, of so many channels a group."""

    state: State
    layer: Layer = dataclasses.field(metadata={"static": True})
    channels: int = dataclasses.field(default=1, metadata={"static": True})


class Sides(NamedTuple):
    """A number per row, left and right of a kernel's entries."""

    left: Any
    right: Any


def start(
    first: Any,
    second: Any,
    same: Any,
    ntk: bool,
    engine: Engine,
    replica: Any = 0,
    aligned: bool = False,
    trained: tuple[str, ...] | None = None,
) -> State:
    """Inputs as a state: first [A, P, n], second [B, P, n] or None for `first`.

    `same`: [A, B], 2 for one input, 1 for two equal ones, else 0.
    """

    def kernel(pattern: str, left: Any, right: Any) -> Kernel:
        cov = jnp.einsum(pattern, left, right) / left.shape[-1]
        return Kernel(cov, jnp.zeros_like(cov) if ntk else None)

    others = first if second is None else second
    rows = first if second is None else jnp.concatenate([first, second])
    state = State(
        kernel("apn,bpn->abp" if aligned else "apn,bqn->abpq", first, others),
        kernel("apn,apn->ap" if aligned else "apn,aqn->apq", rows, rows),
        jnp.mean(rows, axis=-1),
        same > 0,
        same > 1,
        missing=jnp.zeros(()),
        error=jnp.zeros(()),
        replica=jnp.asarray(replica, jnp.int32),
        square=second is None,
        aligned=aligned,
        engine=engine,
        trained=trained,
    )
    return tied(state)


def each_block(state: State, fn: Callable[..., Kernel], *rows: Any, **changes: Any) -> State:
    """The state with `fn(kernel, *sides)` for `cross` and `within`.

    `rows`: arrays [..., R, P]; `fn` gets them as `Sides`, which broadcast against [..., A, B, P, P]
    or [..., R, P, P]. `changes`: other fields; `source` is dropped unless given.
    """
    changes.setdefault("source", None)
    num_first, num_second = state.same.shape
    cross, within = [], []
    for row in rows:
        left, right = row[..., :num_first, None, :], row[..., None, -num_second:, :]
        if state.aligned:
            cross.append(Sides(left, right))
            within.append(Sides(row, row))
        else:
            cross.append(Sides(left[..., None], right[..., None, :]))
            within.append(Sides(row[..., None], row[..., None, :]))
    blocks = {"cross": fn(state.cross, *cross), "within": fn(state.within, *within)}
    return tied(state.replace(**blocks, **changes))


def linear_map(state: State, fn: Callable[[Any], Any], **changes: Any) -> State:
    """The state with `fn` on cov and ntk, e.g. a map of positions."""
    mapped = lambda kernel: Kernel(fn(kernel.cov), on_ntk(fn, kernel.ntk))
    return each_block(state, mapped, **changes)


def without_means(state: State, means: Any, **changes: Any) -> State:
    """The state with cov - m m', means [R, P]."""

    def centred(kernel: Kernel, mean: Sides) -> Kernel:
        return Kernel(kernel.cov - mean.left * mean.right, kernel.ntk)

    return each_block(state, centred, means, **changes)


def on_ntk(fn: Callable[..., Any], *parts: Any) -> Any:
    """`fn(*parts)`; None where tangent kernels are not computed."""
    return None if parts[0] is None else fn(*parts)


def tied(state: State) -> State:
    """The state with bit-equal kernels of equal inputs: angles 0 stay 0."""
    cross, within = state.cross, state.within
    same = state.same.reshape(state.same.shape + (1,) * (cross.cov.ndim - 2))
    equal = lambda cross, within: jnp.where(same, within[: len(same), None], cross)
    ntk = on_ntk(equal, cross.ntk, within.ntk)
    return state.replace(cross=Kernel(equal(cross.cov, within.cov), ntk))


def absorbed(state: State) -> State:
    """The state with gains and centres averaged over neurons, before a linear map: ntk + g cov,
    cov + mean_d m_d m'_d.
    """
    if state.centres is not None:
        rows = state.centres.reshape(-1, state.centres.shape[-1])
        cov = state.cross.cov + blocks(rows @ rows.T / rows.shape[1], len(state.same))
        return squared(state.replace(centres=None, gaussian=False), Kernel(cov, state.cross.ntk))
    if not state.gain:
        return state

    def averaged(kernel: Kernel) -> Kernel:
        return Kernel(kernel.cov, on_ntk(lambda ntk: ntk + state.gain * kernel.cov, kernel.ntk))

    return each_block(state, averaged, gain=0.0, blurred=state.gaussian and state.with_ntk)


def equal_rows(state: State, block: Any) -> Any:
    """Mask of a row with itself among the entries of `cross` or `within`."""
    of_inputs = block.ndim == state.cross.cov.ndim
    if state.aligned:
        return state.same[:, :, None] if of_inputs else jnp.ones((), bool)
    eye = jnp.eye(block.shape[-1], dtype=bool)
    return state.same[:, :, None, None] & eye if of_inputs else eye


def squared(state: State, cross: Kernel) -> State:
    """The square state of kernels between all pairs."""
    own = jnp.arange(len(cross.cov))
    return tied(state.replace(cross=cross, within=jax.tree.map(lambda x: x[own, own], cross)))


def matrix(block: Any) -> Any:
    """[A, A, P, P] of a square state as [A P, A P]."""
    rows = block.shape[0] * block.shape[2]
    return block.swapaxes(1, 2).reshape(rows, rows)


def blocks(matrix: Any, num: int) -> Any:
    """The inverse of `matrix`, A = num."""
    length = len(matrix) // num
    return matrix.reshape(num, length, num, length).swapaxes(1, 2)
