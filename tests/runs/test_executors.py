"""Executors: what they refuse; tasks of a pool of threads; lost tasks."""

import multiprocessing
import pickle
import socket
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)

import pytest
from paths import TINY_EXPERIMENT

from deepinit import store
from deepinit.cli import main
from deepinit.core.errors import DeepinitError, ResourceError, SpecError
from deepinit.runs import dispatch, executors, tasks
from deepinit.runs.crew import crew_of
from deepinit.runs.execute import Options, run
from deepinit.runs.load import load_experiment
from deepinit.runs.work import Work, pieces

TINY = str(TINY_EXPERIMENT)
CUT = Options(block_size=50)  # 8 blocks


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run without an executor."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    experiment = load_experiment(TINY)
    run(experiment, experiment.preset(None), folder, CUT)
    return folder


def run_by(executor, folder, **options):
    experiment = load_experiment(TINY)
    return run(experiment, experiment.preset(None), folder, CUT, executor=executor, **options)


def contents(folder):
    files = [*folder.glob("blocks/**/*.npz"), folder / "result.nc"]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def events(folder, kind):
    return [event for event in store.read_journal(folder) if event["event"] == kind]


def test_threads_end_with_the_bytes_of_a_run_without_an_executor(whole, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        outcome = run_by(pool, tmp_path / "run")
    assert outcome.report.is_file()
    assert contents(tmp_path / "run") == contents(whole)
    assert sum(event["blocks"] for event in events(tmp_path / "run", "task")) == 8
    assert store.verify(tmp_path / "run").ok
    assert not (tmp_path / "run" / tasks.MARKER).exists()
    with ThreadPoolExecutor(2) as pool:  # finished: nothing is computed
        run_by(pool, tmp_path / "run")
    assert len(events(tmp_path / "run", "start")) == 2


TERMINATED = BrokenExecutor("a process in the pool was terminated")


class Losing(Executor):
    """Runs tasks at once; the numbered ones are lost with their worker, after a block."""

    def __init__(self, lost, error=TERMINATED):
        self.lost, self.error, self.count = lost, error, 0

    def submit(self, function, *arguments):
        future = Future()
        self.count += 1
        if self.count in self.lost:
            future.set_exception(self.error)
        else:
            future.set_result(function(*arguments))
        return future


def test_lost_tasks_are_submitted_again_and_said(whole, tmp_path, capsys):
    run_by(Losing({2, 4, 5}), tmp_path / "run", workers=2)
    assert contents(tmp_path / "run") == contents(whole)
    said = capsys.readouterr().err
    assert "a worker was lost (BrokenExecutor: a process in the pool was terminated)" in said
    assert "3 of 3 tasks are submitted again; finished blocks are kept" in said


def test_workers_that_are_lost_again_and_again_end_the_run(tmp_path):
    with pytest.raises(ResourceError, match=r"lost 4 times without a new block .*Allowed: workers"):
        run_by(Losing(range(4, 1000)), tmp_path / "run", workers=2)
    assert len(list(tmp_path.glob("run/blocks/tiny/0*.npz"))) == 2
    with pytest.raises(ResourceError, match="lost before their first task"):
        run_by(Losing({1}), tmp_path / "other")


def test_an_executor_that_broke_is_made_again_where_a_function_makes_it():
    class Broken(Losing):
        def submit(self, function, *arguments):
            if self.lost:
                raise self.error
            return super().submit(function, *arguments)

    made = iter([Broken({1}), Broken(())])
    dispatcher = dispatch.Dispatcher(crew_of(lambda: next(made), 1))
    assert dispatcher.submit(len, "abc").result() == 3
    alone = dispatch.Dispatcher(crew_of(Broken({1}), 1))
    with pytest.raises(ResourceError, match="an executor that broke with its workers"):
        alone.submit(len, "abc")


@pytest.fixture
def task(whole, tmp_path):
    """A task of the finished run, as it is sent."""
    experiment = load_experiment(TINY)
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("spec.json", "journal.jsonl"):
        (folder / name).write_bytes((whole / name).read_bytes())
    (folder / tasks.MARKER).write_text("token")
    sent = dispatch.sent(experiment, experiment.preset(None))
    return {
        **sent, "out": str(folder), "token": "token", "environment": {}, "block_size": 50,
        "start": "0", "cache": None, "parts": [],
    }  # fmt: skip


def test_a_worker_of_another_version_refuses_in_words(task):
    answer = tasks.compute({**task, "environment": {"jax": "0.4.1", "deepinit": None}})
    assert answer["code"] == 3
    assert "where the run has 0.4.1" in answer["error"]
    assert "Install the same versions everywhere" in answer["error"]
    with pytest.raises(DeepinitError, match=r"where the run has 0\.4\.1") as told:
        dispatch._raise_told(answer)
    assert told.value.exit_code == 3


def test_the_first_worker_tells_the_device_where_none_was_asked_and_others_must_have_it(
    task, monkeypatch
):
    folder, versions = store.load_run(task["out"]).path, store.environment(None)
    asked = {**task, "environment": {name: v for name, v in versions.items() if v is not None}}
    tasks._RUNS.clear()
    assert tasks.compute(asked)["blocks"] == 0
    known = events(folder, "start")[-1]["environment"]["backend"]
    tasks._RUNS.clear()
    assert tasks.compute(asked)["blocks"] == 0  # another process with the same
    assert events(folder, "start")[-2]["environment"]["backend"] == known
    monkeypatch.setattr("deepinit.devices.backend", lambda: "gpu, H200, one device")
    tasks._RUNS.clear()
    answer = tasks.compute(asked)
    assert answer["code"] == 3
    assert f"with the device gpu, H200, one device, the first with {known}" in answer["error"]


def test_a_worker_that_does_not_see_the_run_directory_refuses_in_words(task, tmp_path):
    for changed in ({"out": str(tmp_path / "elsewhere")}, {"token": "of another start"}):
        answer = tasks.compute({**task, **changed})
        assert answer["code"] == 5
        assert "that does not see" in answer["error"]
    assert tasks.compute(task)["blocks"] == 0


def test_a_worker_with_another_experiment_refuses_in_words(task):
    other = load_experiment(TINY).preset("long")
    tasks._RUNS.clear()
    answer = tasks.compute({**task, "config": pickle.dumps(other)})
    assert answer["code"] == 3
    assert "whose tiny is another run" in answer["error"]


def test_errors_of_a_worker_are_told_and_a_bug_with_its_traceback(task):
    tasks._RUNS.clear()
    answer = tasks.compute({**task, "experiment": "nowhere.py"})
    assert (answer["code"], "nowhere.py" in answer["error"]) == (2, True)
    answer = tasks.compute({**task, "parts": None})
    assert answer["code"] == 1
    with pytest.raises(DeepinitError, match=r"A worker on .* failed"):
        dispatch._raise_told(answer)


@pytest.mark.parametrize(
    "text",
    ["threads", "process:0", "process:x", "dask", "dask://host", "dask://:1", "submitit", "ray:"],
)
def test_an_unknown_executor_is_refused_with_the_known_ones(text):
    with pytest.raises(SpecError, match=r"Allowed: process, process:N, dask://HOST:PORT, ray"):
        executors.opened(text).__enter__()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("dask://127.0.0.1:1", "pip install 'distributed'"),
        ("ray", "pip install 'ray'"),
        ("submitit:x.toml", "pip install 'submitit'"),
    ],
)
def test_an_engine_that_is_not_installed_is_refused_with_the_install_line(text, line, monkeypatch):
    for name in ("distributed", "ray", "submitit"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(SpecError, match=line):
        executors.opened(text).__enter__()


def test_an_address_that_does_not_answer_is_one_sentence(tmp_path, capsys):
    pytest.importorskip("distributed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(SystemExit) as end:
        main(
            ["run", TINY, "--out", str(tmp_path / "run"), "--executor", f"dask://127.0.0.1:{port}"]
        )
    assert end.value.code == 5
    said = capsys.readouterr().err
    assert f"dask://127.0.0.1:{port}, where no scheduler answers" in said
    assert "Traceback" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (None, "cannot be read"),
        ("workers = ", "is no TOML"),
        ("cluster = 'local'", "workers = None"),
        ("workers = 0", "workers = 0"),
        ("workers = 1\ncluster = 'local'\nnonsense = 3", "the parameters of submitit"),
        ("workers = 1\ncluster = 'moon'", "the parameters of submitit"),
    ],
)
def test_a_config_of_submitit_that_is_wrong_is_refused(tmp_path, text, match):
    pytest.importorskip("submitit")
    file = tmp_path / "jobs.toml"
    if text is not None:
        file.write_text(f"folder = '{tmp_path}'\n{text}")
    with pytest.raises(SpecError, match=match):
        executors.opened(f"submitit:{file}").__enter__()


