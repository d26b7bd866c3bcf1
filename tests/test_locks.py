"""The locks: every direct dependency in a version that pyproject allows, and no addresses."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
LOCKS = {
    "requirements-runtime.lock": RUNTIME,
    "requirements.lock": [*RUNTIME, *PROJECT["dependency-groups"]["dev"]],
}


def problems(lock, requirements):
    """Direct dependencies that a lock lacks or pins to another version."""
    pins: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.+]+)", lock, re.M):
        pins.setdefault(name.lower(), []).append(Version(version))
    wanted = [Requirement(text) for text in requirements]
    return [
        str(each)
        for each in wanted
        if not pins.get(each.name.lower())
        or not all(each.specifier.contains(version) for version in pins[each.name.lower()])
    ]


@pytest.mark.parametrize("name", LOCKS)
def test_locks_fit_pyproject(name):
    lock = (ROOT / name).read_text()
    assert problems(lock, LOCKS[name]) == []
    assert problems(lock, ["jax>=99", "no-such-package"]) == ["jax>=99", "no-such-package"]
    assert "--hash=sha256:" in lock


@pytest.mark.parametrize("name", LOCKS)
def test_locks_name_no_host(name):
    assert not re.search(r"https?:|index-url|\.(org|com|net)\b", (ROOT / name).read_text())
