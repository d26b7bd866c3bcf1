"""Scores of one network against NumPy loops in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import plain_stack
import pytest

from deepinit.diagnosis.one_network import measured, random_cotangent
from deepinit.diagnosis.probe import Batch
from deepinit.diagnosis.study import stacks

pytestmark = pytest.mark.slow  # one compilation
WIDTH, DEPTH, INPUTS, CLASSES, ROWS = 7, 4, 5, 3, 6
SKIP, ALPHA = 0.6, 0.8
SHAPE = stacks.Shape(WIDTH, DEPTH, INPUTS, CLASSES)
VALUES = stacks.values_of(
    {
        "weight": 1.5,
        "first": 1.2,
        "bias": 0.1,
        "skip": SKIP,
        "alpha": ALPHA,
        "norm": "none",
        "activation": "tanh",
    }
)
KEY = jax.random.key(3)


def slope(z):
    return 1 / np.cosh(z) ** 2


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(1)
    inputs, step, other = (rng.standard_normal((ROWS, INPUTS)) for _ in range(3))
    labels, others = rng.integers(CLASSES, size=(2, ROWS))
    batch = Batch(*(jnp.asarray(each) for each in (inputs, step, labels, other, others)))
    batch = jax.tree.map(lambda x: x.astype("float32") if x.dtype.kind == "f" else x, batch)
    probe = stacks.probe(SHAPE, VALUES)
    found = jax.jit(lambda key: measured(probe, batch, key))(KEY)
    drawn = probe.draw(jax.random.fold_in(KEY, 0)).parameters
    parameters = {name: np.asarray(leaf, float) for name, leaf in drawn.items()}
    back = random_cotangent(KEY, jnp.zeros((ROWS, CLASSES)))
    each = (inputs, step, labels, other, others)
    return {name: np.asarray(v) for name, v in found.items()}, parameters, each, np.asarray(back)


def run(parameters, x):
    return plain_stack.states_of(parameters, x, np.tanh, SKIP, ALPHA)


def gradients(parameters, x, back):
    return plain_stack.gradients_of(parameters, x, back, np.tanh, slope, SKIP, ALPHA)


def test_gradients_and_norms_by_layer(case):
    found, parameters, (inputs, *_), back = case
    by_row = [gradients(parameters, x, c) for x, c in zip(inputs, back, strict=True)]
    squares = np.sum([[d @ d for d in deltas] for deltas, _ in by_row], axis=0)
    states = np.array([run(parameters, x)[0] for x in inputs])
    rms = np.sqrt(np.mean(states**2, axis=(0, 2)))
    np.testing.assert_allclose(found["log_gradient2"], np.log(squares), atol=2e-5)
    np.testing.assert_allclose(found["log_norm"], np.log(rms), atol=2e-5)
    logs = np.log(squares)
    np.testing.assert_allclose(found["gradient_slope"], logs[0] - logs[-1], atol=2e-5)
    np.testing.assert_allclose(found["forward_range"], np.max(np.abs(np.log(rms))), atol=2e-5)
    first = plain_stack.total([tree for _, tree in by_row])["first"]
    floor = np.log(np.sqrt(np.mean(first**2)))
    np.testing.assert_allclose(found["gradient_floor"], floor, atol=2e-5)
    assert abs(found["gradient_slope"] + logs[0] - logs[-1]) > 0.1  # rival: the other sign


def test_angles_and_stretch(case):
    found, parameters, (inputs, *_), _ = case
    features = np.array([np.tanh(run(parameters, x)[0][-1]) for x in inputs])
    logs = lambda rows: np.mean(
        [np.log(np.sin(plain_stack.angle(a, b)) ** 2) for a, b in itertools.combinations(rows, 2)]
    )
    np.testing.assert_allclose(found["collapse"], logs(inputs) - logs(features), atol=2e-4)
    moved = np.roll(inputs, -1, axis=0) - inputs
    step, grown = 1e-6, []
    for x, u in zip(inputs, moved, strict=True):
        ends = [np.tanh(run(parameters, x + sign * step * u)[0][-1]) for sign in (1, -1)]
        grown.append((ends[0] - ends[1]) / (2 * step))
    ratio = np.sum(np.square(grown)) / np.sum(features**2) * np.sum(inputs**2) / np.sum(moved**2)
    np.testing.assert_allclose(found["stretch"], np.log(ratio), atol=1e-4)
    absolute = np.log(np.sum(np.square(grown)) / np.sum(moved**2))
    assert abs(found["stretch"] - absolute) > 0.1  # rival: not relative to the norm


def test_tangent_kernel(case):
    found, parameters, (inputs, *_), _ = case
    direction = np.asarray(jax.random.normal(jax.random.fold_in(KEY, 2), (CLASSES,)), float)
    direction /= np.linalg.norm(direction)
    trees = [gradients(parameters, x, direction)[1] for x in inputs]
    kernel = np.array([[plain_stack.inner(a, b) for b in trees] for a in trees])
    values = np.linalg.eigvalsh(kernel)
    np.testing.assert_allclose(found["ntk_condition"], np.log(values[-1] / values[0]), atol=2e-3)
    centre = np.eye(ROWS) - 1 / ROWS
    share = np.trace(centre @ kernel @ centre) / np.trace(kernel)
    np.testing.assert_allclose(found["ntk_centred"], share, atol=1e-5)


def test_first_step(case):
    found, parameters, (_, step, labels, other, others), _ = case
    trees = []
    for x, label in zip(step, labels, strict=True):
        back = plain_stack.softmax(run(parameters, x)[1]) - np.eye(CLASSES)[label]
        trees.append(gradients(parameters, x, back / ROWS)[1])
    direction = {name: -np.sign(leaf) for name, leaf in plain_stack.total(trees).items()}
    eta = 1e-6
    at = lambda eta: {name: leaf + eta * direction[name] for name, leaf in parameters.items()}
    logits = lambda eta: np.array([run(at(eta), x)[1] for x in other])
    change = (logits(eta) - logits(-eta)) / (2 * eta)
    change -= change.mean(axis=1, keepdims=True)
    rms = np.sqrt(np.mean(change**2))
    loss = lambda eta: (
        -np.mean(
            [np.log(plain_stack.softmax(f)[y]) for f, y in zip(logits(eta), others, strict=True)]
        )
    )
    efficiency = -(loss(eta) - loss(-eta)) / (2 * eta) / rms
    np.testing.assert_allclose(found["first_step"], np.log(rms), atol=1e-4)
    np.testing.assert_allclose(found["signal_efficiency"], efficiency, atol=1e-4)
