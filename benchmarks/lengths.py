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
from typing import Any

import harness
import numpy as np

import deepinit as di
from deepinit.core.specs import choose_linear_map

DRAWS, DRAWS_GOAL = 1_000_000, 30.0
SLACK = 1.01

LENGTH, VOLUME = di.quantities.length_distortion, di.quantities.log_volume


def samplers(
    report: harness.Report, width: int, depth: int, counts: dict[str, int], draws: int, repeats: int
) -> None:
    """Part `samplers`."""
    spec, frames = di.MLP(widths=(width,) * depth, output_width=width), di.frames.random(width)
    exact = di.predict(spec, VOLUME, frames)
    mean, variance, per_network = exact.mean[-1, 0], exact.variance[-1, 0], {}
    for key, (name, count) in enumerate(counts.items()):
        run = harness.run_of(spec, VOLUME, frames, name, count, key=key)
        harness.check_mean(f"{name}, mean ln |J u|", run()[:, -1, 0], mean, variance)
        per_network[name] = harness.least_seconds({name: run}, repeats)[name] / count
    shape = {"width": width, "depth": depth, "counts": counts}
    for name, value in per_network.items():
        report.add(f"width {width}, depth {depth}: {name}", 1e6 * value, "us per network", **shape)
    for name in ("conditional", "explicit"):
        ratio = per_network[name] / per_network["chi_square"]
        report.add(f"width {width}, depth {depth}: {name} / chi_square", ratio, "x", **shape)
    arguments = {"num_seeds": draws, "linear_map": "chi_square"}
    whole, found = harness.seconds_of(lambda: di.simulate(spec, VOLUME, frames, **arguments))
    z = float((found.mean - exact.mean)[-1, 0] / found.standard_error[-1, 0])
    harness.check(f"chi_square, mean ln |J u| of {draws} networks, in standard errors", z, 5.0)
    goal = ("<=", DRAWS_GOAL) if draws == DRAWS else None
    report.add(f"{draws} draws, compilation included", whole, "s", goal, draws=draws, **shape)


def curves(
    report: harness.Report, width: int, depth: int, num_nets: int, num_nodes: int, repeats: int
) -> None:
    """Part `curves`."""
    spec, circle = di.MLP(widths=(width,) * depth), di.curves.circle()
    exact = float(di.predict(spec, LENGTH, di.curves.sampled(circle)).mean[-1, 0])

    def run_of(method: str, count: int, linear_map: str, nets: int = num_nets) -> Any:
        inputs = di.curves.sampled(circle, count, method=method)
        return harness.run_of(spec, LENGTH, inputs, linear_map, nets)

    values = run_of("tangents", num_nodes, "auto")()[:, -1, 0].astype(np.float64)
    error = values.std(ddof=1) / math.sqrt(num_nets)
    harness.check_mean(f"{num_nodes} tangents, mean length", values, exact)
    num_chords = 4 * num_nodes
    chords = run_of("polygon", num_chords, "explicit")()[:, -1, 0].astype(np.float64)
    bias = 2 * depth / (3 * num_chords)
    # the coefficient of the bias is right up to O(1/width), and its square comes next
    allowed = 5 * chords.std(ddof=1) / math.sqrt(num_nets) + exact * (bias**2 + bias * 8 / width)
    off = chords.mean() - exact * (1 - bias)
    harness.check(f"{num_chords} chords, mean length less its bias", off, allowed)
    target = float(error) / exact
    equal = math.ceil(2 * depth / (3 * math.sqrt(SLACK**2 - 1) * target))
    weak = math.ceil(2 * depth / (3 * target))
    shape = {"width": width, "depth": depth, "num_nets": num_nets, "num_nodes": num_nodes}
    report.add("relative error of the mean by tangents", target, "", **shape)
    for name, found in (("tangents", values), ("chords", chords)):
        spread = float(found.std(ddof=1) / found.mean())
        report.add(f"relative spread of the length by {name}", spread, "", **shape)
    report.add("chords for an error at most 1 % above", equal, "chords", **shape)
    report.add("chords for a bias as large as the error", weak, "chords", **shape)
    maps = {
        f"tangents, {name}": run_of("tangents", num_nodes, name)
        for name in ("conditional", "explicit")
    }
    nets = {"weak": max(2, num_nets // 100), "equal": 2}  # slow networks, so few of them
    polygons = {
        "weak": run_of("polygon", weak, "explicit", nets["weak"]),
        "equal": run_of("polygon", equal, "explicit", nets["equal"]),
    }
    seconds = harness.least_seconds(maps | polygons, repeats)
    per_network = {name: value / nets.get(name, num_nets) for name, value in seconds.items()}
    for name, value in per_network.items():
        report.add(f"width {width}, depth {depth}: {name}", 1e6 * value, "us per network", **shape)
    chosen = choose_linear_map(spec, "auto", 2 * num_nodes)
    ours = per_network[f"tangents, {chosen}"]
    ratio = ours / min(per_network[name] for name in maps)
    report.add(f"auto ({chosen}) / the faster map", ratio, "x", ("<=", 1.1), **shape)
    for name in polygons:
        report.add(f"polygon ({name}) / tangents", per_network[name] / ours, "x", **shape)


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
            name: harness.run_of(spec, LENGTH, inputs, name, num_nets)
            for name in ("conditional", "explicit")
        }
        exact = float(di.predict(spec, LENGTH, inputs).mean[-1, 0])
        for name, run in runs.items():
            name = f"{name}, width {width}, {2 * num_nodes} rows"
            harness.check_mean(name, run()[:, -1, 0], exact)
        seconds = harness.least_seconds(runs, repeats)
        chosen = choose_linear_map(spec, "auto", 2 * num_nodes)
        name = f"width {width}, {2 * num_nodes} rows: conditional / explicit (auto: {chosen})"
        shape = {"width": width, "depth": depth, "num_nets": num_nets}
        report.add(name, seconds["conditional"] / seconds["explicit"], "x", **shape)


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(
        __doc__, ("samplers", "curves", "rule"), networks="draws by chi_square"
    )
    if options.quick:
        counts = {"chi_square": 4096, "conditional": 512, "explicit": 64}
        samplers(report, 32, 10, counts, 10_000, options.repeats)
        curves(report, 32, 4, 64, 8, options.repeats)
        rule(report, 32, 2, (2, 16), 64, options.repeats)
    else:
        if "samplers" in options.part:
            counts = {"chi_square": 65_536, "conditional": 512, "explicit": 6}
            samplers(report, 1000, 100, counts, options.networks or DRAWS, options.repeats)
        if "curves" in options.part:
            curves(report, 256, 20, 1000, 64, options.repeats)
        for width in (64, 256, 1024) if "rule" in options.part else ():
            rule(report, width, 4, (4, 8, 16, 32, 64), max(32, 2**22 // width**2), options.repeats)


if __name__ == "__main__":
    main()
