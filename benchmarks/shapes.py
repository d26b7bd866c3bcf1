"""Time per network against width and depth (both linear maps), seeds and inputs.

    python benchmarks/shapes.py [--quick] [--out FILE] [--repeats 3]

Checked before: means against theory; the first block is the same for every ensemble size.
"""

from typing import Any

import harness
import numpy as np
import worker
from scaling import check_equal

import deepinit as di
from deepinit.ensembles.keys import root_key
from deepinit.quantities.measured import measure_block
from deepinit.theory.angles import log_sin2_propagation

ANGLE, PAIR = di.quantities.log_sin2_angle, di.inputs.pair(worker.ANGLE)


def time_maps(
    report: harness.Report, runs: Any, seeds: dict[str, int], repeats: int, **shape: Any
) -> None:
    """Microseconds per network, by linear map."""
    axis, at = shape["axis"], shape["at"]
    label = f"{at} inputs" if axis == "inputs" else f"{axis} {at}"
    for name, value in harness.least_seconds(runs, repeats).items():
        more = {"line": name, "num_seeds": seeds[name], **shape}
        report.add(f"{label}: {name}", 1e6 * value / seeds[name], "us per network", **more)


def against_shape(
    report: harness.Report,
    axis: str,
    shapes: list[tuple[int, int]],
    counts: dict[str, int],
    repeats: int,
) -> None:
    """At each (width, depth), by linear map."""
    for width, depth in shapes:
        runs, seeds = {}, {}
        walk = log_sin2_propagation(worker.ANGLE, (width,) * depth)
        for name, work in counts.items():
            cost = depth * width * (2 if name == "conditional" else width)
            seeds[name] = max(2, min(4096, work // cost))
            runs[name] = harness.run_of(di.MLP((width,) * depth), ANGLE, PAIR, name, seeds[name])
            values = runs[name]()[:, -1, 0]
            name = f"{name}, width {width}, depth {depth}: mean"
            harness.check_mean(name, values[np.isfinite(values)], walk.mean[-1], walk.variance[-1])
        shape = {"axis": axis, "at": width if axis == "width" else depth}
        time_maps(report, runs, seeds, repeats, **shape, width=width, depth=depth)


def against_seeds(
    report: harness.Report, width: int, depth: int, counts: tuple[int, ...], repeats: int
) -> None:
    """The loop over equal blocks, statistics included."""
    root, spec = root_key(0), di.MLP((width,) * depth)
    # compiled once: the blocks of a smaller ensemble are the first of a larger one's
    large = harness.ensemble(spec, ANGLE, PAIR, "auto", counts[-1], block_size=counts[0])
    size = large.blocks.block_size

    def loop(num_blocks: int, ensemble: Any = large) -> Any:
        merged: Any = None
        for block in range(num_blocks):
            part, _ = measure_block(ANGLE, ensemble.block_fn(root, block), ())
            merged = part if merged is None else worker.statistics.merge(merged, part)
        return merged

    walk = log_sin2_propagation(worker.ANGLE, (width,) * depth)
    rounds = {count: max(1, count // size) for count in counts}
    small = harness.ensemble(spec, ANGLE, PAIR, "auto", size)
    if small.blocks.batch_size == large.blocks.batch_size:  # else the two round otherwise
        names = ["the first block", "an ensemble of one block"]
        check_equal(names, [worker.digest(loop(1)), worker.digest(loop(1, small))])
    found = loop(rounds[counts[-1]])
    error = (walk.variance[-1] / int(found.num_valid[-1, 0])) ** 0.5
    off = found.mean[-1, 0] - walk.mean[-1]
    harness.check(f"mean of {found.num_seeds} networks", off, 5 * error)
    runs = {count: lambda n=n: loop(n) for count, n in rounds.items()}
    seconds = harness.least_seconds(runs, repeats)
    for count, blocks in rounds.items():
        seeds = min(blocks * size, large.blocks.num_seeds)
        shape = {"axis": "seeds", "at": seeds, "line": "conditional"}
        shape |= {"width": width, "depth": depth, "block_size": size}
        report.add(f"{seeds} networks", 1e6 * seconds[count] / seeds, "us per network", **shape)


def against_inputs(
    report: harness.Report, width: int, depth: int, counts: tuple[int, ...], work: int, repeats: int
) -> None:
    """Second moments of activations at k points: k^2 inner products a layer."""
    spec, nngp = di.MLP((width,) * depth), di.quantities.nngp
    for count in counts:
        points = di.inputs.points(np.random.default_rng(0).normal(size=(count, 32)))
        own = np.flatnonzero(np.equal(*np.triu_indices(count)))
        exact = di.infinite(spec, nngp, points).mean[-1][own]
        # the diagonal has the mean of infinite width, and variance at most (1 + 5/n)^depth - 1
        variance = exact**2 * ((1 + 5 / width) ** depth - 1)
        runs, seeds = {}, {}
        for name in ("conditional", "explicit"):
            rows = count if name == "conditional" else width
            seeds[name] = max(16, min(4096, work // (rows * width * depth)))
            runs[name] = harness.run_of(spec, nngp, points, name, seeds[name])
            values = runs[name]()[:, -1, own]
            harness.check_mean(f"{name}, {count} inputs: mean diagonal", values, exact, variance)
        shape = {"axis": "inputs", "at": count, "width": width, "depth": depth}
        time_maps(report, runs, seeds, repeats, **shape)


def main() -> None:
    """Checks, times, prints."""
    options, report = harness.begin(__doc__)
    if options.quick:
        counts = {"conditional": 2**18, "explicit": 2**18}
        against_shape(report, "width", [(16, 4), (32, 4)], counts, options.repeats)
        against_shape(report, "depth", [(16, 8)], counts, options.repeats)
        against_seeds(report, 16, 4, (256, 1024), options.repeats)
        against_inputs(report, 16, 4, (2, 4), 2**18, options.repeats)
    else:
        counts = {"conditional": 2**25, "explicit": 2**26}
        against_shape(
            report, "width", [(width, 10) for width in (64, 256, 1024)], counts, options.repeats
        )
        against_shape(
            report, "depth", [(64, depth) for depth in (10, 100, 1000)], counts, options.repeats
        )
        against_seeds(report, 64, 10, (1024, 8192, 65536), options.repeats)
        against_inputs(report, 256, 10, (2, 8, 32), 2**26, options.repeats)


if __name__ == "__main__":
    main()
