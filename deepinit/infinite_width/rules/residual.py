"""Residual sums of independent columns: cov' = cov_s + a^2 cov_b + a (m_s m_b' + m_b m_s')."""

import dataclasses

from deepinit.core.layers.containers import Residual, joined
from deepinit.core.layers.layer import Shape, refuse
from deepinit.infinite_width.rules_table import INFINITE, apply
from deepinit.infinite_width.states import Kernel, Sides, State, absorbed, each_block, on_ntk


@INFINITE.rule(Residual)
def _residual(layer: Residual, state: State, shape: Shape, depth: int, path: str) -> State:
    scale = depth**-0.5 if layer.scale == "1/sqrt(depth)" else float(layer.scale)
    entering = dataclasses.replace(state, fresh=False)
    branch = apply(layer.branch, entering, shape, depth, joined(path, "branch"))
    skip = entering
    if layer.skip is not None:
        skip = apply(layer.skip, entering, shape, depth, joined(path, "skip"))
    if not (branch.fresh or skip.fresh):
        given = "a branch without a random linear layer, which depends on the stream"
        remedy = "End the branch in di.layers.Dense, or simulate."
        raise refuse(path, layer, given, "branches with fresh weights", remedy)
    return _sum(skip, branch, scale, state.fresh or (branch.fresh and skip.fresh))


def _sum(skip: State, branch: State, scale: float, fresh: bool) -> State:
    blurred = (skip.blurred or branch.blurred) or bool(skip.gain or branch.gain)
    skip, branch = absorbed(skip), absorbed(branch)
    others = {"cross": branch.cross, "first": branch.first, "second": branch.second}
    sums = dataclasses.replace(
        skip,
        **{name: _sum_of_kernels(getattr(skip, name), other, scale) for name, other in others.items()},
        missing=_larger(skip.missing, branch.missing),
        error=_larger(skip.error, branch.error),
        gaussian=skip.gaussian and branch.gaussian,
        fresh=fresh,
        blurred=blurred and skip.gaussian and branch.gaussian,
    )
    if not (skip.gaussian or branch.gaussian):

        def crossed(kernel: Kernel, own: Sides, other: Sides) -> Kernel:
            products = own.left * other.right + other.left * own.right
            return Kernel(kernel.cov + scale * products, kernel.ntk)

        sums = each_block(sums, crossed, skip.means, branch.means)
    return sums.with_means(
        skip.mean1 + scale * branch.mean1, skip.mean2 + scale * branch.mean2
    )


def _sum_of_kernels(skip: Kernel, branch: Kernel, scale: float) -> Kernel:
    add = lambda own, other: own + scale**2 * other
    return Kernel(add(skip.cov, branch.cov), on_ntk(add, skip.ntk, branch.ntk))


def _larger(one, other):
    import jax.numpy as jnp

    return jnp.maximum(one, other)
