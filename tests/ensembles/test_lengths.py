"""A run of curves and frames, stopped and continued, shared out or whole: the same bytes."""

import dataclasses

import pytest

import deepinit as di
from deepinit import store
from deepinit.core.errors import SpecError
from deepinit.runs.execute import Options, run
from deepinit.runs.experiment import Case, Experiment


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    num_seeds: int = 64
    """Networks."""


def cases(config):
    spec = di.MLP(widths=(6, 6), output_width=3)
    circle, plane = di.curves.circle(), di.frames.random(3, 2)
    inputs = {
        "tangents": (di.quantities.length_distortion, di.curves.sampled(circle, 4)),
        "chords": (di.quantities.length_distortion, di.curves.sampled(circle, 4, method="polygon")),
        "planes": (di.quantities.log_volume, plane),
        "factors": (di.quantities.log_volume, plane),
    }
    return tuple(
        Case(
            name,
            spec,
            quantity,
            given,
            config.num_seeds,
            ("exact",),
            checked=() if name == "chords" else ("exact",),
            sample_layers=() if name == "chords" else (2, 3),
            linear_map="chi_square" if name == "factors" else "auto",
        )
        for name, (quantity, given) in inputs.items()
    )


EXPERIMENT = Experiment(
    name="tiny-lengths",
    title="Tiny lengths",
    presets={"quick": Config()},
    cases=cases,
    figures=lambda config, results: [],
    citation="@misc{none}",
    question="Does a run of lengths end as it should?",
)


def blocks(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.glob("blocks/**/*.npz")
    }


@pytest.mark.exhaustive
def test_a_run_of_lengths_that_is_continued_ends_with_the_same_bytes(tmp_path):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    outcome = run(EXPERIMENT, Config(), whole, Options(block_size=16))
    assert outcome is not None
    assert run(EXPERIMENT, Config(), shared, Options(block_size=16, shard=(1, 2))) is None
    assert 0 < len(blocks(shared)) < len(blocks(whole))
    assert run(EXPERIMENT, Config(), shared, Options(block_size=16)) is not None
    assert blocks(shared) == blocks(whole)
    assert {name.split("/")[1] for name in blocks(whole)} >= {
        "tangents",
        "chords",
        "planes",
        "factors",
    }
    assert (whole / "result.nc").exists()
    assert store.verify(shared).ok
    one, other = (store.read_result(folder) for folder in (whole, shared))
    assert one.identical(other)
    assert list(one["sample_layer"].values) == [2, 3]  # the output layer is the third


def test_samples_of_layers_that_are_not_measured_are_refused():
    quantity, pair = di.quantities.log_sin2_angle, di.inputs.pair(1.0)
    with pytest.raises(SpecError, match=r"sample_layers \[3\].*layers 1 to 2"):
        Case(
            "angles", di.MLP(widths=(6, 6), output_width=3), quantity, pair, 64, sample_layers=(3,)
        )
