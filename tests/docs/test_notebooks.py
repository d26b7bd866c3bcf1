"""The notebooks: committed without outputs, run from top to bottom."""

import json

import pytest
from paths import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def cells(notebook):
    return [
        cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"
    ]


def test_notebooks_have_no_outputs():
    assert len(NOTEBOOKS) >= 2
    for notebook in NOTEBOOKS:
        assert all(not cell["outputs"] and not cell["execution_count"] for cell in cells(notebook))


@pytest.mark.slow
@pytest.mark.exhaustive_cases("will_it_train")  # a minute; the site's build runs it too
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_notebooks_run(notebook, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for number, cell in enumerate(cells(notebook), 1):
        code = "".join(cell["source"])
        exec(compile(code, f"{notebook.name}, cell {number}", "exec"), names)
