"""Inputs and labels of a diagnosis; refusals."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diagnosis.default_inputs import labelled, usual_rows
from deepinit.diagnosis.features import LABEL_FREE, WITH_LABELS
from deepinit.diagnosis.verdict import calibrated, verdict

L = di.layers
ROWS = np.random.default_rng(3).normal(size=(8, 20))


def fails_on(network, inputs, match):
    with pytest.raises(SpecError, match=match):
        di.diagnose(network, inputs)


def test_bad_inputs():
    net = di.MLP((8,) * 3, output_width=2)
    fails_on(net, np.ones((8, 20)), "constant inputs")
    fails_on(net, np.full((8, 20), np.nan), "NaN")
    fails_on(net, ROWS[0], "shape")
    fails_on(net, np.concatenate([ROWS, 0 * ROWS[:1]]), "row 9 is 0")
    fails_on(net, ROWS[:3], "4 rows")
    fails_on(net, np.array([["a", "b"]]), "numbers")
    fails_on(L.Sequential(L.Activation("relu")), ROWS, "without random weights")
    fails_on("gpt2", ROWS, "a network")
    with pytest.raises(SpecError, match="apply"):
        di.diagnose(net, ROWS, apply="magic")
    with pytest.raises(SpecError, match="num_seeds"):
        di.diagnose(net, ROWS, num_seeds=1)


@pytest.mark.slow
def test_labels_are_seen_by_the_model_with_labels():
    generator = np.random.default_rng(0)
    centres, classes = generator.normal(size=(3, 20)), generator.integers(0, 3, 64)
    rows = centres[classes] + 0.3 * generator.normal(size=(64, 20))
    net = di.MLP((64,) * 4, "relu", output_width=3)
    true = di.diagnose(net, rows, classes, num_seeds=32)
    noise = di.diagnose(net, rows, generator.integers(0, 3, 64), num_seeds=32)
    efficiency = [each.scores.scores["signal_efficiency"].mean for each in (true, noise)]
    assert efficiency[0] > efficiency[1] + 0.2
    scores = {name: true.scores.scores[name] for name in WITH_LABELS}
    share = lambda names: calibrated(verdict({name: scores[name] for name in names}, 32))
    assert true.verdict.share == share(WITH_LABELS)
    assert true.verdict.share != share(LABEL_FREE)  # a rival: the other model
    assert true.labels
    assert "labels" not in str(true)
    assert true.to_json()["inputs"]["labels"] is True


def test_labels_that_do_not_fit():
    net = di.MLP((8,) * 3, output_width=2)
    rows = np.random.default_rng(0).normal(size=(64, 20))
    with pytest.raises(SpecError, match="labels without inputs"):
        di.diagnose(net, None, np.zeros(64, int))
    for wrong, match in ((np.zeros(10, int), "10 labels"), (np.zeros(64), "float64")):
        with pytest.raises(SpecError, match=match):
            di.diagnose(net, rows, wrong)


def test_the_first_64_rows_are_scored_with_labels():
    rows = np.random.default_rng(0).normal(size=(96, 20)).astype(np.float32)
    classes = np.arange(96)
    own = di.batch_network(lambda key, x: jax.random.normal(key, (20, 3)), lambda w, x: x @ w)
    for net, given in (
        (own, rows),
        (own, di.inputs.arrays(rows)),
        (di.MLP((8,)), rows),
        (di.MLP((8,)), di.inputs.points(rows)),
    ):
        shown, labels = labelled(net, given, classes)
        assert shown.inputs.num_rows == len(labels) == 64
        np.testing.assert_array_equal(shown.inputs.points, rows[:64])
        assert [len(array) for array in getattr(shown.inputs, "arrays", [labels])] == [64]
    pairs = di.inputs.from_arrays(rows[:64], rows[32:])
    with pytest.raises(SpecError, match="with pairs"):
        labelled(di.MLP((8,)), pairs, classes)


def test_own_networks_that_do_not_fit():
    rows = ROWS.astype("float32")
    weights = lambda key, x: jax.random.normal(key, (7, 3))
    fails_on(di.batch_network(weights, lambda w, x: x @ w), rows, "8 x 20 do not fit")

    def branches(w, x):
        return x @ w if float(x.sum()) > 0 else x @ w + 1

    square = lambda key, x: jax.random.normal(key, (20, 3))
    fails_on(di.batch_network(square, branches), rows, "cannot be traced")
    fails_on(di.batch_network(lambda key, x: (), lambda w, x: x), rows, "without parameters")
    fails_on(di.batch_network(square, lambda w, x: x @ w), None, "without inputs")


def test_usual_inputs():
    assert usual_rows(di.zoo.gpt2()).inputs.tokens
    assert usual_rows(di.zoo.resnet18()).inputs.positions == (64, 64)
    assert usual_rows(di.MLP((8,)), 5).inputs.dimension == 5
    assert "MNIST" in usual_rows(di.MLP((8,))).name
    found = np.asarray(usual_rows(di.MLP((8,)), 784).inputs.points)
    assert abs(np.mean(found**2) - 1) < 0.3
