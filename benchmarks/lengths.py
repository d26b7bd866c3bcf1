"""Lengths: three samplers of the growth of one tangent; tangents against polygons along a curve.

    python benchmarks/lengths.py [--quick] [--out FILE] [--repeats 3] [--networks 1000000]
                                 [--part samplers curves rule]

`samplers`: ln |J u| at the output of a He network, depth 100, width 1000, by `chi_square` (law of
the layers), `conditional` (rows), `explicit` (matrices). Goal: a million draws by `chi_square` in
30 seconds on two cores, with compilation. Checked before: means against the exact one (5 standard
errors of the exact variance).
`curves`: mean length of the circle's image over 1000 networks, width 256, depth 20, by random
tangents at 64 nodes and by a polygon of N chords. Error sqrt(bias^2 + variance / networks); the
polygon's relative bias is 2 H / (3 N) for H hidden layers, the tangents' is 0. Measured: a polygon
whose error is 1 percent above that of tangents ("equal", a bias of 0.14 standard errors), and one
whose bias is a standard error. Checked before: both means against the exact one.
`rule`: conditional and explicit maps by number of rows, where `auto` chooses between them.
"""

import math
from collections.abc import Callable
from typing import Any

import harness
import numpy as np

import deepinit as di
from deepinit.core.specs import choose_linear_map
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.quantities.kinds.axis import pass_bytes
from deepinit.quantities.measured import values_of
from deepinit.quantities.routes import seed_fn_of

DRAWS, DRAWS_GOAL = 1_000_000, 30.0
SLACK = 1.01

Run = Callable[[], np.ndarray]  # the last layer's value of every network


def compiled_run(
    spec: Any, quantity: Any, inputs: Any, num_seeds: int, linear_map: str, key: int = 0
) -> Run:
    """The engine of `di.simulate`, compiled once for all networks in one block."""
    seed_fn, settings = seed_fn_of(
        spec, quantity, inputs, linear_map=linear_map, dtype="float32", precision="highest"
    )
    ensemble = compile_ensemble(
        seed_fn, num_seeds, seed_bytes=pass_bytes(spec, inputs, settings), block_size=num_seeds
    )
    root = root_key(key)

    def run() -> np.ndarray:
        found = [ensemble.block_fn(root, block) for block in range(ensemble.blocks.num_blocks)]
        values = np.concatenate([values_of(quantity, one)[:, -1, 0] for one in found])
        return values[:num_seeds]

    return run


def seconds_of(function: Callable[[], Any]) -> tuple[float, Any]:
    """Of one call, its compilation included."""
    import time

    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def samplers(
    report: harness.Report, width: int, depth: int, counts: dict[str, int], draws: int, repeats: int
) -> None:
    """Part `samplers`."""
    spec, frames = di.MLP(widths=(width,) * depth, output_width=width), di.frames.random(width)
    exact = di.predict(spec, di.quantities.log_volume, frames)
    runs = {
        name: compiled_run(spec, di.quantities.log_volume, frames, count, name, key)
        for key, (name, count) in enumerate(counts.items())
    }
    for name, run in runs.items():
        error = math.sqrt(exact.variance[-1, 0] / counts[name])
        harness.check(
            f"{name}, mean ln |J u| of {counts[name]} networks",
            run().mean() - exact.mean[-1, 0],
            5 * error,
        )
    seconds = {
        name: harness.least_seconds({name: run}, repeats)[name] for name, run in runs.items()
    }
    shape = {"width": width, "depth": depth, "counts": counts}
    per_network = {name: value / counts[name] for name, value in seconds.items()}
    for name, value in per_network.items():
        report.add(f"width {width}, depth {depth}: {name}", 1e6 * value, "us per network", **shape)
    for name in ("conditional", "explicit"):
        ratio = per_network[name] / per_network["chi_square"]
        report.add(f"width {width}, depth {depth}: {name} / chi_square", ratio, "x", **shape)
    arguments = {"num_seeds": draws, "linear_map": "chi_square"}
    whole, found = seconds_of(
        lambda: di.simulate(spec, di.quantities.log_volume, frames, **arguments)
    )
    z = float((found.mean - exact.mean)[-1, 0] / found.standard_error[-1, 0])
    harness.check(f"chi_square, mean ln |J u| of {draws} networks, in standard errors", z, 5.0)
    report.add(
        f"{draws} draws, compilation included",
        whole,
        "s",
        ("<=", DRAWS_GOAL) if draws == DRAWS else None,
        draws=draws,
        **shape,
    )


