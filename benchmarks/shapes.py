"""Time per network against width and depth (both linear maps), seeds and inputs.

    python benchmarks/shapes.py [--quick] [--out FILE] [--repeats 3]

Checked before: means against theory; the first block is the same for every ensemble size.
"""

import math
from typing import Any

import harness
import numpy as np
import worker
from scaling import check_equal

import deepinit as di
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.quantities.kinds.axis import pass_bytes
from deepinit.quantities.measured import measure_block, values_of
from deepinit.quantities.routes import seed_fn_of
from deepinit.theory.angles import log_sin2_propagation


def engine(
    spec: Any, quantity: Any, inputs: Any, linear_map: str, num_seeds: int, block_size: int
) -> Any:
    """The engine of `di.simulate` as compiled for blocks of this size."""
    seed_fn, settings = seed_fn_of(
        spec, quantity, inputs, linear_map=linear_map, dtype="float32", precision="highest"
    )
    at_hand = pass_bytes(spec, inputs, settings)
    return compile_ensemble(seed_fn, num_seeds, seed_bytes=at_hand, block_size=block_size)


def against_shape(
    report: harness.Report,
    axis: str,
    shapes: list[tuple[int, int]],
    counts: dict[str, int],
    repeats: int,
) -> None:
    """Microseconds per network at each (width, depth), by linear map."""
    pair, angle, root = di.inputs.pair(worker.ANGLE), di.quantities.log_sin2_angle, root_key(0)
    for width, depth in shapes:
        runs, seeds = {}, {}
        for name, work in counts.items():
            cost = depth * width * (2 if name == "conditional" else width)
            seeds[name] = max(2, min(4096, work // cost))
            ensemble = engine(di.MLP((width,) * depth), angle, pair, name, seeds[name], seeds[name])
            values = values_of(angle, ensemble.block_fn(root, 0))[:, -1, 0]
            values, walk = (
                values[np.isfinite(values)],
                log_sin2_propagation(worker.ANGLE, (width,) * depth),
            )
            error = math.sqrt(walk.variance[-1] / len(values))
            harness.check(
                f"{name}, width {width}, depth {depth}: mean",
                values.mean() - walk.mean[-1],
                5 * error,
            )
            runs[name] = lambda ensemble=ensemble: ensemble.block_fn(root, 0)
        seconds = harness.least_seconds(runs, repeats)
        for name, value in seconds.items():
            at = width if axis == "width" else depth
            more = {
                "axis": axis,
                "at": at,
                "line": name,
                "width": width,
                "depth": depth,
                "num_seeds": seeds[name],
            }
            report.add(f"{axis} {at}: {name}", 1e6 * value / seeds[name], "us per network", **more)


def against_seeds(
    report: harness.Report, width: int, depth: int, counts: tuple[int, ...], repeats: int
) -> None:
    """The loop over equal blocks, statistics included."""
    pair, angle, root = di.inputs.pair(worker.ANGLE), di.quantities.log_sin2_angle, root_key(0)
    block_size = counts[0]
    # compiled once: the blocks of a smaller ensemble are the first of a larger one's
    ensemble = engine(di.MLP((width,) * depth), angle, pair, "auto", counts[-1], block_size)
    size = ensemble.blocks.block_size

    def loop(num_blocks: int) -> Any:
        merged: Any = None
        for block in range(num_blocks):
            part, _ = measure_block(angle, ensemble.block_fn(root, block), ())
            merged = part if merged is None else worker.statistics.merge(merged, part)
        return merged

    walk = log_sin2_propagation(worker.ANGLE, (width,) * depth)
    rounds = {count: max(1, count // size) for count in counts}
    small = engine(di.MLP((width,) * depth), angle, pair, "auto", size, size)
    if small.blocks.batch_size == ensemble.blocks.batch_size:  # else the two round otherwise
        part, _ = measure_block(angle, small.block_fn(root, 0), ())
        check_equal(
            ["the first block", "an ensemble of one block"],
            [worker.digest(loop(1)), worker.digest(part)],
        )
    found = loop(rounds[counts[-1]])
    error = math.sqrt(walk.variance[-1] / int(found.num_valid[-1, 0]))
    harness.check(
        f"mean of {found.num_seeds} networks", found.mean[-1, 0] - walk.mean[-1], 5 * error
    )
    seconds = harness.least_seconds(
        {str(count): lambda n=n: loop(n) for count, n in rounds.items()}, repeats
    )
    for count, blocks in rounds.items():
        seeds = min(blocks * size, ensemble.blocks.num_seeds)
        more = {
            "axis": "seeds",
            "at": seeds,
            "line": "conditional",
            "width": width,
            "depth": depth,
            "block_size": size,
        }
        report.add(f"{seeds} networks", 1e6 * seconds[str(count)] / seeds, "us per network", **more)


def against_inputs(
    report: harness.Report, width: int, depth: int, counts: tuple[int, ...], work: int, repeats: int
) -> None:
    """Second moments of activations at k points: k^2 inner products a layer."""
    root, spec = root_key(0), di.MLP((width,) * depth)
    for count in counts:
        points = di.inputs.points(np.random.default_rng(0).normal(size=(count, 32)))
        exact = di.infinite(spec, di.quantities.nngp, points).mean[-1]
        own = np.flatnonzero(np.equal(*np.triu_indices(count)))
        runs, seeds = {}, {}
        for name in ("conditional", "explicit"):
            rows = count if name == "conditional" else width
            seeds[name] = max(16, min(4096, work // (rows * width * depth)))
            ensemble = engine(spec, di.quantities.nngp, points, name, seeds[name], seeds[name])
            values = values_of(di.quantities.nngp, ensemble.block_fn(root, 0))[:, -1, own]
            # the diagonal has the mean of infinite width, and variance at most (1 + 5/n)^depth - 1
            error = exact[own] * math.sqrt(((1 + 5 / width) ** depth - 1) / seeds[name])
            z = np.abs(values.mean(axis=0) - exact[own]) / error
            harness.check(
                f"{name}, {count} inputs: mean diagonal, largest |z|", float(z.max()), 5.0
            )
            runs[name] = lambda ensemble=ensemble: ensemble.block_fn(root, 0)
        for name, value in harness.least_seconds(runs, repeats).items():
            more = {
                "axis": "inputs",
                "at": count,
                "line": name,
                "width": width,
                "depth": depth,
                "num_seeds": seeds[name],
            }
            report.add(
                f"{count} inputs: {name}", 1e6 * value / seeds[name], "us per network", **more
            )


def main() -> None:
    """Checks, times, prints."""
    options = harness.arguments(__doc__)
    report = harness.Report("shapes", options.out, quick=options.quick)
    di.use_all_cores()
    report.device()
    repeats = options.repeats or (1 if options.quick else 3)
    if options.quick:
        counts = {"conditional": 2**18, "explicit": 2**18}
        against_shape(report, "width", [(16, 4), (32, 4)], counts, repeats)
        against_shape(report, "depth", [(16, 8)], counts, repeats)
        against_seeds(report, 16, 4, (256, 1024), repeats)
        against_inputs(report, 16, 4, (2, 4), 2**18, repeats)
    else:
        counts = {"conditional": 2**25, "explicit": 2**26}
        against_shape(report, "width", [(width, 10) for width in (64, 256, 1024)], counts, repeats)
        against_shape(report, "depth", [(64, depth) for depth in (10, 100, 1000)], counts, repeats)
        against_seeds(report, 64, 10, (1024, 8192, 65536), repeats)
        against_inputs(report, 256, 10, (2, 8, 32), 2**26, repeats)
    report.print()


if __name__ == "__main__":
    main()
