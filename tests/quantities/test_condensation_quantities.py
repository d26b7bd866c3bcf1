"""Quantities of training: exact laws of multiplicity 1 in real networks."""

import jax
import numpy as np
import optax
import pytest
from condensing import FIVE, NET, RATE, RUN, Small, growth

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities


def worst(comparison, route):
    return float(np.nanmax(np.abs(comparison.dataset["z"].sel(theory=route).values)))


@pytest.mark.parametrize("quantity", [Q.aligned_fraction, Q.relative_distance])
@pytest.mark.slow_cases("quantity1")
@pytest.mark.exhaustive_cases("quantity0")
@pytest.mark.exhaustive_cases("quantity1")
def test_the_laws_of_multiplicity_1_hold_and_the_lazy_limit_does_not(quantity):
    measured = di.simulate(NET, quantity, RUN, num_seeds=60)
    found = di.compare(measured, di.predict(NET, quantity, RUN), di.infinite(NET, quantity, RUN))
    assert list(found.dataset["step"].values) == [0, 10, 20, 40, 60, 80]
    assert worst(found, "leading_order") < 5
    assert worst(found, "infinite_width") > 20
    # the law of gradient flow is another one for steps as long as these: 0.05 of the growth time
    assert measured.entries == quantity.measurement.entries(NET, RUN)
    assert "step" in str(found)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_orientations_are_counted_once_networks_have_condensed():
    run = di.TrainingConfig(FIVE, record_steps=(0, 10, 160), rate=RATE)
    found = di.compare(
        di.simulate(NET, Q.orientation_count, run, num_seeds=20),
        di.predict(NET, Q.orientation_count, run),
    )
    assert (found.dataset["num_not_condensed"].values[:, 0] == (20, 20, 0)).all()
    assert found.dataset["mean"].values[-1, 0] == 2.0
    assert found.dataset["z"].values[0, -1, 0] == 0.0  # a constant, compared to within rounding


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_first_drop_of_the_loss_is_on_time():
    rate = 0.005 / growth(FIVE)
    run = di.TrainingConfig(
        FIVE, record_steps=(4000,), rate=rate, stop_drop=1e-3, initial_stage=True
    )
    measured = di.simulate(NET, Q.drop_time, run, num_seeds=40)
    data = di.compare(measured, di.predict(NET, Q.drop_time, run)).dataset
    assert abs(float(data["z"].values[0, 0, 0])) < 5
    assert abs(float(data["variance_z"].values[0, 0, 0])) < 5
    # resolved: input and output weights of one deviation are later by ln(1.6) / 2 = 0.24
    assert 5 * float(data["standard_error"].values[0, 0]) < 0.24


@pytest.mark.exhaustive
def test_under_the_flow_too_though_its_steps_pass_the_drop_by_far():
    run = di.TrainingConfig(
        FIVE, record_steps=(2000,), mode="flow", stop_drop=1e-3, initial_stage=True
    )
    measured = di.simulate(NET, Q.drop_time, run, num_seeds=200)
    found = di.compare(measured, di.predict(NET, Q.drop_time, run))
    assert abs(float(found.dataset["z"].values[0, 0, 0])) < 5
    # resolved: the time of the first state below the drop is later by 0.07
    assert 5 * float(found.dataset["standard_error"].values[0, 0]) < 0.07


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_run_that_has_not_stopped_has_no_time_of_its_drop():
    run = di.TrainingConfig(FIVE, record_steps=(5,), rate=RATE, stop_drop=1e-3)
    measured = di.simulate(NET, Q.drop_time, run, num_seeds=4)
    assert measured.events["still_training"][0, 0] == 4
    assert np.isnan(measured.mean).all()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_adam_turns_neurons_to_the_corners_of_the_cube():
    run = di.TrainingConfig(FIVE, record_steps=(0, 600), mode="adam", rate=1e-5)
    net = di.training.small_mlp((40,), di.tanh, std=1e-6)
    measured = di.simulate(net, Q.aligned_fraction, run, num_seeds=4)
    assert (measured.mean[1] > 0.99).all()
    # predicted by the flow is another direction
    flow = di.TrainingConfig(FIVE, record_steps=(0, 600), rate=RATE)
    assert (di.simulate(net, Q.aligned_fraction, flow, num_seeds=4).mean[0] < 0.1).all()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_accuracy_of_a_flax_module_on_images_rises():
    train, test = di.targets.digits(200), di.targets.digits(100, skip=200)
    few = [di.targets.examples(e.inputs, e.targets % 3, "digits mod 3") for e in (train, test)]
    run = di.TrainingConfig(
        few[0], record_steps=(0, 60), mode="adam", rate=1e-2, loss="cross_entropy", test=few[1]
    )
    network = di.from_linen(Small())
    measured = di.simulate(network, Q.accuracy, run, num_seeds=4)
    assert measured.entries == ("training set", "test set")
    assert (measured.mean[0] < 0.6).all()
    assert (measured.mean[1] > 0.7).all()
    counted = di.simulate(network, Q.orientation_count, run, num_seeds=2)
    assert counted.entries == ("Dense_0", "Dense_1")


