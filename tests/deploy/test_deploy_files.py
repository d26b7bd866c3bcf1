"""Files in deploy/: their command lines are accepted."""

import os
import re
import shlex
import subprocess

import pytest
import yaml
from paths import ROOT

from deepinit.cli import main

DEPLOY = ROOT / "deploy"
ARRAY = DEPLOY / "slurm" / "array.sbatch"
SKYPILOT = DEPLOY / "skypilot" / "shard.yaml"
MANIFESTS = sorted({*DEPLOY.glob("**/*.yaml")} - {SKYPILOT})
SCRIPTS = sorted([*DEPLOY.glob("**/*.sbatch"), *DEPLOY.glob("**/*.sh")])
ALL_FILES = sorted(
    path for path in DEPLOY.glob("**/*") if path.is_file() and path.suffix not in {".pyc", ".py"}
)
FILL = DEPLOY / "kubernetes" / "manifest.sh"
WORDS = ["vanishing_angles", "--preset", "full", "--out", "/runs/full"]
VARIABLES = {
    "SLURM_ARRAY_TASK_ID": "3",
    "SHARDS": "16",
    "JOB_COMPLETION_INDEX": "15",
    "SLICE": "15",
    "ARGUMENTS": "vanishing_angles --preset full",
    "out": "runs/full",
    "SHARD": "3/16",
    "@": "vanishing_angles --preset full --out runs/full",
}
COMMAND = re.compile(r"\bdeepinit (?:run|merge|show|verify) [^\n`]*")


def substituted(text):
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text).replace('"$@"', VARIABLES["@"])
    return re.sub(r"\$[{(]?(\w+)[})]?", lambda match: VARIABLES[match[1]], text)


