import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

ANGLE = di.quantities.log_sin2_angle


def test_simulation_agrees_with_every_route_that_should_and_rejects_the_rest():
    spec, inputs = di.MLP(widths=(64, 32, 64), activation=di.leaky_relu(0.1)), di.inputs.pairs((0.2, 1.2))
    estimate = di.simulate(spec, ANGLE, inputs, num_seeds=20_000)
    data = di.compare(estimate, di.predict(spec, ANGLE, inputs), di.infinite(spec, ANGLE, inputs)).dataset
    assert np.abs(data["z"].sel(route="second_order")).max() < 5
    assert np.all(np.abs(data["z"].sel(route="infinite_width")).max(dim="layer") > 5)


def test_tanh_with_bias_agrees_to_first_order():
    spec = di.MLP(widths=(128,) * 4, activation=di.tanh, bias_law=di.normal(0.05, "absolute"))
    inputs = di.inputs.pair(0.5, dimension=4)
    estimate = di.simulate(spec, ANGLE, inputs, num_seeds=10_000)
    data = di.compare(estimate, di.predict(spec, ANGLE, inputs), di.infinite(spec, ANGLE, inputs)).dataset
    assert np.abs(data["z"].sel(route="first_order")).max() < 5
    assert np.abs(data["z"].sel(route="infinite_width")).max() > 5


def test_networks_do_not_depend_on_how_many_are_asked_for():
    spec, pair = di.MLP(widths=(16,) * 3), di.inputs.pair(0.3)
    many = di.simulate(spec, ANGLE, pair, num_seeds=50, keep_samples=True)
    few = di.simulate(spec, ANGLE, pair, num_seeds=7, keep_samples=True, block_size=3)
    np.testing.assert_allclose(many.samples[:7], few.samples, atol=1e-4)
    other = di.simulate(spec, ANGLE, pair, num_seeds=7, key=1, keep_samples=True)
    assert np.abs(other.samples - few.samples).min() > 1e-4


def test_samples_and_statistics_are_of_the_same_networks():
    estimate = di.simulate(di.MLP(widths=(8, 8)), ANGLE, di.inputs.pair(0.3), num_seeds=500, keep_samples=True)
    samples = estimate.samples.astype(np.float64)
    defined = np.isfinite(samples)
    np.testing.assert_allclose(np.nanmean(samples, axis=0), estimate.mean, rtol=1e-12)
    np.testing.assert_allclose(np.nanvar(samples, axis=0, ddof=1), estimate.variance, rtol=1e-10)
    np.testing.assert_array_equal((~defined).sum(axis=0), estimate.num_excluded)


def test_float64_needs_jax_in_64_bit_mode_and_agrees():
    spec, pair = di.MLP(widths=(16,) * 3), di.inputs.pair(1e-9)
    with pytest.raises(SpecError, match="enable_x64"):
        di.simulate(spec, ANGLE, pair, num_seeds=10, dtype="float64")
    with jax.enable_x64(True):
        double = di.simulate(spec, ANGLE, pair, num_seeds=4000, dtype="float64")
    single = di.simulate(spec, ANGLE, pair, num_seeds=4000, key=1)
    z = (double.mean - single.mean) / np.hypot(double.standard_error, single.standard_error)
    assert np.abs(z).max() < 5
    assert double.settings["dtype"] == "float64"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_seeds": 0}, "num_seeds=0"),
        ({"linear_map": "conditonal"}, "conditonal"),
        ({"dtype": "float16"}, "float16"),
        ({"precision": "low"}, "low"),
        ({"key": 1.5}, r"key=1\.5"),
    ],
)
def test_bad_arguments_are_refused(arguments, words):
    with pytest.raises(SpecError, match=words):
        di.simulate(di.MLP(widths=(4,)), ANGLE, di.inputs.pair(0.1), **{"num_seeds": 5, **arguments})


def test_other_generators_are_refused():
    with pytest.raises(SpecError, match="threefry2x32"):
        di.simulate(di.MLP(widths=(4,)), ANGLE, di.inputs.pair(0.1), num_seeds=5, key=jax.random.key(0, impl="rbg"))


def test_unknown_form_and_orthogonal_prediction_are_refused():
    with pytest.raises(SpecError, match="form='third_order'"):
        di.predict(di.MLP(widths=(4,)), ANGLE, di.inputs.pair(0.1), "third_order")
    with pytest.raises(SpecError, match="paper"):
        di.predict(di.MLP(widths=(4,), activation=di.tanh), ANGLE, di.inputs.pair(0.1), "paper")
    with pytest.raises(SpecError, match="orthogonal"):
        di.predict(di.MLP(widths=(4,), weight_law=di.orthogonal(2.0)), ANGLE, di.inputs.pair(0.1))


def test_progress_is_reported_to_the_caller():
    seen = []
    di.simulate(
        di.MLP(widths=(4,)),
        ANGLE,
        di.inputs.pair(0.1),
        num_seeds=100,
        block_size=20,
        progress=lambda *now: seen.append(now),
    )
    assert seen[-1] == (100, 100)
    assert len(seen) == 5