def curves(
    report: harness.Report, width: int, depth: int, num_nets: int, num_nodes: int, repeats: int
) -> None:
    """Part `curves`."""
    spec, circle = di.MLP(widths=(width,) * depth), di.curves.circle()
    exact = float(
        di.predict(spec, di.quantities.length_distortion, di.curves.sampled(circle)).mean[-1, 0]
    )

    def run_of(method: str, count: int, nets: int = num_nets) -> Run:
        inputs = di.curves.sampled(circle, count, method=method)
        linear_map = "explicit" if method == "polygon" else "auto"
        return compiled_run(spec, di.quantities.length_distortion, inputs, nets, linear_map)

    tangents = run_of("tangents", num_nodes)
    values = tangents().astype(np.float64)
    error = values.std(ddof=1) / math.sqrt(num_nets)
    harness.check(
        f"{num_nodes} tangents, mean length of {num_nets} networks",
        values.mean() - exact,
        5 * error,
    )
    num_chords = 4 * num_nodes
    chords = run_of("polygon", num_chords)().astype(np.float64)
    bias = 2 * depth / (3 * num_chords)
    # the coefficient of the bias is right up to O(1/width), and its square comes next
    allowed = 5 * chords.std(ddof=1) / math.sqrt(num_nets) + exact * (bias**2 + bias * 8 / width)
    harness.check(
        f"{num_chords} chords, mean length less its bias",
        chords.mean() - exact * (1 - bias),
        allowed,
    )
    target = float(error) / exact
    equal = math.ceil(2 * depth / (3 * math.sqrt(SLACK**2 - 1) * target))
    weak = math.ceil(2 * depth / (3 * target))
    shape = {"width": width, "depth": depth, "num_nets": num_nets, "num_nodes": num_nodes}
    report.add("relative error of the mean by tangents", target, "", **shape)
    report.add(
        "relative spread of the length by tangents",
        float(values.std(ddof=1) / values.mean()),
        "",
        **shape,
    )
    report.add(
        "relative spread of the length by chords",
        float(chords.std(ddof=1) / chords.mean()),
        "",
        **shape,
    )
    report.add("chords for an error at most 1 % above", equal, "chords", **shape)
    report.add("chords for a bias as large as the error", weak, "chords", **shape)
    maps = {
        f"tangents, {name}": compiled_run(
            spec,
            di.quantities.length_distortion,
            di.curves.sampled(circle, num_nodes),
            num_nets,
            name,
        )
        for name in ("conditional", "explicit")
    }
    nets = {"weak": max(2, num_nets // 100), "equal": 2}  # slow networks, so few of them
    polygons = {
        "weak": run_of("polygon", weak, nets["weak"]),
        "equal": run_of("polygon", equal, nets["equal"]),
    }
    seconds = harness.least_seconds(maps | polygons, repeats)
    per_network = {name: value / nets.get(name, num_nets) for name, value in seconds.items()}
    for name, value in per_network.items():
        report.add(f"width {width}, depth {depth}: {name}", 1e6 * value, "us per network", **shape)
    chosen = choose_linear_map(spec, "auto", 2 * num_nodes)
    best = min(per_network[name] for name in maps)
    report.add(
        f"auto ({chosen}) / the faster map",
        per_network[f"tangents, {chosen}"] / best,
        "x",
        ("<=", 1.1),
        **shape,
    )
    for name in polygons:
        report.add(
            f"polygon ({name}) / tangents",
            per_network[name] / per_network[f"tangents, {chosen}"],
            "x",
            **shape,
        )


def rule(
    report: harness.Report,
    width: int,
    depth: int,
    nodes: tuple[int, ...],
    num_nets: int,
    repeats: int,
) -> None:
    """Part `rule`."""
    spec = di.MLP(widths=(width,) * depth)
    for num_nodes in nodes:
        inputs = di.curves.sampled(di.curves.circle(), num_nodes)
        runs = {
            name: compiled_run(spec, di.quantities.length_distortion, inputs, num_nets, name)
            for name in ("conditional", "explicit")
        }
        exact = float(di.predict(spec, di.quantities.length_distortion, inputs).mean[-1, 0])
        for name, run in runs.items():
            values = run()
            error = values.std(ddof=1) / math.sqrt(num_nets)
            harness.check(
                f"{name}, width {width}, {2 * num_nodes} rows", values.mean() - exact, 5 * error
            )
        seconds = harness.least_seconds(runs, repeats)
        chosen = choose_linear_map(spec, "auto", 2 * num_nodes)
        name = f"width {width}, {2 * num_nodes} rows: conditional / explicit (auto: {chosen})"
        shape = {"width": width, "depth": depth, "num_nets": num_nets}
        report.add(name, seconds["conditional"] / seconds["explicit"], "x", **shape)


def main() -> None:
    """Runs the benchmark."""
    options = harness.arguments(
        __doc__, ("samplers", "curves", "rule"), networks="draws by chi_square"
    )
    report = harness.Report("lengths", options.out, quick=options.quick)
    di.use_all_cores()
    report.device()
    repeats = options.repeats or (1 if options.quick else 3)
    if options.quick:
        samplers(
            report,
            32,
            10,
            {"chi_square": 4096, "conditional": 512, "explicit": 64},
            10_000,
            repeats,
        )
        curves(report, 32, 4, 64, 8, repeats)
        rule(report, 32, 2, (2, 16), 64, repeats)
    else:
        if "samplers" in options.part:
            counts = {"chi_square": 65_536, "conditional": 512, "explicit": 6}
            samplers(report, 1000, 100, counts, options.networks or DRAWS, repeats)
        if "curves" in options.part:
            curves(report, 256, 20, 1000, 64, repeats)
        for width in (64, 256, 1024) if "rule" in options.part else ():
            rule(report, width, 4, (4, 8, 16, 32, 64), max(32, 2**22 // width**2), repeats)
    report.print()


if __name__ == "__main__":
    main()
