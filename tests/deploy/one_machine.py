"""Test of `deploy/slurm/array.sbatch` on a one-machine SLURM: preemption, requeueing, resumption.

apt-get install --no-install-recommends slurmctld slurmd slurm-client munge     (Debian, Ubuntu)
python tests/deploy/one_machine.py                          (six minutes, two of them waiting)

Starts munged, slurmctld and slurmd with their own configuration on the loopback address, and stops
them at the end. Two partitions of low priority (SLURM kills at once, or after a grace time) and one
of high priority share one node of four nominal cores. Then

1.  a cancelled array stays cancelled;
2.  two arrays of two shards run, one in each partition of low priority, until a job of high
    priority takes the node;
3.  all four shards are requeued automatically and finish;
4.  no block is computed twice or changed, and the merged result has the bytes of one process;
5.  a worker leaves another run for good, `merge` names its shard, this shard alone is submitted
    again, and a job that waits for it merges.

Exit code 0 if all of that holds. Otherwise, or with --keep, the folder of runs and logs is kept.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loopback_slurm import MINUTE, NEEDED, Failure, command, field, report, require, slurm, wait

ROOT = Path(__file__).parents[2]
ARRAY = ROOT / "deploy" / "slurm" / "array.sbatch"
MERGE = ROOT / "deploy" / "slurm" / "merge.sbatch"
EXPERIMENT = [str(ROOT / "tests" / "support" / "tiny_experiment.py"), "--preset", "quick"]
SIZE = {"width": "256", "depth": "24", "linear-map": "explicit", "num-seeds": "800"}
WORK = [
    *EXPERIMENT,
    "--block-size",
    "20",
    *(word for name in SIZE for word in (f"--config.{name}", SIZE[name])),
]
SHARDS = 2
CORES = "1"  # of a task and of the undisturbed process: device counts differ by rounding


def main() -> int:
    """Run the test; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the folder with the runs and the logs"
    )
    keep = parser.parse_args().keep
    os.environ["PATH"] = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
    )
    lacking = [name for name in (*NEEDED, "deepinit") if shutil.which(name) is None]
    if lacking:
        sys.stderr.write(f"not installed: {', '.join(lacking)}. {__doc__.splitlines()[2]}\n")
        return 5
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    folder = Path(tempfile.mkdtemp(prefix="deepinit-slurm-"))
    folder.chmod(0o755)  # munged wants its socket to be reachable for all
    try:
        rehearse(folder)
    except (Failure, subprocess.CalledProcessError) as error:
        stderr = getattr(error, "stderr", None) or ""
        report(f"RESULT: FAILED: {error}\n{stderr}Runs and logs are in {folder}")
        return 1
    report("RESULT: cancelled for good; preempted, requeued, resumed, the same bytes")
    if keep:
        report(f"runs and logs are in {folder}")
    else:
        shutil.rmtree(folder)
    return 0


def rehearse(folder: Path) -> None:
    """One undisturbed process, then disturbed arrays on SLURM."""
    report("one process, undisturbed")
    os.environ["JAX_NUM_CPU_DEVICES"] = CORES
    whole = folder / "whole"
    command(["deepinit", "run", *WORK, "--out", str(whole)])
    blocks = finished_blocks(whole)
    report(f"  {len(blocks)} blocks")
    with slurm(folder):
        rehearse_cancelling(folder)
        rehearse_leaving_and_joining(folder, whole)
        runs = {partition: folder / partition for partition in ("abrupt", "graceful")}
        jobs = {partition: submit(partition, runs[partition]) for partition in runs}
        wait(
            "blocks of every shard",
            lambda: all(shards_with_blocks(run) == SHARDS for run in runs.values()),
        )
        sbatch = ["sbatch", "--parsable", "--partition=urgent", "--cpus-per-task=4"]
        urgent = command([*sbatch, "--output=/dev/null", "--wrap=sleep 5"]).strip()
        report("a job of high priority asks for the node")
        tasks = [f"{job}_{shard}" for job in jobs.values() for shard in range(SHARDS)]
        wait(
            "all tasks to be queued again",
            lambda: all(field(task, "Restarts") == "1" for task in tasks),
        )
        wait("the job of high priority", lambda: field(urgent, "JobState") == "COMPLETED")
        kept = {partition: finished_blocks(run) for partition, run in runs.items()}
        for partition, done in kept.items():
            finished = f"{len(done)} of {len(blocks)} blocks finished"
            report(f"  {partition}: both shards requeued, {finished}")
            require(0 < len(done) < len(blocks), "the arrays were to be preempted in their midst")
        report("SLURM starts queued jobs again after two minutes")
        wait(
            "all tasks to end",
            lambda: all(field(task, "JobState") in ENDED for task in tasks),
            8 * MINUTE,
        )
        for task in tasks:
            names = ("JobState", "ExitCode", "Restarts")
            state, code, restarts = (field(task, name) for name in names)
            text = f"task {task}: {state}, exit code {code}, restarts {restarts}"
            report(f"  {text}")
            require((state, code, restarts) == ("COMPLETED", "0:0", "1"), text)
    for partition, run in runs.items():
        check(partition, run, kept[partition], whole)


