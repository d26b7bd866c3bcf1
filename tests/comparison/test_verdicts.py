"""Verdicts: error bars at the scale of the values, whatever their size."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

import deepinit as di
from deepinit.comparison.compare import threshold
from deepinit.core.results import Prediction
from deepinit.ensembles import statistics
from deepinit.runs.verdicts import judge

quantities, points = di.quantities, di.inputs.points


def _scaled(prediction, factor):
    return dataclasses.replace(prediction, name="wrong", mean=factor * prediction.mean)


@pytest.mark.exhaustive
def test_r01_powers_of_two_change_no_verdict_of_a_homogeneous_network():
    """A weight variance of 3 for 2 is off by a factor 1.5 and 2.25: 113 and 196 standard errors."""
    net, wrong = di.MLP((64,) * 2), di.MLP((64,) * 2, weight_law=di.normal(3.0))
    found = {}
    for scale in (1.0, 2.0**-10, 2.0**12):
        x = points(scale * np.array([[1.0, 1.0]]))
        measured = di.simulate(net, quantities.nngp, x, num_seeds=4000, progress=lambda *_: None)
        routes = (
            dataclasses.replace(di.infinite(law, quantities.nngp, x), name=name)
            for name, law in (("right", net), ("wrong", wrong))
        )
        data = di.compare(measured, *routes).dataset
        found[scale] = data["z"].values[:, :, 0]
        assert np.all(np.abs(found[scale][0]) < 5)
        np.testing.assert_allclose(found[scale][1], [-113, -196], rtol=0.05)
        resolved = threshold(4000) * data["standard_error"]
        np.testing.assert_allclose(data["effect_resolved"], resolved, rtol=1e-12)
    np.testing.assert_allclose(found[2.0**-10], found[1.0], atol=1e-3)
    np.testing.assert_allclose(found[2.0**12], found[1.0], atol=1e-3)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a1_a_prediction_of_a_small_number_can_be_rejected():
    """5.7e-10 at layer 30: the closed form is right, a hundredfold of it and zero are not."""
    net, x = di.MLP((64,) * 30, weight_law=di.normal(1.0)), points([[1.0, 0.5]])
    measured = di.simulate(net, quantities.nngp, x, num_seeds=4000, progress=lambda *_: None)
    right = di.predict(net, quantities.nngp, x)
    data = di.compare(measured, right, _scaled(right, 100.0), _scaled(right, 0.0)).dataset
    z = data["z"].values[:, -1, 0]
    assert abs(z[0]) < 5
    assert z[1] < -500
    assert z[2] > 10
    assert data["judged"].values[1, :, 0].all()


@pytest.mark.slow
def test_a1_training_losses_of_small_targets():
    """Losses of 1e-8: a prediction 1.5 times as large is 19 standard errors off."""
    net = di.MLP((32,), di.tanh, output_width=1, output_law=di.normal(1e-8))
    x = np.linspace(-1, 1, 4)[:, None]
    training = di.TrainingConfig(di.targets.examples(x, 1e-4 * x), (0,), mode="gd", rate=0.01)
    measured = di.simulate(
        net, quantities.training_loss, training, num_seeds=200, progress=lambda *_: None
    )
    half_more = Prediction("training_loss", "wrong", 1.5 * measured.mean, None, "", "", "")
    z = di.compare(measured, half_more).dataset["z"].values[0]
    np.testing.assert_allclose(z, (-0.5 * measured.mean / measured.standard_error), rtol=1e-12)
    assert np.all(z < -5)


@pytest.mark.parametrize(
    ("rounding", "expected"), [("relative", 1e-9 / 1e-12), ("absolute", 1e-9 / (4 * 2.0**-23))]
)
def test_only_logarithms_have_an_absolute_floor(rounding, expected):
    values = np.full((4, 1, 1), 2e-9) + 1e-12 * np.array([-1, 1, -1, 1]).reshape(4, 1, 1) * np.sqrt(
        3
    )
    estimate = statistics.estimate(
        "thing",
        statistics.statistics(values, np.zeros(values.shape, int), 1),
        ("not_finite",),
        settings={"dtype": "float32"},
    )
    estimate = dataclasses.replace(estimate, rounding=rounding)
    z = di.compare(
        estimate, Prediction("thing", "half", np.array([[1e-9]]), None, "", "", "")
    ).dataset["z"]
    np.testing.assert_allclose(z.item(), expected, rtol=1e-6)


@pytest.mark.parametrize(("num_seeds", "failed"), [(2, 0), (20, 0), (1000, 1)])
def test_a_check_fails_from_the_students_t_threshold_on(num_seeds, failed):
    """z = 5.5 rejects for 1000 networks (threshold 5.03), and not for 2 or 20 (1.1e6, 7.5)."""
    values = np.tile([-1.0, 1.0], num_seeds // 2)[:, None, None]
    merged = statistics.statistics(values, np.zeros(values.shape, int), 1)
    estimate = statistics.estimate("thing", merged, ("not_finite",))
    off = Prediction("thing", "exact", -5.5 * estimate.standard_error, None, "", "", "")
    data = di.compare(estimate, off).dataset
    np.testing.assert_allclose(data["z"], 5.5, rtol=1e-9)
    case = SimpleNamespace(name="few", checked=("exact",), rejected=())
    _, failures = judge(SimpleNamespace(case=case, estimate=estimate, dataset=data))
    assert len(failures) == failed


def test_every_logarithm_says_so():
    logarithms = {
        "log_sin2_angle", "log_volume", "log_norm", "log_gradient_norm", "log_singular_values",
    }  # fmt: skip
    for name in logarithms:
        assert getattr(quantities, name).rounding == "absolute"
    for name in ("nngp", "ntk", "bias_ntk", "training_loss", "length_distortion"):
        assert getattr(quantities, name).rounding == "relative"


def _case_result(quantity, spec, inputs, measured, checked=("exact",), **changes):
    data = di.compare(
        measured, dataclasses.replace(di.predict(spec, quantity, inputs), **changes)
    ).dataset
    case = SimpleNamespace(name="deep", checked=checked, rejected=())
    return SimpleNamespace(case=case, estimate=measured, dataset=data)


def _heavy():
    circle = di.curves.sampled(di.curves.circle(), num_nodes=16)
    one = points(np.ones((1, 16)))
    return [
        (quantities.nngp, di.MLP((16,) * 100), one, 2000, "log_norm"),
        (quantities.output_kurtosis, di.MLP((16,) * 60), one, 2000, "log_norm"),
        (quantities.length_distortion, di.MLP((8,) * 60), circle, 500, "log_volume"),
    ]


@pytest.mark.parametrize(
    ("quantity", "spec", "inputs", "num_seeds", "instead"),
    _heavy(),
    ids=lambda v: getattr(v, "name", ""),
)
@pytest.mark.slow
def test_a3_no_exact_form_is_rejected_under_heavy_tails(quantity, spec, inputs, num_seeds, instead):
    """z at the last layer is -621, -1e5, -7.5: the sample misses rare large networks."""
    for key in (0, 1):
        measured = di.simulate(
            spec, quantity, inputs, num_seeds=num_seeds, key=key, progress=lambda *_: None
        )
        result = _case_result(quantity, spec, inputs, measured)
        judged = result.dataset["judged"].values[0, :, 0]
        assert judged[0]
        assert not judged[-1]
        sentence, failures = judge(result)
        assert "rejected" not in sentence
        assert f"tails are too heavy for {num_seeds} networks; compare {instead}" in sentence
        assert "does where it is judged" in failures[0]
        assert len(failures) == 1
        deep = SimpleNamespace(
            case=result.case, estimate=measured, dataset=result.dataset.isel(layer=slice(-1, None))
        )
        _, failures = judge(deep)
        assert len(failures) == 1
        assert "cannot be judged because tails" in failures[0]


@pytest.mark.slow
def test_a3_light_tails_are_judged_and_can_reject():
    """Width 64, depth 10: a mean 20 % too large is rejected, stated variance or not."""
    spec, inputs = di.MLP((64,) * 10), points(np.ones((1, 16)))
    measured = di.simulate(spec, quantities.nngp, inputs, num_seeds=4000, progress=lambda *_: None)
    right = _case_result(quantities.nngp, spec, inputs, measured)
    assert right.dataset["judged"].all()
    assert judge(right)[1] == []
    wrong = _case_result(
        quantities.nngp, spec, inputs, measured, mean=1.2 * right.dataset["predicted"].values[0]
    )
    assert wrong.dataset["judged"].all()
    assert "rejected" in judge(wrong)[0]
    assert len(judge(wrong)[1]) == 1


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a2_kernels_below_the_range_of_float32_are_measured():
    """float32 ends at 1e-45; the kernel is 2^-200 times the input's, networks 2^-100 of He's."""
    x = points(np.ones((2, 16)) * [[1.0], [2.0]])
    low, he = (
        di.simulate(di.MLP((16,) * 200, weight_law=di.normal(v)),
                    quantities.nngp, x, num_seeds=20, keep_samples=True, progress=lambda *_: None)
        for v in (1.0, 2.0)
    )  # fmt: skip
    assert low.num_excluded.sum() == 0
    assert 0 < low.mean[-1, 0] < 1e-45
    expected = he.samples.astype(float) * 2.0 ** -np.arange(1, 201)[:, None]
    np.testing.assert_allclose(low.samples, expected, rtol=1e-3)
    np.testing.assert_allclose(low.samples[:, -1, 2], 4 * low.samples[:, -1, 0], rtol=1e-3)
