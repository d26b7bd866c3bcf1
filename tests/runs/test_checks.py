"""Joint checks of several cases decide how a run ends; tables are stored, shown and printed."""

import dataclasses

import numpy as np
import pytest
from paths import TINY_EXPERIMENT

from deepinit.runs.execute import run
from deepinit.runs.experiment import Check
from deepinit.runs.load import load_experiment
from deepinit.runs.verdicts import headline


def falls(config, results):
    mean = results["tiny"].dataset["mean"].values[:, 0]
    return [
        Check(f"Over {config.depth} layers the angle shrinks.", bool(np.all(np.diff(mean) < 0)))
    ]


def rises(config, results):
    return [Check("The angle grows.", not falls(config, results)[0].held)]


@pytest.mark.parametrize(
    ("checks", "sentence", "failures"),
    [
        (falls, "Over 2 layers the angle shrinks.", ()),
        (rises, "The angle grows.", ("The angle grows.",)),
    ],
)
@pytest.mark.slow_cases("rises-The angle grows.-failures1")
@pytest.mark.exhaustive_cases("falls-Over 2 layers the angle shrinks.-failures0")
def test_joint_checks_are_reported_counted_and_decide(tmp_path, checks, sentence, failures):
    experiment = load_experiment(str(TINY_EXPERIMENT))
    config = dataclasses.replace(experiment.preset(None), num_seeds=50)
    outcome = run(dataclasses.replace(experiment, checks=checks), config, tmp_path / "run")
    assert outcome is not None
    assert outcome.failures == failures
    assert outcome.verdicts[0] == sentence
    headline = "1 of 1 checks FAILED: The angle grows." if failures else "All 1 checks"
    assert headline in (tmp_path / "run" / "report.html").read_text()


def test_the_headline_counts_joint_checks():
    assert headline((), []).startswith("Nothing was checked")
    assert "All 3 checks" in headline((), [], 3)
    failed = headline(["One.", "Two.", "Three."], [], 4)
    assert failed == "3 of 4 checks FAILED: One. Two. And 1 more."


@pytest.mark.slow
def test_tables_are_stored_shown_and_printed(tmp_path, capsys):
    from deepinit.cli.printing import print_outcome
    from deepinit.core.tables import Table
    from deepinit.runs.outcome import Outcome

    def tables(config, results):
        mean = results["tiny"].dataset["mean"].values[:, 0]
        return [Table("Angles", ["layer", "mean"], list(enumerate(mean, start=1)), "By layer.")]

    experiment = load_experiment(str(TINY_EXPERIMENT))
    config = dataclasses.replace(experiment.preset(None), num_seeds=50)
    outcome = run(dataclasses.replace(experiment, tables=tables), config, tmp_path / "run")
    assert outcome is not None
    mean = outcome.dataset["mean"].values[0, :, 0]
    (table,) = Outcome.load(tmp_path / "run").tables
    assert table.title == "Angles"
    np.testing.assert_array_equal([row[1] for row in table.rows], mean)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<h3>Angles</h3>" in page
    assert "By layer." in page
    assert print_outcome(outcome, as_json=False) == 0
    printed = capsys.readouterr().out
    assert "Angles" in printed
    assert f"{mean[1]:.3f}" in printed
    assert printed.splitlines()[-1].startswith("report: ")


def test_tables_that_are_none_are_refused(tmp_path):
    from deepinit.core.errors import SpecError

    experiment = load_experiment(str(TINY_EXPERIMENT))
    with pytest.raises(SpecError, match="tables of type str"):
        dataclasses.replace(experiment, tables="none")


@pytest.mark.slow
def test_one_device_does_not_continue_what_several_began_unless_asked(tmp_path, monkeypatch):
    import jax

    from deepinit.core.errors import ConflictError
    from deepinit.runs.execute import Options

    experiment = load_experiment(str(TINY_EXPERIMENT))
    config = dataclasses.replace(experiment.preset(None), num_seeds=50)
    others = 2 if jax.device_count() == 1 else 1
    run(experiment, config, tmp_path / "run")
    monkeypatch.setattr(jax, "device_count", lambda: others)
    with pytest.raises(
        ConflictError, match=r"one device.*several devices|several devices.*one device"
    ):
        run(experiment, config, tmp_path / "run")
    assert run(experiment, config, tmp_path / "run", Options(allow_mixed=True)) is not None
