"""Files in deploy/: their command lines are accepted; the sbatch script on every exit code."""

import os
import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from paths import ROOT

from deepinit.cli import main

DEPLOY = ROOT / "deploy"
ARRAY = DEPLOY / "slurm" / "array.sbatch"
MANIFESTS = sorted(DEPLOY.glob("**/*.yaml"))
SCRIPTS = sorted([*DEPLOY.glob("**/*.sbatch"), *DEPLOY.glob("**/*.sh")])
ALL_FILES = sorted(
    path for path in DEPLOY.glob("**/*") if path.is_file() and path.suffix not in {".pyc", ".py"}
)
VARIABLES = {
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_ARRAY_TASK_COUNT": "16",
    "JOB_COMPLETION_INDEX": "15",
    "@": "vanishing_angles --preset full --out runs/full",
}
COMMAND = re.compile(r"\bdeepinit (?:run|merge|show|verify) [^\n`]*")


def substituted(text):
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace('"$@"', VARIABLES["@"])
    return re.sub(r"\$\{?(\w+)\}?", lambda match: VARIABLES[match[1]], text)


def documents(manifest):
    return list(yaml.safe_load_all(manifest.read_text()))


def jobs():
    return [
        (manifest, document)
        for manifest in MANIFESTS
        for document in documents(manifest)
        if document["kind"] == "Job"
    ]


def containers(job):
    return job["spec"]["template"]["spec"]["containers"]


def commands_of(job):
    """The words that a job's containers run."""
    for container in containers(job):
        words = [*container["command"], *container.get("args", [])]
        yield (
            shlex.split(substituted(words[2].removeprefix("exec ")))
            if words[:2] == ["/bin/sh", "-c"]
            else words
        )


def commands_in(path):
    """The deepinit command lines in a text file, without comments and shell operators."""
    text = re.sub(r"\\\n\s*", "", path.read_text()).replace("`deepinit", "\n`deepinit")
    text = re.sub(r"sbatch .*deploy/slurm/array\.sbatch", "deepinit run", text)
    for found in COMMAND.findall(text):
        line = re.split(r"\s+#|\s+[;&|>]|'$|\*\*|, |\. ", found)[0].rstrip("`',.;")
        if "..." not in line and len(line.split()) > 2:
            yield shlex.split(substituted(line))


def accepted(words, capsys):
    """Whether the command accepts this line. Runs are planned only; others find no run."""
    assert words[0] == "deepinit"
    arguments = [*words[1:], "--dry-run"] if words[1] == "run" else words[1:]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    if words[1] == "run":
        return end.value.code == 0
    return end.value.code == 2 and "run directory" in said.err


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the experiments and without any run."""
    for name in ("experiments", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.name)
def test_every_command_line_is_accepted(path, capsys, checkout):
    lines = list(commands_in(path)) if path.suffix != ".yaml" else []
    if path.suffix == ".yaml":
        lines = [
            words for manifest, job in jobs() if manifest == path for words in commands_of(job)
        ]
    refused = [line for line in lines if not accepted(line, capsys)]
    assert not refused
    if path.name in {
        "README.md",
        "array.sbatch",
        "slice.sh",
        "shards.yaml",
        "merge.yaml",
        "gke_slice.yaml",
    }:
        assert lines, "no command line was found"


def test_a_wrong_command_line_would_be_noticed(tmp_path, capsys, checkout):
    text = ARRAY.read_text().replace("--shard", "--shards")
    (tmp_path / "wrong.sbatch").write_text(text)
    assert not all(accepted(line, capsys) for line in commands_in(tmp_path / "wrong.sbatch"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifests_name_what_they_make_and_claim_the_same_volume(manifest):
    made = documents(manifest)
    assert all(
        document["apiVersion"] in {"v1", "batch/v1"} and document["metadata"]["name"]
        for document in made
    )
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for document in made
        if document["kind"] == "Job"
        for volume in document["spec"]["template"]["spec"]["volumes"]
    ]
    (volume,) = documents(DEPLOY / "kubernetes" / "runs_volume.yaml")
    assert set(claims) <= {volume["metadata"]["name"]}
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]


def test_every_shard_has_a_pod():
    (job,) = documents(DEPLOY / "kubernetes" / "shards.yaml")
    (words,) = commands_of(job)
    _, count = words[words.index("--shard") + 1].split("/")
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == int(count)


@pytest.mark.parametrize("name", ["kubernetes/shards.yaml", "tpu/gke_slice.yaml"])
def test_a_pod_that_stops_between_blocks_is_no_failure_and_one_in_conflict_ends_the_job(name):
    job = documents(DEPLOY / name)[-1]
    rules = job["spec"]["podFailurePolicy"]["rules"]
    by_code = {
        code: rule["action"]
        for rule in rules
        if "onExitCodes" in rule
        for code in rule["onExitCodes"]["values"]
    }
    assert by_code == {75: "Ignore", 2: "FailJob", 3: "FailJob", 4: "FailJob"}
    assert [rule["action"] for rule in rules if "onPodConditions" in rule] == ["Ignore"]
    assert (
        job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    )  # what a pod failure policy asks for


def test_a_slice_has_one_pod_per_host_and_they_find_each_other():
    service, job = documents(DEPLOY / "tpu" / "gke_slice.yaml")
    pod = job["spec"]["template"]["spec"]
    rows, columns = map(int, pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x"))
    (container,) = pod["containers"]
    chips = container["resources"]["limits"]["google.com/tpu"]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == rows * columns // chips
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}


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


def calls_of_array(folder, code, state):
    """Exit code and calls of the sbatch script, for a run's exit code and a job's state."""
    for name, body in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    own = {
        "SLURM_ARRAY_JOB_ID": "40",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_ARRAY_TASK_COUNT": "16",
        "SLURM_JOB_ID": "40",
    }
    own |= {
        "SLURM_CPUS_PER_TASK": "4",
        "CALLS": str(folder / "calls"),
        "RUN_CODE": str(code),
        "JOB_STATE": state,
    }
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    words = ["bash", str(ARRAY), "experiments/a file.py", "--preset", "full"]
    done = subprocess.run(words, env={**os.environ, **own, "PATH": path}, timeout=30)
    return done.returncode, (folder / "calls").read_text().splitlines()


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
