"""Compiled programs on disk."""

import os
import subprocess
import sys

import pytest

import deepinit as di
from deepinit.core.errors import SpecError

SESSION = """
import sys
import jax
import deepinit as di

found = []
jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
jax.jit(lambda x: x + 1)(1.0)  # JAX has compiled before
print(di.use_compile_cache(*sys.argv[1:]))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
di.simulate(di.MLP((4, 4)), di.quantities.nngp, di.inputs.ones(3), num_seeds=4)
print(sum(event.endswith("cache_hits") for event in found))
"""


def session(tmp_path, *arguments):
    home = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMP")}
    home.update(XDG_CACHE_HOME=str(tmp_path / "home"))
    command = [sys.executable, "-c", SESSION, *arguments]
    out = subprocess.run(command, env=home, capture_output=True, text=True, check=True).stdout
    directory, hits = out.split()
    return directory, int(hits)


@pytest.mark.slow
def test_a_second_session_reads_what_the_first_compiled(tmp_path):
    directory, hits = session(tmp_path, str(tmp_path / "own"))
    assert directory == str(tmp_path / "own")
    assert hits == 0
    assert any((tmp_path / "own").iterdir())
    assert session(tmp_path, str(tmp_path / "own"))[1] > 0
    assert not (tmp_path / "home").exists()
    assert session(tmp_path)[0] == str(tmp_path / "home" / "deepinit" / "jax")


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for given in (tmp_path / "file", tmp_path / "file" / "inside", 3, ""):
        with pytest.raises(SpecError, match=r"use_compile_cache"):
            di.use_compile_cache(given)
