"""Maxima over windows of phi(z), z Gaussian; of normalized columns: `neuron_norms`.

cov' = E max max', ntk' = sum_pp' E[1_p phi'(z_p) 1_p' phi'(z_p')] ntk_pp', 1_p whether z_p is the
maximum of its window. Two positions: closed forms of max z, 1-D quadrature of a window with itself
for increasing phi (C. Clark 1961). Else 2^14 Sobol points a pair of windows.
"""

import functools
import itertools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activation import derivatives
from deepinit.core.activations import Activation, absolute, linear
from deepinit.core.layers import neuronwise
from deepinit.core.layers.layer import Shape
from deepinit.core.layers.pooling import Pool
from deepinit.infinite_width.closed_forms import closed_form, correlation
from deepinit.infinite_width.entries import by_entries
from deepinit.infinite_width.neuron_norms import is_normed, normed
from deepinit.infinite_width.quadrature import point_rule, root
from deepinit.infinite_width.random_nodes import random_points
from deepinit.infinite_width.rules_table import require_gaussian
from deepinit.infinite_width.softmax_averages import covariance_root
from deepinit.infinite_width.states import Kernel, State

_QMC, _PAIR = 0, 1  # groups of entries


class _Window(NamedTuple):
    """Moments of the maximum of two positions.

    `mean`, `square`: E max, E max^2. `slopes`, `gains`: E[1_p phi'(z_p)^2],
    E[1_p (z_p phi'(z_p))^2].
    """

    mean: Any
    square: Any
    slopes: Any
    gains: Any


def max_pooled(layer: Pool, state: State, shape: Shape, path: str) -> State:
    """The state after a maximum over windows of Gaussian or normalized columns, or phi of them.

    Raises SpecError: other columns; trained gains averaged before.
    """
    phi, windows = linear, _windows(layer, shape.positions or ())
    source = state.source
    if source is not None and isinstance(source.layer, neuronwise.Activation):
        phi, kept = source.layer.phi, ("error", "missing", "sampled", "fresh")
        state = source.state.replace(**{name: getattr(state, name) for name in kept})
    if is_normed(state):
        return normed(phi, state, windows)
    require_gaussian(layer, state, path)
    size, gain = windows.shape[1], state.gain if state.with_ntk else 0.0
    own = np.full((len(windows),) * 2, _QMC)
    mutual = own.copy()
    if size == 2 and phi == linear and not gain:
        own[:], mutual[:] = _PAIR, _PAIR
    elif size == 2 and _is_increasing(phi):
        np.fill_diagonal(own, _PAIR)
    has_pairs = not (state.square and len(state.same) == 1)
    is_sampled = bool((own == _QMC).any() or (has_pairs and (mutual == _QMC).any()))

    def entry(group: int, left: Kernel, right: Kernel, both: Kernel, w: Any, v: Any) -> Kernel:
        first, second = jnp.asarray(windows)[w], jnp.asarray(windows)[v]
        block = lambda part, rows, columns: part[rows[:, None], columns]
        between = jax.tree.map(lambda part: block(part, first, second), both)
        own = block(left.cov, first, first), block(right.cov, second, second)
        if group == _QMC:
            return _by_points(phi, *own, between, gain, state.replica)
        if phi == linear and not gain:
            return _of_differences(*own, between)
        moments = _two(phi, own[0])
        if between.ntk is None:
            return Kernel(moments.square, None)
        ntk = jnp.sum(moments.slopes * jnp.diagonal(between.ntk)) + gain * moments.gains.sum()
        return Kernel(moments.square, ntk)

    def mean(cov: Any) -> Any:
        blocks = cov[windows[:, :, None], windows[:, None, :]]
        if size == 2 and _is_increasing(phi):
            return jax.lax.map(lambda block: _two(phi, block).mean, blocks)
        nodes, _ = random_points(size, state.replica)
        largest = lambda block: jnp.max(phi(nodes @ covariance_root(block, size).T), axis=1)
        return jax.lax.map(lambda block: jnp.mean(largest(block)), blocks)

    means = jax.lax.map(mean, state.within.cov)
    after = by_entries(state, entry, own, mutual)
    return after.replace(mean=means, sampled=state.sampled or is_sampled)


