"""Tangent kernels of an ensemble against neural-tangents' Monte Carlo; theory at depth 100.

    python benchmarks/kernel_corrections.py [--quick] [--out FILE] [--repeats 3]
                                            [--part ensemble options theory]

Ensemble: He-normal ReLU networks, 10 hidden layers of width 256, one output, 10 inputs. Ours:
conditional maps and transposes; mean and variance of every entry. Theirs: `monte_carlo_kernel_fn`
in all implementations (mean only), after its first call, per network; `options` adds `vmap_axes` 0
and rows shared out to devices. Goal: 20 times as fast as the fastest. Without a goal: a compiled
loop around `empirical_ntk_fn`.
Checked before: our mean against first order in 1/width (5 standard errors), which rejects infinite
width in full size; mean and second moment of the diagonal against exact values; all implementations
against ours and each other.
Theory: `kernel_corrections` for 10 inputs and 100 layers after a first call. Goal: below a second.
"""

import time
from typing import Any

import harness
import numpy as np
from peers import NUM_INPUTS, Run, by_hand, peer_runs, points

import deepinit as di
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.infinite_width.empirical import IMPLEMENTATIONS
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.quantities.kinds.axis import pass_bytes
from deepinit.quantities.measured import values_of
from deepinit.quantities.routes import seed_fn_of
from deepinit.theory.kernel_corrections import homogeneous_ntk_moments, kernel_corrections

SPEEDUP_GOAL = 20.0
THEORY_GOAL = 1.0


def network(width: int, depth: int) -> di.MLP:
    """One output."""
    return di.MLP((width,) * depth, output_width=1)


def ensemble_run(width: int, depth: int, num_networks: int) -> Run:
    """Tangent kernels [num_networks, entries] by the compiled engine of `di.simulate`."""
    spec, inputs = network(width, depth), di.inputs.points(points())
    seed_fn, settings = seed_fn_of(
        spec,
        di.quantities.ntk,
        inputs,
        linear_map="conditional",
        dtype="float32",
        precision="highest",
    )
    at_hand = pass_bytes(spec, inputs, settings)
    ensemble = compile_ensemble(seed_fn, num_networks, seed_bytes=at_hand, block_size=num_networks)
    root = root_key(0)
    return lambda: values_of(di.quantities.ntk, ensemble.block_fn(root, 0))[:, 0]


def largest_z(found: np.ndarray, wanted: np.ndarray, deviation: np.ndarray, count: float) -> float:
    """Of a mean of so many."""
    return float(np.max(np.abs(found - wanted) / (deviation / count**0.5)))


def check_ensemble(kernels: np.ndarray, width: int, depth: int, *, resolves: bool) -> None:
    """Mean kernels and exact moments of the diagonal; large ensembles reject infinite width."""
    spec, inputs = network(width, depth), di.inputs.points(points())
    mean, deviation, count = kernels.mean(axis=0), kernels.std(axis=0), len(kernels)
    first = di.predict(spec, di.quantities.ntk, inputs, "first_order").mean[0]
    limit = di.infinite(spec, di.quantities.ntk, inputs).mean[0]
    harness.check(
        f"mean kernel of {count} networks against first order, largest |z|",
        largest_z(mean, first, deviation, count),
        5.0,
    )
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
    squares = kernels[:, own] ** 2
    second = np.array([moments.second for moments in exact])
    harness.check(
        "mean diagonal against its exact value, largest |z|",
        largest_z(mean[own], np.array([moments.mean for moments in exact]), deviation[own], count),
        5.0,
    )
    harness.check(
        "second moment of the diagonal against its exact value, largest |z|",
        largest_z(squares.mean(axis=0), second, squares.std(axis=0), count),
        5.0,
    )


