"""The training loop against NumPy loops and SciPy's integrator; stops, batches, ensembles."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.integrate
from statistical import assert_mean

import deepinit as di
from deepinit import training
from deepinit.core import targets
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.training.loop import DROPPED, NOT_FINITE, RUNNING

EXAMPLES = targets.sum_of_sines(dimension=2, num_examples=10, seed=3)
Z = np.c_[EXAMPLES.inputs, np.ones(10)]
Y = EXAMPLES.targets[:, 0]


def net(std=0.1, widths=(4,), **options):
    return training.perceptron(training.small_mlp(widths, di.tanh, std=std), **options)


def keys(count):
    root = jax.random.key(0, impl="threefry2x32")
    return jax.vmap(lambda seed: jax.random.fold_in(root, seed))(jnp.arange(count))


def as_numpy(parameters):
    hidden, output = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), parameters)
    return np.concatenate([hidden["weights"], hidden["biases"][:, None]], axis=1), output[
        "weights"
    ][0]


def numpy_loss_and_slope(w, a, z=Z, y=Y):
    """R and -grad R of sum_j a_j tanh(w_j.z), by hand."""
    h = np.tanh(z @ w.T)
    e = h @ a - y
    return 0.5 * np.mean(e**2), -(e[:, None] * (1 - h**2) * a).T @ z / len(y), -e @ h / len(y)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_gradient_descent_is_the_hand_written_loop_in_float64():
    with jax.enable_x64(True):
        seed_fn = training.training_seed_fn(
            net(dtype="float64"), EXAMPLES, mode="gd", rate=0.05, record_steps=(0, 1, 7, 40)
        )
        records = jax.jit(seed_fn)(keys(1)[0])
        w, a = as_numpy(jax.tree.map(lambda leaf: leaf[0], records.values))
        found = {}
        for step in range(41):
            loss, dw, da = numpy_loss_and_slope(w, a)
            found[step] = (loss, w, a)
            w, a = w + 0.05 * dw, a + 0.05 * da
        for index, step in enumerate((0, 1, 7, 40)):
            at = as_numpy(jax.tree.map(lambda leaf, index=index: leaf[index], records.values))
            np.testing.assert_allclose(records.loss[index], found[step][0], rtol=1e-12)
            np.testing.assert_allclose(at[0], found[step][1], rtol=1e-10)
            np.testing.assert_allclose(at[1], found[step][2], rtol=1e-10)
        assert records.loss[3] < 0.99 * records.loss[0]  # something was learned
        np.testing.assert_allclose(records.time, 0.05 * np.array([0, 1, 7, 40]))


@pytest.mark.exhaustive
def test_flow_is_the_solution_of_the_differential_equation():
    with jax.enable_x64(True):
        seed_fn = training.training_seed_fn(
            net(std=1e-3, dtype="float64"),
            EXAMPLES,
            mode="flow",
            record_steps=(0, 40, 80, 160),
            tolerance=1e-9,
        )
        records = jax.tree.map(np.asarray, jax.jit(seed_fn)(keys(1)[0]))
    w, a = as_numpy(jax.tree.map(lambda leaf: leaf[0], records.values))

    def slope(_, theta):
        _, dw, da = numpy_loss_and_slope(theta[:12].reshape(4, 3), theta[12:])
        return np.concatenate([dw.ravel(), da])

    start = np.concatenate([w.ravel(), a])
    times = np.asarray(records.time)
    solved = scipy.integrate.solve_ivp(
        slope, (0, times[-1]), start, t_eval=times, method="DOP853", rtol=1e-11, atol=1e-14
    )
    for index in range(4):
        at = as_numpy(jax.tree.map(lambda leaf, index=index: leaf[index], records.values))
        theta = np.concatenate([at[0].ravel(), at[1]])
        np.testing.assert_allclose(
            theta, solved.y[:, index], rtol=0, atol=1e-6 * np.abs(theta).max()
        )
    assert (
        np.abs(solved.y[:, 3]).max() > 100 * np.abs(start).max()
    )  # through the growth, not before it
    assert records.loss[3] < 0.9 * records.loss[0]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_batch_of_seeds_is_the_loop_over_seeds_and_what_an_ensemble_runs():
    seed_fn = training.training_seed_fn(
        net(std=1e-3), EXAMPLES, mode="flow", record_steps=range(0, 121, 20), stop_drop=1e-2
    )
    batch = jax.jit(jax.vmap(seed_fn))(keys(4))
    single = jax.jit(seed_fn)
    alone = [single(key) for key in keys(4)]
    looped = jax.tree.map(lambda *leaves: np.stack(leaves), *alone)
    assert len(set(np.asarray(batch.step[:, -1]).tolist())) > 1  # they stop at different steps
    np.testing.assert_array_equal(batch.step, looped.step)
    for leaf, other in zip(jax.tree.leaves(batch), jax.tree.leaves(looped), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=2e-4, atol=1e-7)
    ensemble = compile_ensemble(seed_fn, 4)
    measured = ensemble.block_fn(jax.random.key(0, impl="threefry2x32"), 0)
    np.testing.assert_allclose(measured.loss, batch.loss, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_run_stops_at_the_first_state_below_the_drop_and_keeps_it():
    options = {"mode": "gd", "rate": 0.1}
    every = jax.jit(
        training.training_seed_fn(net(std=1e-3), EXAMPLES, record_steps=range(0, 400), **options)
    )(keys(1)[0])
    stopped = jax.jit(
        training.training_seed_fn(
            net(std=1e-3), EXAMPLES, record_steps=(0, 10, 350, 390, 399), stop_drop=1e-2, **options
        )
    )(keys(1)[0])
    first = int(np.argmax(np.asarray(every.loss) <= (1 - 1e-2) * every.loss[0]))
    assert 10 < first < 350
    assert stopped.step.tolist() == [0, 10, first, first, first]
    assert stopped.status.tolist() == [RUNNING, RUNNING, DROPPED, DROPPED, DROPPED]
    np.testing.assert_allclose(stopped.loss[2:], every.loss[first], rtol=1e-5)
    np.testing.assert_array_equal(stopped.values[0]["weights"][2], stopped.values[0]["weights"][4])


@pytest.mark.slow
def test_a_run_that_diverges_says_so():
    records = jax.jit(
        training.training_seed_fn(net(), EXAMPLES, mode="gd", rate=1e30, record_steps=(0, 5, 50))
    )(keys(1)[0])
    assert records.status.tolist() == [RUNNING, NOT_FINITE, NOT_FINITE]
    assert records.step[1] == records.step[2] <= 5


@pytest.mark.parametrize("epsilon", [pytest.param(1e-30, marks=pytest.mark.slow), 1e-3])
@pytest.mark.exhaustive
def test_adam_is_optax_adam_where_squares_do_not_underflow(epsilon):
    options = {"record_steps": (0, 1, 30)}
    ours = training.training_seed_fn(
        net(), EXAMPLES, mode=training.adam(0.01, epsilon=epsilon), **options
    )
    theirs = training.training_seed_fn(
        net(), EXAMPLES, mode=optax.adam(0.01, eps=epsilon), **options
    )
    a, b = (jax.jit(seed_fn)(keys(1)[0]).values for seed_fn in (ours, theirs))
    for leaf, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(leaf, other, rtol=1e-4, atol=1e-5)
        assert np.abs(leaf[2] - leaf[0]).max() > 0.05


@pytest.mark.slow
@pytest.mark.exhaustive
def test_adam_moves_at_gradients_whose_squares_underflow_and_optax_adam_fails():
    tiny = net(std=1e-24)
    ours = jax.jit(
        training.training_seed_fn(tiny, EXAMPLES, mode="adam", rate=1e-25, record_steps=(0, 1))
    )(keys(1)[0])
    moved = np.abs(ours.values[0]["weights"][1] - ours.values[0]["weights"][0])
    np.testing.assert_allclose(moved, 1e-25, rtol=1e-4)  # the first step of Adam is the rate
    theirs = jax.jit(
        training.training_seed_fn(
            tiny, EXAMPLES, mode=optax.adam(1e-25, eps=1e-30), record_steps=(0, 1)
        )
    )(keys(1)[0])
    assert np.abs(theirs.values[0]["weights"][1] - theirs.values[0]["weights"][0]).max() > 1e-22


@pytest.mark.slow
@pytest.mark.exhaustive
def test_minibatches_come_from_the_key_and_average_to_the_gradient():
    options = {"rate": 1.0, "record_steps": (0, 1)}
    whole = jax.jit(jax.vmap(training.training_seed_fn(net(), EXAMPLES, mode="gd", **options)))(
        keys(1)
    )
    stochastic = training.training_seed_fn(net(), EXAMPLES, mode="sgd", batch_size=3, **options)

    # one network, many streams of minibatches: the initial network is fixed by hand
    initial = jax.tree.map(lambda leaf: leaf[0, 0], whole.values)
    fixed = training.perceptron(training.small_mlp((4,), di.tanh, std=0.1))._replace(
        init=lambda key, width: initial
    )
    many = jax.jit(
        jax.vmap(training.training_seed_fn(fixed, EXAMPLES, mode="sgd", batch_size=3, **options))
    )(keys(4000))
    steps = np.asarray(
        many.values[1]["weights"][:, 1] - many.values[1]["weights"][:, 0], np.float64
    )[:, 0]
    exact = np.asarray(whole.values[1]["weights"][0, 1] - whole.values[1]["weights"][0, 0])[0]
    assert_mean(steps, exact, rejects=0.5 * exact)
    np.testing.assert_allclose(many.loss[:, 0], whole.loss[0, 0], rtol=1e-5)  # of all examples
    again = jax.jit(stochastic)(keys(1)[0])
    np.testing.assert_array_equal(again.loss, jax.jit(stochastic)(keys(1)[0]).loss)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_records_see_the_initial_network_and_user_optimizers_are_taken():
    def distance(snapshot):
        gap = snapshot.parameters[0]["weights"] - snapshot.initial[0]["weights"]
        return {"moved": jnp.abs(gap).max(), "ratio": snapshot.loss / snapshot.initial_loss}

    seed_fn = training.training_seed_fn(
        net(), EXAMPLES, mode=optax.sgd(0.01, momentum=0.9), record_steps=(0, 50), record=distance
    )
    records = jax.jit(seed_fn)(keys(1)[0])
    assert records.values["moved"][0] == 0
    assert records.values["moved"][1] > 0.1
    assert records.values["ratio"][1] < 0.9
    assert records.time.tolist() == [0.0, 50.0]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_cross_entropy_learns_classes():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    points = np.eye(3)[labels][:, :2] * 4 + 0.3 * rng.standard_normal((60, 2))
    three = training.perceptron(training.small_mlp((8,), di.tanh, std=0.3, output_width=3))
    seed_fn = training.training_seed_fn(
        three,
        targets.examples(points, labels),
        mode="adam",
        rate=0.05,
        loss="cross_entropy",
        record_steps=(0, 200),
    )
    records = jax.jit(seed_fn)(keys(1)[0])
    assert abs(records.loss[0] - np.log(3)) < 0.5
    assert records.loss[1] < 0.05


def test_log_spaced_steps_start_at_0_and_end_at_the_last():
    steps = training.log_spaced_steps(1000, 4)
    assert steps == (0, 1, 10, 100, 1000)
    assert training.log_spaced_steps(3, 50) == (0, 1, 2, 3)


@pytest.mark.exhaustive
def test_optax_transformations_that_search_along_a_line_are_taken():
    network = training.perceptron(training.small_mlp((4,), di.tanh, std=0.3))
    options = {"mode": optax.lbfgs(), "record_steps": (0, 5, 20)}
    found = jax.jit(training.training_seed_fn(network, EXAMPLES, **options))(jax.random.key(0))
    assert found.loss[2] < found.loss[1] < found.loss[0]
    descended = training.training_seed_fn(
        network, EXAMPLES, mode="gd", rate=0.01, record_steps=(0, 20)
    )(jax.random.key(0))
    assert found.loss[2] < descended.loss[1]
