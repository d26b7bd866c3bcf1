"""One compilation for all networks of one structure, whose numbers and inputs are arguments."""

import dataclasses

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.ensembles import blocks, keys, programs
from deepinit.ensembles.cuts import Blocks
from deepinit.quantities.programs import programs_of
from deepinit.quantities.routes import simulate

Q = di.quantities
CUT = Blocks(12, 12, 12)


class Counter:
    """Traces of a tap, and compilations of anything."""

    def __init__(self):
        self.traces, self.compilations = 0, 0
        jax.monitoring.register_event_duration_secs_listener(self._compiled)

    def _compiled(self, event, duration, **_):
        self.compilations += event == "/jax/core/compile/backend_compile_duration"

    def quantity(self):
        kind = Q.log_sin2_angle.measurement

        def tap(state, inputs):
            self.traces += 1
            return kind.tap(state, inputs)

        return Q.log_sin2_angle._replace(measurement=kind._replace(tap=tap))

    def of(self, compute):
        """(result, traces, compilations) of a call."""
        before = self.traces, self.compilations
        result = compute()
        return result, self.traces - before[0], self.compilations - before[1]


@pytest.fixture(scope="module")
def counter():
    return Counter()


def net(variance=2.0, bias=0.1):
    law = di.normal(bias, "absolute")
    return di.MLP((16, 16), di.leaky_relu(0.1), di.normal(variance), law)


def test_a_second_call_traces_and_compiles_nothing(counter):
    quantity, inputs = counter.quantity(), di.inputs.pair(0.3, 5)
    run = lambda: simulate(net(), quantity, inputs, num_seeds=20)
    first, traces, compilations = counter.of(run)
    assert traces > 0
    assert compilations > 0  # the counters count
    second, traces, compilations = counter.of(run)
    assert (traces, compilations) == (0, 0)
    np.testing.assert_array_equal(first.mean, second.mean)


def test_values_and_inputs_compile_once(counter):
    quantity = counter.quantity()
    run = lambda number: simulate(
        net(0.5 + 0.1 * number), quantity, di.inputs.pair(0.1 + 0.1 * number, 5), num_seeds=20
    )
    run(0)
    results, traces, compilations = counter.of(lambda: [run(number) for number in range(1, 20)])
    assert (traces, compilations) == (0, 0)
    assert len({float(result.mean[0, 0]) for result in results}) == 19
    programs.clear_programs()
    alone, traces, _ = counter.of(lambda: run(7))
    assert traces > 0
    np.testing.assert_array_equal(alone.mean, results[6].mean)


def test_another_structure_is_another_program(counter):
    quantity, inputs = counter.quantity(), di.inputs.pair(0.3, 5)
    of = lambda spec, **options: counter.of(
        lambda: simulate(spec, quantity, inputs, num_seeds=20, **options)
    )
    assert of(net())[1] > 0
    assert of(net(bias=0.0))[1] > 0
    assert of(di.MLP((16, 8), di.leaky_relu(0.1), bias_law=di.normal(0.1, "absolute")))[1] > 0
    assert of(net(), linear_map="explicit")[1] > 0
    assert of(net())[1] == 0


def values(program):
    measured = blocks.compile_ensemble((program,), 12, blocks=CUT).block_fn(keys.root_key(3), 0)
    return jax.tree.leaves(measured)


DIMENSION = 4
PAIR = di.inputs.pair(0.3, DIMENSION)
COMPOSED = di.layers.Sequential(
    di.layers.Dense(12, di.normal(1.3)),
    di.layers.Residual(
        di.layers.Sequential(di.layers.RMSNorm(1e-3), di.layers.Dense(12, di.normal(0.7))),
        scale=0.4,
    ),
    di.layers.Dense(1),
)
SHARED = {
    "mlp": (net(), Q.nngp, PAIR),
    "uniform": (di.MLP((12,) * 2, weight_law=di.uniform(1.7)), Q.log_norm, PAIR),
    "orthogonal": (di.MLP((12,) * 2, "tanh", di.orthogonal(1.7)), Q.log_distance, PAIR),
    "resnet": (di.ResNet(DIMENSION, 2), Q.log_norm, PAIR),
    "composed": (COMPOSED, Q.cosine, PAIR),
    "backward": (net(), Q.log_gradient_norm, PAIR),
    "frames": (di.MLP((12,) * 2), Q.log_volume, di.frames.random(DIMENSION, 2)),
}


