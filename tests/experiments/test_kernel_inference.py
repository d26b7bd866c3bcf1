"""The experiment on inference, function by function in small: first order in 1 / width, regression on digits, evidence, words, figures."""

import dataclasses
import html
import json
import re

import numpy as np
import pytest

import deepinit as di
from deepinit import cli
from deepinit.core.errors import SpecError

EXPERIMENT = "kernel_inference"


@pytest.fixture(scope="module")
def parts():
    from experiments.kernel_inference import cases as kernel_inference_cases
    from experiments.kernel_inference import data as kernel_inference_data
    from experiments.kernel_inference import evidence as kernel_inference_evidence
    from experiments.kernel_inference import readout as kernel_inference_readout
    from experiments.kernel_inference import remarks as kernel_inference_words

    return (
        kernel_inference_cases,
        kernel_inference_data,
        kernel_inference_readout,
        kernel_inference_words,
        kernel_inference_evidence,
    )


@pytest.mark.exhaustive
def test_weakly_trained_networks_are_first_order_in_1_over_width_from_the_posterior(parts):
    readout = parts[2]
    spec, rows = readout.network(48), readout.inputs()
    measured = di.simulate(spec, readout.READOUT, rows, num_seeds=4000)
    first, limit = di.predict(spec, readout.READOUT, rows), di.infinite(spec, readout.READOUT, rows)
    # two routes to the limit: the recursion of the kernels, and Gauss-Hermite sums over a neuron's weights
    assert np.allclose(readout.first_order(rows.points)[0], limit.mean[0], atol=1e-9)
    scores = [np.abs(measured.mean - one.mean) / measured.standard_error for one in (first, limit)]
    assert scores[0].max() < 5
    assert scores[1].min() > 5  # resolves 1 % of the prediction
    assert np.allclose(
        measured.variance, first.variance, rtol=0.15
    )  # 5 standard errors of a variance from 4000


@pytest.mark.slow
def test_readout_of_drawn_features_is_the_posterior_of_their_kernel(parts):
    readout = parts[2]
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


@pytest.mark.slow
def test_affine_kernels_learn_digits_and_intervals_are_counted(parts):
    cases, data, _, words, _ = parts
    config = dataclasses.replace(
        cases.PRESETS["smoke"], train_sizes=(100, 300), num_test=300, draws=2
    )
    rates = data.affine_accuracies(config)
    for found in rates.values():
        assert (found > 0.5).all()  # chance is 0.1, and 300 images give it to 0.03
    assert "100: " in words.accuracy_words(config)
    labels = np.repeat(np.arange(10), 30)
    noisy = np.eye(10)[labels] - 0.1 + 0.2 * np.random.default_rng(1).normal(size=(300, 10))
    right, wrong = (data.judge(noisy, np.zeros(300), noise, labels) for noise in (0.04, 0.01))
    assert np.allclose(
        right.coverage, data.LEVELS, atol=0.045
    )  # 5 standard errors of 3000 intervals
    assert wrong.coverage[-1] < 0.75


@pytest.mark.exhaustive
def test_evidence_of_threes_and_sevens(parts):
    cases, _, _, words, data = parts
    config = dataclasses.replace(cases.PRESETS["smoke"], draws=3, evidence_sizes=())
    found = data.evidence(config)
    for one in found.values():
        assert np.allclose(one.default, 3.51, atol=0.06)  # eq. (41); the paper's figure has 3.25
        assert (one.optimum < 1.0).all()
    assert (found["free"].optimum <= found["0.01"].optimum + 1e-9).all()
    told = " ".join(words.evidence_words(config))
    assert "it would be 3.2" in told
    assert "8 of 8 starts agree" in told


@pytest.mark.slow
def test_kernels_of_networks_have_the_mean_of_infinite_width_at_their_depth_where_tanh_is_linear(
    parts,
):
    evidence = parts[4]
    from deepinit.infinite_width.residual import residual_layers

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
def test_networks_narrower_than_the_data_explain_them_by_noise(parts):
    cases, _, _, words, evidence = parts
    config = dataclasses.replace(cases.PRESETS["smoke"], draws=1, evidence_sizes=(10, 25))
    narrow, wide = evidence.network_evidence(config).values()
    assert (narrow.default > wide.default).all()
    assert (wide.default > 100).all()  # the paper's figure: 853; both limits: 3.5
    # what is left of targets of size 1 outside 25 directions, over twice the noise
    assert (wide.optima < 75 / 100 / 2e-4).all()
    assert "Networks of width and depth 10, 25" in " ".join(words.evidence_words(config))


def test_too_many_training_images_are_refused(parts):
    cases, data, *_ = parts
    with pytest.raises(SpecError, match="1 to 4800"):
        data.affine_accuracies(dataclasses.replace(cases.PRESETS["smoke"], train_sizes=(4900,)))


def test_trained_networks_have_the_papers_epochs_batches_and_coarse_digits(parts):
    cases, data, *_ = parts
    from experiments.kernel_inference import trained_networks as trained

    config = dataclasses.replace(
        cases.PRESETS["default"], trained_sizes=(3,), conv_sizes=(2,), conv_side=7
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


@pytest.mark.slow
def test_kernel_beside_trained_networks_is_that_of_weight_space_and_its_flow_learns_with_time(
    parts,
):
    cases, data, *_ = parts
    from experiments.kernel_inference import trained_networks as trained

    config = dataclasses.replace(
        cases.PRESETS["smoke"], num_test=300, trained_on=100, train_sizes=(100,)
    )
    ended, short = trained.kernel_rates(dataclasses.replace(config, trained_epochs=1))
    assert (
        abs(ended - data.affine_accuracies(config)["NTK"][0]) < 1.5 / 300
    )  # one image by rounding
    assert short < ended - 0.1
    assert trained.kernel_rates(dataclasses.replace(config, trained_epochs=10_000))[1] > 0.5


@pytest.mark.exhaustive
def test_presets_plan_their_cases(capsys):
    for preset, count in {"default": 15, "smoke": 8, "paper": 27}.items():
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", EXPERIMENT, "--dry-run", "--preset", preset])
        assert ended.value.code == 0
        assert f"{count} cases" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_ends_well_and_says_what_it_found(tmp_path, capsys):
    out = tmp_path / "small"
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, "--json", "--preset", "smoke", "--out", str(out)])
    assert ended.value.code == 0, json.loads(capsys.readouterr().out)["failures"]
    text = re.sub(
        r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", (out / "report.html").read_text()))
    )
    for words in (
        "ResNet phi = tanh, NTK: 100.000 % of the squared norm is affine",
        "flat along (1.000, -0.582, -1.000)",
        "inside the 90 % interval",
        "rejected: infinite_width",
        "Trained in all layers for 10 epochs on 250 images",
        "On digits of 7 x 7 pixels, 2 epochs: convolutions D = L = 3",
        "peluchetti2021doubly",
    ):
        assert words in text
