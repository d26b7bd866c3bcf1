"""Documents: every file, module and link that they name exists."""

import importlib
import re

import pytest
from paths import ROOT

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/adding.md",
    "docs/glossary.md",
    "docs/diagnosis.md",
    "docs/sweeps.md",
    "docs/initializations.md",
    "docs/scaling_check.md",
]
TOPS = ("deepinit", "experiments", "tests", "benchmarks", "docs", "deploy")
WITHOUT_PATHS = ("docs/glossary.md", "docs/initializations.md", "docs/scaling_check.md")
EXAMPLES = {"deepinit/quantities/participation.py"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_exist(name):
    text = (ROOT / name).read_text()
    places = set(re.findall(r"[\w/.]+\.(?:py|md|bib|toml|cff)\b", text))
    found = 0
    for place in places - EXAMPLES:
        if place.startswith(TOPS) or (
            "/" not in place and (ROOT / place).suffix in (".md", ".cff")
        ):
            found += 1
            assert (ROOT / place).exists(), place
        elif "/" in place and "<" not in place:
            found += 1
            roots = ROOT / "deepinit", (ROOT / name).parent  # a module, or a link of the page
            assert any((root / place).exists() for root in roots), place
    assert found or name in WITHOUT_PATHS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_modules_exist(name):
    text = (ROOT / name).read_text()
    for dotted in set(re.findall(r"`(deepinit(?:\.\w+)+)`", text)):
        importlib.import_module(dotted)
