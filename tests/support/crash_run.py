"""A small run, what it leaves, and its system calls replaced."""

import os
from pathlib import Path

import numpy as np

from deepinit.store import has_block, open_run, read_block, write_block, write_outputs

IDENTITY = {"experiment": "crash", "seeds": 3}
CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "close")


def arrays(number, size=40):
    return {
        "x": np.random.default_rng(number).normal(size=size),
        "seed": np.arange(number, number + 3),
    }


def work(folder, num_blocks=2, size=40):
    """A run: the missing blocks, then the export."""
    with open_run(folder, IDENTITY) as run:
        names = [f"case/{number:03d}" for number in range(num_blocks)]
        for number, name in enumerate(names):
            if not has_block(run, name):
                write_block(run, name, arrays(number, size))
        total = sum(read_block(run, name)["x"].sum() for name in names)
        write_outputs(run, {"report.html": repr(float(total)).encode()})


def products(folder):
    """Everything but the journal, which has the history, and the locks."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(Path(folder).rglob("*"))
        if file.is_file() and file.name not in ("journal.jsonl", ".lock", "manifest.json")
    }


def counting(action):
    """System calls that change files, replaced by `action(number, name, call, arguments)`."""
    number = 0

    def replacement(name, call):
        def wrapped(*arguments, **keywords):
            nonlocal number
            if (
                name == "open"
                and arguments[1] & os.O_NOFOLLOW
                and not arguments[1] & (os.O_WRONLY | os.O_RDWR)
            ):
                return call(*arguments, **keywords)  # a file that is read
            number += 1
            action(number, name, call, arguments)
            return call(*arguments, **keywords)

        return wrapped

    return {name: replacement(name, getattr(os, name)) for name in CALLS}


def num_calls(folder, monkeypatch):
    seen = []
    with monkeypatch.context() as patch:
        for name, call in counting(lambda number, name, call, arguments: seen.append(name)).items():
            patch.setattr(os, name, call)
        work(folder)
    return seen
