"""Residual sums of independent columns: cov' = cov_s + a^2 cov_b + a (m_s m_b' + m_b m_s').

Closed streams, N(centre, cov): centre' = centre + a m_b, cov' = cov + a^2 (cov_b - m_b m_b').
"""

from typing import Any

import jax.numpy as jnp

from deepinit.core.layers.containers import Residual, joined
from deepinit.core.layers.layer import Shape, refuse
from deepinit.infinite_width.rules_table import INFINITE, apply
from deepinit.infinite_width.states import (
    Kernel,
    Sides,
    State,
    absorbed,
    each_block,
    on_ntk,
    without_means,
)


@INFINITE.rule(Residual)
def _residual(layer: Residual, state: State, shape: Shape, depth: int, path: str) -> State:
    return residual_sum(layer, state, shape, depth, path)[0]


def residual_sum(
    layer: Residual, state: State, shape: Shape, depth: int, path: str
) -> tuple[State, State, float]:
    """The sum, its branch with gains averaged, and the branch's scale."""
    scale = depth**-0.5 if layer.scale == "1/sqrt(depth)" else layer.scale
    entering = state.replace(fresh=False)
    branch = apply(layer.branch, entering, shape, depth, joined(path, "branch"))
    skip = entering
    if layer.skip is not None:
        skip = apply(layer.skip, entering, shape, depth, joined(path, "skip"))
    if not (branch.fresh or skip.fresh):
        given = "a branch without a random linear layer, which depends on the stream"
        remedy = "End the branch in di.layers.Dense, or simulate."
        raise refuse(path, layer, given, "branches with fresh weights", remedy)
    fresh = state.fresh or (branch.fresh and skip.fresh)
    return summed(skip, branch, scale, fresh), absorbed(branch), scale


def summed(skip: State, branch: State, scale: float, fresh: bool) -> State:
    """skip + scale branch; `fresh`: whether a random linear map came before."""
    gaussian = skip.gaussian and branch.gaussian
    had_gains = bool(skip.gain or branch.gain or skip.blurred or branch.blurred)
    skip, branch = skip if skip.closed else absorbed(skip), absorbed(branch)
    sums = skip.replace(
        cross=_sum_of_kernels(skip.cross, branch.cross, scale),
        within=_sum_of_kernels(skip.within, branch.within, scale),
        mean=skip.mean + scale * branch.mean,
        missing=jnp.maximum(skip.missing, branch.missing),
        error=jnp.maximum(skip.error, branch.error),
        source=None,
        sampled=skip.sampled or branch.sampled,
        gaussian=gaussian,
        fresh=fresh,
        blurred=had_gains and gaussian,
    )
    if skip.closed:
        return _closed(sums, scale * branch.mean)
    if skip.gaussian or branch.gaussian:  # of mean 0
        return sums

    def crossed(kernel: Kernel, own: Sides, other: Sides) -> Kernel:
        products = own.left * other.right + other.left * own.right
        return Kernel(kernel.cov + scale * products, kernel.ntk)

    return each_block(sums, crossed, skip.mean, branch.mean)


def _closed(sums: State, mean: Any) -> State:
    """Sums of a closed stream and branches of this mean."""
    centres = None if sums.centres is None else sums.centres + mean[..., None]
    return without_means(sums, mean, centres=centres, gaussian=True)


def _sum_of_kernels(skip: Kernel, branch: Kernel, scale: float) -> Kernel:
    add = lambda own, other: own + scale**2 * other
    return Kernel(add(skip.cov, branch.cov), on_ntk(add, skip.ntk, branch.ntk))
