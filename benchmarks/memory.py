"""Peak memory of `di.simulate` with 10 million networks over 100 000.

    python benchmarks/memory.py [--quick] [--out FILE] [--networks 10000000]

Statistics of blocks are merged as they come. Fresh processes, peak resident size by `getrusage`.
Goal: at most 1.1. Checked before: counts of degenerate networks and the mean of ln sin^2 after the
first layer against their exact laws (5 standard errors).
"""

import math

import harness

from deepinit.theory.angles import degeneracy_probability, small_angle_log_sin2_moments

GOAL = 1.1
WIDTH, DEPTH = 16, 2
ANGLE = 1e-4  # has an exact one-layer law, up to (2/(3 pi)) 1e-4 in the mean

RUN = f"""
import json, resource, sys, time
import deepinit as di
di.use_all_cores()
start = time.perf_counter()
spec = di.MLP(widths=({WIDTH},) * {DEPTH})
angle, pair = di.quantities.log_sin2_angle, di.inputs.pair({ANGLE})
estimate = di.simulate(spec, angle, pair, num_seeds=int(sys.argv[1]),
                       progress=lambda done, wanted: None)
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
events = {{name: int(counts[0, 0]) for name, counts in estimate.events.items()}}
print(json.dumps({{"peak": peak, "seconds": time.perf_counter() - start, "events": events,
                  "mean": estimate.mean[0, 0], "standard_error": estimate.standard_error[0, 0]}}))
"""


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(
        __doc__, networks="networks of the larger ensemble", repeats=(1, 1), devices=""
    )
    sizes = (20_000, 200_000) if options.quick else (100_000, options.networks or 10_000_000)
    exact = degeneracy_probability(ANGLE, WIDTH)._asdict()
    peaks = []
    for num_seeds in sizes:
        # one run has the peak; the least of several is steadier
        results = [harness.in_fresh_process(RUN, str(num_seeds)) for _ in range(options.repeats)]
        for event, probability in exact.items():
            expected = num_seeds * float(probability)
            off, allowed = results[0]["events"][event] - expected, 5 * math.sqrt(expected) + 3
            harness.check(f"{event} among {num_seeds} networks", off, allowed)
        mean = 2 * math.log(math.sin(ANGLE)) + small_angle_log_sin2_moments(WIDTH).mean
        error, allowed = results[0]["mean"] - mean, 5 * results[0]["standard_error"]
        harness.check(f"mean ln sin^2 of {num_seeds} networks", error, allowed)
        peaks.append(min(result["peak"] for result in results))
        seconds = min(result["seconds"] for result in results)
        shape = {"num_seeds": num_seeds, "width": WIDTH, "depth": DEPTH}
        report.add(f"{num_seeds} networks: peak resident size", peaks[-1] / 2**20, "MiB", **shape)
        report.add(f"{num_seeds} networks: whole call", seconds, "s", **shape)
    report.add(f"peak, {sizes[1]} / {sizes[0]} networks", peaks[1] / peaks[0], "x", ("<=", GOAL))


if __name__ == "__main__":
    main()
