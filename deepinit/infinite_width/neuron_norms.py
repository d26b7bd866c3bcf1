"""Batch norms and norms of small groups, of Gaussian columns, and functions of neurons after."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation, linear
from deepinit.core.layers.layer import refuse
from deepinit.core.layers.norms import BatchNorm, GroupNorm
from deepinit.infinite_width.batch_averages import batch_averages
from deepinit.infinite_width.group_averages import group_averages
from deepinit.infinite_width.states import Kernel, Source, State, blocks, matrix, on_ntk, tied


def check_tangents(layer: Any, state: State, numbers: int, of: str, path: str) -> None:
    """Refuse tangent kernels of norms over `numbers` numbers that are infinite or unknown."""
    if state.with_ntk and state.gain:
        given = "the NTK of trained gains directly before it"
        raise refuse(path, layer, given, "gain=False, or the NNGP kernel", "Write gain=False.")
    if state.with_ntk and layer.eps == 0 and numbers <= 3:
        given = f"the NTK of {of} with eps=0, which is infinite"
        raise refuse(path, layer, given, "eps > 0, or larger batches", "Write eps=1e-5.")


def is_normed(state: State) -> bool:
    """Whether a norm of Gaussian columns came last."""
    return state.source is not None and isinstance(state.source.layer, BatchNorm | GroupNorm)


def norm_of(layer: Any, state: State, channels: int = 1) -> State:
    """Normalized columns; trained gains stay in the state."""
    source = Source(state, layer, channels)
    after = normed(linear, state.replace(source=source)).replace(source=source)
    if not (state.with_ntk and layer.gain):
        return after
    without = lambda kernel: Kernel(kernel.cov, kernel.ntk - kernel.cov)
    return after.replace(cross=without(after.cross), within=without(after.within), gain=1.0)


def gated(phi: Activation, state: State) -> State:
    """u phi(g), u and g independent columns that a norm gave."""
    values, gates = normed(linear, state), normed(phi, state)

    def product(u: Kernel, g: Kernel) -> Kernel:
        ntk = on_ntk(lambda one, other: one * g.cov + u.cov * other, u.ntk, g.ntk)
        return Kernel(u.cov * g.cov, ntk)

    return gates.replace(
        cross=product(values.cross, gates.cross),
        within=product(values.within, gates.within),
        mean=jnp.zeros_like(values.mean),
        sampled=values.sampled or gates.sampled,
    )


def normed(phi: Activation, state: State, windows: Any = None) -> State:
    """phi(F) of the columns F that a norm gave; gains and biases in the tangent kernels.

    Args:
        windows: [W, size], positions of which the maximum is taken last; None for all.
    """
    assert state.source is not None
    before = state.source.state
    average = _over_batch if isinstance(state.source.layer, BatchNorm) else _over_groups
    cross, within, mean, sampled = average(phi, state.source, windows)
    return tied(
        before.replace(
            cross=cross,
            within=within,
            mean=mean,
            gaussian=False,
            gain=0.0,
            fresh=state.fresh,
            sampled=state.sampled or sampled,
            source=None,
        )
    )


def _kernel(averages: Any, has_gain: bool) -> Kernel:
    ntk = on_ntk(lambda ntk: ntk + averages.gains if has_gain else ntk, averages.ntk)
    return Kernel(averages.values, ntk)


def _over_batch(phi: Activation, source: Source, windows: Any) -> tuple[Kernel, Kernel, Any, bool]:
    state, layer = source.state, source.layer
    assert isinstance(layer, BatchNorm)
    num, _, length, _ = state.cross.cov.shape
    cov, ntk = (on_ntk(matrix, part) for part in (state.cross.cov, state.cross.ntk))
    if windows is not None:
        length, starts = len(windows), length * np.arange(num)[:, None, None]
        windows = (starts + windows).reshape(num * length, -1)
    averages, sampled = batch_averages(phi, cov, ntk, layer.eps, state.replica, windows)
    cross = jax.tree.map(lambda part: blocks(part, num), _kernel(averages, layer.gain))
    own = jnp.arange(num)
    within = jax.tree.map(lambda block: block[own, own], cross)
    return cross, within, averages.mean.reshape(num, length), sampled


def _over_groups(phi: Activation, source: Source, windows: Any) -> tuple[Kernel, Kernel, Any, bool]:
    state, layer = source.state, source.layer
    assert isinstance(layer, GroupNorm)
    (num, others), within, eps = state.same.shape, state.within, layer.eps

    def average(left: Any, right: Any, between: Kernel) -> tuple[Kernel, Any]:
        columns = left, right, between.cov, between.ntk
        averages = group_averages(phi, *columns, source.channels, eps, state.replica, windows)
        return _kernel(averages, layer.gain), averages.mean

    own, mean = jax.lax.map(lambda block: average(block.cov, None, block), within)

    def pair(place: Any) -> Kernel:
        a, b = place
        between = jax.tree.map(lambda part: part[a, b], state.cross)
        return average(within.cov[a], within.cov[len(within.cov) - others + b], between)[0]

    pairs = jax.lax.map(pair, tuple(jnp.indices((num, others)).reshape(2, -1)))
    cross = jax.tree.map(lambda part: part.reshape(num, others, *part.shape[1:]), pairs)
    return cross, own, mean, True
