"""Outputs and tangent kernels of residual networks: conditional maps against explicit weights.

    python benchmarks/resnet_ntk.py [--quick] [--out FILE] [--repeats 2] [--networks 1000]

Blocks x + tanh(W x + b), D = L = 500, weights of variance 1 / (D L), biases of variance 1 / L, two
inputs. Ours: `random_gradients` with conditional maps and transposes, O(L D) a network. Theirs:
neural-tangents' `empirical_ntk_fn` on drawn weights, O(L D^2), compiled once. Goal: 100 times as
fast. Checked before: one mean tangent kernel on small networks (5 standard errors). Also the
compiled sampler's memory at depths 400 to 25 600, which checkpointing bounds
(`deepinit/networks/checkpointing.py`).
"""

import time
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit.infinite_width.neural_tangents import neural_tangents
from deepinit.networks.backward import random_gradients
from deepinit.networks.rows import points_alone

GOAL = 100.0
MEMORY_GOAL = 1.5  # at 64 times the depth


def residual(width: int, depth: int) -> di.ResNet:
    """sigma_w = sigma_b = 1 over the whole depth."""
    return di.ResNet(width, depth, block="shallow", bias_law=di.normal(1.0, "depth"))


def inputs(width: int) -> np.ndarray:
    """[2, width]."""
    return np.outer([1.0, 2.0], np.ones(width)).astype(np.float32)


def sampler(width: int, depth: int, num_networks: int) -> Any:
    """seeds [num] -> (outputs [num, 2], tangent kernels [num, 2, 2]), compiled."""
    spec, functions = residual(width, depth), np.zeros((2, width))
    functions[:, 0] = 1.0

    def one(seed: Any) -> Any:
        key = jax.random.fold_in(jax.random.key(0, impl="threefry2x32"), seed)
        found = random_gradients(
            spec,
            points_alone(jnp.asarray(inputs(width))),
            key,
            functions,
            (0, 1),
            linear_map="conditional",
        )
        return jnp.exp(found.output_scales) * found.outputs[:, 0], found.ntk

    run = jax.jit(lambda seeds: jax.lax.map(one, seeds, batch_size=min(20, num_networks)))
    return run.lower(jax.ShapeDtypeStruct((num_networks,), jnp.uint32)).compile()


def peer(width: int, depth: int) -> Any:
    """key -> tangent kernel [2, 2] by neural-tangents on explicit weights, compiled."""
    weight_std, bias_std = (width * depth) ** -0.5, depth**-0.5
    nt, x = neural_tangents(), jnp.asarray(inputs(width))

    def apply_fn(params: Any, x: Any) -> Any:
        def block(x: Any, layer: Any) -> Any:
            weights, biases = layer
            return x + jnp.tanh(
                weight_std * jnp.matmul(x, weights.T, precision="highest") + bias_std * biases
            ), None

        return jax.lax.scan(block, x, params)[0][:, :1]

    implementation = nt.NtkImplementation.JACOBIAN_CONTRACTION
    kernel_fn = nt.empirical_ntk_fn(apply_fn, vmap_axes=0, implementation=implementation)

    def one(key: Any) -> Any:
        first, second = jax.random.split(key)
        weights = jax.random.normal(first, (depth, width, width), jnp.float32)
        return kernel_fn(x, None, (weights, jax.random.normal(second, (depth, width), jnp.float32)))

    run = jax.jit(one)
    return lambda key: np.asarray(run(key)).reshape(2, 2)


def mean_of_peer(run: Any, num_networks: int, key: int) -> np.ndarray:
    """[2, 2]."""
    keys = jax.random.split(jax.random.PRNGKey(key), num_networks)
    return np.mean([run(one) for one in keys], axis=0)


def main() -> None:
    """Checks, times, tells."""
    options, report = harness.begin(
        __doc__, networks="networks of ours", repeats=(1, 1), devices="one"
    )
    small, few = 12, 200 if options.quick else 1000
    kernels = np.asarray(
        sampler(small, small, few)(jnp.arange(few, dtype=jnp.uint32))[1], np.float64
    )
    error = kernels.std(axis=0) * (2.0 / few) ** 0.5  # of the difference of two means
    z = np.abs(kernels.mean(axis=0) - mean_of_peer(peer(small, small), few, 1)) / error
    harness.check(
        "mean tangent kernels of small networks, both samplers, largest |z|", float(z.max()), 5.0
    )
    size, networks = (40, 40) if options.quick else (500, options.networks or 1000)
    explicit = 8 if options.quick else 3
    compiled, seeds = sampler(size, size, networks), jnp.arange(networks, dtype=jnp.uint32)
    outputs, kernels = (
        np.asarray(part, np.float64) for part in jax.block_until_ready(compiled(seeds))
    )
    points = di.inputs.points(inputs(size))
    limit = di.infinite(residual(size, size), di.quantities.ntk, points).mean[0]
    upper = kernels[:, *np.triu_indices(2)]
    harness.check_mean("against infinite width at this depth", upper, limit)
    harness.check_mean("mean outputs less 1 and 2", outputs, [1, 2])
    of_peer, explicit_fn = [], peer(size, size)
    times = harness.least_seconds(
        {
            "conditional": lambda: jax.block_until_ready(compiled(seeds)),
            "explicit": lambda: of_peer.append(mean_of_peer(explicit_fn, explicit, 2)),
        },
        options.repeats,
    )
    off = np.abs(of_peer[-1] - kernels.mean(axis=0)) / (kernels.std(axis=0) / explicit**0.5)
    name = f"mean of {explicit} networks by neural-tangents, largest |z|"
    harness.check(name, float(off.max()), 5.0)
    ours, theirs = times["conditional"] / networks, times["explicit"] / explicit
    shape = {"width": size, "depth": size}
    report.add(f"{networks} networks, conditional", times["conditional"], "s", **shape)
    report.add("one network, conditional", 1e3 * ours, "ms", **shape)
    report.add("one network, neural-tangents", 1e3 * theirs, "ms", networks=explicit, **shape)
    goal, peer_name = None if options.quick else (">=", GOAL), "neural-tangents, empirical NTK"
    report.add("ratio", theirs / ours, "x", goal, peer=peer_name, **shape)
    memory = {}
    for depth in (100, 1600) if options.quick else (400, 1600, 6400, 25_600):
        start = time.perf_counter()
        memory[depth] = sampler(size, depth, 20).memory_analysis().temp_size_in_bytes
        report.add(
            f"memory at hand, 20 networks of depth {depth}", memory[depth] / 1e6, "MB", width=size
        )
        report.add(f"compilation at depth {depth}", time.perf_counter() - start, "s")
    first, *_, last = memory
    goal = None if options.quick else ("<=", MEMORY_GOAL)
    report.add(f"memory, depth {last} / {first}", memory[last] / memory[first], "x", goal)


if __name__ == "__main__":
    main()
