"""Standard streams whose reader has gone: every command ends quietly."""

import shutil
import subprocess
import sys

import pytest
from paths import TINY_EXPERIMENT

from deepinit import store

TINY = str(TINY_EXPERIMENT)

# Each command in a child, forked before JAX has threads; its output is a pipe that nobody reads.
PIPES = """
import os, sys
from deepinit import startup
from deepinit.cli import main
from deepinit.devices import use_all_cores
use_all_cores()
import h5netcdf, jax, matplotlib.figure, scipy.special, xarray
import deepinit.comparison, deepinit.ensembles.blocks, deepinit.plots
import deepinit.runs.execute, deepinit.runs.outcome, deepinit.runs.report

streams = [int(number) for number in sys.argv[1].split(",")]
for line in sys.argv[2:]:
    print(line, flush=True)
    child = os.fork()
    if not child:
        reader, writer = os.pipe()
        os.close(reader)
        for stream in streams:
            os.dup2(writer, stream)
        os.close(writer)
        startup.begin()
        code = 1
        try:
            main(line.split("|"))
        except SystemExit as leaving:
            code = leaving.code
        startup.end(code)
    print("code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

LINES = (
    "--help", "run|--help", "run|TINY|--config.help", "run|TINY|--dry-run", "run|TINY|--nonsense",
    "nonsense", "list", "show|BEGUN", "show|BEGUN|--json", "verify|BEGUN",
    "merge|TINY|--out|RUN|SIZE", "merge|TINY|--out|RUN|SIZE|--json",
    "run|TINY|--out|RUN|SIZE|--allow-mixed", "show|RUN", "show|RUN|--json",
    "verify|RUN", "verify|RUN|--repair", "verify|DAMAGED",
)  # fmt: skip
CODES = {"run|TINY|--nonsense": 2, "nonsense": 2, "verify|BEGUN": 4, "verify|DAMAGED": 4}


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["1", "1,2"])
@pytest.mark.exhaustive
def test_a08_a_broken_pipe_ends_quietly(copied, tmp_path, streams):
    damaged, begun = (shutil.copytree(copied, tmp_path / name) for name in ("damaged", "begun"))
    (damaged / "report.html").write_text("forged")
    (begun / "result.nc").unlink()
    names = {
        "TINY": TINY,
        "BEGUN": begun,
        "RUN": copied,
        "DAMAGED": damaged,
        "SIZE": "--block-size|100",
    }
    given = list(LINES)
    for name, value in names.items():
        given = [line.replace(name, str(value)) for line in given]
    done = subprocess.run(
        [sys.executable, "-c", PIPES, streams, *given],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for sign in ("Traceback", "Exception ignored", "BrokenPipe"):
        assert sign not in done.stderr
    codes = [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("code ")]
    assert dict(zip(LINES, codes, strict=True)) == {line: CODES.get(line, 0) for line in LINES}


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a08_a_run_whose_reader_has_gone_goes_on(tmp_path):
    out = tmp_path / "run"
    for line in (
        f"run {TINY} --dry-run --timed",
        f"run {TINY} --block-size 100 --out {out} --shard 0/2",
        f"run {TINY} --block-size 100 --out {out} --shard 1/2",
        f"merge {TINY} --block-size 100 --out {out}",
    ):
        shell = f"set -o pipefail; {sys.executable} -m deepinit {line} 2>{tmp_path}/err | true"
        assert subprocess.run(["bash", "-c", shell], timeout=200, check=False).returncode == 0
        said = (tmp_path / "err").read_text()
        assert "Traceback" not in said
        assert "Exception ignored" not in said
    assert store.verify(out).ok
    assert (out / "result.nc").is_file()
