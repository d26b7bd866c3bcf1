"""Checks, rejections, goals and times of a benchmark."""

import json

import numpy as np
import pytest
from paths import ROOT

FOLDER = ROOT / "benchmarks"


def test_a_rejection_ends_a_benchmark_whose_check_accepts_what_is_wrong(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    harness.reject("seen", -0.6, 0.5)
    with pytest.raises(SystemExit, match="known to be wrong"):
        harness.reject("not seen", 0.4, 0.5)


def test_a_wrong_answer_ends_a_benchmark_before_it_is_timed(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    harness.check("right", -0.5, 0.5)
    for error in (0.6, -0.6, float("nan")):
        with pytest.raises(SystemExit, match="wrong: the answer is off"):
            harness.check("wrong", error, 0.5)


def test_a_goal_is_met_on_its_own_side_only(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    report = harness.Report(tmp_path / "out.json")
    for goal in (("<=", 1.3), (">=", 1.3)):
        for value in (1.0, np.float64(2.0)):
            report.add("ratio", value, "x", goal)
    measured = json.loads((tmp_path / "out.json").read_text())["measurements"]
    assert [one["met"] for one in measured] == [True, False, False, True]
    assert capsys.readouterr().out.count("MISSED") == 2


@pytest.mark.parametrize(("turn", "calls_of_a"), [(0.0, 1), (0.25, 3)])
def test_functions_are_timed_in_turns_after_one_call_each(monkeypatch, turn, calls_of_a):
    """A call takes 0.1 s of a clock that only calls move."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    calls, now = [], [0.0]
    monkeypatch.setattr(harness, "_TURN_SECONDS", turn)
    monkeypatch.setattr(harness.time, "perf_counter", lambda: now[0])

    def timed(name):
        def call():
            calls.append(name)
            now[0] += 0.1

        return call

    seconds = harness.least_seconds({name: timed(name) for name in "ab"}, 2)
    assert calls == ["a", "b", *(["a"] * calls_of_a + ["b"] * calls_of_a) * 2]
    assert seconds == pytest.approx({"a": 0.1, "b": 0.1})