def filled(manifest, shards, *words):
    """A manifest as it is applied: with the number of shards and the arguments."""
    command = ["sh", str(FILL), os.path.relpath(manifest, FILL.parent), str(shards), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def documents(manifest, shards=16, words=WORDS):
    text = manifest.read_text()
    if "ARGUMENTS," in text:
        text = filled(manifest, shards, *words)
    return list(yaml.safe_load_all(text))


def jobs():
    return [
        (manifest, document)
        for manifest in MANIFESTS
        for document in documents(manifest)
        if document.get("kind") in ("Job", "JobSet")
    ]


def job_spec(document):
    """The spec of a Job, or of the job that a JobSet repeats."""
    if document["kind"] == "Job":
        return document["spec"]
    (replicated,) = document["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]


def containers(job):
    return job_spec(job)["template"]["spec"]["containers"]


def commands_of(job):
    """The words that a job's containers run."""
    for container in containers(job):
        yield [substituted(word) for word in container["command"]]


def commands_in(path):
    """The deepinit command lines in a text file, without comments and shell operators."""
    text = re.sub(r"\\\n\s*", "", path.read_text()).replace("`deepinit", "\n`deepinit")
    text = re.sub(r"sbatch .*deploy/slurm/array\.sbatch", "deepinit run", text)
    text = re.sub(r"sbatch .*deploy/slurm/merge\.sbatch", "deepinit merge", text)
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
    is_manifest = path in MANIFESTS
    lines = list(commands_in(path)) if not is_manifest else []
    if is_manifest:
        lines = [
            words for manifest, job in jobs() if manifest == path for words in commands_of(job)
        ]
    refused = [line for line in lines if not accepted(line, capsys)]
    assert not refused
    if path.name in {
        "README.md",
        "array.sbatch",
        "merge.sbatch",
        "jobset.yaml",
        "shard.yaml",
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
    versions = {"v1", "batch/v1", "jobset.x-k8s.io/v1alpha2", "kueue.x-k8s.io/v1beta1"}
    assert all(
        document["apiVersion"] in versions and document["metadata"]["name"] for document in made
    )
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for document in made
        if document["kind"] in ("Job", "JobSet")
        for volume in job_spec(document)["template"]["spec"]["volumes"]
    ]
    (volume,) = documents(DEPLOY / "kubernetes" / "runs_volume.yaml")
    assert set(claims) <= {volume["metadata"]["name"]}
    assert volume["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("count", [1, 16, 200])
def test_every_shard_has_a_pod_and_their_number_is_given_once(count):
    (job,) = documents(DEPLOY / "kubernetes" / "shards.yaml", count)
    (words,) = commands_of(job)
    assert words[words.index("--shard") + 1] == f"15/{count}"
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == count
    (jobset,) = documents(DEPLOY / "tpu" / "jobset.yaml", count)
    (words,) = commands_of(jobset)
    assert words[words.index("--shard") + 1] == f"15/{count}"
    assert jobset["spec"]["replicatedJobs"][0]["replicas"] == count


def test_arguments_reach_the_pods_as_they_are_given():
    words = ["an experiment.py", "--out", '/runs/a "b" & c|d\\e', "--config.law", "normal"]
    for name in ("kubernetes/shards.yaml", "kubernetes/merge.yaml", "tpu/jobset.yaml"):
        (job,) = documents(DEPLOY / name, 4, words)
        (container,) = containers(job)
        assert container["command"][2:7] == words


@pytest.mark.parametrize("count", ["0", "x", "", "4x", "-1"])
def test_a_wrong_number_of_shards_is_refused(count):
    command = ["sh", str(FILL), "shards.yaml", count, *WORDS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    assert "number of shards" in done.stderr


def test_the_merge_has_the_devices_of_the_shards_and_the_limit_of_cpus_is_said():
    (shards,), (merge,) = (
        documents(DEPLOY / "kubernetes" / f"{name}.yaml") for name in ("shards", "merge")
    )
    resources = [containers(job)[0]["resources"] for job in (shards, merge)]
    assert resources[0] == resources[1]
    assert resources[0]["limits"]["cpu"]
    assert "env" not in containers(shards)[0]  # JAX's devices are counted by the cgroup's quota


def test_slices_are_queued_with_room_for_one_and_as_the_flavor_of_their_nodes():
    (jobset,) = documents(DEPLOY / "tpu" / "jobset.yaml")
    flavor, cluster_queue, queue = documents(DEPLOY / "tpu" / "kueue.yaml")
    pod = job_spec(jobset)["template"]["spec"]
    chips = pod["containers"][0]["resources"]["limits"]["google.com/tpu"]
    rows, columns = map(int, pod["nodeSelector"]["cloud.google.com/gke-tpu-topology"].split("x"))
    assert chips == rows * columns  # one host: a slice is a shard
    assert jobset["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == queue["metadata"]["name"]
    assert queue["spec"]["clusterQueue"] == cluster_queue["metadata"]["name"]
    (group,) = cluster_queue["spec"]["resourceGroups"]
    (used,) = group["flavors"]
    assert used["name"] == flavor["metadata"]["name"]
    assert used["resources"][0]["nominalQuota"] >= chips
    labels = flavor["spec"]["nodeLabels"]
    assert {name: pod["nodeSelector"][name] for name in labels} == labels


@pytest.mark.parametrize(
    "name", ["kubernetes/shards.yaml", "tpu/gke_slice.yaml", "tpu/jobset.yaml"]
)
def test_a_pod_that_stops_between_blocks_is_no_failure_and_one_in_conflict_ends_the_job(name):
    job = documents(DEPLOY / name)[-1]
    rules = job_spec(job)["podFailurePolicy"]["rules"]
    by_code = {
        code: rule["action"]
        for rule in rules
        if "onExitCodes" in rule
        for code in rule["onExitCodes"]["values"]
    }
    assert by_code == {75: "Ignore", 2: "FailJob", 3: "FailJob", 4: "FailJob"}
    assert [rule["action"] for rule in rules if "onPodConditions" in rule] == ["Ignore"]
    assert (
        job_spec(job)["template"]["spec"]["restartPolicy"] == "Never"
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
