"""Batch norms of a state, followed by a function of neurons."""

from typing import Any

import jax.numpy as jnp

from deepinit.core.activations import Activation, linear
from deepinit.core.layers.norms import BatchNorm
from deepinit.infinite_width.batch_averages import batch_averages
from deepinit.infinite_width.states import Kernel, Source, State, on_ntk, tied


def batch_normed(phi: Activation, source: Source) -> State:
    """phi of batch-normalized Gaussian columns; of phi = `linear` gains stay in the state."""
    state, layer = source.state, source.layer
    assert isinstance(layer, BatchNorm)
    cov, ntk = (on_ntk(_matrix, part) for part in (state.cross.cov, state.cross.ntk))
    averages, sampled = batch_averages(phi, cov, ntk, layer.eps, state.replica)
    tangents, values = averages.ntk, averages.values
    if ntk is not None and layer.gain:
        tangents = tangents + averages.gains - (values if phi == linear else 0.0)
    shape = state.cross.cov.shape
    blocks = lambda matrix: on_ntk(
        lambda whole: whole.reshape(shape[0], shape[2], shape[1], shape[3]).swapaxes(1, 2), matrix
    )
    cross = Kernel(blocks(values), blocks(tangents))
    own = jnp.arange(shape[0])
    diagonal = lambda block: block[own, own]
    return tied(
        state.replace(
            cross=cross,
            within=Kernel(diagonal(cross.cov), on_ntk(diagonal, cross.ntk)),
            mean=averages.mean.reshape(state.mean.shape),
            gaussian=False,
            gain=float(layer.gain and phi == linear),
            sampled=state.sampled or sampled,
            source=source if phi == linear else None,
        )
    )


def _matrix(block: Any) -> Any:
    """[A, A, P, P] as [A P, A P]."""
    rows = block.shape[0] * block.shape[2]
    return block.swapaxes(1, 2).reshape(rows, rows)
