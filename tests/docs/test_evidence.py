"""Pages of evidence: collected z, and what the pages make of committed records."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from paths import ROOT

from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.runs.load import load_experiment

sys.path += [str(ROOT / "docs" / "_extensions"), str(ROOT / "docs" / "evidence")]

import collect
import evidence_accuracy
import evidence_benchmarks
import evidence_study

RECORDS = evidence_accuracy.read(ROOT / "docs" / "evidence" / "z.json")
LAWS = evidence_accuracy.laws_of(RECORDS)
COLUMNS = "case,quantity,theory,layer,component,mean,standard_error,predicted,z,judged"


def run_directory(folder, **changes):
    experiment = load_experiment("vanishing_angles")
    config = dataclasses.asdict(experiment.preset("smoke")) | changes
    identity = {"identity": {"experiment": experiment.name, "config": config}}
    (folder / "spec.json").write_text(json.dumps(identity))
    rows = [
        f"relu-w64,log_sin2_angle,{theory},{layer},1,0,1,0,{z},{judged}"
        for theory, layer, z, judged in (
            ("tapered", 1, 0.123, 1),
            ("tapered", 2, -1.5, 1),
            ("tapered", 3, 9.0, 0),
            ("paper", 1, 30.0, 1),
        )
    ]
    (folder / "comparison.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return folder


def test_judged_z_are_collected_by_what_is_expected(tmp_path):
    found = {record["theory"]: record for record in collect.of_run(run_directory(tmp_path))}
    assert found["tapered"]["z"] == [0.12, -1.5]
    assert found["tapered"]["role"] == "check"
    assert found["paper"]["role"] == "wrong"
    assert {record["preset"] for record in found.values()} == {"smoke"}


def test_runs_of_other_configs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="a config of its own"):
        collect.of_run(run_directory(tmp_path, num_seeds=17))


def test_a_new_run_replaces_its_experiment_only(tmp_path):
    file = tmp_path / "z.json"
    other = {"experiment": "a", "preset": "b", "quantity": "c", "theory": "d", "role": "check"}
    file.write_text(json.dumps([{**other, "z": []}, {**other, "experiment": "vanishing_angles"}]))
    records = collect.write([run_directory(tmp_path)], file)
    assert [record["experiment"] for record in records] == ["a", *["vanishing_angles"] * 2]
    assert json.loads(file.read_text()) == records


def test_committed_laws_agree_and_wrong_theories_are_rejected():
    assert len(LAWS) >= 5
    for own in LAWS.values():
        z = evidence_accuracy.pooled(own)
        assert np.abs(z).max() < 1.2 * THRESHOLD_SIGMA  # Student's t: wider with few networks
    wrong = [record for record in RECORDS if record["role"] == "wrong"]
    rejected = [np.abs(record["z"]).max() > THRESHOLD_SIGMA for record in wrong]
    assert len(wrong) >= 5
    assert np.mean(rejected) > 0.8


def test_the_page_states_its_numbers_and_commands():
    page = evidence_accuracy.page(RECORDS)
    total = sum(len(record["z"]) for record in RECORDS if record["role"] == "check")
    assert f"{len(LAWS)} laws, {total} values of z" in page
    assert all(record["experiment"] in page for record in RECORDS)
    assert "python docs/evidence/collect.py" in page
    other = [{**record, "z": [1.0]} for record in RECORDS]
    assert evidence_accuracy.page(other) != page


def test_a_histogram_for_every_law():
    panels = [axes for axes in evidence_accuracy.figure(RECORDS).axes if axes.get_visible()]
    sizes = [len(evidence_accuracy.pooled(own)) for own in LAWS.values()]
    assert len(panels) == sum(size >= evidence_accuracy.LEAST_SHOWN for size in sizes) > 0
    assert all(axes.patches and axes.lines for axes in panels)


def test_every_goal_of_the_benchmarks_is_shown_also_missed_ones():
    results = ROOT / "benchmarks" / "results"
    page = evidence_benchmarks.page(results)
    items = [
        item
        for record in evidence_benchmarks.records(results).values()
        for entry in record["benchmarks"]
        for item in entry["measurements"]
    ]
    assert page.count("| MISSED |") == sum(item["met"] is False for item in items) > 0
    assert all(item["name"] in page for item in items)
    assert all(f"({name})" in page for name in evidence_benchmarks.pictures(results))


@pytest.mark.slow
def test_the_trainability_page_counts_the_committed_networks():
    from deepinit.diagnosis.study.blocks import Blocks
    from deepinit.diagnosis.study.rows import repaired_rows, rows

    given, repaired = rows(Blocks()), repaired_rows(Blocks())
    fails = sum(row.fails for row in given)
    page = evidence_study.outcomes(given)
    assert f"| **all** | 300 | {len(given)} | {fails} |" in page
    assert ("Interim" in page) == (len(given) < 300)
    assert f"| **all** | 300 | {len(given) - 1} |" in evidence_study.outcomes(given[1:])
    tried = sum(int(cell.split(" of ")[1]) for cell in _cells(evidence_study.changes(repaired)))
    assert 0 < tried <= len(repaired)


def _cells(table):
    return [cell.strip() for cell in table.split("|") if " of " in cell]
