import jax
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.core.errors import SpecError

ANGLE = di.quantities.log_sin2_angle


@pytest.mark.exhaustive
def test_simulation_agrees_with_every_route_that_should_and_rejects_the_rest():
    spec, inputs = (
        di.MLP(widths=(64, 32, 64), activation=di.leaky_relu(0.1)),
        di.inputs.pairs((0.2, 1.2)),
    )
    estimate = di.simulate(spec, ANGLE, inputs, num_seeds=20_000)
    data = di.compare(
        estimate, di.predict(spec, ANGLE, inputs), di.infinite(spec, ANGLE, inputs)
    ).dataset
    assert np.abs(data["z"].sel(theory="second_order")).max() < 5
    assert np.all(np.abs(data["z"].sel(theory="infinite_width")).max(dim="layer") > 5)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_tanh_with_bias_agrees_to_first_order():
    spec = di.MLP(widths=(128,) * 4, activation=di.tanh, bias_law=di.normal(0.05, "absolute"))
    inputs = di.inputs.pair(0.5, dimension=4)
    estimate = di.simulate(spec, ANGLE, inputs, num_seeds=10_000)
    data = di.compare(
        estimate, di.predict(spec, ANGLE, inputs), di.infinite(spec, ANGLE, inputs)
    ).dataset
    assert np.abs(data["z"].sel(theory="first_order")).max() < 5
    assert np.abs(data["z"].sel(theory="infinite_width")).max() > 5


@pytest.mark.exhaustive
def test_networks_do_not_depend_on_how_many_are_asked_for():
    spec, pair = di.MLP(widths=(16,) * 3), di.inputs.pair(0.3)
    many = di.simulate(spec, ANGLE, pair, num_seeds=50, keep_samples=True)
    few = di.simulate(spec, ANGLE, pair, num_seeds=7, keep_samples=True, block_size=3)
    np.testing.assert_allclose(many.samples[:7], few.samples, atol=1e-4)
    other = di.simulate(spec, ANGLE, pair, num_seeds=7, key=1, keep_samples=True)
    assert np.abs(other.samples - few.samples).min() > 1e-4


@pytest.mark.slow
def test_samples_and_statistics_are_of_the_same_networks():
    estimate = di.simulate(
        di.MLP(widths=(8, 8)), ANGLE, di.inputs.pair(0.3), num_seeds=500, keep_samples=True
    )
    samples = estimate.samples.astype(np.float64)
    defined = np.isfinite(samples)
    np.testing.assert_allclose(np.nanmean(samples, axis=0), estimate.mean, rtol=1e-12)
    np.testing.assert_allclose(np.nanvar(samples, axis=0, ddof=1), estimate.variance, rtol=1e-10)
    np.testing.assert_array_equal((~defined).sum(axis=0), estimate.num_excluded)


@pytest.mark.exhaustive
def test_float64_needs_jax_in_64_bit_mode_and_agrees():
    spec, pair = di.MLP(widths=(16,) * 3), di.inputs.pair(1e-9)
    with pytest.raises(SpecError, match="enable_x64"):
        di.simulate(spec, ANGLE, pair, num_seeds=10, dtype="float64")
    with jax.enable_x64(True):
        double = di.simulate(spec, ANGLE, pair, num_seeds=4000, dtype="float64")
    single = di.simulate(spec, ANGLE, pair, num_seeds=4000, key=1)
    error = np.hypot(double.standard_error, single.standard_error)
    # the rival: infinite width, where angles do not change
    limit = di.infinite(spec, ANGLE, pair).mean
    assert_value(double.mean, error, single.mean, rejects=limit)
    assert double.settings["dtype"] == "float64"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_seeds": 0}, "num_seeds=0"),
        ({"num_seeds": 10.5}, r"num_seeds=10\.5"),
        ({"linear_map": "conditonal"}, "conditonal"),
        ({"dtype": "float16"}, "float16"),
        ({"precision": "low"}, "low"),
        ({"key": 1.5}, r"key=1\.5"),
    ],
)
def test_bad_arguments_are_refused(arguments, words):
    with pytest.raises(SpecError, match=words):
        di.simulate(
            di.MLP(widths=(4,)), ANGLE, di.inputs.pair(0.1), **{"num_seeds": 5, **arguments}
        )


