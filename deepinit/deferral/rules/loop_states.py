"""States of arrays that a loop uses: room for all steps, one step of it."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.action import with_roles
from deepinit.deferral.conditioning import State, batched
from deepinit.deferral.session import Base

_STEP_STREAM = 0x57E95EED


def slots_of(
    kept: dict[Any, Base], after: dict[str, Any], step: Any, length: int
) -> dict[Any, tuple[Base, tuple[int, int, int, int]]]:
    """Bases with room for all rows of a loop, and (known, new) numbers of rows and columns."""
    if not kept:
        return {}
    jax.eval_shape(lambda: (step(), None)[1])
    found = {}
    for name, base in kept.items():
        inner = after["bases"][name]
        if inner.roles is None or inner.state is None:
            continue
        base = with_roles(base, inner.roles)
        assert base.state is not None
        known, now = (
            [state.rows.shape[-2], state.columns.shape[-2]] for state in (base.state, inner.state)
        )
        new = now[0] - known[0], now[1] - known[1]
        state = _padded(base.state, [count * length for count in new])
        base = dataclasses.replace(base, state=state)
        found[name] = base, (known[0], new[0], known[1], new[1])
    return found


def _padded(state: State, new: list[int]) -> State:
    def grown(leaf: Any, count: int) -> Any:
        widths = [(0, 0)] * leaf.ndim
        widths[-2] = (0, count)
        return jnp.pad(leaf, widths)

    rows, columns = new
    return State(
        grown(state.rows, rows),
        grown(state.images, rows),
        grown(state.columns, columns),
        grown(state.preimages, columns),
    )


def at_step(base: Base, state: State, index: Any) -> Base:
    """A base with the state of a step, and keys of its own."""

    def own(key: Any) -> Any:
        return jax.random.fold_in(jax.random.fold_in(key, _STEP_STREAM), index)

    return dataclasses.replace(base, state=state, keys=batched(own, base.keys.ndim)(base.keys))


def written(state: State, found: State, index: Any, counts: tuple[int, int, int, int]) -> State:
    """Buffers with the rows of a step, which stand behind them."""

    def put(leaf: Any, own: Any, known: int, new: int) -> Any:
        rows = own[..., leaf.shape[-2] :, :]
        start = known + index * new
        return jax.lax.dynamic_update_slice_in_dim(leaf, rows, start, axis=leaf.ndim - 2)

    known, new, known_columns, new_columns = counts
    return State(
        put(state.rows, found.rows, known, new),
        put(state.images, found.images, known, new),
        put(state.columns, found.columns, known_columns, new_columns),
        put(state.preimages, found.preimages, known_columns, new_columns),
    )
