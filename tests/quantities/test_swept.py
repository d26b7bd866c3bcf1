"""A sweep is what the routes give at its points."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.ensembles import programs, sweeps

Q = di.quantities
NET = di.MLP((12, 12), bias_law=di.normal(0.1, "absolute"))
SWEEP = di.Sweep(NET, over={"weight_law.variance": [0.5, 2.0], "inputs.angle": [0.1, 0.4, 1.0]})
NAMES = ("mean", "standard_error", "variance", "skewness", "minimum", "maximum", "num_excluded")


def at_points(sweep, quantity, inputs, **options):
    for number in range(len(sweep)):
        network, own = sweep.networks[number], sweep.inputs(number, inputs)
        yield sweep.at(number), di.simulate(network, quantity, own, **options)


def test_a_point_is_the_simulation_there_to_rounding():
    options = {"num_seeds": 30, "key": 5}
    found = di.simulate(SWEEP, Q.nngp, di.inputs.pair, **options)
    assert found.dataset.attrs["num_programs"] == 1
    assert found.dataset["mean"].dims == (*SWEEP.names, "layer", "component")
    for point, alone in at_points(SWEEP, Q.nngp, di.inputs.pair, **options):
        own = found.dataset.sel(point)
        for name in NAMES:
            # float32, in batches of many points
            np.testing.assert_allclose(own[name], getattr(alone, name), rtol=2e-5, atol=1e-6)
    other = di.simulate(SWEEP, Q.nngp, di.inputs.pair, num_seeds=30, key=6)
    assert (abs(other.dataset["mean"] / found.dataset["mean"] - 1) > 1e-3).all()


@pytest.mark.slow
def test_blocks_of_points_and_seeds_do_not_change_a_sweep(monkeypatch):
    whole = di.simulate(SWEEP, Q.log_sin2_angle, di.inputs.pair, num_seeds=40)
    for networks in (90, 25):  # blocks of 2 points, and of 25 seeds of one
        monkeypatch.setattr(sweeps, "_NETWORKS", networks)
        cut = di.simulate(SWEEP, Q.log_sin2_angle, di.inputs.pair, num_seeds=40)
        for name in NAMES:
            np.testing.assert_allclose(
                cut.dataset[name], whole.dataset[name], rtol=1e-4, atol=1e-5, err_msg=name
            )


@pytest.mark.slow
def test_shapes_that_differ_have_a_program_each_and_are_said_once():
    sweep = di.Sweep(NET, over={"widths": [(12, 12), (6,) * 4, (8,)]})
    inputs = di.inputs.ones(3)
    with pytest.warns(UserWarning, match="3 programs are compiled for 3 points: widths") as said:
        found = di.simulate(sweep, Q.log_norm, inputs, num_seeds=20)
    assert len(said) == 1
    assert list(found.dataset["widths"].values) == ["12 x 2", "6 x 4", "8"]
    for number, (_, alone) in enumerate(at_points(sweep, Q.log_norm, inputs, num_seeds=20)):
        mean = found.dataset["mean"].values[number]
        depth = len(alone.mean)
        np.testing.assert_allclose(mean[:depth], alone.mean, rtol=2e-5, atol=1e-6)
        assert np.isnan(mean[depth:]).all()


@pytest.mark.slow
def test_a_statistic_of_the_ensemble_is_that_of_its_point():
    sweep = di.Sweep(NET, points=[{"weight_law.variance": v} for v in (0.5, 1.0, 2.0)])
    inputs = di.inputs.ones(3)
    found = di.simulate(sweep, Q.output_kurtosis, inputs, num_seeds=50)
    assert found.dataset["mean"].dims[0] == "point"
    for number, (_, alone) in enumerate(at_points(sweep, Q.output_kurtosis, inputs, num_seeds=50)):
        own = found.dataset.isel(point=number)
        np.testing.assert_allclose(own["mean"], alone.mean, rtol=1e-4, atol=1e-5)


def test_predictions_are_those_of_the_points():
    sweep = di.Sweep(di.MLP((12, 12)), over={"weight_law.variance": [0.5, 2.0]})
    inputs = di.inputs.pair(0.3)
    for route in (di.predict, di.infinite):
        found = route(sweep, Q.nngp, inputs)
        for number in range(2):
            alone = route(sweep.networks[number], Q.nngp, inputs)
            np.testing.assert_array_equal(found.dataset["mean"].values[number], alone.mean)
            np.testing.assert_array_equal(
                found.dataset["variance"].values[number],
                np.broadcast_to(
                    np.nan if alone.variance is None else alone.variance, alone.mean.shape
                ),
            )
    assert "infinite_width" in repr(found)


def test_a_data_frame_has_the_swept_names():
    found = di.infinite(SWEEP, Q.nngp, di.inputs.pair)
    frame = found.to_dataframe()
    assert {*SWEEP.names, "layer", "component", "mean"} <= {*frame.columns}
    assert len(frame) == 6 * 2 * 3


def test_a_number_beyond_its_dtype_is_refused_by_its_point():
    sweep = di.Sweep(NET, over={"weight_law.variance": [1.0, 1e-90]})
    with pytest.raises(
        SpecError, match=r"entries of size .* the point weight_law.variance = 1e-90"
    ):
        di.simulate(sweep, Q.nngp, di.inputs.ones(3), num_seeds=5)


@pytest.mark.parametrize(
    "option", [{"control": "theory"}, {"keep_samples": True}, {"block_size": 3}]
)
def test_options_that_a_sweep_does_not_have_are_refused(option):
    with pytest.raises(SpecError, match=f"{next(iter(option))} of a sweep"):
        di.simulate(SWEEP, Q.nngp, di.inputs.pair, **option)


def test_a_sweep_of_many_values_is_compiled_once():
    programs.clear_programs()
    sweep = di.Sweep(NET, over={"weight_law.variance": np.linspace(0.5, 2.5, 40).tolist()})
    di.simulate(sweep, Q.nngp, di.inputs.ones(3), num_seeds=3)
    kinds = [key[0] for key in programs._CACHE.values]
    assert kinds.count("sweep") == 1
