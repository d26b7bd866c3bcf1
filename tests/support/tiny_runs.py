"""Runs of the smallest experiment by the command, in this process."""

import pytest
from paths import TINY_EXPERIMENT

from deepinit.cli import main

TINY = str(TINY_EXPERIMENT)


def deepinit(*arguments):
    """Exit code of the command, in this process."""
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    return end.value.code


def blocks(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.glob("blocks/**/*.npz")
    }
