"""Training runs share a compilation: rates, laws and examples are its arguments."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.training_config import TrainingConfig
from deepinit.ensembles import blocks, programs
from deepinit.quantities.programs import programs_of

Q = di.quantities
X = np.random.default_rng(0).normal(size=(9, 2))
NETS = {std: di.training.small_mlp((8,), "tanh", std=std) for std in (1e-2, 3e-2)}


def run(rate=0.1, scale=1.0, mode="gd", **options):
    examples = di.targets.examples(scale * X, scale * np.sin(X[:, :1]))
    return TrainingConfig(examples, (0, 3, 6), mode=mode, rate=rate, **options)


@pytest.fixture
def compilations():
    """Number of compilations of a call."""
    found = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: found.append(event)
    )

    def count(call):
        before = found.count("/jax/core/compile/backend_compile_duration")
        result = call()
        return result, found.count("/jax/core/compile/backend_compile_duration") - before

    return count


def test_a_rate_a_law_and_examples_compile_nothing(compilations):
    quantity = Q.training_loss
    simulate = lambda inputs, std=1e-2: di.simulate(NETS[std], quantity, inputs, num_seeds=10)
    programs.clear_programs()
    first, count = compilations(lambda: simulate(run()))
    assert count > 0
    for inputs, std in ((run(), 1e-2), (run(rate=0.2), 1e-2), (run(), 3e-2), (run(0.1, 1.5), 1e-2)):
        found, count = compilations(lambda: simulate(inputs, std))  # noqa: B023
        assert count == 0
        is_first = inputs.rate == 0.1 and std == 1e-2 and inputs.examples.inputs[0, 0] == X[0, 0]
        assert np.array_equal(found.mean, first.mean) == is_first


MODES = {"gd": 0.1, "sgd": 0.1, "adam": 0.01, "sign": 0.01, "flow": None, "neuron_flow": None}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_arguments_are_as_good_as_constants(mode):
    inputs = run(MODES[mode], mode=mode, batch_size=4 if mode == "sgd" else None)
    variants = programs_of(NETS[1e-2], Q.relative_distance, inputs)[0]
    general, constant = variants[0], variants[-1]
    assert blocks.chosen_form((general, constant)).program is general
    own, fixed = (
        blocks.compile_ensemble((program,), 4).block_fn(jax.random.key(2), 0).value
        for program in (general, constant)
    )
    np.testing.assert_allclose(own, fixed, rtol=2e-5, atol=1e-7)
    assert np.isfinite(own).all()


@pytest.mark.slow
def test_constant_examples_leave_the_rate_open(compilations):
    quantity = Q.aligned_fraction  # its directions are computed from the examples
    simulate = lambda rate, scale: di.simulate(NETS[1e-2], quantity, run(rate, scale), num_seeds=10)
    simulate(0.1, 1.0)
    assert compilations(lambda: simulate(0.3, 1.0))[1] == 0
    assert compilations(lambda: simulate(0.3, 1.5))[1] > 0


@pytest.mark.slow
def test_rates_are_swept_in_one_program():
    rates = [0.05, 0.1, 0.2]
    sweep = di.Sweep(NETS[1e-2], over={"inputs.rate": rates})
    found = di.simulate(sweep, Q.training_loss, run, num_seeds=10)
    assert found.dataset.attrs["num_programs"] == 1
    means = np.asarray(found.dataset["mean"])
    for rate, mean in zip(rates, means, strict=True):
        alone = di.simulate(NETS[1e-2], Q.training_loss, run(rate), num_seeds=10).mean
        np.testing.assert_allclose(mean.reshape(alone.shape), alone, rtol=1e-5)
    assert not np.allclose(means[0], means[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("std", "message"), [(3e-36, "underflows"), (3.0, "an initialization with outputs up to")]
)
def test_every_run_is_checked(std, message):
    """Also where its program was compiled for a run that is right."""
    inputs = run(initial_stage=True)
    di.simulate(NETS[1e-2], Q.training_loss, inputs, num_seeds=4)
    with pytest.raises(SpecError, match=message):
        di.simulate(
            di.training.small_mlp((8,), "tanh", std=std), Q.training_loss, inputs, num_seeds=4
        )
