"""Errors of an experiment's own code: a sentence with file, line and error, never a traceback."""

import re
import sys

import pytest
from paths import TINY_EXPERIMENT

from deepinit import store
from deepinit.cli import main
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Experiment

TINY = (TINY_EXPERIMENT).read_text()

FAILING = {
    "cases": ("def cases(config):\n", "    raise KeyError('width')\n", "KeyError: 'width'"),
    "cases of none": (
        "def cases(config):\n",
        "    return None\n",
        "an object of type NoneType from cases()",
    ),
    "cases of numbers": ("def cases(config):\n", "    return (3,)\n", "3 in a list from cases()"),
    "cases that leave": ("def cases(config):\n", "    raise SystemExit(3)\n", "SystemExit: 3"),
    "cases that recur": ("def cases(config):\n", "    return cases(config)\n", "RecursionError"),
    "cases that read": ("def cases(config):\n", "    open('/no/such/file')\n", "FileNotFoundError"),
    "config": (
        "    angle: float = 1.0\n",
        "    def __post_init__(self):\n        1 / self.depth\n",
        "ZeroDivisionError",
    ),
    "figures": (
        "def figures(config, results):\n",
        "    results['tiny'].estimate[3]\n",
        "TypeError: ",
    ),
    "figures of none": (
        "def figures(config, results):\n",
        "    return None\n",
        "NoneType from figures()",
    ),
    "figures of text": (
        "def figures(config, results):\n",
        "    return 'tiny'\n",
        "an object of type str from figures()",
    ),
}


@pytest.fixture
def ended(capsys, monkeypatch):
    """Runs the command in this process: exit code and message."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        return end.value.code, capsys.readouterr().err

    yield run
    for name in [name for name in sys.modules if name.startswith("deepinit_experiment")]:
        del sys.modules[name]


def written(folder, after, text):
    """An experiment's file with a line put in, and the number of that line's last."""
    assert after in TINY
    begin = TINY.index(after) + len(after)
    file = folder / "mine.py"
    file.write_text(TINY[:begin] + text + TINY[begin:])
    return file, TINY[:begin].count("\n") + text.count("\n")


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.slow_cases("figures", "figures of none", "figures of text")
@pytest.mark.exhaustive_cases("figures")
def test_an_error_of_own_code_is_a_sentence(ended, tmp_path, name):
    after, text, said = FAILING[name]
    file, line = written(tmp_path, after, text)
    options = ["--config.depth", "0"] if name == "config" else []
    code, message = ended("run", file, "--out", tmp_path / "run", "--block-size", "200", *options)
    assert code == 2
    assert "Traceback" not in message
    assert said in message
    if "from" not in said:
        assert re.search(rf"mine\.py, line {line}\)", message), message


@pytest.mark.slow
def test_figures_mended_after_a_failure_conclude_the_same_run(ended, tmp_path):
    file, _ = written(tmp_path, "def figures(config, results):\n", "    raise ValueError\n")
    run = ["run", file, "--out", tmp_path / "run", "--block-size", "200"]
    code, message = ended(*run)
    assert (code, "finished blocks are kept" in message) == (2, True)
    blocks = store.finished_blocks(store.load_run(tmp_path / "run"))
    assert len(blocks) == 3
    code, message = ended(*run, "--traceback")
    assert code == 2
    assert message.index("Traceback (most recent call last)") < message.index("mine.py")
    file.write_text(TINY)
    assert ended(*run)[0] == 0
    assert store.verify(tmp_path / "run").ok


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "../x"}, "the name '../x'"),
        ({"presets": {}}, "no presets"),
        ({"presets": {"quick": {"width": 3}}}, "the preset 'quick', of type dict"),
        ({"cases": ()}, "cases of type tuple"),
        ({"figures": None}, "figures of type NoneType"),
    ],
)
def test_an_experiment_of_other_things_is_refused(change, said):
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Config:
        width: int = 3

    whole = {"name": "x", "presets": {"quick": Config()}, "cases": len, "figures": len}
    texts = {"title": "x", "citation": "", "question": ""}
    Experiment(**whole, **texts)
    with pytest.raises(SpecError, match=re.escape(said)):
        Experiment(**{**whole, **change}, **texts)
