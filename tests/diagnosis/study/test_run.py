"""The run: every block once, the same bytes after a kill; tables of complete and partial runs."""

import numpy as np
import pytest

from deepinit.diagnosis.study import acceptance, analysis, blocks, registered, run, training
from deepinit.diagnosis.study.blocks import Blocks
from deepinit.diagnosis.study.data import sha256
from deepinit.diagnosis.study.report import report
from deepinit.diagnosis.study.rows import Row, repaired_rows, rows


@pytest.fixture
def small(monkeypatch):
    """Three networks of one tiny shape, 50 steps."""
    drawn = registered.configurations()
    own = [n for n in drawn["networks"] if n["family"] == "mlp" and n["data"] == "digits"][:3]
    keep = {"width": 4, "depth": 2, "sgd": False, "long": False}
    networks = [network | keep for network in own]
    found = {**drawn, "networks": networks, "data_sha256": {}}
    for module in (run, acceptance):
        monkeypatch.setattr(module, "configurations", lambda: found)
    monkeypatch.setattr(training, "STEPS", 50)
    monkeypatch.setattr(training.losses, "__kwdefaults__", {"sgd": False, "steps": 50})
    monkeypatch.setattr(run.trained, "__kwdefaults__", {"sgd": False, "steps": 50})
    monkeypatch.setattr(run, "is_short", lambda fails: False)
    monkeypatch.setattr(run, "reference_loss", lambda *_: 0.5)
    monkeypatch.setattr(blocks, "committed", dict)
    return networks


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(small, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run.run(Blocks(whole), log=lambda line: None)
    names = sorted(file.name for file in (whole / "blocks").iterdir())
    trains = [name for name in names if name.endswith("-train.json")]
    assert len(trains) == 3
    assert sum(name.endswith("-score.json") for name in names) == 3

    class Killed(Exception):
        pass

    def stop(line):
        raise Killed

    for _ in range(3):
        with pytest.raises(Killed):
            run.run(Blocks(killed), log=stop)
    run.run(Blocks(killed), log=lambda line: None)
    for name in names:
        one, other = ((folder / "blocks" / name).read_bytes() for folder in (whole, killed))
        assert one == other
    assert sorted(file.name for file in (killed / "blocks").iterdir()) == names


def test_cheap_shapes_of_every_family_come_first():
    networks = [n for n in registered.configurations()["networks"] if n["draw"] != "R"]
    found = run.ordered(networks)
    assert sorted(n["number"] for n in found) == [n["number"] for n in networks]
    assert {n["family"] for n in found[:59]} == set(analysis.FAMILIES)
    costs = [run.cost(n) for n in found if n["family"] == "mlp"]
    assert costs == sorted(costs)


def test_data_are_the_registered_ones():
    known = registered.configurations()["data_sha256"]
    for name in ("mnist", "digits"):
        assert sha256(name) == known[name]


@pytest.mark.slow
def test_report_of_committed_results():
    known = Blocks()
    given, repaired = rows(known), repaired_rows(known)
    assert len(given) > 50
    assert {row.network["id"] for row in repaired} <= {r.network["id"] for r in given if r.fails}
    for row in given:
        assert np.isfinite(row.features(labels=True)).all()
        assert np.isfinite(row.baseline()).all()
    text = report(known)
    assert "leave_family_out_mean" in text
    assert "best predicted repair works" in text
    lines = acceptance.acceptance(given, repaired)
    assert len(lines) == 15
    assert all(line.held is None or np.isfinite(line.value) for line in lines)


def row(network, performance, repair=""):
    return Row(network, performance, performance, performance, {}, {}, repair)


def test_a_study_is_complete_with_its_reserve_and_repairs(monkeypatch):
    drawn = registered.configurations()["networks"]
    mlps = [n for n in drawn if n["family"] == "mlp"][:20]
    spare = [n for n in drawn if n["draw"] == "R" and n["family"] == "gated"][:1]
    monkeypatch.setattr(acceptance, "configurations", lambda: {"networks": [*mlps, *spare]})
    given = [row(n, 0.5 if number < 10 else 1.0) for number, n in enumerate(mlps)]
    repaired = [row(n, 1.0, "residual") for n in mlps[:10]]
    assert not acceptance.is_complete(given, repaired)  # the reserve of gated is not trained
    whole = [*given, row(spare[0], 1.0)]
    assert acceptance.is_complete(whole, repaired)
    assert not acceptance.is_complete(whole, repaired[:-1])
    assert not acceptance.is_complete(whole[1:], repaired)


def test_outcomes_of_another_training(monkeypatch):
    drawn = [n for n in registered.configurations()["networks"] if n["family"] == "mlp"][:4]
    given = [row(n, p) for n, p in zip(drawn, (1.0, 0.9, 0.5, 0.4), strict=True)]
    monkeypatch.setattr(analysis, "leave_family_out", lambda *_: np.array([0.1, 0.9, 0.3, 0.8]))
    outcomes = {n["id"]: p for n, p in zip(drawn, (1.0, 0.5, 0.9, 0.1), strict=True)}
    found = analysis.other(given, outcomes)
    # 50 steps rank by `early`, here the main outcome: of four pairs it has three
    assert found == (4, 2, 2, 1.0, 0.75)
