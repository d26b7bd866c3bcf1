"""`control=` of `di.simulate`: exact laws with smaller errors, what stays plain, refusals."""

from functools import partial

import numpy as np
import pytest
from relu_controls import STRENGTH, exact_mean, exact_variance, relu_control
from statistical import assert_mean, assert_value, assert_variance

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.ensembles import blocks, keys
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.measured import measure_block
from deepinit.quantities.programs import seed_fn_of
from deepinit.quantities.routes import finished_estimate

Q = di.quantities
SPEC = di.MLP((8,) * 3)
POINT = di.inputs.points([[1.0, -0.5, 2.0]])
FIELDS = ("mean", "standard_error", "variance", "variance_standard_error", "quantiles")


@pytest.fixture
def relu(monkeypatch):
    """The fake rule."""
    monkeypatch.setattr("deepinit.quantities.controls.control_of", relu_control)


def simulated(quantity=Q.nngp, inputs=POINT, num_seeds=2000, **options):
    return di.simulate(SPEC, quantity, inputs, num_seeds=num_seeds, **options)


def test_the_kernel_of_relu_networks_is_exact_with_smaller_errors(relu):
    found = simulated(control="theory")
    mean, variance = exact_mean(SPEC, POINT), exact_variance(SPEC, POINT)
    assert_mean(found, mean, rejects=1.02 * mean)
    assert_variance(found, variance, rejects=variance * 1.2)
    np.testing.assert_allclose(found.variance_saved, (1 - STRENGTH) ** -2, rtol=1e-3)
    assert np.all(found.variance_standard_error < 0.7 * found.plain.variance_standard_error)
    assert found.settings["control"] == "theory"

    plain = simulated()
    assert "control" not in plain.settings == found.plain.settings
    assert plain.plain is None
    np.testing.assert_array_equal(plain.variance_saved, 1.0)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found.plain, name), getattr(plain, name))
    assert (found.plain.axis, found.plain.entries) == (plain.axis, plain.entries)


@pytest.mark.slow
def test_blocks_and_samples_do_not_change_the_controlled_numbers(relu):
    whole = simulated(num_seeds=100, control="theory", keep_samples=True)
    parts = simulated(num_seeds=100, control="theory", block_size=30)
    for name in ("mean", "standard_error", "variance", "variance_standard_error"):
        np.testing.assert_allclose(getattr(whole, name), getattr(parts, name), rtol=1e-5)
    np.testing.assert_allclose(whole.plain.mean, whole.samples.mean(axis=0), rtol=1e-6)


@pytest.mark.slow
def test_inputs_scaled_by_a_power_of_two_scale_every_number(relu):
    large = di.inputs.points(1024.0 * POINT.points)
    found, usual = (simulated(inputs=x, num_seeds=50, control="theory") for x in (large, POINT))
    assert np.all(found.variance_saved > 50)
    for name, degree in (("mean", 1), ("standard_error", 1), ("variance", 2)):
        scaled = np.ldexp(getattr(usual, name), 20 * degree)
        np.testing.assert_array_equal(getattr(found, name), scaled)


def test_a_control_with_a_mean_is_seen(monkeypatch):
    wrong = partial(relu_control, bias=0.02)
    monkeypatch.setattr("deepinit.quantities.controls.control_of", wrong)
    found = simulated(control="theory")
    with pytest.raises(AssertionError):
        assert_mean(found, exact_mean(SPEC, POINT), rejects=0.0)


@pytest.mark.slow
def test_the_kurtosis_takes_the_controlled_mean_and_variance(relu):
    found = simulated(Q.output_kurtosis, control="theory")
    exact = 3.0 * exact_variance(SPEC, POINT) / exact_mean(SPEC, POINT) ** 2
    assert_mean(found, exact, rejects=1.25 * exact)
    assert np.all(found.standard_error < 0.75 * found.plain.standard_error)
    plain = simulated(Q.output_kurtosis)
    np.testing.assert_array_equal(found.plain.mean, plain.mean)
    np.testing.assert_array_equal(found.plain.standard_error, plain.standard_error)
    assert np.isnan(found.variance).all()


@pytest.mark.slow
def test_the_error_of_the_controlled_kurtosis_is_a_bound_of_repeated_runs(relu):
    control, _ = choose_control(SPEC, Q.output_kurtosis, POINT, "theory")
    seed_fn, settings = seed_fn_of(SPEC, Q.output_kurtosis, POINT, control=control)
    ensemble = blocks.compile_ensemble(seed_fn, 40_000, block_size=1000)
    runs = []
    for block in range(40):
        measured = ensemble.block_fn(keys.root_key(0), block)
        part, _ = measure_block(Q.output_kurtosis, measured, (), control=control)
        runs.append(finished_estimate(SPEC, Q.output_kurtosis, POINT, part, None, settings))
    spread = np.std([run.mean for run in runs], axis=0, ddof=1)
    stated = np.mean([run.standard_error for run in runs], axis=0)
    assert np.all((0.3 * stated < spread) & (spread < 1.3 * stated))  # 40 runs: 11 %
    exact = 3.0 * exact_variance(SPEC, POINT) / exact_mean(SPEC, POINT) ** 2
    mean = np.mean([run.mean for run in runs], axis=0)
    assert_value(mean, spread / np.sqrt(40), exact, rejects=1.05 * exact)


def test_auto_takes_a_control_where_it_exists_and_else_states_the_reason(relu):
    control, setting = choose_control(SPEC, Q.nngp, POINT, "auto")
    assert control is not None
    assert setting == {"control": "theory"}
    control, setting = choose_control(SPEC, Q.log_norm, POINT, "auto")
    assert control is None
    assert setting["control"].startswith("none: Got log_norm of relu.")
    control, setting = choose_control(SPEC, Q.log_gradient_norm, POINT, "auto")
    assert control is None
    assert "of the kind Backward" in setting["control"]


@pytest.mark.slow
def test_auto_without_a_rule_is_the_plain_simulation(relu):
    refused, plain = (simulated(Q.log_norm, num_seeds=20, control=c) for c in ("auto", "none"))
    assert refused.plain is None
    assert refused.settings["control"].startswith("none: Got log_norm")
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(refused, name), getattr(plain, name))


def test_a_forward_quantity_without_a_rule_is_refused():
    with pytest.raises(SpecError, match="control variates of survival"):
        choose_control(SPEC, Q.survival, POINT, "theory")


@pytest.mark.parametrize(
    ("quantity", "inputs"),
    [
        (Q.log_gradient_norm, POINT),
        (Q.bias_ntk, POINT),
        (Q.log_volume, di.frames.random(dimension=3)),
    ],
)
def test_other_kinds_than_the_forward_pass_are_refused(relu, quantity, inputs):
    spec = di.MLP((4,), output_width=1)
    with pytest.raises(SpecError, match=r"control variates of .*\(Forward\).*control='auto'"):
        di.simulate(spec, quantity, inputs, control="theory")


def test_unknown_controls_and_missing_rules_are_refused(relu):
    with pytest.raises(SpecError, match=r"control='always'. Allowed: none, theory, auto"):
        simulated(control="always")
    with pytest.raises(SpecError, match="control=True"):
        simulated(control=True)
    with pytest.raises(SpecError, match=r"Got log_norm of relu\. Allowed: nngp of relu"):
        simulated(Q.log_norm, control="theory")
