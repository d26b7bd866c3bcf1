"""The cut-off in depth: survival by the scalar reduction, by whole matrices, exactly at width 1.

    python benchmarks/cutoff.py [--quick] [--out FILE] [--repeats 3] [--networks 1000000]

tanh networks truncated to multiples of 0.001, width 64, 60 layers, weights of variance
1 / (3 width), input (1, ..., 1). Scalar reduction: the conditional linear map at one point, 64
numbers a layer instead of 64^2. Goal: a million paths in 60 seconds on two cores, with compilation
and statistics. Checked before: both maps have one survival curve (5 standard errors), its t_mix is
the published 13; the exact chain at width 1, rho = 1e-6, 40 layers, has the published t_mix 17.
"""

import time
from typing import Any

import harness
import numpy as np

import deepinit as di
from deepinit.theory.cutoff import scalar_survival, summary

PATHS, GOAL_SECONDS = 1_000_000, 60.0


def survival(width: int, depth: int, num_seeds: int, linear_map: str, key: int) -> Any:
    """The Estimate of the survival curve."""
    law = di.normal(1.0 / 3.0)
    spec = di.MLP((width,) * depth, di.rounded("tanh", 1e-3, "truncate"), law)
    quiet = lambda done, wanted: None
    return di.simulate(
        spec,
        di.quantities.survival,
        di.inputs.ones(width),
        num_seeds=num_seeds,
        linear_map=linear_map,
        key=key,
        progress=quiet,
    )


def seconds_of(function: Any) -> tuple[float, Any]:
    """Of one call, and what it returned."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def main() -> None:
    """Checks, times, tells."""
    options = harness.arguments(__doc__, networks="paths")
    report = harness.Report("cutoff", options.out, quick=options.quick)
    di.use_all_cores()
    report.device()
    width, depth = (16, 20) if options.quick else (64, 60)
    paths, few = (20_000, 2_000) if options.quick else (options.networks or PATHS, 4_000)
    taken, fast = seconds_of(lambda: survival(width, depth, paths, "conditional", 0))
    taken_explicit, slow = seconds_of(lambda: survival(width, depth, few, "explicit", 1))
    error = np.hypot(fast.standard_error, slow.standard_error)[:, 0]
    expected = (
        fast.mean[:, 0] * few
    )  # survivors among the few paths: where ten or more live and ten or more are lost
    judged = (expected >= 10) & (few - expected >= 10)
    z = np.abs((fast.mean - slow.mean)[:, 0][judged] / error[judged])
    harness.check("scalar reduction against whole matrices, largest |z|", float(z.max()), 5.0)
    found = summary(np.concatenate([[1.0], fast.mean[:, 0]]))
    if not options.quick:
        harness.check("t_mix at width 64 less 13", found.t_mix - 13, 0.0)
    report.add(
        f"{paths:,} paths, scalar reduction",
        taken,
        "s",
        ("<=", GOAL_SECONDS) if paths == PATHS else None,
        paths=paths,
    )
    # compilation out of the ratio: the same program once more
    times = harness.least_seconds(
        {
            "scalar": lambda: survival(width, depth, few * 10, "conditional", 2),
            "matrices": lambda: survival(width, depth, few, "explicit", 2),
        },
        options.repeats or 2,
    )
    report.add("one path, scalar reduction", 1e6 * times["scalar"] / (few * 10), "us")
    report.add("one path, whole matrices", 1e6 * times["matrices"] / few, "us")
    report.add("ratio", times["matrices"] / few / (times["scalar"] / (few * 10)), "x")
    del taken_explicit
    rho = 1e-4 if options.quick else 1e-6
    chain, exact = seconds_of(
        lambda: scalar_survival("tanh", di.uniform(1.0 / 3.0), rho, "truncate", 40)
    )
    harness.check(
        "t_mix of the exact chain",
        summary(exact.survival).t_mix - (11 if options.quick else 17),
        0.0,
    )
    report.add(f"exact width-1 chain, rho = {rho:g}, 40 layers", chain, "s", rho=rho)
    report.print()


if __name__ == "__main__":
    main()
