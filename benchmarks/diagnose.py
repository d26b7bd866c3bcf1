"""What `deepinit diagnose` waits for: a fresh process, with an empty and with a filled cache.

    python benchmarks/diagnose.py [--quick] [--out FILE] [--repeats 2] [--part mlp gpt2]

A failing MLP of 50 layers (scores, three changes predicted, one measured), one that trains, and
GPT-2 small. Processor seconds (user and system) of all threads, the least of the repeats; on two
idle cores the wait is at most that. Checked before: verdicts by exit code, equal shares from both
caches, and ln rms of the last layer by `di.simulate` (layer 1 is rejected).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np

MLP_GOAL, GPT_GOAL = 3.0, 10.0  # seconds
CASES: dict[str, tuple[list[str], int, float]] = {  # arguments, exit code, goal
    "MLP that fails": (
        ["--widths", "784,100x50,10", "--activation", "relu", "--init", "pytorch"],
        10,
        MLP_GOAL,
    ),
    "MLP that trains": (["--widths", "784,100x50,10", "--activation", "tanh"], 0, MLP_GOAL),
    "GPT-2 small": (["gpt2"], 0, GPT_GOAL),
}


def command(arguments: list[str], cache: Path) -> tuple[float, float, int, dict[str, Any]]:
    """Processor seconds, wall time, exit code and record of the command."""
    code = "import sys; from deepinit.cli import main; sys.exit(main())"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment["XDG_CACHE_HOME"] = str(cache)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "diagnose", *arguments, "--json"],
        capture_output=True,
        env=environment,
        check=False,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return taken, wall, done.returncode, json.loads(done.stdout)


def simulated_norm(networks: int) -> float:
    """Mean ln rms of layer 50 of the MLP that trains, by `di.simulate`."""
    import deepinit as di
    from deepinit.diagnosis.default_inputs import usual_rows

    spec = di.MLP((100,) * 50, "tanh", output_width=10)
    x = np.asarray(usual_rows(spec, 784).inputs.points[:1])
    points = di.inputs.points(x)
    found = di.simulate(spec, di.quantities.log_norm, points, num_seeds=networks)
    size = 0.5 * np.log(np.sum(x**2) / 100)  # log_norm is ln of |x_l| / |x_0|, 100 entries
    return float(found.mean.ravel()[-1] + size)


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(__doc__, ("mlp", "gpt2"), devices="")
    parts = {"mlp": ("MLP that fails", "MLP that trains"), "gpt2": ("GPT-2 small",)}
    names = [name for part in options.part for name in parts[part]]
    names = ["MLP that trains"] if options.quick else names
    cases = {name: CASES[name] for name in names}
    with tempfile.TemporaryDirectory(dir=report.folder) as home:
        for number, (name, (arguments, expected, goal)) in enumerate(cases.items()):
            cold, warm = [], []
            for repeat in range(options.repeats):
                cache = Path(home).absolute() / f"{number}-{repeat}"
                cold.append(command(arguments, cache))
                warm.append(command(arguments, cache))
            harness.check(f"{name}: exit code", cold[0][2] - expected, 0)
            harness.check(f"{name}: exit code, filled cache", warm[0][2] - expected, 0)
            first, second = (runs[0][3]["verdict"]["share"] for runs in (cold, warm))
            harness.check(f"{name}: share again", abs(first - second), 1e-9)
            if name == "MLP that trains":
                layers, networks = cold[0][3]["layers"], cold[0][3]["networks"]
                exact = simulated_norm(networks)
                error = 5 * layers[-1]["spread"]["log_norm"] * (2 / networks) ** 0.5
                shown = f"{name}: ln rms of layer 50 by di.simulate"
                harness.check(shown, layers[-1]["log_norm"] - exact, error)
                harness.reject(shown, layers[0]["log_norm"] - exact, error)
            for kind, runs in (("empty cache", cold), ("filled cache", warm)):
                shown = None if options.quick else ("<=", goal)
                report.add(f"{name}, {kind}", min(runs)[0], "CPU s", shown)
                report.add(f"{name}, {kind}, wall time", min(run[1] for run in runs), "s")


if __name__ == "__main__":
    main()
