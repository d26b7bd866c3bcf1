"""GPTs at initialization without their matrices: time over that of the numbers drawn, and memory.

    python benchmarks/deferred_gpt.py [--quick] [--out FILE] [--repeats N] [--part PART ...]

law      at width 32 deferred and explicit networks have one law (two samples, 5 standard errors);
         a rival that draws a fresh matrix for every use is rejected.
gpt      GPT-2 small, XL and GPT-3 in fresh processes: seconds of a call over those of a bare
         generator of as many normals, over explicit flax, peak memory, seconds of the first call.
ntk      the tangent kernel of an MLP of 6 x 1024 by jacrev and einsum: explicit over deferred.
engine   angles of a pair in ReLU networks: the explicit engine, deferred, over `conditional`.

Measured on 2 quiet cores, seconds over those of JAX's generator and over those of
`standard_normals`: GPT-3, 8 tokens 0.59 and 0.86, with gradient 1.52 and 2.72, 64 tokens 1.24 and
1.76. Tangent kernel: 230 times faster.

A block of GPT-3 with 64 tokens, milliseconds on one core of 31: draws 12, products of rows with the
drawn numbers 5, Gram matrices of rows 5, second passes of close rows 1, attention 5 (of which
transposes 4), gelu 1.5. Two cores take 23 together: a Gram matrix runs on one.
"""

import json
import pathlib
from typing import Any

import gpt_model
import harness
import jax
import jax.numpy as jnp
import numpy as np
from gpt_model import SIZES, Task

import deepinit as di
from deepinit.deferral import action
from deepinit.deferral.conditioning import State
from deepinit.deferral.function import transformed

PARTS = ("law", "gpt", "ntk", "engine")
MOST_FORWARD, MOST_GRADIENT, MOST_TOKENS = 1.3, 2.0, 1.5  # over `jax.random.normal`
GIB = 2.0**30


