"""kernel_inference in small: first order in 1 / width, regression on digits, evidence, tables."""

import dataclasses
import re

import numpy as np
import pytest
from experiment_runs import assert_plans, measured, rows_by_title, tables_of

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.infinite_width.residual import residual_layers
from experiments.kernel_inference import config as configs
from experiments.kernel_inference import data, evidence, readout, tables
from experiments.kernel_inference import trained_networks as trained

EXPERIMENT = "kernel_inference"


@pytest.mark.exhaustive
def test_weakly_trained_networks_are_first_order_in_1_over_width_from_the_posterior():
    spec, rows = readout.network(48), readout.inputs()
    measured = di.simulate(spec, readout.READOUT, rows, num_seeds=4000)
    first, limit = di.predict(spec, readout.READOUT, rows), di.infinite(spec, readout.READOUT, rows)
    # two routes to the limit: the recursion of kernels, Gauss-Hermite sums over weights
    assert np.allclose(readout.first_order(rows.points)[0], limit.mean[0], atol=1e-9)
    scores = [np.abs(measured.mean - one.mean) / measured.standard_error for one in (first, limit)]
    assert scores[0].max() < 5
    assert scores[1].min() > 5  # resolves 1 % of the prediction
    assert np.allclose(
        measured.variance, first.variance, rtol=0.15
    )  # 5 standard errors of a variance from 4000


@pytest.mark.slow
def test_readout_of_drawn_features_is_the_posterior_of_their_kernel():
    rows = readout.inputs()
    samples = di.simulate(
        readout.network(3), readout.READOUT, rows, num_seeds=3, keep_samples=True
    ).samples
    assert np.isfinite(samples).all()
    features = np.random.default_rng(0).normal(size=(9, 5))
    kernel = features @ features.T
    right = readout.targets(rows.points)
    found = readout._solve(kernel[:6, :6] + 0.1 * np.eye(6), right)
    assert np.allclose(found, np.linalg.solve(kernel[:6, :6] + 0.1 * np.eye(6), right), rtol=1e-3)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_affine_kernels_learn_digits_and_intervals_are_counted():
    config = dataclasses.replace(
        configs.PRESETS["smoke"], train_sizes=(100, 300), num_test=300, draws=2
    )
    rates = data.affine_accuracies(config)
    for found in rates.values():
        assert (found > 0.5).all()  # chance is 0.1, and 300 images give it to 0.03
    (rows,) = rows_by_title([tables.affine_table(config)]).values()
    assert [row["training images"] for row in rows] == [100, 300]
    for k, row in enumerate(rows):
        for kernel, found in rates.items():
            rate, error = measured(row[kernel])
            assert rate == pytest.approx(100 * found[k], abs=0.05)
            assert error == pytest.approx(100 * (found[k] * (1 - found[k]) / 300) ** 0.5, abs=0.1)
    labels = np.repeat(np.arange(10), 30)
    noisy = np.eye(10)[labels] - 0.1 + 0.2 * np.random.default_rng(1).normal(size=(300, 10))
    right, wrong = (data.judge(noisy, np.zeros(300), noise, labels) for noise in (0.04, 0.01))
    assert np.allclose(
        right.coverage, data.LEVELS, atol=0.045
    )  # 5 standard errors of 3000 intervals
    assert wrong.coverage[-1] < 0.75


@pytest.mark.exhaustive
def test_evidence_of_threes_and_sevens():
    config = dataclasses.replace(configs.PRESETS["smoke"], draws=3, evidence_sizes=())
    found = evidence.evidence(config)
    for one in found.values():
        assert np.allclose(one.default, 3.51, atol=0.06)  # eq. (41); the paper's figure has 3.25
        assert (one.optimum < 1.0).all()
    assert (found["free"].optimum <= found["0.01"].optimum + 1e-9).all()
    (rows,) = rows_by_title([tables.evidence_table(config)]).values()
    assert [row["noise variance"] for row in rows] == ["0.01", "0.0001", "free"]
    for row in rows:
        assert row["least"] <= measured(row["optimum"])[0] <= row["largest"]
    values = dict(tables.variance_table().rows)
    assert values["default with E - 1 in place of E in eq. (41)"].startswith("3.2")
    assert values["agreeing starts"] == "8 of 8"
    flat = [values[f"flat direction, log {name}^2"] for name in ("sigma_w", "sigma_b", "sigma_z")]
    assert flat == ["1.000", "-0.582", "-1.000"]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kernels_of_networks_have_the_mean_of_infinite_width_at_their_depth_where_tanh_is_linear():
    size, x, (weight, bias, start) = (
        12,
        np.random.default_rng(0).normal(size=(3, 5)),
        (0.7, 3e-4, 2e-4),
    )
    laws = {"weight_law": di.normal(weight, "depth"), "bias_law": di.normal(bias, "depth")}
    spec = di.ResNet(
        size, size, block="shallow", embedding_law=di.normal(start, "absolute"), **laws
    )
    expected = residual_layers(spec, x).nngp[-1]
    kernels = np.array(
        [evidence.network_kernel(size, (weight, bias, start), x, seed) for seed in range(600)]
    )
    error = kernels.std(axis=0) / 600**0.5
    assert (np.abs(kernels.mean(axis=0) - expected) < 5 * error).all()
    for other in (
        (1.0, bias, start),
        (weight, 6e-4, start),
        (weight, bias, 3e-4),
    ):  # each variance is seen
        rival = np.mean(
            [evidence.network_kernel(size, other, x, seed) for seed in range(200)], axis=0
        )
        assert (np.abs(rival - expected) > 5 * error).any()


