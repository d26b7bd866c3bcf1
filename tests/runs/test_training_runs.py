"""Training runs: the same bytes if stopped or sharded; weights of the first networks only."""

import dataclasses

import flax.linen
import numpy as np
import pytest

import deepinit as di
from deepinit import store
from deepinit.core.errors import SpecError
from deepinit.runs.execute import Options, run
from deepinit.runs.experiment import Case, Experiment

Q = di.quantities
RUN = di.TrainingConfig(di.targets.two_sines(8), record_steps=(0, 3, 6), rate=0.1)
NET = di.training.small_mlp((8,), di.tanh, std=1e-2)


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    num_seeds: int = 24
    """Networks."""


class Small(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x):
        return flax.linen.Dense(1, name="output")(
            flax.linen.tanh(flax.linen.Dense(4, name="hidden")(x))
        )


def cases(config):
    return (
        Case(
            "distance",
            NET,
            Q.relative_distance,
            RUN,
            config.num_seeds,
            checked=("leading_order",),
            num_saved=10,
        ),
        Case("loss", di.from_linen(Small()), Q.training_loss, dataclasses.replace(RUN), 2),
    )


def only_loss_of_specs(config):
    return (
        cases(config)[0],
        Case("angle", di.MLP((6, 6)), Q.log_sin2_angle, di.inputs.pair(1.0), config.num_seeds),
    )


EXPERIMENT = Experiment(
    name="tiny-trainings",
    title="Tiny trainings",
    presets={"quick": Config()},
    cases=lambda config: cases(config)[:1],
    figures=lambda config, results: [],
    citation="@misc{none}",
    question="Does a run of trainings end as it should?",
)


def blocks(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.glob("blocks/**/*.npz")
    }


@pytest.mark.exhaustive
def test_a_run_of_trainings_that_is_continued_ends_with_the_same_bytes(tmp_path):
    seen = {}

    def look(config, results):
        seen["kept"] = results["distance"].kept
        return []

    experiment = dataclasses.replace(EXPERIMENT, figures=look)
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    outcome = run(experiment, Config(), whole, Options(block_size=8))
    assert outcome is not None
    assert not outcome.failures
    assert run(experiment, Config(), shared, Options(block_size=8, shard=(1, 2))) is None
    assert run(experiment, Config(), shared, Options(block_size=8)) is not None
    assert blocks(shared) == blocks(whole)
    assert store.verify(shared).ok
    kept = seen["kept"]
    assert kept["layer 1"].shape == (
        10,
        3,
        8,
        2,
    )  # blocks of eight: all of the first, two of the second, none of the third
    np.testing.assert_array_equal(kept["step"][0], (0, 3, 6))
    data = store.read_result(whole)
    assert list(data["step"].values) == [0, 3, 6]
    assert data["mean"].dims == ("case", "step", "component")


@pytest.mark.exhaustive
def test_cases_by_layer_and_by_step_share_rows(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, cases=only_loss_of_specs)
    outcome = run(experiment, Config(), tmp_path / "mixed")
    assert outcome is not None
    assert list(outcome.dataset["axis"].values) == ["step", "layer"]
    assert list(outcome.dataset["row"].values) == [0, 1, 2, 3, 6]
    report = (tmp_path / "mixed" / "report.html").read_text()
    assert "Every case at its last row" in report


@pytest.mark.exhaustive
def test_a_module_of_flax_is_a_case_without_predictions(tmp_path):
    experiment = dataclasses.replace(EXPERIMENT, cases=lambda config: cases(config)[1:])
    outcome = run(experiment, Config(), tmp_path / "flax")
    assert outcome is not None
    assert outcome.dataset.sizes["theory"] == 0
    assert np.isfinite(outcome.dataset["mean"]).all()
    assert "Nothing was checked" in (tmp_path / "flax" / "report.html").read_text()


def test_networks_without_a_lasting_name_are_no_cases():
    nameless = di.Network(*di.from_linen(Small())[:1], lambda parameters, x: x)._replace(
        init=lambda key, width: ()
    )
    with pytest.raises(SpecError, match="tells it apart"):
        _ = Case("nameless", nameless, Q.training_loss, RUN, 2).identity()
    local = di.training.perceptron(di.MLP((4,), lambda x: x, output_width=1))
    with pytest.raises(SpecError, match="top level of a module"):
        _ = Case("local", local, Q.training_loss, RUN, 2).identity()
