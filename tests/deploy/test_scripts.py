"""Scripts of `deploy`, run with stand-ins for the programs that they call."""

import os
import shutil
import subprocess
import tomllib

import pytest
import yaml
from paths import ROOT

DEPLOY = ROOT / "deploy"
WORDS = ["vanishing_angles", "--preset", "full", "--out", "/runs/full"]
ARRAY = DEPLOY / "slurm" / "array.sbatch"
SKYPILOT = DEPLOY / "skypilot" / "shard.yaml"
SCRIPTS = sorted([*DEPLOY.glob("**/*.sbatch"), *DEPLOY.glob("**/*.sh")])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_shell(script):
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", str(script)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(script)], check=True)


# Stand-ins for SLURM's commands: each records its call; srun has the exit code of the run.
STAND_INS = {
    "srun": 'echo "srun $*" >> "$CALLS"; exit "$RUN_CODE"',
    "scontrol": 'echo "scontrol $*" >> "$CALLS"',
    "squeue": 'echo "$JOB_STATE"',
}


def write_stand_ins(folder, bodies):
    for name, body in bodies.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)


def calls_of_array(folder, code, state, **variables):
    """Exit code and calls of the sbatch script, for a run's exit code and a job's state."""
    write_stand_ins(folder, STAND_INS)
    own = {
        "SLURM_ARRAY_JOB_ID": "40",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_ARRAY_TASK_COUNT": "16",
        "SLURM_ARRAY_TASK_MAX": "15",
        "SLURM_JOB_ID": "40",
    } | variables
    own |= {
        "SLURM_CPUS_PER_TASK": "4",
        "CALLS": str(folder / "calls"),
        "RUN_CODE": str(code),
        "JOB_STATE": state,
    }
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    words = ["bash", str(ARRAY), "experiments/a file.py", "--preset", "full"]
    done = subprocess.run(words, env={**os.environ, **own, "PATH": path}, timeout=30)
    calls = folder / "calls"
    return done.returncode, calls.read_text().splitlines() if calls.exists() else []


def test_an_array_task_runs_its_shard_with_all_its_cores(tmp_path):
    code, calls = calls_of_array(tmp_path, 0, "RUNNING")
    assert code == 0
    assert calls == [
        "srun --cpus-per-task=4 deepinit run experiments/a file.py --preset full --shard 3/16"
    ]


def test_only_its_own_task_is_queued_again(tmp_path):
    # SLURM_JOB_ID is 40 here, as is the array: by that number all 16 tasks would be queued again.
    code, calls = calls_of_array(tmp_path, 75, "RUNNING")
    assert code == 75
    assert calls[1:] == ["scontrol requeue 40_3"]


@pytest.mark.parametrize(
    ("code", "state"),
    [(75, "COMPLETING"), (75, ""), (2, "RUNNING"), (134, "RUNNING"), (6, "RUNNING")],
)
def test_cancelled_and_failed_tasks_are_not_queued_again(tmp_path, code, state):
    found, calls = calls_of_array(tmp_path, code, state)
    assert found == code
    assert len(calls) == 1


RESUBMITTED = {"SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MAX": "7"}  # --array=3,7


def test_shards_that_are_submitted_again_are_those_of_the_whole_array(tmp_path, capfd):
    code, calls = calls_of_array(tmp_path, 0, "RUNNING", **RESUBMITTED, SHARDS="16")
    assert code == 0
    assert calls[0].endswith(" --shard 3/16")
    # without the number of all shards, two of them would be taken for the whole
    (tmp_path / "calls").unlink()
    code, calls = calls_of_array(tmp_path, 0, "RUNNING", **RESUBMITTED)
    assert (code, calls) == (2, [])
    assert "SHARDS=16 sbatch --array=3,7" in capfd.readouterr().err


