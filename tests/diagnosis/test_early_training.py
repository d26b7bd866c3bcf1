"""A few training steps: losses against optax, shares against the study's networks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diagnosis.early_training import EarlyTraining, _linear, _own, _share, early_training
from deepinit.diagnosis.screen import _training
from deepinit.diagnosis.study import analysis, statistics, training
from deepinit.diagnosis.study.blocks import Blocks
from deepinit.diagnosis.study.rows import rows

RNG = np.random.default_rng(5)
INPUTS = RNG.normal(size=(96, 12)).astype(np.float32)
LABELS = (INPUTS @ RNG.normal(size=(12, 3))).argmax(axis=1)
NET = di.MLP((16, 16), "tanh", output_width=3)
GPT = di.zoo.gpt2(width=16, depth=1, heads=2)


class Classifier(nn.Module):
    """The network NET, by flax."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.tanh(nn.Dense(16)(x))
        return nn.Dense(3)(x)


@pytest.mark.parametrize(
    ("arguments", "given", "allowed"),
    [
        ((NET, INPUTS, LABELS, 30), "train_steps", "50"),
        ((NET, INPUTS, LABELS, 75), "train_steps=75", "a multiple of 50"),
        ((NET, INPUTS, None, 50), "train_steps without labels", "inputs and labels"),
        (
            (di.zoo.gpt2(width=16, depth=1, heads=2), None, None, 50),
            "train_steps without labels",
            "784, 196 or 64",
        ),
        ((NET, INPUTS, LABELS[:80], 50), "80 labels for 96 rows", "64 or more"),
        ((NET, INPUTS, 0 * LABELS, 50), "labels of one class", "two classes"),
        ((NET, INPUTS, LABELS + 2, 50), "outputs of shape (3,) for 5 classes", "[5]"),
        ((NET, INPUTS, LABELS[:, None] + 0 * LABELS, 50), "for 3 classes at (96,)", "[96, 3]"),
        ((di.MLP((4000,), "relu", output_width=3), INPUTS.repeat(80, 1), LABELS, 50), "", "3e+06"),
    ],
)
def test_what_cannot_be_trained_is_refused(arguments, given, allowed):
    with pytest.raises(SpecError) as error:
        early_training(*arguments)
    assert given in str(error.value)
    assert allowed in str(error.value)


@pytest.mark.slow
def test_the_loss_is_that_of_optax():
    network = di.from_linen(Classifier())
    found = early_training(network, INPUTS, LABELS, 50)
    losses = [adam_loss(seed, found.rate) for seed in range(training.SEEDS)]
    assert found.loss == pytest.approx(np.mean(losses), rel=2e-4)
    assert found.loss != pytest.approx(np.mean(losses[:2]), rel=2e-3)
    counts = np.bincount(LABELS) / len(LABELS)
    assert found.trivial == pytest.approx(-np.sum(counts * np.log(counts)))
    assert 0.3 < found.progress < 1.2  # labels are those of a linear model


def adam_loss(seed, rate):
    """Mean loss of steps 41 to 50, of a network of flax trained by optax."""
    key = jax.random.fold_in(jax.random.key(0), jnp.uint32(seed))
    model, optimizer = Classifier(), optax.adam(rate)
    own = jax.random.fold_in(key, 0)  # of the network, `one_network.NETWORK`
    network = di.from_linen(model)
    parameters = network.batch.init(own, INPUTS[:2])[0]
    state, losses = optimizer.init(parameters), []

    def loss(parameters, x, y):
        logits = network.batch.apply(parameters, {}, own, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

    step = jax.jit(jax.value_and_grad(loss))
    for number in range(50):
        batch = jax.random.fold_in(jax.random.fold_in(key, 7), number)
        value, gradient = step(parameters, *training.batch(INPUTS, LABELS, batch))
        updates, state = optimizer.update(gradient, state)
        parameters = optax.apply_updates(parameters, updates)
        losses.append(float(value))
    return np.mean(losses[-10:])


@pytest.mark.slow
def test_layers_and_a_function_of_them_train_alike():
    """Of one law; a network of another depth is told apart."""
    spec = early_training(NET, INPUTS, LABELS, 100)
    own = early_training(di.from_linen(Classifier()), INPUTS, LABELS, 100)
    still = early_training(di.MLP((16,) * 60, "tanh", output_width=3), INPUTS, LABELS, 100)
    assert abs(spec.progress - own.progress) < 0.02
    assert still.progress < 0.5 * spec.progress
    assert spec.share is None
    assert spec.steps == 100


@pytest.mark.slow
def test_labels_that_a_linear_model_does_not_learn_are_refused():
    """The sign of a product: its unit, trivial - reference, is about 0."""
    rows = RNG.normal(size=(2000, 2))
    with pytest.raises(SpecError, match="a linear model does not learn"):
        early_training(di.MLP((16,), output_width=2), rows, (rows.prod(axis=1) > 0).astype(int), 50)


def test_labels_by_position_have_a_linear_model_by_position():
    ids = RNG.integers(0, 5, size=(64, 6))
    data = _own(di.from_linen(nn.Embed(5, 4)), ids, ids % 3)[0]
    init, outputs = _linear(data)
    weights = jnp.eye(5)[:, :3]
    assert init({}, None)["weights"].shape == (5, 3)
    found = outputs({}, {"weights": weights, "biases": jnp.zeros(3)}, jnp.asarray(ids))
    np.testing.assert_allclose(found, np.eye(5)[ids][..., :3])


def test_shares_are_those_of_the_studys_networks(tmp_path):
    given = rows(Blocks(tmp_path))
    early = np.array([row.early for row in given])
    fails = np.array([row.fails for row in given])
    shares = np.array([_share(float(value))[0] for value in early])
    for low, high in ((-1.0, 0.1), (0.1, 0.6), (0.6, 1.5)):
        own = (early >= low) & (early < high)
        error = 5 * np.sqrt(0.25 / own.sum())
        assert abs(shares[own].mean() - 1 + fails[own].mean()) < error
    assert abs(shares.mean() - fails.mean()) > 0.05  # the share that fails is rejected
    areas = analysis.family_areas(analysis.leave_family_out("50 training steps", given), given)
    assert _share(0.5)[2] == pytest.approx(np.mean(list(areas.values())))
    assert statistics.auc(-early, fails) > statistics.auc(
        analysis.leave_family_out("label-free", given), fails
    )


def test_the_screen_says_when_training_and_verdict_differ():
    found = EarlyTraining(50, 1e-3, 2.0, 2.3, 0.3, 0.15, 0.3, (0.1, 0.4), 0.98, "MNIST")
    assert "differs from the verdict" in _training(found, 0.8)
    assert "differs" not in _training(found, 0.2)
    assert "differs" not in _training(found, None)


@pytest.mark.slow
def test_the_screen_and_the_record_have_the_training():
    found = di.diagnose(NET, INPUTS, LABELS, train_steps=50, num_seeds=8)
    lines = str(found).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    (line,) = [line for line in lines if line.startswith("TRAINED")]
    assert f"50 steps of Adam on 96 rows of yours: loss {found.training.loss:.3g}" in line
    assert found.to_json()["training"]["share"] == found.training.share
    assert "TRAINED" in found.to_html()
    assert di.diagnose(NET, INPUTS, num_seeds=8).to_json()["training"] is None
