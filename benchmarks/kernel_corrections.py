"""Tangent kernels of an ensemble against neural-tangents' Monte Carlo; theory at depth 100.

    python benchmarks/kernel_corrections.py [--quick] [--out FILE] [--repeats 3]
                                            [--part ensemble options theory]

Ensemble: He-normal ReLU networks, 10 hidden layers of width 256, one output, 10 inputs. Ours:
conditional maps and transposes; mean and variance of every entry. Theirs: `monte_carlo_kernel_fn`
in all implementations (mean only), after its first call, per network; `options` adds `vmap_axes` 0
and rows shared out to devices. Goal: 20 times as fast as the fastest. Without a goal: a compiled
loop around `empirical_ntk_fn`.
Ablation: the same program with a cheap fill instead of normals, and the normals alone: what is left
is arithmetic of rows with one another, some 8 products of 10 x 10 x width multiplications a layer.
Goal: at most 1.1 times the normals alone.
Checked before: our mean against first order in 1/width (5 standard errors), which rejects infinite
width in full size; mean and second moment of the diagonal against exact values; all implementations
against ours and each other.
Theory: `kernel_corrections` for 10 inputs and 100 layers after a first call. Goal: below a second.
"""

import contextlib
import math
import time
from typing import Any
from unittest import mock

import harness
import jax
import jax.numpy as jnp
import numpy as np
from peers import NUM_INPUTS, Run, by_hand, peer_runs, points

import deepinit as di
from deepinit.core.generator import standard_normals
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.infinite_width.empirical import IMPLEMENTATIONS
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.networks import linear_maps, transposes
from deepinit.theory.kernel_corrections import homogeneous_ntk_moments, kernel_corrections

SPEEDUP_GOAL = 20.0
GENERATOR_GOAL = 1.1
THEORY_GOAL = 1.0


def network(width: int, depth: int) -> di.MLP:
    """One output."""
    return di.MLP((width,) * depth, output_width=1)


def ensemble_run(width: int, depth: int, num_networks: int) -> Run:
    """Tangent kernels [num_networks, entries] by the compiled engine of `di.simulate`."""
    inputs, quantity = di.inputs.points(points()), di.quantities.ntk
    spec = network(width, depth)
    run = harness.run_of(spec, quantity, inputs, "conditional", num_networks)
    return lambda: run()[:, 0]