@pytest.mark.exhaustive
def test_accuracy_of_one_hot_targets_is_that_of_their_classes():
    rng = np.random.default_rng(0)
    x, classes = rng.normal(size=(30, 4)), rng.integers(0, 3, 30)
    net = di.MLP((5,), di.tanh, output_width=3)
    found = []
    for targets, loss in ((classes, "cross_entropy"), (np.eye(3)[classes], "mse")):
        data = di.targets.examples(x, targets)
        run = di.TrainingConfig(data, record_steps=(0,), rate=0.1, loss=loss, test=data)
        found.append(di.simulate(net, Q.accuracy, run, num_seeds=3, keep_samples=True).samples)
    np.testing.assert_array_equal(*found)
    assert np.ptp(found[0]) > 0  # networks differ


@pytest.mark.slow
@pytest.mark.exhaustive
def test_loss_of_a_wide_lazy_network_is_that_of_its_tangent_kernel():
    x = np.linspace(-1.0, 1.0, 4)
    data = di.targets.examples(x, np.maximum(np.abs(x) - 1 / 3, 0.0) / 5)
    net = di.MLP(
        (512,), di.tanh, di.normal(1.0, "absolute"), di.normal(1.0, "absolute"), 1, di.normal(0.01)
    )
    run = di.TrainingConfig(data, record_steps=(0, 5, 20, 80), rate=2e-4)
    measured = di.simulate(net, Q.training_loss, run, num_seeds=64)
    limit = di.infinite(net, Q.training_loss, run)
    found = di.compare(measured, limit)
    assert worst(found, "infinite_width") < 5
    assert limit.mean[-1, 0] < 0.8 * limit.mean[0, 0]


def test_orientations_of_linear_networks_in_any_dimension():
    run = di.TrainingConfig(FIVE, record_steps=(0, 10), rate=RATE)
    linear = di.training.small_mlp((40,), di.linear, std=1e-4, output_std=5e-5)
    law = di.predict(NET, Q.aligned_fraction, run).mean
    np.testing.assert_allclose(di.predict(linear, Q.aligned_fraction, run).mean, law, rtol=1e-12)
    np.testing.assert_allclose(
        di.infinite(linear, Q.aligned_fraction, run).mean[0], law[0], rtol=1e-12
    )


@pytest.mark.exhaustive
def test_orientations_under_an_optax_transformation_need_its_geometry():
    options = {"record_steps": (0, 2), "mode": optax.adam(1e-5), "name": "adam of optax"}
    with pytest.raises(SpecError, match="without a geometry"):
        di.predict(NET, Q.orientation_count, di.TrainingConfig(FIVE, **options))
    cube = di.TrainingConfig(FIVE, **options, geometry="linf")
    assert di.predict(NET, Q.orientation_count, cube).mean[-1, 0] == 2.0
    ours = di.TrainingConfig(FIVE, record_steps=(0, 2), mode="adam", rate=1e-5)
    theirs = [
        di.simulate(NET, Q.aligned_fraction, run, num_seeds=2).mean[0] for run in (cube, ours)
    ]
    np.testing.assert_array_equal(*theirs)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_weights_of_a_network_are_kept_on_request():
    from deepinit.quantities.measured import measure_block
    from deepinit.quantities.programs import seed_fn_of

    options = {"linear_map": "explicit", "dtype": "float32", "precision": "highest"}
    seed_fn, _ = seed_fn_of(NET, Q.relative_distance, RUN, keep=True, **options)
    root = jax.random.key(0, impl="threefry2x32")
    keys = jax.vmap(lambda seed: jax.random.fold_in(root, seed))(np.arange(3))
    measured = jax.tree.map(np.asarray, jax.jit(jax.vmap(seed_fn))(keys))
    _, kept = measure_block(Q.relative_distance, measured, (), 2)
    assert kept["layer 1"].shape == (2, 6, 40, 6)
    assert kept["layer 2"].shape == (2, 6, 1, 40)
    assert kept["loss"].shape == (2, 6)
    moved = kept["layer 1"][:, -1] - kept["layer 1"][:, 0]
    initial = np.linalg.norm(kept["layer 1"][:, 0], axis=(1, 2))
    distance = np.linalg.norm(moved, axis=(1, 2)) / initial
    np.testing.assert_allclose(distance, measured.value[:2, -1, 0], rtol=1e-5)
