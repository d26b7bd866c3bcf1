"""The command where a package is missing, a name misspelt, a terminal narrow."""

import fcntl
import os
import pty
import struct
import sys
import termios

import pytest

from deepinit.core.inputs import rows


def test_an_experiment_asks_for_the_extra_that_it_needs(refused, monkeypatch):
    monkeypatch.setattr(rows.importlib.util, "find_spec", lambda name: None)
    rows.images.cache_clear()
    try:
        message = refused(5, "run", "kernel_inference", "--preset", "smoke", "--dry-run")
    finally:
        rows.images.cache_clear()
    assert "pip install 'deepinit[data]'" in message


def test_a_misspelt_experiment_is_answered_by_the_nearest_name(refused):
    assert refused(2, "run", "vanishing_angle").endswith("Did you mean vanishing_angles?")
    assert "`deepinit list` prints the names." in refused(2, "run", "qqq")


def in_terminal(columns, *arguments):
    """Lines of the command's output in a terminal of so many columns."""
    child, terminal = pty.fork()
    if child == 0:
        command = [sys.executable, "-m", "deepinit", *arguments]
        # an environment of its own: readline sets COLUMNS behind Python's back
        os.execve(command[0], command, {**os.environ, "COLUMNS": "0"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    output = b""
    try:
        while data := os.read(terminal, 65536):
            output += data
    except OSError:  # the child closed its side
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return output.decode().replace("\r", "").splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80])
def test_the_list_of_experiments_fits_a_narrow_terminal(columns):
    lines = in_terminal(columns, "list")
    table = lines[: next(k for k, line in enumerate(lines) if line.startswith("Minutes"))]
    assert max(map(len, table)) <= columns
    text = " ".join(" ".join(table).replace("│", " ").split())
    for name in ("vanishing_angles", "kernel_corrections", "trainability_study"):
        assert name in text
    if columns == 40:
        assert "how many are there, and when do weights not condense?" in text
