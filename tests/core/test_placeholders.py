"""Numbers of a program: the host's arithmetic is recorded, decisions by value are refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.core.laws import normal
from deepinit.core.placeholders import CAPACITY, Recorder, Unresolved, array, check, sqrt
from deepinit.core.structure import joined, split

FORMULAS = {
    "std": lambda v: sqrt(v / 96),
    "depth": lambda v: sqrt(v / (96 * 7)),
    "patches": lambda v: sqrt(v * 9 / 64),
    "scores": lambda v: v / 12**0.5,
    "power": lambda v: v**0.5,
    "mixed": lambda v: 1.0 - abs(-v) * 0.1 + 2 / v - v,
}


def recorded_values(formula, numbers):
    """A formula's values at numbers, as a program's arguments."""

    def program(vector):
        recorder = Recorder(vector)
        seen.append(recorder)
        return formula(recorder.placeholder(0, 1, (0.0,))) * jnp.ones((), vector.dtype)

    seen = []
    run = jax.jit(program)
    run(np.zeros(CAPACITY, np.float32))
    recorded = seen[0].recorded
    return [np.asarray(run(recorded.vector((number,), np.float32))) for number in numbers], recorded


@pytest.mark.parametrize("name", FORMULAS)
def test_a_program_receives_the_bits_of_a_constant(name):
    numbers = np.random.default_rng(0).uniform(0.01, 3.0, 40).tolist()
    formula = FORMULAS[name]
    values, recorded = recorded_values(formula, numbers)
    np.testing.assert_array_equal(values, np.array([formula(n) for n in numbers], np.float32))
    # all at once, as in a sweep, and unlike float32 arithmetic
    together = recorded.vector((np.array(numbers),), np.float64)[:, 0]
    np.testing.assert_array_equal(together, [formula(n) for n in numbers])
    if name in ("std", "mixed"):
        rival = np.array([formula(np.float32(n)) for n in numbers], np.float32)
        assert (rival != np.array(values)).any()


def number(sign=1, apart=(0.0, 1.0)):
    return Recorder(None).placeholder(0, sign, apart)


def test_decisions_that_its_structure_knows_are_taken():
    value = number()
    assert value
    assert value > 0
    assert not value < 0
    assert value != 0
    assert value != 1.0
    assert value != -3.0
    assert value != "1/sqrt(depth)"
    assert value == value
    assert sqrt(value / 3) > 0
    assert -value < 0


@pytest.mark.parametrize(
    "decide",
    [
        float,
        int,
        math.sqrt,
        np.asarray,
        round,
        lambda v: v > 1.0,
        lambda v: v == 2.0,
        lambda v: bool(v - 3.0),
        lambda v: max(v, 0.5),
        lambda v: f"{v:g}",
        lambda v: v == v / 2,
    ],
)
def test_decisions_by_value_are_refused_and_remembered(decide):
    value = number()
    with pytest.raises(Unresolved):
        decide(value)
    with pytest.raises(Unresolved):
        value.recorder.require_resolved()


def test_an_array_takes_a_number_in_its_own_dtype():
    def program(vector, x):
        value = Recorder(vector).placeholder(0, 1, ())
        return x * value, value * x, x - value, array(value, "float32")

    found = jax.eval_shape(program, *(jax.ShapeDtypeStruct((CAPACITY,), d) for d in "fe"))
    assert [each.dtype for each in found] == ["float16"] * 3 + ["float32"]


def test_checks_run_where_the_numbers_come_from():
    def require_small(value):
        if value > 2.0:
            raise SpecError(f"{value}", "small")

    value = number()
    check(require_small, value * 3)
    recorded = value.recorder.recorded
    recorded.require((0.5,))
    with pytest.raises(SpecError, match=r"2\.7"):
        recorded.require((0.9,))
    with pytest.raises(SpecError):
        check(require_small, 2.5)


def test_a_law_beyond_the_range_of_a_dtype_is_refused_for_its_own_number():
    structure, _ = split(normal(2.0))
    recorder = Recorder(jnp.zeros(CAPACITY))
    joined(structure, recorder).entry_std(4, 1, "float32")
    recorder.recorded.require((2.0,))
    with pytest.raises(SpecError, match="entries of size"):
        recorder.recorded.require((1e-90,))