def ensemble_part(report: harness.Report, repeats: int, quick: bool, *, every: bool) -> None:
    """Ours, then every implementation of neural-tangents, in turns."""
    width, depth, networks, many, few = (
        (32, 3, 200, 1000, 4) if quick else (256, 10, 1000, 20000, 20)
    )
    kernels = ensemble_run(width, depth, many)().astype(np.float64)
    check_ensemble(kernels, width, depth, resolves=not quick)
    pairs, mean, deviation = np.triu_indices(NUM_INPUTS), kernels.mean(axis=0), kernels.std(axis=0)
    shape = {"width": width, "depth": depth, "inputs": NUM_INPUTS}

    start = time.perf_counter()
    ours = ensemble_run(width, depth, networks)
    ours()
    whole = {"ours": time.perf_counter() - start}
    runs: dict[Any, Run] = {"ours": lambda: moments(ours())}
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
        harness.check(
            f"mean of {few} networks, {' '.join(name)}, largest |z|",
            largest_z(kernel[pairs], mean, deviation, count),
            5.0,
        )
        if name[0] != "hand":
            other = next(iter(found.values()))
            harness.check(
                f"the same networks, {' '.join(name)}",
                float(np.max(np.abs(kernel / other - 1.0))),
                1e-3,
            )

    seconds = harness.least_seconds(runs, repeats)
    per_network = {name: seconds[name] / (networks if name == "ours" else few) for name in runs}
    # a whole call: compilation, and the networks at the measured pace
    total = {name: whole[name] - seconds[name] + networks * per_network[name] for name in runs}
    report.add(
        "deepinit, mean and variance",
        1e3 * per_network["ours"],
        "ms per network",
        networks=networks,
        **shape,
    )
    report.add(f"deepinit, {networks} networks, compilation included", total["ours"], "s", **shape)
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
            shown = (
                "by hand in one loop"
                if implementation == "hand"
                else f"{implementation} ({best[1]})"
            )
            report.add(
                f"neural-tangents, {shown}", 1e3 * per_network[best], "ms per network", **more
            )
            report.add(
                f"neural-tangents, {shown}, {networks} networks, compilation included",
                total[best],
                "s",
                **more,
            )
    hand = peers.pop("hand")
    fastest = min(peers.values(), key=lambda name: per_network[name])
    goal = None if quick else (">=", SPEEDUP_GOAL)
    more = {"fastest": " ".join(fastest), "peer": "neural-tangents, Monte Carlo NTK", **shape}
    report.add("ratio", per_network[fastest] / per_network["ours"], "x", goal, **more)
    least = min(total[name] for name in peers.values())
    report.add("ratio, compilation included", least / total["ours"], "x", **shape)
    ratio = per_network[hand] / per_network["ours"]
    report.add(
        "ratio to a loop by hand",
        ratio,
        "x",
        peer="neural-tangents in a compiled loop, NTK",
        **shape,
    )


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

        start = time.perf_counter()
        found = run()
        whole = time.perf_counter() - start
        tangent = kernel_layers(spec, x).ntk[-1][found.rows, found.columns]
        error = np.max(np.abs(found.tangent[-1] / tangent - 1.0))
        harness.check(
            f"{activation.name}: tangent kernel against the infinite-width recursion",
            float(error),
            1e-6,
        )
        seconds = harness.least_seconds({"theory": run}, repeats)["theory"]
        name = f"theory, {NUM_INPUTS} inputs, depth {depth}, {activation.name}"
        report.add(name, seconds, "s", None if quick else ("<=", THEORY_GOAL), width=width)
        report.add(f"{name}, first call", whole, "s", width=width)


def main() -> None:
    """Checks, times, tells."""
    options = harness.arguments(__doc__, ("ensemble", "options", "theory"))
    report = harness.Report("kernel_corrections", options.out, quick=options.quick)
    di.use_all_cores()
    report.device()
    repeats = options.repeats or (1 if options.quick else 3)
    if "ensemble" in options.part:
        ensemble_part(
            report, repeats, options.quick, every=not options.quick and "options" in options.part
        )
    if "theory" in options.part:
        theory_part(report, repeats, options.quick)
    report.print()


if __name__ == "__main__":
    main()