@pytest.mark.parametrize("route", [di.simulate, di.predict, di.infinite])
@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"spec": (8, 8)}, r"spec=an object of type tuple.*di\.MLP"),
        (
            {"quantity": "log_sin2_angle"},
            r"quantity='log_sin2_angle'.*di\.quantities\.log_sin2_angle",
        ),
        ({"inputs": 0.1}, r"inputs=0\.1.*di\.inputs\.pair"),
        ({"inputs": {"x": 1}}, r"inputs=an object of type dict.*di\.inputs\.pair"),
    ],
)
def test_arguments_of_another_kind_are_refused_by_every_route(route, replaced, words):
    with pytest.raises(SpecError, match=words) as caught:
        route(
            **{
                "spec": di.MLP(widths=(4,)),
                "quantity": ANGLE,
                "inputs": di.inputs.pair(0.1),
                **replaced,
            }
        )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1e-25, 0.0], [1e-25, 1e-25]], "points of size 1e-25 in float32"),
        ([[1e25, 0.0], [1e25, 1e25]], "points of size 1e.25 in float32"),
        ([[1e45, 0.0], [1e45, 1e45]], "points of size 1e.45 in float32"),
        ([[1.0, 0.0], [1.0, 1e-40]], "displacements of size 1e-40 in float32"),
    ],
)
@pytest.mark.slow_cases(
    "rows0-points of size 1e-25 in float32",
    "rows2-points of size 1e.45 in float32",
    "rows3-displacements of size 1e-40 in float32",
)
@pytest.mark.exhaustive_cases("rows1-points of size 1e.25 in float32")
@pytest.mark.exhaustive_cases("rows2-points of size 1e.45 in float32")
def test_rows_whose_squares_float32_cannot_hold_are_refused_unless_the_scale_is_free(rows, words):
    inputs = di.inputs.from_arrays(rows[:1], rows[1:])
    for spec in (di.MLP((4,), di.tanh), di.MLP((4,), bias_law=di.normal(0.1, "absolute"))):
        with pytest.raises(SpecError, match=f"{words}.*float64"):
            di.simulate(spec, ANGLE, inputs, num_seeds=5)
    estimate = di.simulate(di.MLP((64,)), ANGLE, inputs, num_seeds=5)
    assert np.isfinite(estimate.mean).all()
    with jax.enable_x64(True):
        double = di.simulate(di.MLP((64,), di.tanh), ANGLE, inputs, num_seeds=5, dtype="float64")
    assert estimate.num_excluded.sum() == double.num_excluded.sum() == 0


def test_pairs_of_incomparable_norms_are_refused():
    inputs = di.inputs.from_arrays([[1.0, 0.0]], [[1.0, 1e25]])
    with pytest.raises(SpecError, match=r"displacements of size 1e.25 in float32"):
        di.simulate(di.MLP((4,), di.tanh), ANGLE, inputs, num_seeds=5)
    with pytest.raises(SpecError, match=r"second member is 1e25 times the first.*similar norm"):
        di.simulate(di.MLP((4,)), ANGLE, inputs, num_seeds=5)


@pytest.mark.parametrize("size", [3e-14, 1e14])
@pytest.mark.exhaustive
def test_sizes_within_the_range_of_float32_give_what_float64_gives(size):
    spec, inputs = di.MLP((64,) * 2, di.tanh), di.inputs.circle(3, radius=size)
    single = di.simulate(spec, ANGLE, inputs, num_seeds=2000)
    with jax.enable_x64(True):
        double = di.simulate(spec, ANGLE, inputs, num_seeds=2000, key=1, dtype="float64")
    error = np.hypot(double.standard_error, single.standard_error)
    # the rival: a tenth of a radian off at a right angle
    assert_value(double.mean, error, single.mean, rejects=single.mean - 0.1)


@pytest.mark.parametrize("size", [1e-170, 1e170])
def test_rows_whose_squares_float64_cannot_hold_are_refused_always(size):
    with pytest.raises(SpecError, match=r"points of size 1e.170 in float64"):
        di.simulate(di.MLP((4,)), ANGLE, di.inputs.circle(3, radius=size), num_seeds=5)


def test_other_generators_are_refused():
    with pytest.raises(SpecError, match="threefry2x32"):
        di.simulate(
            di.MLP(widths=(4,)),
            ANGLE,
            di.inputs.pair(0.1),
            num_seeds=5,
            key=jax.random.key(0, impl="rbg"),
        )


@pytest.mark.slow
def test_unknown_form_and_orthogonal_prediction_are_refused():
    with pytest.raises(SpecError, match="the theory 'third_order'"):
        di.predict(di.MLP(widths=(4,)), ANGLE, di.inputs.pair(0.1), "third_order")
    with pytest.raises(
        SpecError, match=r"paper does not predict.*worked out for relu.*first_order"
    ):
        di.predict(di.MLP(widths=(4,), activation=di.tanh), ANGLE, di.inputs.pair(0.1), "paper")
    with pytest.raises(SpecError, match="orthogonal"):
        di.predict(di.MLP(widths=(4,), weight_law=di.orthogonal(2.0)), ANGLE, di.inputs.pair(0.1))


@pytest.mark.slow
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
