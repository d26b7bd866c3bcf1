"""One set of weights, used several times.

Forward uses of one Gaussian matrix give jointly Gaussian columns, Cov(z^m_a, z^m'_b) =
v E h^m_a h^m'_b + b (tensor programs, arXiv 1910.12478). Tangents t' = W t + dW h go forward too.

Random maps on every path: kernels between inputs at one use are those of independent weights.

Streams x^m = x^0 + a sum_(j<m) b^j keep what their branches gave before: Cov(x^m, b^m') =
a sum_(j<m) Cov(b^j, b^m'), and so for tangents. All uses enter a branch as inputs of one list; m
passes over that list make m uses right. x^0 does not depend on the weights.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.layers.containers import (
    Repeat,
    Residual,
    Sequential,
    Tied,
    child_paths,
    children,
    joined,
    leaves,
)
from deepinit.core.layers.layer import Layer, Shape, refuse
from deepinit.core.layers.program import has_own_masks
from deepinit.infinite_width.rules.residual import residual_sum
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import Kernel, State, absorbed, on_ntk, squared
from deepinit.infinite_width.walk import walk

Use = Callable[[State], State]


@INFINITE.rule(Tied)
def _tied(layer: Tied, state: State, shape: Shape, depth: int, path: str) -> State:
    if layer.times > 1 and _is_stream(layer.layer):
        return _stream_after(layer, state, shape, depth, path)
    entering = state.replace(fresh=False)
    after = walk(Repeat(layer.layer, layer.times), entering, shape, depth, path)[0]
    if layer.times > 1 and not after.fresh:
        given = "a layer with a path that no random linear layer interrupts"
        allowed = "residual sums alone, or random linear layers on every path"
        raise refuse(path, layer, given, allowed, "Take di.layers.Repeat, or simulate.")
    return after.replace(fresh=state.fresh or after.fresh)


def _stream_after(layer: Tied, state: State, shape: Shape, depth: int, path: str) -> State:
    for leaf in leaves(layer.layer):
        if has_own_masks(leaf) or leaf.mixes_batch:
            given = f"{leaf} in a stream of shared weights, whose inputs are several uses"
            remedy = "Take di.layers.Repeat, or simulate."
            raise refuse(path, layer, given, "layers that act on every input alone", remedy)
    use = lambda uses: _streamed(layer.layer, uses, layer.times, shape, depth, joined(path, "1"))
    several = lambda one: _last_use(one, use, layer.times)
    entering = absorbed(state).replace(source=None)
    return several(entering) if state.square else _by_pairs(entering, several)


def _is_stream(layer: Layer) -> bool:
    """Whether a layer only adds branches to its input."""
    if isinstance(layer, Sequential | Repeat):
        return all(map(_is_stream, children(layer)))
    return isinstance(layer, Residual) and layer.skip is None


def _streamed(layer: Layer, state: State, times: int, shape: Shape, depth: int, path: str) -> State:
    """Branches added to a stream that holds what they gave in earlier uses."""
    parts: list[tuple[Layer, str]] = []
    if isinstance(layer, Sequential):
        parts = list(zip(layer.layers, child_paths(layer, path), strict=True))
    elif isinstance(layer, Repeat):
        parts = [(layer.layer, joined(path, str(k + 1))) for k in range(layer.times)]
    for child, child_path in parts:
        state = _streamed(child, state, times, shape, depth, child_path)
    if parts:
        return state
    assert isinstance(layer, Residual)
    sums, branch, scale = residual_sum(layer, state, shape, depth, path)
    num = len(state.same) // times

    def crossed(block: Any, own: Any) -> Any:
        """`block` + a (X + X^T), X_mm' = a sum_(j<m) own_jm'."""
        by_use = own.reshape(times, num, *own.shape[1:])
        earlier = (jnp.cumsum(by_use, 0) - by_use).reshape(own.shape)
        return block + scale**2 * (earlier + _transposed(earlier))

    means = _outer(branch.mean, branch.mean, state.aligned)
    cov = crossed(sums.cross.cov, branch.cross.cov - means)
    return squared(sums, Kernel(cov, on_ntk(crossed, sums.cross.ntk, branch.cross.ntk)))


def _last_use(entering: State, use: Use, times: int) -> State:
    """State after the last use; `entering` is square."""
    num = len(entering.same)

    def passed(after: State) -> State:
        return use(_uses(entering, after))

    copies = lambda part: jnp.concatenate([part] * times)
    pairs = lambda part: jnp.concatenate([copies(part)] * times, 1)
    after = entering.replace(
        cross=jax.tree.map(pairs, entering.cross),
        within=jax.tree.map(copies, entering.within),
        mean=copies(entering.mean),
        same=jnp.kron(jnp.eye(times), entering.same) > 0,
    )
    for _ in range(2):  # until the structure stays
        like = jax.eval_shape(passed, after)
        after = jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(after))
    after = jax.lax.fori_loop(0, times, lambda _, after: passed(after), after)
    cross = jax.tree.map(lambda part: part[-num:, -num:], after.cross)
    last = after.replace(mean=after.mean[-num:], same=entering.same)
    return squared(last, cross)


def _uses(entering: State, after: State) -> State:
    """Inputs of all uses: the first one's, then `after` without the last."""
    num = len(entering.same)
    rest = len(after.same) - num
    mean = after.mean[:rest]
    copies = lambda part: jnp.concatenate([part] * (rest // num))
    change = mean - copies(entering.mean)
    products = _outer(entering.mean, change, entering.aligned)
    start = lambda part: jnp.concatenate([part] * (rest // num), 1)

    def joint(first: Any, others: Any, between: Any) -> Any:
        others = jnp.concatenate([_transposed(between), others[:rest, :rest]], 1)
        return jnp.concatenate([jnp.concatenate([first, between], 1), others])

    first, others = entering.cross, after.cross
    cov = joint(first.cov, others.cov, start(first.cov) + products)
    ntk = on_ntk(lambda first, others: joint(first, others, start(first)), first.ntk, others.ntk)
    inputs = after.replace(
        mean=jnp.concatenate([entering.mean, mean]),
        gaussian=entering.gaussian and after.gaussian,
        blurred=entering.blurred or after.blurred,
    )
    return squared(inputs, Kernel(cov, ntk))


def _by_pairs(state: State, several: Use) -> State:
    """The same of two lists: every pair as a list of two."""
    num, others = state.same.shape
    places = jnp.indices((num, others)).reshape(2, -1)

    def pair(place: Any) -> State:
        a, b = place
        of = lambda kernel, *at: jax.tree.map(lambda part: part[at], kernel)

        def both(left: Any, between: Any, right: Any) -> Any:
            rows = jnp.stack([left, between]), jnp.stack([between.swapaxes(0, -1), right])
            return jnp.stack(rows)

        parts = of(state.within, a), of(state.cross, a, b), of(state.within, num + b)
        same = jnp.eye(2, dtype=bool) | state.same[a, b]
        mean = state.mean[jnp.stack([a, num + b])]
        two = state.replace(mean=mean, same=same, square=True)
        return several(squared(two, jax.tree.map(both, *parts)))

    after = jax.lax.map(pair, tuple(places))
    table = lambda part: part.reshape(num, others, *part.shape[1:])
    rows = lambda part: jnp.concatenate([table(part)[:, 0, 0], table(part)[0, :, 1]])
    return after.replace(
        cross=jax.tree.map(lambda part: table(part)[:, :, 0, 1], after.cross),
        within=jax.tree.map(rows, after.within),
        mean=rows(after.mean),
        same=state.same,
        missing=jnp.max(after.missing),
        error=jnp.max(after.error),
        replica=state.replica,
        square=False,
    )


def _transposed(block: Any) -> Any:
    return block.swapaxes(0, 1).swapaxes(2, -1)


def _outer(left: Any, right: Any, aligned: bool) -> Any:
    products = left[:, None, :, None] * right[None, :, None, :]
    return jnp.diagonal(products, axis1=2, axis2=3) if aligned else products
