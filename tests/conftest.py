"""One setting for all tests: a persistent compilation cache, and eight simulated devices for the engine's tests."""

import os
import pathlib
import shutil
import signal

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started by `pytest &` or nohup: a run would keep ignoring it
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Compiling dominates small shapes: without XLA's expensive passes the suite takes two thirds of the time. Outside the suite
# everything uses full optimization.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(__file__).parents[1] / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """Tests of measured length: those in `long_tests.txt` take more than a second of a core, those in `exhaustive_tests.txt` up to minutes.

    Every file keeps others that run in the gate.
    """
    for file, mark in (("long_tests.txt", pytest.mark.slow), ("exhaustive_tests.txt", pytest.mark.exhaustive)):
        names = set((pathlib.Path(__file__).parent / file).read_text().splitlines())
        for item in items:
            if item.nodeid in names:
                item.add_marker(mark)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of the tiny experiment, in four blocks; to be read only."""
    from deepinit.cli import main

    folder = tmp_path_factory.mktemp("runs") / "finished"
    tiny = pathlib.Path(__file__).parent / "engine" / "tiny_experiment.py"
    with pytest.raises(SystemExit) as end:
        main(["run", str(tiny), "--out", str(folder), "--block-size", "100"])
    assert end.value.code == 0
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """A finished run of its own to damage."""
    return shutil.copytree(finished, tmp_path / "copied")
