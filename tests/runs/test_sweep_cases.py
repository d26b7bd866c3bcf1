"""Sweeps in experiments."""

import dataclasses

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.runs import outcome as outcomes
from deepinit.runs.execute import run
from deepinit.runs.experiment import Experiment
from deepinit.runs.report import plot_item
from deepinit.runs.sweep_cases import measured_sweep, predicted_sweep, sweep_cases, sweep_table

ANGLE = di.quantities.log_sin2_angle
SWEEP = di.Sweep(
    di.MLP(widths=(16,) * 3),
    over={"weight_law.variance": [1.0, 2.0], "inputs.angle": [0.1, 0.5, 1.0]},
)
kept = {}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings."""

    num_seeds: int = 60
    """Networks."""


def cases(config):
    options = {"num_seeds": config.num_seeds, "checked": ("tapered",)}
    return sweep_cases("angles", SWEEP, ANGLE, di.inputs.pair, **options)


def tables(config, results):
    kept.update(results)
    return [sweep_table("angles", SWEEP, results)]


def figures(config, results):
    return [
        plot_item("Angles", "A heat map.", di.plots.sweep, measured_sweep("angles", SWEEP, results))
    ]


EXPERIMENT = Experiment(
    "sweep", "A sweep", {"smoke": Config()}, cases, figures, "@misc{none}", "How?", tables
)


@pytest.mark.slow
def test_a_sweep_runs_as_cases_and_ends_as_one_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(outcomes, "MOST_DETAILED", 5)
    done = run(EXPERIMENT, Config(), tmp_path / "run")
    assert done is not None
    assert not done.failures
    found = measured_sweep("angles", SWEEP, kept)
    direct = di.simulate(SWEEP, ANGLE, di.inputs.pair, num_seeds=60)
    assert dict(found.dataset.sizes) == dict(direct.dataset.sizes)
    np.testing.assert_allclose(found.dataset["mean"], direct.dataset["mean"], rtol=1e-5)
    predicted = predicted_sweep("angles", SWEEP, kept, "tapered")
    own = di.predict(SWEEP, ANGLE, di.inputs.pair)
    np.testing.assert_allclose(predicted.dataset["mean"], own.dataset["mean"], rtol=1e-12)
    (table,) = done.tables
    assert [row[:2] for row in table.rows] == [[v, a] for v in (1.0, 2.0) for a in (0.1, 0.5, 1.0)]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "angles-5" in page  # in the heat map
    assert 'href="#case-angles-5"' not in page  # more cases than have details


def test_points_are_cases_with_their_values():
    every = cases(Config())
    assert [case.name for case in every] == [f"angles-{number}" for number in range(6)]
    assert every[4].spec.weight_law.variance == 2.0
    assert every[4].inputs.angles[0] == pytest.approx(0.5)
    with pytest.raises(SpecError, match="results without the case angles-0"):
        sweep_table("angles", SWEEP, {})


def test_points_of_one_structure_share_a_program():
    from deepinit.ensembles.blocks import chosen_form
    from deepinit.runs.cutting import case_programs

    keys = {chosen_form(case_programs(case)).key for case in cases(Config())}
    assert len(keys) == 1
    assert None not in keys