def rehearse_cancelling(folder: Path) -> None:
    """The script does not requeue a cancelled array."""
    job = submit("abrupt", folder / "cancelled")
    wait("a block", lambda: shards_with_blocks(folder / "cancelled") >= 1)
    command(["scancel", job])
    wait("the cancelled array to end", lambda: not command(["squeue", "--noheader"]).strip())
    time.sleep(5)
    states = [field(f"{job}_{shard}", "JobState") for shard in range(SHARDS)]
    report(f"a cancelled array: {', '.join(states)}")
    require(states == ["CANCELLED"] * SHARDS, "a cancelled array must stay cancelled")


def rehearse_leaving_and_joining(folder: Path, whole: Path) -> None:
    """One task of an array is cancelled; its shard is named, and submitted by itself."""
    run = folder / "elastic"
    job = submit("abrupt", run)
    wait("blocks of both", lambda: shards_with_blocks(run) == SHARDS)
    command(["scancel", f"{job}_1"])
    wait("the other to end", lambda: field(f"{job}_0", "JobState") in ENDED, 4 * MINUTE)
    merged = subprocess.run(
        ["deepinit", "merge", *WORK, "--out", str(run)], capture_output=True, text=True, check=False
    )
    require(merged.returncode == 3, f"merging ended with {merged.returncode}")
    require("--shard 1/2" in merged.stderr, f"merging said {merged.stderr}")
    report(f"a worker left: {len(finished_blocks(run))} blocks; merge names --shard 1/2")
    wrong = submit("abrupt", run, "1")
    wait("the array without SHARDS", lambda: field(f"{wrong}_1", "JobState") in ENDED)
    require(field(f"{wrong}_1", "ExitCode") == "2:0", "an incomplete array without SHARDS ran")
    os.environ["SHARDS"] = str(SHARDS)
    again = submit("abrupt", run, "1")
    del os.environ["SHARDS"]
    words = ["sbatch", "--parsable", f"--dependency=afterok:{again}", f"--cpus-per-task={CORES}"]
    words += ["--time=10", f"--output={folder}/elastic-merge.log", str(MERGE), *WORK]
    merge = command([*words, "--out", str(run)]).strip()
    wait("the merge", lambda: field(merge, "JobState") in ENDED, 6 * MINUTE)
    require(field(merge, "ExitCode") == "0:0", "the merge that waited failed")
    require_same_bytes("elastic", run, whole)
    report("another joined for shard 1/2 alone; merged by afterok; the same bytes")


def require_same_bytes(name: str, run: Path, whole: Path) -> None:
    """Blocks and result are those of the undisturbed run."""
    files = {path.relative_to(whole) for path in whole.glob("blocks/**/*.npz")}
    differing = [
        str(file)
        for file in sorted(files | {Path("result.nc")})
        if (run / file).read_bytes() != (whole / file).read_bytes()
    ]
    require(not differing, f"{name}: {len(differing)} files differ, as {differing[:1]}")


def check(partition: str, run: Path, kept: dict[str, tuple[int, bytes]], whole: Path) -> None:
    """The journal, the blocks and the merged result of an array that was preempted."""
    log = "".join(file.read_text() for file in run.parent.glob(f"{partition}-*.log"))
    stopped = log.count("Stopped by SIGTERM after a finished block")
    require(
        stopped == SHARDS,
        f"{partition}: {stopped} shards stopped after a finished block, not {SHARDS}",
    )
    journal = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    restarts = sorted(
        (event["shard"], event["record"]["environment"].get("SLURM_RESTART_COUNT", "0"))
        for event in journal
        if event["event"] == "provenance"
    )
    expected = sorted(
        (f"{shard}/{SHARDS}", count) for shard in range(SHARDS) for count in ("0", "1")
    )
    require(restarts == expected, f"{partition}: provenance has the starts {restarts}")
    names = [
        event["name"]
        for event in journal
        if event["event"] == "block" and not event["name"].endswith("/plan")
    ]
    require(len(names) == len(set(names)), f"{partition}: blocks were computed twice")
    now = finished_blocks(run)
    require(
        all(now[name] == kept[name] for name in kept), f"{partition}: finished blocks were touched"
    )
    command(["deepinit", "merge", *WORK, "--out", str(run)])
    require_same_bytes(partition, run, whole)
    report(f"{partition}: {len(kept)} blocks kept, {len(now) - len(kept)} added; the same bytes")


ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


def submit(partition: str, run: Path, tasks: str = f"0-{SHARDS - 1}") -> str:
    """Submit an array; returns its number."""
    return command(
        [
            "sbatch",
            "--parsable",
            f"--array={tasks}",
            f"--partition={partition}",
            f"--cpus-per-task={CORES}",
            "--time=30",
            f"--output={run.parent}/{run.name}-%a.log",
            str(ARRAY),
            *WORK,
            "--out",
            str(run),
        ]
    ).strip()


def finished_blocks(run: Path) -> dict[str, tuple[int, bytes]]:
    """Name -> (time of writing, bytes) of each block."""
    return {
        file.name: (file.stat().st_mtime_ns, file.read_bytes())
        for file in run.glob("blocks/tiny/0*.npz")
    }


def shards_with_blocks(run: Path) -> int:
    """Number of shards with three finished blocks."""
    journal = run / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    return sum(
        sum('"event":"block"' in line and f'"shard":"{shard}/' in line for line in lines) >= 3
        for shard in range(SHARDS)
    )


if __name__ == "__main__":
    sys.exit(main())