@pytest.mark.exhaustive
def test_networks_narrower_than_the_data_explain_them_by_noise():
    config = dataclasses.replace(configs.PRESETS["smoke"], draws=1, evidence_sizes=(10, 25))
    narrow, wide = evidence.network_evidence(config).values()
    assert (narrow.default > wide.default).all()
    assert (wide.default > 100).all()  # the paper's figure: 853; both limits: 3.5
    # what is left of targets of size 1 outside 25 directions, over twice the noise
    assert (wide.optima < 75 / 100 / 2e-4).all()
    (rows,) = rows_by_title([tables.network_table(config)]).values()
    assert [(row["D = L"], row["paper: all 1"]) for row in rows] == [(10, None), (25, 853.0)]
    assert measured(rows[1]["all variances 1"])[0] == pytest.approx(wide.default.mean(), rel=1e-3)


def test_too_many_training_images_are_refused():
    with pytest.raises(SpecError, match="1 to 4800"):
        data.affine_accuracies(dataclasses.replace(configs.PRESETS["smoke"], train_sizes=(4900,)))


def test_trained_networks_have_the_papers_epochs_batches_and_coarse_digits():
    config = dataclasses.replace(
        configs.PRESETS["default"], trained_sizes=(3,), conv_sizes=(2,), conv_side=7
    )
    runs = {case.name: case.inputs for case in trained.trained_cases(config)}
    assert list(runs)[:4] == [
        "trained-3-gd",
        "trained-3-sgd",
        "trained-3-full-adam",
        "trained-3-adam",
    ]
    assert list(runs)[4:] == ["conv-2-sgd", "coarse-2-sgd", "conv-2-adam", "coarse-2-adam"]
    # 120 epochs of 1000 images: as many steps without, five times as many with minibatches of 200
    assert [runs[f"trained-3-{name}"].record_steps[-1] for name in trained.OPTIMIZERS] == [
        120,
        600,
        120,
        600,
    ]
    images = data.digits(config).images[:2]
    assert np.allclose(
        trained.coarse(images, 7)[1, 10], images[1].reshape(28, 28)[4:8, 12:16].mean()
    )
    assert runs["conv-2-sgd"].dimension == 49
    with pytest.raises(SpecError, match="4, 7, 14, 28"):
        trained.coarse(images, 10)
    with pytest.raises(SpecError, match="gd, sgd, full-adam, adam"):
        trained.chosen(dataclasses.replace(config, optimizers=("lion",)))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_kernel_beside_trained_networks_is_that_of_weight_space_and_its_flow_learns_with_time():
    config = dataclasses.replace(
        configs.PRESETS["smoke"], num_test=300, trained_on=100, train_sizes=(100,)
    )
    ended, short = trained.kernel_rates(dataclasses.replace(config, trained_epochs=1))
    assert (
        abs(ended - data.affine_accuracies(config)["NTK"][0]) < 1.5 / 300
    )  # one image by rounding
    assert short < ended - 0.1
    assert trained.kernel_rates(dataclasses.replace(config, trained_epochs=10_000))[1] > 0.5


@pytest.mark.exhaustive
def test_presets_plan_their_cases(capsys):
    assert_plans(capsys, EXPERIMENT, {"default": 15, "smoke": 8, "paper": 27})


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_ends_well(tmp_path, capsys):
    out = tmp_path / "small"
    found = tables_of(capsys, EXPERIMENT, out, "--preset", "smoke")
    kernels = found["Kernels and their affine parts, 200 training images"]
    (affine,) = (row for row in kernels if row["kernel"] == "ResNet phi = tanh, NTK")
    assert affine["affine share"] == pytest.approx(100.0, abs=5e-4)
    assert affine["gain"] == pytest.approx(0.0, abs=1.0)
    for row in found["Targets inside the 90 % interval, %, 200 training images"]:
        quarters = [row[f"quarter {k}"] for k in (1, 2, 3, 4)]
        assert np.mean(quarters) == pytest.approx(row["all"])
    for row in found["Trained readout: width times (mean prediction - NNGP posterior)"]:
        bias, error = measured(row["measured"])
        assert abs(bias - row["first order"]) < 6 * error
    rows = found["Networks trained in all layers: accuracy, %"]
    assert [(row["D = L"], row["optimizer"]) for row in rows] == [
        (6, "SGD"),
        (6, "Adam, minibatches"),
    ]
    best = found["Trained networks, best size, against the kernel of both limits: accuracy, %"]
    assert len(best) == 4
    coarse = found["Digits of 7 x 7 pixels: accuracy, %"]
    assert [(row["network"], row["D = L"]) for row in coarse] == [
        ("convolutional", 3),
        ("convolutional", 3),
        ("fully connected", 3),
        ("fully connected", 3),
    ]
    report = (out / "report.html").read_text()
    assert re.search(r'class="r\d"><a href="#case-[^"]*">[^<]*<small>rejected</small>', report)
    assert "peluchetti2021doubly" in report
