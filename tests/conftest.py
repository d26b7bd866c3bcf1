"""Settings of all tests: compilation cache, markers of parameter sets, a finished run."""

import os
import pathlib
import shutil
import signal

import pytest
import shape_checks
from paths import TINY_EXPERIMENT

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # started by `pytest &` or nohup: a run would keep ignoring it
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling dominates small shapes: without XLA's expensive passes the suite takes two thirds of
# the time. Outside the suite everything uses full optimization.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".jax_cache")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")

shape_checks.install()  # before deepinit is imported

_DURATIONS = {
    "not slow and not exhaustive": "6 minutes",
    "slow": "1 hour",
    "slow and not exhaustive": "32 minutes",
    "exhaustive": "1 hour",
}


def pytest_sessionstart(session):
    """Print how long a whole suite takes on two quiet cores."""
    config = session.config
    whole = config.args == config.getini("testpaths") and not hasattr(config, "workerinput")
    duration = _DURATIONS.get(config.option.markexpr)
    if whole and duration and not config.option.collectonly:
        print(f"These tests take about {duration} on two quiet cores.", flush=True)  # noqa: T201


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items):
    """`slow_cases(*ids)` and `exhaustive_cases(*ids)` mark those parameter sets of a test."""
    for item in items:
        for mark in ("slow", "exhaustive"):
            for cases in item.iter_markers(f"{mark}_cases"):
                if item.callspec.id in cases.args:
                    item.add_marker(mark)


# Linux allows a process 65 530 memory maps; compiled functions take several each.
_MOST_MAPS = {"within a file": 40_000, "between files": 15_000}


def pytest_runtest_teardown(item, nextitem):
    """Free compiled functions before a process runs out of memory maps."""
    maps = pathlib.Path("/proc/self/maps")
    if not maps.exists():
        return
    within = nextitem is not None and nextitem.path == item.path
    most = _MOST_MAPS["within a file" if within else "between files"]
    if len(maps.read_bytes().splitlines()) > most:
        import jax

        jax.clear_caches()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of the tiny experiment, in four blocks; to be read only."""
    from deepinit.cli import main

    folder = tmp_path_factory.mktemp("runs") / "finished"
    tiny = TINY_EXPERIMENT
    with pytest.raises(SystemExit) as end:
        main(["run", str(tiny), "--out", str(folder), "--block-size", "100"])
    assert end.value.code == 0
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """A finished run of its own to damage."""
    return shutil.copytree(finished, tmp_path / "copied")
