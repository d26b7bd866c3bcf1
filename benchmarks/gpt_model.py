"""A GPT of scanned blocks in flax, and what `deferred_gpt.py` measures of it.

python benchmarks/gpt_model.py TASK     TASK: a `Task` as JSON; the answer is JSON
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

import deepinit as di
from deepinit.core.generator import standard_normals


class Size(NamedTuple):
    """Of a GPT."""

    blocks: int
    width: int
    heads: int
    deviation: float = 0.02  # of a weight

    @property
    def weights(self) -> int:
        """Entries of all matrices."""
        return 12 * self.blocks * self.width**2


SIZES = {
    "GPT-2 small": Size(12, 768, 12),
    "GPT-2 XL": Size(48, 1600, 25),
    "GPT-3": Size(96, 12288, 96),
    "tiny": Size(2, 32, 2, 32**-0.5),
}


class Task(NamedTuple):
    """One measurement. `explicit`: f itself, under jit. `repeats`: calls; the least counts."""

    size: str
    tokens: int
    gradient: bool
    explicit: bool = False
    repeats: int = 5


class Block(nn.Module):
    """Causal attention and MLP, pre-norm, with GPT-2's initializers."""

    size: Size

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        """Of [batch, tokens, width]."""
        blocks, width, heads, deviation = self.size
        first = nn.initializers.normal(deviation)
        last = nn.initializers.normal(deviation / np.sqrt(2 * blocks))
        project = lambda name: nn.DenseGeneral(
            (heads, width // heads), kernel_init=first, name=name
        )
        h = nn.LayerNorm()(x)
        mask = nn.make_causal_mask(x[..., 0])
        h = nn.dot_product_attention(*(project(name)(h) for name in "qkv"), mask=mask)
        x = x + nn.DenseGeneral(width, axis=(-2, -1), kernel_init=last, name="out")(h)
        h = nn.gelu(nn.Dense(4 * width, kernel_init=first, name="up")(nn.LayerNorm()(x)))
        return x + nn.Dense(width, kernel_init=last, name="down")(h), None


class GPT(nn.Module):
    """Blocks in a scan, and a norm."""

    size: Size

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Of [batch, tokens, width]."""
        options: dict[str, Any] = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        stack = nn.scan(Block, length=self.size.blocks, **options)
        return nn.LayerNorm()(stack(self.size)(x, None)[0])


def statistics_of(size: Size, gradient: bool) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """`(key, x) -> [3 or 5]`: <y_-1, y_-2> / width, y_-1,0, mean y_-1^3; ln |g|^2 and <g, x> of the
    gradient g of y_-1,0 by x.
    """
    net = GPT(size)

    def f(key: jax.Array, x: jax.Array) -> jax.Array:
        parameters = net.init(key, x)
        y, pull_back = jax.vjp(lambda x: net.apply(parameters, x)[0], x)
        found = [jnp.dot(y[-1], y[-2]) / size.width, y[-1, 0], jnp.mean(y[-1] ** 3)]
        if gradient:
            (slope,) = pull_back(jnp.zeros_like(y).at[-1, 0].set(1.0))
            found += [jnp.log(jnp.sum(slope**2)), jnp.sum(slope * x)]
        return jnp.stack(found)

    return f


def inputs(size: Size, tokens: int) -> jax.Array:
    """[1, tokens, width], N(0, 0.02^2)."""
    return 0.02 * jax.random.normal(jax.random.key(1), (1, tokens, size.width))


class Times(NamedTuple):
    """Least seconds of a call: by the clock, and of processors."""

    wall: float
    cpu: float


def timed(call: Callable[[], Any]) -> Times:
    """Of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(call())
    return Times(time.perf_counter() - wall, time.process_time() - cpu)


def least(calls: dict[str, Callable[[jax.Array], Any]], repeats: int) -> dict[str, Times]:
    """Of each call after the first, in turns: load meets all of them."""
    for call in calls.values():
        jax.block_until_ready(call(jax.random.key(0)))
    found = dict.fromkeys(calls, Times(float("inf"), float("inf")))
    for number in range(repeats):
        for name, call in calls.items():
            one = timed(lambda call=call: call(jax.random.key(number + 1)))  # noqa: B023
            found[name] = Times(*map(min, found[name], one))
    return found


def bare_generators(numbers: int) -> dict[str, Callable[[jax.Array], Any]]:
    """Sums of so many normals, drawn in blocks that stay in caches."""
    block = 2**18
    of_jax = lambda key, shape: jax.random.normal(key, shape)
    own = lambda key, shape: standard_normals(key, shape, "float32")

    def bare(draw: Any) -> Callable[[jax.Array], Any]:
        sums = lambda key: jnp.sum(draw(key, (block,)))
        return jax.jit(lambda key: jax.lax.map(sums, jax.random.split(key, -(-numbers // block))))

    return {"jax": bare(of_jax), "own": bare(own)}


def measured(task: Task) -> dict[str, Any]:
    """Seconds, memory and numbers drawn of one task."""
    size = SIZES[task.size]
    f, x = statistics_of(size, task.gradient), inputs(size, task.tokens)
    run = jax.jit(f) if task.explicit else di.deferred(f)
    found: dict[str, Any] = {"first": timed(lambda: run(jax.random.key(0), x)).wall}
    found["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    calls = {"call": lambda key: run(key, x)}
    if not task.explicit:
        plan = di.explain(f)(jax.random.key(0), x)
        found["numbers"] = sum(row.drawn for row in plan.of_kind("deferred"))
        calls |= bare_generators(found["numbers"])
    return found | {name: times._asdict() for name, times in least(calls, task.repeats).items()}


if __name__ == "__main__":
    print(json.dumps(measured(Task(**json.loads(sys.argv[1])))))
