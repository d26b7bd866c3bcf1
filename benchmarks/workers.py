"""Balance of a run of unequal cases over workers: the busiest worker over the mean.

    python benchmarks/workers.py [--quick] [--out FILE] [--repeats 1]

The file is its own experiment. Checked before: four shards, merged, and a pool of four processes
end with the bytes of one process. Measured in CPU seconds, so that two cores do for four workers;
the ideal is the sum over four. Simulated with 64 workers, by costs alone: the longest share over
the ideal, and the same of the rival, every 64th block of each case.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import harness
import numpy as np

import deepinit as di
from deepinit.runs.experiment import Case, Experiment
from deepinit.runs.work import COMPILE_COST, Work, block_sizes, shares

GOAL = 1.2
WORKERS = 4
MANY = 64


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    networks: int = 12_000
    """Of the narrowest case; others have fewer."""
    widths: tuple[int, ...] = (16, 48, 96, 256)
    """A case for every width."""


def cases(config: Config) -> tuple[Case, ...]:
    """Few wide networks, many narrow ones, whose weights are drawn in full."""
    pair, angle = di.inputs.pair(1.0), di.quantities.log_sin2_angle
    return tuple(
        Case(
            f"w{width}",
            di.MLP((width,) * 8),
            angle,
            pair,
            max(8, config.networks // (number + 1)),
            ("second_order",),
            linear_map="explicit",
        )
        for number, width in enumerate(config.widths)
    )


EXPERIMENT = Experiment(
    name="workers",
    title="Unequal cases, shared",
    presets={"default": Config(), "quick": Config(200, (8, 16))},
    cases=cases,
    figures=lambda config, results: [],
    citation="@misc{none}",
    question="Are four workers busy for the same time?",
)


def command(*arguments: str) -> float:
    """CPU seconds of a `deepinit` command; exits where it fails."""
    (seconds,) = commands([arguments])
    return seconds


def commands(lines: list[tuple[str, ...]]) -> list[float]:
    """CPU seconds of several at the same time."""
    words = [sys.executable, "-m", "deepinit"]
    started = [
        subprocess.Popen([*words, *line], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for line in lines
    ]
    seconds = []
    for process in started:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        harness.check(f"exit code of deepinit {lines[0][0]}", process.returncode, 0)
        seconds.append(usage.ru_utime + usage.ru_stime)
    return seconds


def contents(folder: Path) -> dict[str, bytes]:
    """Blocks and the result."""
    files = [*folder.glob("blocks/**/*.npz"), folder / "result.nc"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def pool_seconds(folder: Path) -> list[float]:
    """CPU seconds of every worker of an executor, from the journal."""
    seconds: Counter[int] = Counter()
    for line in (folder / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "task":
            seconds[event["pid"]] += event["seconds"]
    return list(seconds.values())


def real_part(report: harness.Report, preset: str) -> None:
    """Four shards and a pool of four processes."""
    run = [str(Path(__file__).resolve()), "--preset", preset, "--out"]
    with tempfile.TemporaryDirectory(dir=report.folder) as home:
        alone, shared, pool = (Path(home) / name for name in ("alone", "shared", "pool"))
        whole = command("run", *run, str(alone))
        names = [f"{number}/{WORKERS}" for number in range(WORKERS)]
        busy = {"shards": commands([("run", *run, str(shared), "--shard", n) for n in names])}
        command("merge", *run, str(shared))
        command("run", *run, str(pool), "--executor", f"process:{WORKERS}")
        busy["processes of a pool"] = pool_seconds(pool)
        for name, folder in (("shards", shared), ("pool", pool)):
            differs = contents(folder) != contents(alone)
            harness.check(f"bytes of {WORKERS} {name} against one process", float(differs), 0.0)
    for name, seconds in busy.items():
        harness.check(f"{name} that computed", len(seconds) - WORKERS, 0)
        ratio = max(seconds) / (sum(seconds) / WORKERS)
        report.add(f"busiest of {WORKERS} {name} / mean", ratio, "x", ("<=", GOAL), preset=preset)
    report.add(f"{WORKERS} shards / one process, CPU", sum(busy["shards"]) / whole, "x")


def simulated_part(report: harness.Report) -> None:
    """The longest of 64 shares, by costs."""
    chance = np.random.default_rng(0)
    costs = 10 ** chance.uniform(3, 7, 40)
    networks = chance.integers(200, 20_000, 40)

    class Sized:
        def __init__(self, cost: float, num_seeds: int) -> None:
            self.cost, self.num_seeds = cost, num_seeds

    sized: Any = [Sized(*each) for each in zip(costs, networks, strict=True)]
    works = [
        Work(-(-case.num_seeds // size), size * case.cost)
        for case, size in zip(sized, block_sizes(sized, MANY), strict=True)
    ]
    parts = shares(works, MANY)
    count = sum(part.last - part.first for share in parts for part in share)
    harness.check("blocks in all shares", count - sum(work.num_blocks for work in works), 0)
    ideal = sum(COMPILE_COST + work.num_blocks * work.cost for work in works) / MANY
    longest = max(
        sum(COMPILE_COST + (part.last - part.first) * works[part.case].cost for part in share)
        for share in parts
    )
    strided = max(
        sum(
            COMPILE_COST + len(range(worker, work.num_blocks, MANY)) * work.cost
            for work in works
            if worker < work.num_blocks
        )
        for worker in range(MANY)
    )
    harness.reject("longest of 64 shares by stride / ideal - 1", strided / ideal - 1, GOAL - 1)
    report.add(f"longest of {MANY} shares / ideal, simulated", longest / ideal, "x", ("<=", GOAL))
    report.add(f"longest of {MANY} strides / ideal, simulated", strided / ideal, "x")


def main() -> None:
    """Simulated, then real."""
    options, report = harness.begin(__doc__, repeats=(1, 1), devices="")
    simulated_part(report)
    real_part(report, "quick" if options.quick else "default")


if __name__ == "__main__":
    main()
