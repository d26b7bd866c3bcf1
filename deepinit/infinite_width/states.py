"""States of the infinite-width interpreter: kernels between positions of inputs.

Inputs a of the first list, b of the second; positions p, q of one input (one for vectors).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Engine = tuple[str, int]  # ("series", terms) or ("quadrature", 0)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Kernel:
    """Kernels of one neuron, [..., P, P].

    Attributes:
        cov: E h h' over neurons.
        ntk: tangent kernel of a neuron, NTK parametrization; None if not asked.
    """

    cov: Any
    ntk: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """A layer's output on two lists of inputs.

    Attributes:
        cross: [A, B, P, P], first inputs against second.
        first: [A, P, P], within one input.
        second: [B, P, P].
        mean1: [A, P], E h over neurons; 0 for Gaussian columns.
        mean2: [B, P].
        same: [A, B], whether two inputs are equal.
        missing: largest share of a mean square beyond the series, so far.
        error: largest relative error of a quadrature, so far.
        gaussian: `pending`: neurons are independent N(0, cov), so that an activation may follow;
            else `settled`: only cov and means are known.
        fresh: a random linear map came since the start of the branch.
        square: the two lists are one, and whole.
        gain: g, trained gains of norms: a neuron of rows h has the tangent kernel
            ntk + g h_a h_b; `absorbed` averages it.
        blurred: gains were averaged although neurons are Gaussian: no ntk after an activation.
        engine: of activations without a closed form.
    """

    cross: Kernel
    first: Kernel
    second: Kernel
    mean1: Any
    mean2: Any
    same: Any
    missing: Any
    error: Any
    gaussian: bool = dataclasses.field(default=False, metadata={"static": True})
    fresh: bool = dataclasses.field(default=False, metadata={"static": True})
    square: bool = dataclasses.field(default=False, metadata={"static": True})
    gain: float = dataclasses.field(default=0.0, metadata={"static": True})
    blurred: bool = dataclasses.field(default=False, metadata={"static": True})
    engine: Engine = dataclasses.field(default=("series", 256), metadata={"static": True})

    @property
    def with_ntk(self) -> bool:
        """Whether tangent kernels are computed."""
        return self.cross.ntk is not None

    @property
    def variances(self) -> tuple[Any, Any]:
        """E h^2: [A, P], [B, P]."""
        return diagonal(self.first.cov), diagonal(self.second.cov)

    @property
    def means(self) -> tuple[Any, Any]:
        """[A, P], [B, P]."""
        return self.mean1, self.mean2

    def with_means(self, mean1: Any, mean2: Any) -> "State":
        """The state with other means."""
        return dataclasses.replace(self, mean1=mean1, mean2=mean2)

    def without_means(self) -> "State":
        """The state with means 0."""
        return self.with_means(*(jnp.zeros_like(variance) for variance in self.variances))


class Sides(NamedTuple):
    """A number per row, at the left and at the right of a kernel's entries."""

    left: Any
    right: Any


BlockFn = Callable[..., Kernel]


def start(first: Any, second: Any, same: Any, ntk: bool, square: bool, engine: Engine) -> State:
    """Inputs as a state; first [A, P, n], second [B, P, n]."""

    def kernel(pattern: str, left: Any, right: Any) -> Kernel:
        cov = jnp.einsum(pattern, left, right) / left.shape[-1]
        return Kernel(cov, jnp.zeros_like(cov) if ntk else None)

    state = State(
        kernel("apn,bqn->abpq", first, second),
        kernel("apn,aqn->apq", first, first),
        kernel("apn,aqn->apq", second, second),
        jnp.mean(first, axis=-1),
        jnp.mean(second, axis=-1),
        same,
        missing=jnp.zeros(()),
        error=jnp.zeros(()),
        square=square,
        engine=engine,
    )
    return tied(state)


def diagonal(block: Any) -> Any:
    """[..., P, P] -> [..., P]."""
    return jnp.diagonal(block, axis1=-2, axis2=-1)


def each_block(state: State, fn: BlockFn, *rows: tuple[Any, Any], **changes: Any) -> State:
    """The state with `fn(kernel, *sides)` for its three kernels.

    Args:
        rows: pairs of arrays [..., A, P], [..., B, P]; `fn` gets them as `Sides`, which broadcast
            against [..., A, B, P, P], or [..., A, P, P] within one input.
        changes: other fields.
    """
    cross = [Sides(x[..., :, None, :, None], y[..., None, :, None, :]) for x, y in rows]
    within = [[Sides(z[..., :, None], z[..., None, :]) for z in side] for side in zip(*rows)]
    first, second = within or ((), ())
    return tied(
        dataclasses.replace(
            state,
            cross=fn(state.cross, *cross),
            first=fn(state.first, *first),
            second=fn(state.second, *second),
            **changes,
        )
    )


def linear_map(state: State, fn: Callable[[Any], Any], **changes: Any) -> State:
    """The state with `fn` on cov and ntk, e.g. a map of positions on both sides."""
    return each_block(
        state, lambda kernel: Kernel(fn(kernel.cov), on_ntk(fn, kernel.ntk)), **changes
    )


def on_ntk(fn: Callable[..., Any], *parts: Any) -> Any:
    """`fn(*parts)`; None where tangent kernels are not computed."""
    return None if parts[0] is None else fn(*parts)


def tied(state: State) -> State:
    """The state with equal inputs' kernels equal to the last bit: angles of 0 stay 0."""
    same = state.same[:, :, None, None]

    def equal(cross: Any, within: Any) -> Any:
        return jnp.where(same, within[:, None], cross)

    cross, first = state.cross, state.first
    cross = Kernel(equal(cross.cov, first.cov), on_ntk(equal, cross.ntk, first.ntk))
    return dataclasses.replace(state, cross=cross)


def absorbed(state: State) -> State:
    """The state with gains averaged over neurons: ntk + g cov. Right before a linear map."""
    if not state.gain:
        return state
    gain = state.gain
    return each_block(
        state,
        lambda kernel: Kernel(kernel.cov, on_ntk(lambda ntk: ntk + gain * kernel.cov, kernel.ntk)),
        gain=0.0,
        blurred=state.gaussian and state.with_ntk,
    )


def equal_rows(state: State) -> tuple[Any, Any]:
    """Masks of entries of one row with itself: cross [A, B, P, P], within [P, P]."""
    eye = jnp.eye(state.first.cov.shape[-1], dtype=bool)
    return state.same[:, :, None, None] & eye, eye
