"""`deepinit new`: the experiment that it writes runs."""

import pytest

from deepinit.cli import main
from deepinit.core.errors import ConflictError, SpecError
from deepinit.runs import load
from deepinit.runs.template import write_experiment


def ends(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


@pytest.mark.slow
def test_a_new_experiment_runs_and_its_checks_hold(tmp_path, capsys):
    assert ends("new", "spread_of_norms", "--folder", tmp_path) == 0
    folder = tmp_path / "spread_of_norms"
    small = ("--config.num-seeds", 300, "--config.widths", 16, 64)
    assert ends("run", folder, "--out", tmp_path / "out", *small) == 0
    printed = capsys.readouterr().out
    assert "Spread of the last layer" in printed
    assert "relu-w16" in printed
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_template_loads_under_its_new_name(tmp_path):
    folder = write_experiment("mine", tmp_path)
    experiment = load.load_experiment(str(folder))
    assert experiment.name == "mine"
    assert len(experiment.cases(experiment.preset(None))) == 2


def test_names_and_folders_that_do_not_serve_are_refused(tmp_path):
    with pytest.raises(SpecError, match="letters, digits and underscores"):
        write_experiment("no name", tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(ConflictError, match="which exists"):
        write_experiment("taken", tmp_path)


def test_registered_experiments_are_known_and_run(tmp_path, monkeypatch):
    folder = write_experiment("registered_one", tmp_path)
    experiment = load.load_experiment(str(folder))

    class Point:
        name = "registered_one"
        load = staticmethod(lambda: experiment)

    monkeypatch.setattr(load.importlib.metadata, "entry_points", lambda group: [Point])
    assert "registered_one" in load.known_names()
    assert load.load_experiment("registered_one") is experiment


def test_a_typo_gets_a_suggestion():
    with pytest.raises(SpecError, match="Did you mean vanishing_angles"):
        load.load_experiment("vanishing_angels")
