"""What a session waits for: the README's table, a prediction, the command's smoke run.

    python benchmarks/first_result.py [--quick] [--out FILE] [--repeats 3]

The ten-line session from `import deepinit` to its table in a fresh process: with no compilation
cache, and with one that an earlier session filled. In the same process `di.predict` at first and
again, and at an angle not asked before. `deepinit run vanishing_angles --preset smoke` with an
empty cache. Processor seconds (user and system) of all threads, the least of the repeats: on two
idle cores the wait is at most that; load of others mostly adds to wall times, which are beside.
Checked before: the table's largest |z| of the most accurate theory is below 5, of infinite width
above; the run's exit code.
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

COLD, WARM, PREDICT, FIRST_PREDICT, SMOKE = 5.0, 3.0, 0.02, 0.5, 20.0  # goals in seconds

SESSION = """
import json, sys, time
width, depth, networks = map(int, sys.argv[1:])
seconds, took = time.process_time, {}
import deepinit as di

net = di.MLP(widths=(width,) * depth, activation=di.relu)
pair = di.inputs.pair(angle=0.1)
angle = di.quantities.log_sin2_angle
sim = di.simulate(net, angle, pair, num_seeds=networks, key=0)
start = seconds()
fin = di.predict(net, angle, pair)
took["first"] = seconds() - start
inf = di.infinite(net, angle, pair)
found = di.compare(sim, fin, inf)
print(found)
took["table"] = seconds()
for name, inputs in (("again", pair), ("another angle", di.inputs.pair(angle=0.2))):
    start = seconds()
    di.predict(net, angle, inputs)
    took[name] = seconds() - start
z = [float(abs(found.dataset["z"][i]).max()) for i in range(2)]
print(json.dumps({"z": z, **took}))
"""


def session(sizes: tuple[int, int, int], cache: str | None) -> dict[str, Any]:
    """A fresh process; `wall` includes the interpreter."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_")}
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false" if cache is None else "true"
    if cache is not None:
        environment["JAX_COMPILATION_CACHE_DIR"] = cache
        environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    command = [sys.executable, "-c", SESSION, *map(str, sizes)]
    wall, done = harness.seconds_of(
        lambda: subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    )
    return {**json.loads(done.stdout.splitlines()[-1]), "wall": wall}


def smoke_run(home: str) -> tuple[float, float]:
    """Processor seconds and wall time of the command, with an empty cache."""
    code = "import sys; from deepinit.cli import main; sys.exit(main())"
    options = ["run", "vanishing_angles", "--preset", "smoke", "--out", f"{home}/run"]
    environment = {**os.environ, "XDG_CACHE_HOME": f"{home}/cache"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    code_of_exit = subprocess.run(
        [sys.executable, "-c", code, *options], capture_output=True, env=environment, check=False
    ).returncode
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    harness.check("smoke run: exit code", code_of_exit, 0)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(__doc__, devices="")
    sizes = (32, 4, 2000) if options.quick else (256, 32, 5000)
    with tempfile.TemporaryDirectory(dir=report.folder) as home:
        cache = str(Path(home) / "jax")
        cold = [session(sizes, None) for _ in range(options.repeats)]
        theory, limit = cold[0]["z"]
        harness.check("largest |z| of the prediction", theory, 5.0)
        harness.reject("largest |z| of infinite width", limit, 5.0)
        session(sizes, cache)
        warm = [session(sizes, cache) for _ in range(options.repeats)]
        least = lambda runs, name: min(run[name] for run in runs)
        goals = None if options.quick else ("<=", COLD), None if options.quick else ("<=", WARM)
        for name, runs, goal in (("no cache", cold, goals[0]), ("filled cache", warm, goals[1])):
            report.add(f"session to its table, {name}", least(runs, "table"), "CPU s", goal)
            wall = f"session to its end, {name}, wall time"
            report.add(wall, least(runs, "wall"), "s")
        for name, goal in (("first", FIRST_PREDICT), ("again", PREDICT), ("another angle", None)):
            shown = f"di.predict, {name}"
            allowed = None if goal is None else ("<=", 1e3 * goal)
            report.add(shown, 1e3 * least(cold, name), "CPU ms", allowed)
        if not options.quick:
            runs = [smoke_run(f"{home}/{number}") for number in range(options.repeats)]
            report.add("smoke run, empty cache", min(runs)[0], "CPU s", ("<=", SMOKE))
            report.add("smoke run, empty cache, wall time", min(wall for _, wall in runs), "s")


if __name__ == "__main__":
    main()
