"""Fluctuations of gradients and norms between networks, to first order in depth/width.

Width n; K_l the variance of preactivations (of the stream, in residual networks); s = 1 with a
skip, 0 without; a = alpha^2 weight_var E phi'^2 the branch's share of squared gradients. Each layer
adds to ln |dL/dz^1|^2 a fresh part e_l, and the response to the fluctuation x_l of ln K_l:

    Var e_l = (4 a s + a^2 c_l) / ((s + a)^2 n),   c_l = 3 E phi'^4 / (E phi'^2)^2 - 1,
    ln |dL/dz^1|^2 = sum_l (e_l + d_l x_l),   x_{l+1} = r_l x_l + y_l,
    d_l = (a / (s + a)) d ln E phi'^2 / d ln K,   r_l = d ln K' / d ln K.

He-ReLU: d = 0, c = 5. A norm before the activation divides a by K_l; moments are at variance 1,
without the part along z^2. A stream starts with the fluctuation 2/n of a random embedding.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.gaussian import derivatives, normal_rule, values
from deepinit.core.typing import ActivationLike

_CONVERGED = 1e-10  # relative change of K in a layer, after which moments stay
_NODES = 121


class Layers(NamedTuple):
    """By hidden layer (or block) 1, ..., L: arrays [L], shorter where K_l leaves float64.

    Attributes:
        variance: K_l.
        log_chi: ln of the growth of squared gradients through the layer at infinite width.
        fresh: Var e_l.
        gradient_variance: Var of ln |dL/dz^1|^2 - ln |dL/dz^{l+1}|^2, accumulated.
        log_norm_variance: Var ln |phi(z^l)|^2; of the stream after block l.
    """

    variance: np.ndarray
    log_chi: np.ndarray
    fresh: np.ndarray
    gradient_variance: np.ndarray
    log_norm_variance: np.ndarray


class _Moments(NamedTuple):
    """Of one neuron: z Gaussian, v = phi^2 / E phi^2, u = phi'^2 / E phi'^2."""

    square: float  # E phi^2
    slope: float  # E phi'^2
    v_square: float  # E v^2
    u_square: float  # E u^2
    weighted: float  # E u^2, without a norm
    mixed: float  # E u v
    growth: float  # d ln E phi^2 / d ln K
    slope_growth: float  # d ln E phi'^2 / d ln K


def layer_fluctuations(
    activation: ActivationLike,
    depth: int,
    width: int,
    weight_var: float,
    bias_var: float = 0.0,
    *,
    first_variance: float = 1.0,
    branch_scale: float | None = None,
    norm: bool = False,
) -> Layers:
    """Variances, growth of gradients and fluctuations of a stack of equal layers.

    Args:
        first_variance: of the first layer's preactivations; of the stream before the first block.
        branch_scale: alpha of residual blocks z + alpha (b + W phi(z)); None without a skip.
        norm: LayerNorm or RMSNorm before every activation.

    Valid for: one input; independent normal entries, fully connected, equal widths; fluctuations to
    first order in depth/width, phi' not 0 everywhere. A batch fluctuates less (measured: 0.62 of
    the sum of `fresh`). Reference for `fresh`: Hanin and Nica 2018, 1812.05994 (ReLU).
    Raises SpecError: variances < 0, unknown activation.
    """
    phi = as_activation(activation)
    layers, n = validate.integer("depth", depth, 1), validate.integer("width", width, 1)
    w = validate.not_negative("weight_var", weight_var, "2.0 for ReLU.")
    b = validate.not_negative("bias_var", bias_var, "0.0 is usual.")
    k = validate.positive("first_variance", first_variance, "1.0 is usual.")
    skip = 0.0 if branch_scale is None else 1.0
    alpha = 1.0 if branch_scale is None else validate.real("branch_scale", branch_scale)
    found: list[tuple[float, ...]] = []
    norm_var, joint, total_var, moments = 2.0 * skip / n, 0.0, 0.0, None
    for _ in range(layers):
        if moments is None:
            moments = _moments(phi, 1.0 if norm else k, norm)
        m = moments
        a = alpha**2 * w * m.slope / (k if norm else 1.0)
        after = skip * k + alpha**2 * (b + w * m.square)
        if not (0.0 < after < math.inf and a > 0.0):
            break
        part, branch = a / (skip + a), alpha**2 * w * m.square / after
        own = 2.0 * m.weighted + m.u_square - 1.0  # c_l
        own += 2.0 if norm and not skip else 0.0  # of the mean square that the norm divides by
        fresh = (4.0 * a * skip / (skip + a) ** 2 + part**2 * own) / n
        d = part * (-1.0 if norm else m.slope_growth)
        response = skip * k / after + branch * (0.0 if norm else m.growth)
        noise = branch**2 * (m.v_square - 1.0 + 2.0 * skip) + 4.0 * skip * branch * k / after
        both = part * branch * (m.mixed - 1.0) / n
        total_var += fresh + d * d * norm_var + 2.0 * d * joint
        joint = response * (joint + d * norm_var) + both
        of_phi = (0.0 if norm else m.growth**2) * norm_var + (m.v_square - 1.0) / n
        norm_var = response**2 * norm_var + noise / n
        shown = norm_var if skip else of_phi
        found.append((k, math.log(skip + a), fresh, total_var, shown))
        if abs(after - k) > _CONVERGED * k and not norm:
            moments = None
        k = after
    return Layers(*np.array(found).reshape(-1, 5).T)


def _moments(phi: Activation, variance: float, is_normed: bool) -> _Moments:
    """Gaussian moments at one variance; without the part of z^2 that a norm removes."""
    std = math.sqrt(variance)
    kinks = tuple(kink / std for kink in phi.kinks)
    nodes, weights = normal_rule(kinks, _NODES)
    with np.errstate(all="ignore"):
        v, u = values(phi, std * nodes) ** 2, derivatives(phi, std * nodes) ** 2
        square, slope = float(weights @ v), float(weights @ u)
        v, u = v / square, u / slope
        hermite, weighted = nodes**2 - 1.0, float(weights @ u**2)
        growth, slope_growth = (0.5 * float(weights @ (hermite * x)) for x in (v, u))
        if is_normed:
            v, u = v - growth * hermite, u - slope_growth * hermite
        moment = lambda x, y: float(weights @ (x * y))
        return _Moments(
            square, slope, moment(v, v), moment(u, u), weighted, moment(u, v), growth, slope_growth
        )
