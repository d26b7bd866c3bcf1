"""Progress where there is no terminal: notebooks, files."""

import sys

import pytest

from deepinit.core import progress


@pytest.fixture
def notebook(monkeypatch):
    """rich takes the process for a notebook without widgets."""
    import rich.console

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setenv("FORCE_COLOR", "1")


def test_a_notebook_without_widgets_has_plain_lines(notebook, monkeypatch, capsys, recwarn):
    seconds = iter([0.0, 1.0, 11.0, 12.0, 13.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    with progress.bar("networks") as report:
        report(1, 4)  # within ten seconds: nothing
        report(2, 4)
        report(4, 4)
    out = capsys.readouterr()
    assert out.out == ""
    lines = out.err.splitlines()
    assert lines == ["networks: 50% done, 11 s, about 11 s left", "networks: 100% done, 12 s"]
    assert [str(each.message) for each in recwarn if "widget" in str(each.message)] == []
