"""The depth that a width carries."""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.uniform import Uniform, uniform
from deepinit.theory.criticality.gradient_spread import layer_fluctuations

RATIO = 0.75  # depth/width: critical variances rescued 15 of 15 networks below, 0 of 24 from 1 on
_SPREAD = math.sqrt(5.0 * RATIO)  # of ln |gradient|^2 between He-ReLU networks at that ratio
_MOST = 4096


class DepthLimit(NamedTuple):
    """The largest depth at which seeds still agree on the size of gradients.

    Attributes:
        depth: in hidden layers, or residual blocks; None: no limit up to 4096.
        spread: standard deviation over networks of ln |dL/dz^1|^2 at the network's own depth.
        at_limit: the same at `depth`, or at 4096.
        reason: which bound holds, and its source.
    """

    depth: int | None
    spread: float
    at_limit: float
    reason: str


def max_depth(network: NetworkSpec, inputs: Any, *, spread: float = _SPREAD) -> DepthLimit:
    """The depth that the width of a network carries, whatever its variances.

    Beyond it gradients differ between seeds by factors e^{+-spread} or more, which no choice of
    variances changes; residual branches scaled by 1/sqrt(depth) do. Two bounds, the smaller holds:

    - standard deviation of ln |dL/dz^1|^2 at most `spread`, from sum_l Var e_l
      (`deepinit.theory.criticality.layer_fluctuations`);
    - plain stacks: depth/width <= 3/4.

    Args:
        network: equal dense layers or residual blocks: an MLP, or what `residual`, `norm`,
            `critical` make of it.
        inputs: `Inputs` or rows, or the entries of one input of mean square 1.
        spread: 1.94 is that of He-ReLU at depth/width 3/4.

    Source of 3/4: 39 failing MLPs of a pilot study, trained again with critical variances: 15 of 15
    trained at depth/width <= 3/4, 0 of 24 from 1 on. It says nothing about growth with depth at
    infinite width (`di.critical`).
    Raises SpecError: other networks.
    """
    limit = validate.positive("spread", spread, "1.94 is usual.")
    net = uniform(network, inputs)
    own = _spread(net, net.depth)
    by_spread = _largest(net, limit)
    by_ratio = math.floor(RATIO * net.width) if net.branch_scale is None else None
    if by_spread is None and by_ratio is None:
        text = f"gradients differ by less than e^{limit:.3g} between networks up to {_MOST} blocks"
        return DepthLimit(None, own, _spread(net, _MOST), text)
    depth = min(bound for bound in (by_spread, by_ratio) if bound is not None)
    depth = max(depth, 1)
    if depth == by_ratio:
        text = f"depth/width <= {RATIO}: critical variances trained no network from 1 on"
    else:
        text = f"ln |gradient|^2 differs by {limit:.3g} between networks (formula in 1/width)"
    return DepthLimit(depth, own, _spread(net, depth), text)


def _largest(net: Uniform, limit: float) -> int | None:
    """The largest depth with at most this spread; None beyond 4096."""
    if not isinstance(net.branch_scale, str):
        sums = np.sqrt(np.cumsum(_fresh(net, _MOST)))
        above = np.flatnonzero(sums > limit)
        return int(above[0]) if len(above) else None
    if _spread(net, _MOST) <= limit:
        return None
    low, high = 0, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _spread(net, middle) <= limit else (low, middle)
    return low


def _spread(net: Uniform, depth: int) -> float:
    return math.sqrt(float(np.sum(_fresh(net, depth))))


def _fresh(net: Uniform, depth: int) -> np.ndarray:
    found = layer_fluctuations(
        net.phi,
        depth,
        net.width,
        net.weight_var,
        net.bias_var,
        first_variance=net.first_variance,
        branch_scale=net.scale_at(depth),
        norm=net.norm,
    )
    return found.fresh