def samples(f: Any, x: Any, networks: int, seed: int) -> np.ndarray:
    """[networks, statistics]."""
    keys = jax.random.split(jax.random.key(seed), networks)
    run = jax.jit(lambda keys: jax.lax.map(lambda key: f(key, x), keys, batch_size=50))
    return np.asarray(run(keys), np.float64)


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Largest |z| of the difference of means of values and of their products."""
    with_products = lambda a: np.hstack([a, *(a[:, [i]] * a for i in range(a.shape[1]))])
    pairs = [(with_products(first), with_products(second))]
    z = [
        np.abs(a.mean(0) - b.mean(0)) / np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
        for a, b in pairs
    ]
    return float(np.max(z))


def law(networks: int) -> None:
    """One law, and a rival."""
    size = SIZES["tiny"]
    f = gpt_model.statistics_of(size, gradient=True)
    x = 10 * gpt_model.inputs(size, 8)
    explicit = samples(f, x, networks, 0)
    own = transformed(f, share=9.0)  # at width 32 drawing the matrices would be cheaper
    name = f"width {size.width}, {networks} networks: deferred against explicit, largest |z|"
    harness.check(name, distance(samples(own, x, networks, 1), explicit), 5.0)

    right = action.apply_left

    def forgetful(state: Any, rows: Any, key: Any, split: Any = None) -> Any:
        return right(State(*(jnp.zeros_like(leaf) for leaf in state)), rows, key, split)

    action.apply_left = forgetful
    try:
        wrong = samples(transformed(f, share=9.0), x, networks, 1)
    finally:
        action.apply_left = right
    name = "gradients through other matrices than values, largest |z|"
    harness.reject(name, distance(wrong, explicit), 5.0)


def gpt(report: harness.Report, quick: bool, repeats: int) -> None:
    """Sizes, tokens, with and without gradient."""
    script = pathlib.Path(gpt_model.__file__).read_text()
    run = lambda task: harness.in_fresh_process(script, json.dumps(task._asdict()))
    for name in ("GPT-2 small",) if quick else ("GPT-2 small", "GPT-2 XL", "GPT-3"):
        is_large = name == "GPT-3"
        cases = [(8, False), (8, True), *([(64, False)] if is_large else [])]
        for tokens, gradient in cases:
            found = run(Task(name, tokens, gradient, repeats=repeats))
            label = f"{name}, {tokens} tokens, forward{' + gradient' if gradient else ''}"
            goal = MOST_GRADIENT if gradient else MOST_TOKENS if tokens > 8 else MOST_FORWARD
            shape = {"weights": SIZES[name].weights, "tokens": tokens}
            call = found["call"]
            at = {"axis": "weights", "at": shape["weights"]} if tokens == 8 else {}
            line = f"deferred, forward{' and gradient' if gradient else ''}"
            report.add(f"{label}: seconds of a call", call["wall"], "s", **shape, **at, line=line)
            report.add(f"{label}: processor seconds of a call", call["cpu"], "s", **shape)
            report.add(f"{label}: normals drawn", found["numbers"] / 1e6, "million", **shape)
            for generator in ("jax", "own"):
                bare = found[generator]
                wanted = ("<=", goal) if is_large and generator == "jax" else None
                what = f"{label}: call / bare generator ({generator})"
                report.add(what, call["wall"] / bare["wall"], "x", wanted, **shape)
                what = f"{label}: call / bare generator ({generator}), processor seconds"
                report.add(what, call["cpu"] / bare["cpu"], "x", **shape)
            bound = ("<=", 2.5 if gradient else 1.0) if is_large and tokens == 8 else None
            report.add(f"{label}: peak memory", found["peak"] / GIB, "GiB", bound, **shape)
            report.add(f"{label}: first call", found["first"], "s", ("<=", 10.0), **shape)
            if not gradient and not is_large:
                explicit = run(Task(name, tokens, False, explicit=True, repeats=min(repeats, 3)))
                seconds = explicit["call"]["wall"]
                report.add(f"{label}: explicit flax", seconds, "s", **shape, **at, line="explicit")
                ratio = seconds / call["wall"]
                least = {"GPT-2 small": 40.0, "GPT-2 XL": 150.0}[name]
                report.add(f"{label}: explicit flax / deferred", ratio, "x", (">=", least), **shape)


def ntk(report: harness.Report, width: int, repeats: int) -> None:
    """Of 4 inputs."""

    def kernel(key: jax.Array, x: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 7)
        sizes = (x.shape[1], *(width,) * 6)
        weights = [
            jax.random.normal(k, (a, b)) * np.sqrt(2 / a)
            for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=False)
        ]
        weights.append(jax.random.normal(keys[6], (width, 1)) * width**-0.5)

        def outputs(weights: list[jax.Array]) -> jax.Array:
            h = x
            for matrix in weights[:-1]:
                h = jax.nn.relu(h @ matrix)
            return (h @ weights[-1])[:, 0]

        slopes = jax.jacrev(outputs)(weights)
        return sum(jnp.einsum("iab,jab->ij", slope, slope) for slope in slopes)

    x = jax.random.normal(jax.random.key(1), (4, width))
    calls = {"explicit": jax.jit(kernel), "deferred": di.deferred(kernel)}
    networks = 20
    values = {
        name: np.stack([call(jax.random.key(i + 100 * j), x) for i in range(networks)])
        for j, (name, call) in enumerate(calls.items())
    }
    a, b = (np.log(np.diagonal(value, axis1=1, axis2=2)) for value in values.values())
    error = np.sqrt((a.var(0) + b.var(0)) / networks)
    z = float(np.max(np.abs(a.mean(0) - b.mean(0)) / error))
    harness.check(f"width {width}: logarithms of the kernel's diagonal, largest |z|", z, 5.0)
    key = jax.random.key(0)
    times = harness.least_seconds(
        {
            name: (lambda call=call: jax.block_until_ready(call(key, x)))
            for name, call in calls.items()
        },
        repeats,
    )
    ratio = times["explicit"] / times["deferred"]
    report.add("tangent kernel, MLP of 6 layers: explicit / deferred", ratio, "x", (">=", 80.0))
    report.add("tangent kernel, MLP of 6 layers: seconds", times["deferred"], "s")


def engine(report: harness.Report, depth: int, networks: int, repeats: int) -> None:
    """Width 256."""
    from deepinit.quantities.programs import seed_fn_of

    arguments = di.MLP((256,) * depth), di.quantities.log_sin2_angle, di.inputs.pair(0.1)
    one = {name: seed_fn_of(*arguments, linear_map=name)[0] for name in ("conditional", "explicit")}
    one["deferred"] = di.deferred(one.pop("explicit"))
    keys = jax.random.split(jax.random.key(0), networks)
    calls = {
        name: jax.jit(lambda keys, f=f: jax.lax.map(f, keys, batch_size=64).value)
        for name, f in one.items()
    }
    a, b = (np.asarray(call(keys))[:, -1, 0] for call in calls.values())
    error = np.sqrt((a.var() + b.var()) / networks)
    harness.check("mean ln sin^2, deferred - conditional, |z|", (a.mean() - b.mean()) / error, 5.0)
    times = harness.least_seconds(
        {
            name: (lambda call=call: jax.block_until_ready(call(keys)))
            for name, call in calls.items()
        },
        repeats,
    )
    ratio = times["deferred"] / times["conditional"]
    report.add(f"ReLU 256 x {depth}, pair: deferred / conditional", ratio, "x")


def main() -> None:
    """Checks, then ratios."""
    options, report = harness.begin(__doc__, PARTS, repeats=(1, 5), devices="one")
    if "law" in options.part:
        law(8000 if options.quick else 20_000)
    if "gpt" in options.part:
        gpt(report, options.quick, options.repeats)
    if "ntk" in options.part:
        ntk(report, 256 if options.quick else 1024, options.repeats)
    if "engine" in options.part:
        engine(report, 16 if options.quick else 64, 256 if options.quick else 1024, options.repeats)


if __name__ == "__main__":
    main()