def test_what_is_no_executor_and_a_pool_that_forks_are_refused(tmp_path):
    with pytest.raises(SpecError, match=r"executor=3. Allowed: a concurrent.futures.Executor"):
        run_by(3, tmp_path / "run")
    with pytest.raises(SpecError, match="a function that returns None"):
        run_by(lambda: None, tmp_path / "run")
    with (
        ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool,
        pytest.raises(SpecError, match=r"JAX's threads do not survive it\. Allowed: spawn"),
    ):
        run_by(pool, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_experiment_that_workers_cannot_find_is_refused(tmp_path):
    experiment = load_experiment(TINY)
    local = type(experiment)(
        "local", "t", experiment.presets, lambda config: (), experiment.figures, "", "q"
    )
    with pytest.raises(SpecError, match="which workers cannot find"):
        tasks.reference(local)
    with pytest.raises(SpecError, match="a config of tiny that cannot be sent"):
        dispatch.sent(experiment, lambda: 0)
    assert tasks.reference(experiment) == TINY
    shipped = load_experiment("vanishing_angles")
    assert load_experiment(tasks.reference(shipped)).name == "vanishing_angles"


def test_shards_and_executors_exclude_each_other(tmp_path, capsys):
    for other in (["--shard", "0/2"], ["--distributed"]):
        with pytest.raises(SystemExit) as end:
            main(["run", TINY, "--out", str(tmp_path / "run"), "--executor", "process", *other])
        assert end.value.code == 2
        assert "--executor with another of its kind" in capsys.readouterr().err
    experiment = load_experiment(TINY)
    with pytest.raises(SpecError, match="an executor for shard 0/2"):
        run(
            experiment, experiment.preset(None), tmp_path, Options(shard=(0, 2)),
            executor=ThreadPoolExecutor(1),
        )  # fmt: skip


def test_tasks_are_every_block_once_the_costliest_first_and_eight_for_every_worker():
    works = [Work(7, 1.0), Work(100, 30.0), Work(16, 20.0)]
    found = [part for (part,) in pieces(works, 8)]
    blocks = [(p.case, block) for p in found for block in range(p.first, p.last)]
    assert len(blocks) == len(set(blocks)) == 123
    costs = [(part.last - part.first) * works[part.case].cost for part in found]
    assert costs == sorted(costs, reverse=True)
    assert len(found) >= 64
    assert [part for part in found if part.case == 0] == [(0, 0, 7)]  # compiled by one worker
