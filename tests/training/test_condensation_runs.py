"""Small networks condense onto the orientations predicted at leading order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit import training
from deepinit.core import targets
from deepinit.core.activations import from_function
from deepinit.observables.orientation_counts import count_orientations
from deepinit.observables.orientations import alignment, amplitudes, input_vectors
from deepinit.training.loop import DROPPED

FIVE, ONE = targets.sum_of_sines(seed=1), targets.two_sines()


def x_tanh(s):
    return s * jnp.tanh(s)


def x2_tanh(s):
    return s * s * jnp.tanh(s)


def appended(data):
    return np.c_[data.inputs, np.ones(len(data.inputs))], data.targets[:, 0]


def mean_direction(data):
    z, y = appended(data)
    return z.T @ y / len(y)


def attractors_on_circle(data, power):
    """Strict local maxima of |H| on a fine grid of angles, for p = 1, 2, 3 and one input."""
    z, y = appended(data)
    angle = np.linspace(-np.pi, np.pi, 7200, endpoint=False)
    u = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    size = np.abs(((u @ z.T) ** power) @ y)
    return u[(size > np.roll(size, 1)) & (size > np.roll(size, -1))]


def run(activation, data, seeds=3, std=1e-5, width=100, network=None, **options):
    network = network or training.perceptron(
        training.small_mlp((width,), from_function(activation), std=std)
    )
    seed_fn = training.training_seed_fn(network, data, initial_stage=True, **options)
    root = jax.random.key(0, impl="threefry2x32")
    keys = jax.vmap(lambda seed: jax.random.fold_in(root, seed))(jnp.arange(seeds))
    records = jax.jit(jax.vmap(seed_fn))(keys)
    hidden, output = jax.tree.map(lambda leaf: leaf[:, -1], records.values)
    return (
        records,
        jax.vmap(input_vectors)(hidden["weights"], hidden["biases"]),
        output["weights"][:, 0],
    )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_tanh_takes_two_orientations_along_the_mean_direction():
    v = mean_direction(FIVE)
    records, vectors, outputs = run(
        jnp.tanh,
        FIVE,
        mode="gd",
        rate=0.02 / np.linalg.norm(v),
        stop_drop=1e-3,
        record_steps=(0, 600),
    )
    assert (records.status[:, 1] == DROPPED).all()
    assert ((records.step[:, 1] > 320) & (records.step[:, 1] < 380)).all()
    for w, a in zip(vectors, outputs, strict=True):
        counted = count_orientations(w)
        assert bool(counted.condensed)
        assert int(counted.num_orientations) == 2
        found = alignment(w, np.stack([v, -v]))
        assert float(found.median) > 0.999
        assert float(found.fraction) > 0.95
        assert bool(found.visited.all())
        aligned = np.asarray(found.best) > 0.97
        assert (np.sign(a) == np.where(found.nearest == 0, 1, -1))[
            aligned
        ].mean() > 0.98  # opposite carry opposite a
        rival = alignment(w, np.stack([np.sign(v), -np.sign(v)]))  # where Adam would take it
        assert float(rival.median) < 0.97


@pytest.mark.slow
def test_descent_of_one_neuron_follows_the_exact_exponential():
    v = mean_direction(FIVE)
    nu, rate = np.linalg.norm(v), 0.02 / np.linalg.norm(v)
    records, _, _ = run(jnp.tanh, FIVE, seeds=1, mode="gd", rate=rate, record_steps=(0, 200))
    hidden, output = jax.tree.map(lambda leaf: np.asarray(leaf[0], np.float64), records.values)
    w = np.concatenate([hidden["weights"], hidden["biases"][:, :, None]], axis=2)
    a, c = output["weights"][:, 0], w @ v / nu
    up, down = (1 + rate * nu) ** 200, (1 - rate * nu) ** 200
    scale = 1e-5 * up
    np.testing.assert_allclose(
        a[1], 0.5 * (up * (a[0] + c[0]) + down * (a[0] - c[0])), atol=2e-4 * scale
    )
    np.testing.assert_allclose(
        c[1], 0.5 * (up * (a[0] + c[0]) - down * (a[0] - c[0])), atol=2e-4 * scale
    )


@pytest.mark.parametrize(
    ("activation", "power", "expected"),
    [(x_tanh, 2, 4), pytest.param(x2_tanh, 3, 6, marks=pytest.mark.slow)],
)
@pytest.mark.exhaustive
def test_neuron_flow_in_one_dimension_visits_all_predicted_orientations(
    activation, power, expected
):
    predicted = attractors_on_circle(ONE, power)
    assert len(predicted) == expected
    records, vectors, _ = run(
        activation, ONE, mode="neuron_flow", stop_drop=1e-2, record_steps=(0, 800)
    )
    assert (records.status[:, 1] == DROPPED).all()
    for w in vectors:
        counted = count_orientations(w)
        assert bool(counted.condensed)
        assert int(counted.num_orientations) == expected
        found = alignment(w, predicted)
        assert float(found.median) > 0.999
        assert bool(found.visited.all())


@pytest.mark.slow
@pytest.mark.exhaustive
def test_true_gradient_flow_of_a_quadratic_activation_lets_few_neurons_win():
    records, vectors, outputs = run(
        x_tanh, FIVE, mode="flow", stop_drop=1e-2, record_steps=(0, 400)
    )
    assert (records.status[:, 1] == DROPPED).all()
    for w, a in zip(vectors, outputs, strict=True):
        assert not bool(count_orientations(w).condensed)
        size = np.asarray(amplitudes(w, a))
        assert (size > 0.05 * size.max()).sum() <= 10


@pytest.mark.slow
@pytest.mark.exhaustive
def test_sign_outputs_make_a_quadratic_activation_condense_under_gradient_flow():
    spec = training.small_mlp((100,), from_function(x_tanh), std=1e-6)
    network = training.with_sign_outputs(training.perceptron(spec), 0.05)
    z, y = appended(ONE)
    _, axes = np.linalg.eigh((z * y[:, None]).T @ z)
    _, vectors, _ = run(
        x_tanh, ONE, network=network, mode="flow", stop_drop=1e-2, record_steps=(0, 400), seeds=2
    )
    for w in vectors:
        assert int(count_orientations(w).num_orientations) == 4
        assert float(alignment(w, np.concatenate([axes.T, -axes.T])).fraction) > 0.9


@pytest.mark.parametrize(
    ("mode", "rate"), [("adam", 1e-5), pytest.param("sign", 1e-7, marks=pytest.mark.slow)]
)
@pytest.mark.exhaustive
def test_adam_and_sign_descent_condense_onto_the_corner_of_the_cube(mode, rate):
    v = mean_direction(FIVE)
    _, vectors, _ = run(jnp.tanh, FIVE, std=1e-6, mode=mode, rate=rate, record_steps=(0, 600))
    corner = np.sign(v)
    for w in vectors:
        found = alignment(w, np.stack([corner, -corner]))
        assert float(found.median) > 0.999
        assert bool(found.visited.all())
        assert (
            float(alignment(w, np.stack([v, -v])).median) < 0.97
        )  # where gradient flow would take it


@pytest.mark.slow
@pytest.mark.exhaustive
def test_both_hidden_layers_of_a_deep_network_condense():
    centred = targets.centred(FIVE)
    z, y = appended(centred)
    data = targets.examples(
        z, y
    )  # the first layer's bias is the weight of a constant input; the second has none
    law = di.normal(1e-8, "absolute")
    spec = di.MLP((60, 60), di.tanh, law, None, 1, law)
    seed_fn = training.training_seed_fn(
        training.perceptron(spec),
        data,
        mode="flow",
        stop_drop=1e-3,
        record_steps=(0, 1500),
        initial_stage=True,
    )
    records = jax.jit(seed_fn)(jax.random.key(0, impl="threefry2x32"))
    assert records.status[1] == DROPPED
    first, second = (np.asarray(records.values[layer]["weights"][1]) for layer in (0, 1))
    v = z.T @ y / len(y)
    image = first @ v
    for layer, direction, rival in ((first, v, np.sign(v)), (second, image, np.ones(60))):
        weighted = np.linalg.norm(layer, axis=1)
        cosine = np.asarray(alignment(layer, np.stack([direction, -direction])).best)
        assert np.average(cosine, weights=weighted) > 0.99
        assert (
            np.average(
                np.asarray(alignment(layer, np.stack([rival, -rival])).best), weights=weighted
            )
            < 0.95
        )
