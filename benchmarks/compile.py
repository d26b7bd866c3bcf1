"""Compile time at depth 1000 over depth 10, of simulations, our limits and neural-tangents.

    python benchmarks/compile.py [--quick] [--out FILE] [--repeats 3] [--part relu tanh]

Layers of one shape run under one scan. Goal: a ratio of at most 1.5. Caches are empty; tracing and
lowering count, running does not. Checked before: simulated means against theory, our kernels
against neural-tangents'.
"""

import math
import time
from collections.abc import Callable

import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit.core.specs import MLP
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.cuts import Blocks
from deepinit.infinite_width.angles import log_sin2_angles
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.infinite_width.neural_tangents.layers import stax_network
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers, kernel_scan, layer_variances
from deepinit.quantities.programs import seed_fn_of

GOAL = 1.5
PAIR = di.inputs.pair(1.0)
X = np.concatenate([PAIR.points, PAIR.partners])


def simulation(spec: MLP) -> float:
    """One compiled ensemble."""
    start = time.perf_counter()
    seed_fn, _ = seed_fn_of(spec, di.quantities.log_sin2_angle, PAIR)
    compile_ensemble(seed_fn, 64, blocks=Blocks(64, 64, 64))
    return time.perf_counter() - start


def kernels(spec: MLP) -> float:
    """`kernel_layers`: every layer's NNGP and NTK."""
    variances = layer_variances(spec, X.shape[1])
    with host_float64():
        start = time.perf_counter()
        jax.jit(kernel_scan, static_argnums=0).lower(
            spec.activation, jnp.asarray(X), *variances
        ).compile()
        return time.perf_counter() - start


def infinite_angles(spec: MLP) -> float:
    """`log_sin2_angles`: its first call, less a later one."""
    seconds = [harness.seconds_of(lambda: log_sin2_angles(spec, PAIR))[0] for _ in range(3)]
    return seconds[0] - min(seconds[1:])


def neural_tangents(spec: MLP) -> float:
    """`nngp_and_ntk`: the last layer's kernels."""
    with host_float64():
        start = time.perf_counter()
        kernel_fn = stax_network(spec.activation, *layer_variances(spec, X.shape[1]))[2]
        jax.jit(lambda rows: kernel_fn(rows, None, ("nngp", "ntk"))).lower(jnp.asarray(X)).compile()
        return time.perf_counter() - start


COMPILATIONS: dict[str, Callable[[MLP], float]] = {
    "simulation": simulation,
    "infinite-width kernels": kernels,
    "infinite-width angles": infinite_angles,
    "neural-tangents": neural_tangents,
}


def check_answers() -> None:
    """Simulation against theory, kernels against neural-tangents."""
    spec = di.MLP(widths=(64,) * 10)
    simulated = di.simulate(spec, di.quantities.log_sin2_angle, PAIR, num_seeds=512)
    predicted = di.predict(spec, di.quantities.log_sin2_angle, PAIR)
    z = (simulated.mean - predicted.mean) / simulated.standard_error
    harness.check("simulated mean against theory, standard errors", float(np.abs(z).max()), 5.0)
    nngp, ntk = nngp_and_ntk(spec, X)
    layers = kernel_layers(spec, X)
    error = max(np.abs(layers.nngp[-1] - nngp).max(), np.abs(layers.ntk[-1] / ntk - 1).max())
    harness.check("kernels against neural-tangents", float(error), 1e-7)
    cosine = layers.nngp[1:, 0, 1] / layers.nngp[1:, 0, 0]
    angles = log_sin2_angles(spec, PAIR)[:-1, 0]
    error = float(np.abs(angles - np.log(1 - cosine**2)).max())
    harness.check("infinite-width angles against kernels", error, 1e-9)


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(__doc__, ("relu", "tanh"))
    jax.config.update("jax_enable_compilation_cache", False)
    check_answers()
    depths = (10, 50) if options.quick else (10, 1000)
    for activation in ("relu",) if options.quick else options.part:
        for name, compilation in COMPILATIONS.items():
            best = dict.fromkeys(depths, math.inf)
            for _ in range(options.repeats):
                for depth in depths:
                    jax.clear_caches()
                    spec = di.MLP(widths=(64,) * depth, activation=getattr(di, activation))
                    best[depth] = min(best[depth], compilation(spec))
            shape = {"activation": activation, "width": 64, "depths": depths}
            for depth in depths:
                report.add(f"{name}, {activation}, depth {depth}", 1e3 * best[depth], "ms", **shape)
            ratio = best[depths[1]] / best[depths[0]]
            name = f"{name}, {activation}: depth {depths[1]} / {depths[0]}"
            report.add(name, ratio, "x", ("<=", GOAL), **shape)


if __name__ == "__main__":
    main()