@pytest.mark.slow_cases("composed", "backward", "frames", "resnet")
@pytest.mark.parametrize("name", SHARED)
def test_arguments_give_the_numbers_of_constants(name):
    """To the rounding of float32: XLA evaluates constants when it compiles."""
    spec, quantity, inputs = SHARED[name]
    variants = programs_of(spec, quantity, inputs)[0]
    general, constant = variants[0], variants[-1]
    assert general.numbers
    assert blocks.chosen_form((general, constant)).program is general
    own, fixed = values(general), values(constant)
    assert_equal(own, fixed)
    other = general._replace(numbers=tuple(1.01 * number for number in general.numbers))
    with pytest.raises(AssertionError):
        assert_equal(values(other), fixed)


def assert_equal(leaves, others):
    for leaf, other in zip(leaves, others, strict=True):
        np.testing.assert_allclose(leaf, other, rtol=2e-5, atol=2e-6)


def chosen(spec, quantity, inputs):
    """Which program of `measurement_programs` traces, of how many."""
    variants = [*programs_of(spec, quantity, inputs)[0]]
    form = blocks.chosen_form(variants)
    return next(at for at, one in enumerate(variants) if one is form.program), len(variants)


def test_a_tap_that_reads_its_inputs_keeps_them_as_constants():
    kind = Q.nngp.measurement

    def tap(state, inputs):
        measured = kind.tap(state, inputs)
        return measured._replace(value=measured.value * float(inputs.points[0, 0]))

    quantity = Q.nngp._replace(measurement=kind._replace(tap=tap))
    assert chosen(net(), quantity, PAIR) == (2, 4)
    for scale in (0.75, 0.9375):  # at its own size
        inputs = di.inputs.points(scale * np.ones((1, DIMENSION)))
        own, plain = (
            simulate(net(), each, inputs, num_seeds=5).mean for each in (quantity, Q.nngp)
        )
        np.testing.assert_allclose(own, scale * plain, rtol=1e-6)


def branching(x, negative_slope):
    return jax.numpy.where(x > 0, x, negative_slope * x) if negative_slope < 0.5 else x


def test_an_activation_that_branches_on_its_parameter_is_compiled_with_constants():
    activation = lambda slope: dataclasses.replace(di.leaky_relu(slope), fn=branching)
    means = []
    for slope in (0.2, 0.7):
        spec = di.MLP((16, 16), activation(slope), di.normal(1.5))
        assert chosen(spec, Q.nngp, PAIR) == (3, 4)
        means.append(simulate(spec, Q.nngp, PAIR, num_seeds=10).mean)
    linear = simulate(di.MLP((16, 16), "linear", di.normal(1.5)), Q.nngp, PAIR, num_seeds=10).mean
    assert abs(means[0] / linear - 1).max() > 0.1
    np.testing.assert_allclose(means[1][:, 0], linear[:, 0], rtol=1e-4)


def test_an_object_that_may_change_is_never_shared(counter):
    kind = Q.nngp.measurement

    class Tap:
        __hash__ = None
        factor = 1.0

        def __call__(self, state, inputs):
            measured = kind.tap(state, inputs)
            return measured._replace(value=self.factor * measured.value)

    tap = Tap()
    quantity = Q.nngp._replace(measurement=kind._replace(tap=tap))
    first = simulate(net(), quantity, PAIR, num_seeds=5).mean
    tap.factor = 3.0
    np.testing.assert_allclose(simulate(net(), quantity, PAIR, num_seeds=5).mean, 3.0 * first)


def test_the_cache_forgets_what_was_used_least_recently():
    cache = programs.Cache(2)
    computed = []
    get = lambda key: cache.get(key, lambda: computed.append(key))
    for key in ("a", "b", "a", "c", "a", "b", None, None):
        get(key)
    assert computed == ["a", "b", "c", "b", None, None]


def test_the_precision_of_the_session_is_part_of_a_program():
    program = programs_of(net(), Q.nngp, PAIR)[0][0]
    with jax.enable_x64():
        assert programs.form(program).key != key_outside(program)


def key_outside(program):
    with jax.enable_x64(False):
        return programs.form(program).key