def test_the_merge_waits_for_the_array_and_has_its_cores(tmp_path):
    write_stand_ins(tmp_path, STAND_INS)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    own = {"SLURM_CPUS_PER_TASK": "4", "CALLS": str(tmp_path / "calls"), "RUN_CODE": "6"}
    words = ["bash", str(DEPLOY / "slurm" / "merge.sbatch"), *WORDS]
    done = subprocess.run(words, env={**os.environ, **own, "PATH": path}, timeout=30)
    assert done.returncode == 6
    assert (tmp_path / "calls").read_text() == (
        f"srun --cpus-per-task=4 deepinit merge {' '.join(WORDS)}\n"
    )
    assert "--dependency=afterok:$array" in (DEPLOY / "slurm" / "merge.sbatch").read_text()


GCLOUD = """
echo "$*" >> "$CALLS"
case "$*" in
*describe*) echo ACTIVE ;;
*ssh*) count=$(grep -c " ssh " "$CALLS"); set -- $CODES; shift $((count - 1)); exit "$1" ;;
esac
"""


@pytest.mark.parametrize(
    ("codes", "slices"), [("0", 1), ("255 75 0", 3), ("134 6", 2), ("2", 1), ("255 4", 2)]
)
def test_a_spot_slice_is_asked_for_again_until_the_run_ends(tmp_path, codes, slices):
    write_stand_ins(tmp_path, {"gcloud": GCLOUD})
    own = {"ZONE": "z", "TYPE": "v5litepod-16", "OUT": "/mnt/runs/tpu", "POLL_SECONDS": "0"}
    own |= {"CALLS": str(tmp_path / "calls"), "CODES": codes}
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    words = ["sh", str(DEPLOY / "tpu" / "spot.sh"), "slice"]
    done = subprocess.run(words, env={**os.environ, **own, "PATH": path}, timeout=30)
    assert done.returncode == int(codes.split()[-1])
    calls = (tmp_path / "calls").read_text().splitlines()
    assert sum(" create slice " in call and "--spot" in call for call in calls) == slices
    assert sum(" delete slice " in call for call in calls) == slices
    assert all("OUT=/mnt/runs/tpu sh deploy/tpu/slice.sh" in c for c in calls if " ssh " in c)


@pytest.mark.parametrize("code", [0, 75, 6])
def test_a_job_of_skypilot_copies_what_is_finished_and_ends_with_the_code_of_the_run(
    tmp_path, code
):
    task = yaml.safe_load(SKYPILOT.read_text())
    assert task["resources"]["use_spot"]
    assert task["file_mounts"]["/bucket"]["mode"] == "MOUNT"
    assert set(task["envs"]) == {"SHARD", "ARGUMENTS"}
    stand_ins = {"rsync": 'echo "rsync $*" >> "$CALLS"', "sleep": "exec /bin/sleep 0.2"}
    stand_ins["uv"] = f'echo "uv $*" >> "$CALLS"; /bin/sleep 0.5; exit {code}'
    write_stand_ins(tmp_path, stand_ins)
    run = task["run"].replace("/bucket", str(tmp_path / "bucket"))
    own = {"SHARD": "3/4", "ARGUMENTS": "vanishing_angles --preset full"}
    own |= {"CALLS": str(tmp_path / "calls"), "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", run], env={**os.environ, **own}, cwd=tmp_path, timeout=30)
    assert done.returncode == code
    calls = (tmp_path / "calls").read_text().splitlines()
    place = f"{tmp_path}/bucket/full/3-4/"
    assert calls[0] == f"rsync -a {place} runs/full/"
    assert "--out runs/full --shard 3/4 --repair" in calls[1]
    assert len(calls) >= 4
    assert set(calls[2:]) == {f"rsync -a --exclude=.* runs/full/ {place}"}


def test_the_example_of_submitit_names_parameters_that_it_has(tmp_path):
    submitit = pytest.importorskip("submitit")
    given = tomllib.loads((DEPLOY / "slurm" / "submitit.toml").read_text())
    executor = submitit.AutoExecutor(folder=tmp_path, cluster="debug")
    own = {"workers", "cluster", "folder", "platform"}
    executor.update_parameters(**{k: v for k, v in given.items() if k not in own})
    assert given["workers"] >= 1
    with pytest.raises(NameError):
        executor.update_parameters(nonsense=1)
