"""Networks of layers: conditional against explicit maps, compile time, tangent kernels.

    python benchmarks/layers.py [--quick] [--out FILE] [--repeats 2] [--part maps compile ntk]

- maps: blocks x + W_3 (silu gate of W_1, W_2 RMSNorm(x)), 4 blocks, width 768 with 8 and 16 rows,
  width 2048 with 8 rows; hidden width 4 n. Goals: 100, 50 and 200 times as fast as explicit
  weights, and at most twice the time of drawing the conditional maps' normals.
- compile: 24 against 2 repeated blocks. Goal: at most 1.3 times as long.
- ntk: tangent kernels of 100 networks of GPT-2 small's size (12 x 768, 8 tokens) and their peak
  memory. Goal: below 2 GB.

Checked before: mean squares of small networks by both maps (5 standard errors).
"""

import resource
import time
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit.core.generator import standard_normals
from deepinit.core.layers import Dense, Gate, Repeat, Residual, RMSNorm, Sequential, Shape
from deepinit.networks import linear_maps
from deepinit.networks.forward import random_forward
from deepinit.networks.input_rows import input_rows

SIZES = {"768 x 8": (768, 8, 100.0), "768 x 16": (768, 16, 50.0), "2048 x 8": (2048, 8, 200.0)}
BLOCKS = 4
GENERATOR_GOAL, COMPILE_GOAL, MEMORY_GOAL = 2.0, 1.3, 2e9


def stack(width: int, blocks: int) -> Sequential:
    """Pre-norm SwiGLU blocks."""
    branch = Sequential(RMSNorm(), Dense(8 * width), Gate("silu"), Dense(width))
    return Sequential(Repeat(Residual(branch), blocks), RMSNorm(), Dense(1))


def sampler(width: int, rows: int, blocks: int, linear_map: str, networks: int) -> Any:
    """seeds [num] -> mean squares of the stream [num], lowered."""
    net, x = stack(width, blocks), np.random.default_rng(0).standard_normal((rows, width))
    start = input_rows(net, di.inputs.points(x), "float32")

    def last(state: Any) -> Any:
        points = state.postactivations.points
        return jnp.mean(points * points, axis=1) * jnp.exp(2 * state.postactivations.point_scales)

    def one(seed: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), seed)
        maps, shape = linear_maps.FUNCTIONS[linear_map], Shape((), width)
        return random_forward(net, start(key), key, last, linear_map=maps, shape=shape)[0][-2, 0]

    run = jax.jit(lambda seeds: jax.lax.map(one, seeds, batch_size=min(8, networks)))
    return run.lower(jax.ShapeDtypeStruct((networks,), jnp.uint32))


def generator(width: int, rows: int, networks: int) -> Any:
    """seeds [num] -> sums of the normals that the conditional maps need, compiled."""

    def one(seed: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), seed)

        def block(total: Any, number: Any) -> Any:
            keys = [jax.random.fold_in(jax.random.fold_in(key, number), part) for part in (0, 1)]
            drawn = [
                standard_normals(part, (rows, size), jnp.float32)
                for part, size in zip(keys, (8 * width, width), strict=True)
            ]
            return total + drawn[0].sum() + drawn[1].sum(), None

        return jax.lax.scan(block, 0.0, jnp.arange(BLOCKS, dtype=jnp.uint32))[0]

    run = jax.jit(lambda seeds: jax.lax.map(one, seeds, batch_size=min(8, networks)))
    return run.lower(jax.ShapeDtypeStruct((networks,), jnp.uint32)).compile()


def measure_maps(report: Any, options: Any) -> None:
    """Ratios of explicit and conditional maps, and of the generator."""
    few = 2000
    seeds = jnp.arange(few, dtype=jnp.uint32)
    small = [
        np.asarray(sampler(16, 2, 2, name, few).compile()(seeds + shift), np.float64)
        for shift, name in ((0, "conditional"), (few, "explicit"))
    ]
    logs = [np.log(part) for part in small]
    error = np.hypot(*(part.std() / few**0.5 for part in logs))
    z = abs(logs[0].mean() - logs[1].mean()) / error
    harness.check("log mean squares of small networks, both maps, |z|", float(z), 5.0)
    for name in list(SIZES)[: 1 if options.quick else None]:
        width, rows, goal = SIZES[name]
        many, explicit = 32, 1 if options.quick else 2
        runs = {
            "conditional": (sampler(width, rows, BLOCKS, "auto", many).compile(), many),
            "explicit": (sampler(width, rows, BLOCKS, "explicit", explicit).compile(), explicit),
            "generator": (generator(width, rows, many), many),
        }
        calls = {
            kind: lambda run=run, count=count: jax.block_until_ready(
                run(jnp.arange(count, dtype=jnp.uint32))
            )
            for kind, (run, count) in runs.items()
        }
        for call in calls.values():
            call()
        times = harness.least_seconds(calls, options.repeats)
        each = {kind: times[kind] / runs[kind][1] for kind in runs}
        shape = {"width": width, "rows": rows}
        for kind, seconds in each.items():
            report.add(f"one network, {kind}", 1e3 * seconds, "ms", **shape)
        ratio, least = each["explicit"] / each["conditional"], (">=", goal)
        report.add("ratio", ratio, "x", least, peer="explicit weights", **shape)
        over = each["conditional"] / each["generator"]
        report.add("over the generator", over, "x", ("<=", GENERATOR_GOAL), **shape)


def measure_compile(report: Any, options: Any) -> None:
    """Compile times of few and many repeated blocks."""
    width, seconds = 256, {}
    for blocks in (2, 24):
        lowered = sampler(width, 8, blocks, "conditional", 8)
        begin = time.perf_counter()
        lowered.compile()
        seconds[blocks] = time.perf_counter() - begin
        report.add("compile", seconds[blocks], "s", blocks=blocks)
    report.add("24 over 2 blocks", seconds[24] / seconds[2], "x", ("<=", COMPILE_GOAL))


def measure_ntk(report: Any, options: Any) -> None:
    """Time and peak memory of tangent kernels."""
    depth, networks = (2, 4) if options.quick else (12, 100)
    net = di.zoo.gpt2("small", depth=depth)
    begin = time.perf_counter()
    measured = di.simulate(net, di.quantities.ntk, di.inputs.tokens(8), num_seeds=networks)
    seconds = time.perf_counter() - begin
    finite = float(np.isfinite(measured.mean).all() and (measured.mean > 0).all())
    harness.check("tangent kernels that are not finite and positive", 1.0 - finite, 0.5)
    peak = 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shape = {"depth": depth, "networks": networks}
    report.add("tangent kernels with compilation", seconds, "s", **shape)
    report.add("peak memory", peak / 1e9, "GB", ("<=", MEMORY_GOAL / 1e9), **shape)


PARTS = {"maps": measure_maps, "compile": measure_compile, "ntk": measure_ntk}


def main() -> None:
    """Runs the parts."""
    options, report = harness.begin(__doc__, tuple(PARTS), repeats=(2, 2), devices="one")
    for name in options.part:
        PARTS[name](report, options)


if __name__ == "__main__":
    main()
