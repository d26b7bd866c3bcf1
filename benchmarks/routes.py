"""Cost of simulating, predicting and taking the limit, against width and depth.

    python benchmarks/routes.py [--quick] [--out FILE] [--repeats 3]

ln sin^2 of the angle of two inputs in ReLU networks: 1000 simulated networks (compiled, statistics
included), the second-order theory of `di.predict`, `di.infinite`, each after a first call, which is
measured at the first shape. Checked before, at every shape: simulation against theory (5 standard
errors); the limit against theory at width 10^6.
"""

import time
from typing import Any

import harness
import numpy as np

import deepinit as di
from deepinit.ensembles import statistics
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.quantities.kinds.axis import pass_bytes
from deepinit.quantities.measured import measure_block
from deepinit.quantities.routes import seed_fn_of

NUM_NETWORKS = 1000
WIDE = 10**6
ANGLE = di.quantities.log_sin2_angle
PAIR = di.inputs.pair(1.0)


def network(width: int, depth: int) -> di.MLP:
    """He-normal ReLU."""
    return di.MLP((width,) * depth)


def simulation(width: int, depth: int) -> Any:
    """Compiled: () -> statistics of NUM_NETWORKS networks."""
    spec = network(width, depth)
    seed_fn, settings = seed_fn_of(
        spec, ANGLE, PAIR, linear_map="auto", dtype="float32", precision="highest"
    )
    at_hand = pass_bytes(spec, PAIR, settings)
    ensemble = compile_ensemble(seed_fn, NUM_NETWORKS, seed_bytes=at_hand, block_size=NUM_NETWORKS)
    root = root_key(0)
    return lambda: measure_block(ANGLE, ensemble.block_fn(root, 0), ())[0]


def check(width: int, depth: int, run: Any) -> None:
    """All three routes at one shape."""
    spec, found = network(width, depth), run()
    walk = di.predict(spec, ANGLE, PAIR).mean[:, 0]
    error = statistics.estimate(ANGLE.name, found, ()).standard_error[:, 0]
    z = np.abs(found.mean[:, 0] - walk) / error
    name = f"width {width}, depth {depth}"
    harness.check(f"{name}: simulation against theory, largest |z|", float(z.max()), 5.0)
    limit = di.infinite(spec, ANGLE, PAIR).mean[:, 0]
    wide = di.predict(network(WIDE, depth), ANGLE, PAIR).mean[:, 0]
    off = float(np.abs(limit - wide).max())
    harness.check(f"{name}: infinite width against width {WIDE}", off, 10 * depth / WIDE)
    if 100 * depth > width:
        harness.reject(
            f"{name}: infinite width against this width",
            float(np.abs(limit - walk).max()),
            10 * depth / WIDE,
        )


def main() -> None:
    """Checks, times, tells."""
    options = harness.arguments(__doc__)
    report = harness.Report("routes", options.out, quick=options.quick)
    di.use_all_cores()
    report.device()
    repeats = options.repeats or (1 if options.quick else 3)
    widths, depths = ((16,), (4, 8)) if options.quick else ((64, 256, 1024), (10, 100, 1000))
    shapes = [("width", width, depths[0]) for width in widths] + [
        ("depth", widths[0], depth) for depth in depths
    ]
    for place, (axis, width, depth) in enumerate(shapes):
        spec, first = network(width, depth), {}
        start = time.perf_counter()
        run = simulation(width, depth)
        run()
        first["simulate"] = time.perf_counter() - start
        runs = {
            "simulate": run,
            "predict": lambda spec=spec: di.predict(spec, ANGLE, PAIR),
            "infinite": lambda spec=spec: di.infinite(spec, ANGLE, PAIR),
        }
        for name in ("predict", "infinite"):
            start = time.perf_counter()
            runs[name]()
            first[name] = time.perf_counter() - start
        check(width, depth, run)
        seconds = harness.least_seconds(runs, repeats)
        at = width if axis == "width" else depth
        for name, value in seconds.items():
            line = f"simulate, {NUM_NETWORKS} networks" if name == "simulate" else name
            more = {"axis": axis, "at": at, "line": line, "width": width, "depth": depth}
            report.add(f"{axis} {at}: {line}", 1e3 * value, "ms", **more)
            if place == 0:
                report.add(
                    f"{axis} {at}: {line}, first call",
                    1e3 * first[name],
                    "ms",
                    width=width,
                    depth=depth,
                )
        ratio = seconds["simulate"] / seconds["infinite"]
        report.add(f"{axis} {at}: simulate / infinite", ratio, "x", width=width, depth=depth)
    report.print()


if __name__ == "__main__":
    main()
