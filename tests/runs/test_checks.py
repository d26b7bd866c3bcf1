"""Checks of several cases together decide how a run ends, as those of single cases do."""

import dataclasses

import numpy as np
from paths import TINY_EXPERIMENT
import pytest

from deepinit.runs.experiment import Check
from deepinit.runs.load import load_experiment
from deepinit.runs.verdicts import headline
from deepinit.runs.execute import run


def falls(config, results):
    mean = results["tiny"].dataset["mean"].values[:, 0]
    return [Check(f"Over {config.depth} layers the angle shrinks.", bool(np.all(np.diff(mean) < 0)))]


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
def test_joint_checks_are_said_counted_and_decide(tmp_path, checks, sentence, failures):
    experiment = load_experiment(str(TINY_EXPERIMENT))
    config = dataclasses.replace(experiment.preset(None), num_seeds=50)
    outcome = run(dataclasses.replace(experiment, checks=checks), config, tmp_path / "run")
    assert outcome is not None
    assert outcome.failures == failures
    assert outcome.verdicts[0] == sentence
    said = "1 of 1 checks FAILED: The angle grows." if failures else "All 1 checks"
    assert said in (tmp_path / "run" / "report.html").read_text()


def test_the_headline_counts_both_kinds():
    assert headline((), []).startswith("Nothing was checked")
    assert "All 3 checks" in headline((), [], 3)


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
    with pytest.raises(ConflictError, match=r"one device.*several devices|several devices.*one device"):
        run(experiment, config, tmp_path / "run")
    assert run(experiment, config, tmp_path / "run", Options(allow_mixed=True)) is not None