def _by_points(
    phi: Activation, left: Any, right: Any, between: Kernel, gain: float, replica: Any
) -> Kernel:
    size = len(left)
    nodes, weights = random_points(2 * size, replica)
    joint = jnp.block([[left, between.cov], [between.cov.T, right]])
    z = (nodes @ covariance_root(joint, 2 * size).T).reshape(-1, 2, size)
    y = phi(z)
    first, second = jnp.max(y, axis=-1).T
    cov = jnp.sum(weights * first * second)
    if between.ntk is None:
        return Kernel(cov, None)
    routed = jax.nn.one_hot(jnp.argmax(y, axis=-1), size) * phi.derivative(z)
    ntk = jnp.sum((weights[:, None] * routed[:, 0]).T @ routed[:, 1] * between.ntk)
    gains = jnp.sum(routed * z, axis=-1)
    return Kernel(cov, ntk + gain * jnp.sum(weights * gains[:, 0] * gains[:, 1]))


def _of_differences(left: Any, right: Any, between: Kernel) -> Kernel:
    """max(x, y) = (x + y + |x - y|) / 2: the absolute values' arc-cosine kernel."""
    closed = closed_form(absolute, gains=False)
    assert closed is not None
    spread = lambda block: block[0, 0] + block[1, 1] - block[0, 1] - block[1, 0]
    variances, both = (spread(left), spread(right)), spread(between.cov)
    cov = 0.25 * (jnp.sum(between.cov) + closed[0](both, *variances).values)
    if between.ntk is None:
        return Kernel(cov, None)
    cosine = correlation(both, *variances)[1]
    agree = 0.25 + jnp.arcsin(cosine) / (2.0 * math.pi)  # both first, or both second
    ntk = between.ntk
    return Kernel(cov, agree * jnp.trace(ntk) + (0.5 - agree) * (ntk[0, 1] + ntk[1, 0]))


def _two(phi: Activation, cov: Any) -> _Window:
    """Of increasing phi: the maximum is z_p with density N(m; 0, q_p) P(the other < m)."""

    def part(p: int) -> Any:
        own, other, both = cov[p, p], cov[1 - p, 1 - p], cov[0, 1]
        std = root(own)
        nodes, weights = point_rule(phi.kinks, std)
        m, rest = std * nodes, other - both**2 / jnp.where(own > 0, own, 1.0)
        spread = jnp.sqrt(jnp.maximum(rest, 1e-300))
        below = m * (1.0 - both / jnp.where(own > 0, own, 1.0)) / spread
        weights = weights * jax.scipy.special.ndtr(below)
        y, slope = phi(m), phi.derivative(m)
        averaged = lambda values: jnp.sum(weights * values)
        return [averaged(values) for values in (y, y**2, slope**2, (m * slope) ** 2)]

    parts = [part(0), part(1)]
    mean, square, slopes, gains = (jnp.stack(pair) for pair in zip(*parts, strict=True))
    return _Window(mean.sum(), square.sum(), slopes, gains)


@functools.lru_cache(maxsize=64)
def _is_increasing(phi: Activation) -> bool:
    """On a grid; false for doubt."""
    return bool((derivatives(phi, np.linspace(-12.0, 12.0, 1024)) >= 0).all())


def _windows(layer: Pool, positions: tuple[int, ...]) -> np.ndarray:
    """[windows, size], flat positions; cut windows repeat their first."""
    if layer.size is None:
        return np.arange(math.prod(positions))[None]
    size, stride = layer.size, layer.stride or layer.size
    starts = [range(-layer.padding, n + layer.padding - size + 1, stride) for n in positions]
    flat = np.arange(math.prod(positions)).reshape(positions)
    found = [
        flat[tuple(slice(max(0, s), s + size) for s in corner)].ravel()
        for corner in itertools.product(*starts)
    ]
    largest = max(map(len, found))
    return np.stack([np.pad(w, (0, largest - len(w)), constant_values=w[0]) for w in found])