def without_generator(width: int, depth: int, num_networks: int) -> Run:
    """The same program, its normals replaced by numbers of the same size that cost next to nothing.

    The generator is replaced where maps and transposes draw; this process alone is changed, while
    the program is traced.
    """

    def fill(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        count = jnp.arange(math.prod(shape), dtype=jnp.uint32) * np.uint32(2654435761)
        count = count + jax.random.key_data(key)[0]
        return ((count >> 8).astype(dtype) * np.float32(2**-23) - 1).reshape(shape) * 3**0.5

    drawing = (linear_maps, transposes)
    with contextlib.ExitStack() as stack:
        for module in drawing:
            stack.enter_context(mock.patch.object(module, "standard_normals", fill))
        return ensemble_run(width, depth, num_networks)


def normals_run(width: int, depth: int, num_networks: int) -> Run:
    """The numbers that an ensemble draws, and nothing else: rows forward, cotangents backward."""

    def seed_fn(key: jax.Array) -> jax.Array:
        draw = lambda at: standard_normals(at, (2 * NUM_INPUTS, width), "float32")
        keys = jax.vmap(lambda layer: jax.random.fold_in(key, layer))(jnp.arange(depth))
        return jax.lax.map(lambda at: jnp.max(draw(at)), keys)

    compiled = compile_ensemble(
        seed_fn, num_networks, seed_bytes=4 * NUM_INPUTS * width, block_size=num_networks
    )
    return lambda: compiled.block_fn(root_key(0), 0)


def largest_z(found: np.ndarray, wanted: np.ndarray, deviation: np.ndarray, count: float) -> float:
    """Of a mean of so many."""
    return float(np.max(np.abs(found - wanted) / (deviation / count**0.5)))


def check_ensemble(kernels: np.ndarray, width: int, depth: int, *, resolves: bool) -> None:
    """Mean kernels and exact moments of the diagonal; large ensembles reject infinite width."""
    spec, inputs = network(width, depth), di.inputs.points(points())
    mean, deviation, count = kernels.mean(axis=0), kernels.std(axis=0), len(kernels)
    first = di.predict(spec, di.quantities.ntk, inputs, "first_order").mean[0]
    limit = di.infinite(spec, di.quantities.ntk, inputs).mean[0]
    harness.check_mean("mean kernel against first order", kernels, first)
    beyond = largest_z(mean, limit, deviation, count)
    print(f"mean kernel against infinite width alone: largest |z| {beyond:.3g}")
    if resolves and not beyond > 5.0:
        raise SystemExit(
            "infinite width is not rejected: the check resolves nothing; nothing was timed."
        )
    x = points()
    own = np.flatnonzero(np.equal(*np.triu_indices(NUM_INPUTS)))
    exact = [
        homogeneous_ntk_moments(
            di.relu, 2.0 * row @ row / len(row), spec.widths, [2.0] * (depth - 1) + [1.0]
        )
        for row in x
    ]
    diagonal = kernels[:, own]
    first, second = ([getattr(one, name) for one in exact] for name in ("mean", "second"))
    harness.check_mean("mean diagonal against its exact value", diagonal, first)
    harness.check_mean("second moment of the diagonal against its exact value", diagonal**2, second)


def ensemble_part(report: harness.Report, repeats: int, quick: bool, *, every: bool) -> None:
    """Ours, then every implementation of neural-tangents, in turns."""
    width, depth, networks, many, few = (
        (32, 3, 200, 1000, 4) if quick else (256, 10, 1000, 20000, 20)
    )
    kernels = ensemble_run(width, depth, many)().astype(np.float64)
    check_ensemble(kernels, width, depth, resolves=not quick)
    pairs, mean, deviation = np.triu_indices(NUM_INPUTS), kernels.mean(axis=0), kernels.std(axis=0)
    shape = {"width": width, "depth": depth, "inputs": NUM_INPUTS}

    seconds, (ours, _) = harness.seconds_of(
        lambda: (run := ensemble_run(width, depth, networks), run())
    )
    whole = {"ours": seconds}
    runs: dict[Any, Run] = {"ours": lambda: moments(ours())}
    parts = {"fill": without_generator, "normals": normals_run}
    runs |= {name: make(width, depth, networks) for name, make in parts.items()}
    found = {}
    for name, run in {
        **peer_runs(width, depth, few, every=every),
        ("hand", ""): by_hand(width, depth, few),
    }.items():
        start = time.perf_counter()
        try:
            found[name] = run()
        except Exception as error:  # noqa: BLE001  # whatever JAX has broken is a result
            print(f"failed: {' '.join(name)}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        whole[name] = time.perf_counter() - start
        runs[name] = run
    count = 1.0 / (1.0 / few + 1.0 / many)  # of the difference of two means
    for name, kernel in found.items():
        z = largest_z(kernel[pairs], mean, deviation, count)
        harness.check(f"mean of {few} networks, {' '.join(name)}, largest |z|", z, 5.0)
        if name[0] != "hand":
            other = next(iter(found.values()))
            off = float(np.max(np.abs(kernel / other - 1.0)))
            harness.check(f"the same networks, {' '.join(name)}", off, 1e-3)

    seconds = harness.least_seconds(runs, repeats)
    own = ("ours", *parts)
    per_network = {name: seconds[name] / (networks if name in own else few) for name in runs}
    # a whole call: compilation, and the networks at the measured pace
    total = {name: whole[name] - seconds[name] + networks * per_network[name] for name in whole}
    pace = 1e3 * per_network["ours"]
    report.add("deepinit, mean and variance", pace, "ms per network", networks=networks, **shape)
    report.add(f"deepinit, {networks} networks, compilation included", total["ours"], "s", **shape)
    work = harness.least_processor_seconds(runs, repeats)
    work = {name: work[name] / (networks if name in own else few) for name in runs}
    ablated = {"ours": "deepinit", "fill": "a fill for normals", "normals": "its normals alone"}
    for name, shown in ablated.items():
        report.add(f"{shown}, processor time", 1e3 * work[name], "ms per network", **shape)
    goal = None if quick else ("<=", GENERATOR_GOAL)
    report.add("deepinit / its normals alone", work["ours"] / work["normals"], "x", goal, **shape)
    report.add("a fill for normals / normals", work["fill"] / work["normals"], "x", **shape)
    least = min(work[name] for name in found if name[0] != "hand")
    report.add("ratio, processor time", least / work["ours"], "x", **shape)
    peers = {}
    for implementation in (*IMPLEMENTATIONS, "hand"):
        of_kind = [name for name in found if name[0] == implementation]
        if of_kind:
            best = min(of_kind, key=lambda name: per_network[name])
            peers[implementation] = best
            more = {
                "networks": few,
                "options": best[1],
                "slowest": max(per_network[name] for name in of_kind),
                **shape,
            }
            by_hand_ = implementation == "hand"
            shown = "by hand in one loop" if by_hand_ else f"{implementation} ({best[1]})"
            shown = f"neural-tangents, {shown}"
            report.add(shown, 1e3 * per_network[best], "ms per network", **more)
            shown = f"{shown}, {networks} networks, compilation included"
            report.add(shown, total[best], "s", **more)
    hand = peers.pop("hand")
    fastest = min(peers.values(), key=lambda name: per_network[name])
    goal = None if quick else (">=", SPEEDUP_GOAL)
    more = {"fastest": " ".join(fastest), "peer": "neural-tangents, Monte Carlo NTK", **shape}
    report.add("ratio", per_network[fastest] / per_network["ours"], "x", goal, **more)
    least = min(total[name] for name in peers.values())
    report.add("ratio, compilation included", least / total["ours"], "x", **shape)
    ratio = per_network[hand] / per_network["ours"]
    peer = "neural-tangents in a compiled loop, NTK"
    report.add("ratio to a loop by hand", ratio, "x", peer=peer, **shape)


def moments(kernels: np.ndarray) -> np.ndarray:
    """[2, entries]: mean and variance, in float64."""
    return np.stack([kernels.mean(axis=0, dtype=np.float64), kernels.var(axis=0, dtype=np.float64)])


def theory_part(report: harness.Report, repeats: int, quick: bool) -> None:
    """First order in 1/width, at criticality."""
    depth, width = (10, 1000) if quick else (100, 1000)
    x = points() / np.linalg.norm(points(), axis=1, keepdims=True)
    for activation in (di.relu, di.tanh, di.erf):
        spec = di.MLP((width,) * depth, activation, output_width=1)
        assert spec.weight_law is not None
        assert spec.output_law is not None
        weights = [spec.weight_law.variance] * (depth - 1) + [spec.output_law.variance]
        first = spec.weight_law.variance * x @ x.T / x.shape[1]

        def run(activation: Any = activation, first: Any = first, weights: Any = weights) -> Any:
            return kernel_corrections(activation, first, (width,) * depth, weights)

        whole, found = harness.seconds_of(run)
        tangent = kernel_layers(spec, x).ntk[-1][found.rows, found.columns]
        error = np.max(np.abs(found.tangent[-1] / tangent - 1.0))
        name = f"{activation.name}: tangent kernel against the infinite-width recursion"
        harness.check(name, float(error), 1e-6)
        seconds = harness.least_seconds({"theory": run}, repeats)["theory"]
        name = f"theory, {NUM_INPUTS} inputs, depth {depth}, {activation.name}"
        report.add(name, seconds, "s", None if quick else ("<=", THEORY_GOAL), width=width)
        report.add(f"{name}, first call", whole, "s", width=width)


def main() -> None:
    """Checks, times, tells."""
    options, report = harness.begin(__doc__, ("ensemble", "options", "theory"))
    if "ensemble" in options.part:
        ensemble_part(
            report,
            options.repeats,
            options.quick,
            every=not options.quick and "options" in options.part,
        )
    if "theory" in options.part:
        theory_part(report, options.repeats, options.quick)


if __name__ == "__main__":
    main()
