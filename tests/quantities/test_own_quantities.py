"""User-defined quantities and theories with fields of another kind: the field is named."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.observables.measurement import Measurement
from deepinit.quantities.programs import seed_fn_of
from deepinit.quantities.routes import evaluate
from deepinit.quantities.theory import Theory, always, theories
from deepinit.runs.experiment import Case

Q = di.quantities
SPEC, POINT, PAIR = di.MLP((4,) * 2), di.inputs.points([[1.0, 0.5]]), di.inputs.pair(0.3)


def own(quantity=Q.log_norm, measurement=None, **fields):
    parts = quantity.measurement._replace(**(measurement or {}))
    return quantity._replace(**{"name": "own", "measurement": parts, "theories": (), **fields})


def never(spec, inputs):
    return None


WRONG = {
    "name": own(name=3),
    "name of two lines": own(name="a\nb"),
    "symbol": own(symbol=None),
    "measurement": Q.log_norm._replace(measurement=Q.log_norm.measurement.tap),
    "theories": own(theories=[]),
    "theories of names": own(theories=("exact",)),
    "theories twice": own(theories=(Theory("exact", never, never),) * 2),
    "theories without a function": own(theories=(Theory("exact", never, None),)),
    "theories of an architecture": own(theories=(Theory("exact", never, never, di.MLP),)),
    "events": own(events="not_finite"),
    "events of numbers": own(events=(1, 2)),
    "events of none": own(events=()),
    "events twice": own(events=("not_finite", "not_finite")),
    "rounding": own(rounding="none"),
    "light_tailed": own(light_tailed=Q.log_norm),
    "input_degree": own(input_degree=0.5),
    "measurement.tap": own(measurement={"tap": None}),
    "measurement.accepts": own(measurement={"accepts": np.ndarray}),
    "measurement.accepts as text": own(measurement={"accepts": "points"}),
    "measurement.at_output": own(measurement={"at_output": "yes"}),
    "measurement.entries": own(measurement={"entries": ("1",)}),
    "measurement.why_not": own(measurement={"why_not": "never"}),
    "measurement.statistic": own(measurement={"statistic": "mean"}),
    "measurement.functions": own(Q.ntk, {"functions": None}),
    "measurement.sampler": own(Q.log_volume, {"sampler": None}),
    "measurement.forward": own(Q.log_volume, {"forward": Q.ntk.measurement}),
    "measurement.entries returns": own(measurement={"entries": lambda spec, inputs: 3}),
    "measurement.entries returns none": own(measurement={"entries": lambda spec, inputs: ()}),
    "measurement.entries returns twice": own(
        measurement={"entries": lambda spec, inputs: ("a", "a")}
    ),
    "measurement.why_not returns": own(measurement={"why_not": lambda spec, inputs: True}),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_field_of_another_kind_is_named_by_every_call(name):
    quantity, field = WRONG[name], name.split(" ")[0]
    words = field.partition(".")[2] if "returns" in name else field
    calls = (
        lambda: di.simulate(SPEC, quantity, POINT, num_seeds=2),
        lambda: di.predict(SPEC, quantity, POINT),
        lambda: di.infinite(SPEC, quantity, POINT),
        lambda: Case("c", SPEC, quantity, POINT, 2),
    )
    for call in calls:
        with pytest.raises(SpecError, match=f"{words}.* Allowed: "):
            call()


@pytest.mark.parametrize("result", [3.0, None, np.zeros((2, 1))])
@pytest.mark.slow_cases("3.0")
def test_a_statistic_must_return_an_estimate(result):
    quantity = own(measurement={"statistic": lambda spec, found: result})
    with pytest.raises(SpecError, match=r"measurement\.statistic of the quantity 'own'"):
        di.simulate(SPEC, quantity, POINT, num_seeds=2)


def theory(mean, variance=None, **fields):
    made = Prediction("own", "exact", mean, variance, "O(1)", "always", "here")
    made = dataclasses.replace(made, **fields)
    return own(theories=(Theory("exact", never, lambda spec, inputs: made),))


def test_functions_of_a_theory_must_return_what_they_say():
    wrong = own(theories=(Theory("exact", never, lambda spec, inputs: 3.0),))
    with pytest.raises(SpecError, match=r"3\.0 from predict of the theory 'exact'"):
        di.predict(SPEC, wrong, POINT)
    wrong = own(theories=(Theory("exact", lambda spec, inputs: True, never),))
    with pytest.raises(SpecError, match="True from conditions of the theory 'exact'"):
        di.predict(SPEC, wrong, POINT)


RIGHT = np.ones((2, 1))


@pytest.mark.parametrize(
    ("field", "quantity"),
    [
        ("mean", theory([[1.0, 1.0]] * 2)),
        ("mean", theory([[1.0], [1.0, 2.0]])),
        ("mean", theory(1.0)),
        ("mean", theory(None)),
        ("mean", theory(RIGHT * 1j)),
        ("mean", theory(np.full((2, 1), None))),
        ("mean", theory(np.full((2, 1), "a"))),
        ("mean", theory(np.ones((2, 3)))),
        ("variance", theory(RIGHT, np.ones(5))),
        ("variance", theory(RIGHT, 1.0)),
        ("variance", theory(RIGHT, "x")),
        ("variance", theory(RIGHT, RIGHT * 1j)),
        ("variance", theory(RIGHT, np.array([[1.0], [-1e-3]]))),
        ("name", theory(RIGHT, name=3)),
        ("error_order", theory(RIGHT, error_order=None)),
        ("valid_for", theory(RIGHT, valid_for=("always",))),
        ("reference", theory(RIGHT, reference=1)),
    ],
)
def test_fields_of_a_prediction_are_checked(field, quantity):
    for call in (di.predict, evaluate):
        with pytest.raises(SpecError, match=rf"{field}=.* from predict of the theory 'exact'"):
            call(SPEC, quantity, POINT)
    with pytest.raises(SpecError, match="the theory 'exact'"):
        quantity.applicable(SPEC, POINT)


def test_lists_of_numbers_become_arrays_and_a_variance_may_be_unknown():
    right = di.predict(SPEC, theory([[1], [2]], [[0.5], [float("nan")]]), POINT)
    assert right.mean.dtype == right.variance.dtype == np.float64
    np.testing.assert_array_equal(right.mean, [[1.0], [2.0]])
    np.testing.assert_array_equal(right.variance, [[0.5], [np.nan]])
    assert di.predict(SPEC, theory(np.ones((2, 1), np.float32)), POINT).variance is None
    rounded = di.predict(SPEC, theory(RIGHT, np.array([[1e-20], [-1e-17]])), POINT)
    assert rounded.variance[1, 0] < 0  # of E x^2 - (E x)^2


def test_an_arithmetic_error_in_an_own_theory_is_named_with_its_place():
    def divides(spec, inputs, name=""):
        return 1 / (spec.depth - 2)

    def logarithm(spec, inputs, name=""):
        return math.log(-spec.depth)

    for function, words in (
        (divides, "ZeroDivisionError: division by zero"),
        (logarithm, "ValueError: "),
    ):
        place = rf"{words}.*in {function.__name__}, .*test_own_quantities\.py:\d+"
        for own_theories in (
            (Theory("exact", never, function),),
            theories(("exact",), always, function),
        ):
            with pytest.raises(SpecError, match=place):
                di.predict(SPEC, own(theories=own_theories), POINT)


VALUE, EVENT = jnp.ones(1), jnp.zeros(1, jnp.int8)


@pytest.mark.parametrize(
    ("field", "measured"),
    [
        ("value", Measurement(1.0, 0)),
        ("value", Measurement([1.0], [0])),
        ("value", Measurement(None, EVENT)),
        ("value", Measurement("a", EVENT)),
        ("value", Measurement(1j * VALUE, EVENT)),
        ("event", Measurement(VALUE, 0)),
        ("event", Measurement(VALUE, VALUE)),
        ("event", Measurement(VALUE, jnp.zeros(2, jnp.int8))),
        ("log_scale", Measurement(VALUE, EVENT, log_scale=jnp.full(3, 2.0))),
        ("log_scale", Measurement(VALUE, EVENT, log_scale=1.0)),
        ("exponent", Measurement(VALUE, EVENT, exponent=VALUE)),
        ("exponent", Measurement(VALUE, EVENT, exponent=[1])),
        ("kept", Measurement(VALUE, EVENT, kept=VALUE)),
        ("kept", Measurement(VALUE, EVENT, kept={"rows": {"first": VALUE}})),
        ("kept", Measurement(VALUE, EVENT, kept={1: VALUE})),
        ("kept", Measurement(VALUE, EVENT, kept={"rows": 1.0})),
        ("returns an array", VALUE),
        ("returns tuple", (VALUE, EVENT)),
    ],
)
def test_fields_of_a_measurement_are_checked(field, measured):
    for kind, inputs in ((Q.log_norm, POINT), (Q.log_volume, di.frames.random(dimension=2))):
        parts = kind.measurement
        if kind is Q.log_volume:
            parts = parts._replace(forward=parts.forward._replace(tap=lambda *_: measured))
        else:
            parts = parts._replace(tap=lambda *_: measured)
        quantity = kind._replace(name="own", measurement=parts, theories=())
        seed_fn = seed_fn_of(SPEC, quantity, inputs)[0]
        with pytest.raises(SpecError, match=rf"{field}.*Allowed: ") as caught:
            jax.eval_shape(seed_fn, jax.random.key(0))
        assert "own" in str(caught.value)


@pytest.mark.slow
def test_one_entry_for_every_name_and_the_exponent_of_a_tap_is_added():
    tap = {"tap": lambda *_: Measurement(jnp.ones(2), jnp.zeros(2, jnp.int8))}
    with pytest.raises(SpecError, match=r"value=float32\(2, 2\).*of shape \(2, 1\)"):
        jax.eval_shape(seed_fn_of(SPEC, own(measurement=tap), POINT)[0], jax.random.key(0))
    tap = {"tap": lambda *_: Measurement(VALUE, EVENT, exponent=jnp.ones(1, jnp.int32))}
    quantity = own(measurement=tap, input_degree=2)
    measured = seed_fn_of(SPEC, quantity, di.inputs.points([[4.0, 2.0]]))[0](jax.random.key(0))
    np.testing.assert_array_equal(measured.exponent, 1 + 2 * 3)  # 4 = 0.5 * 2^3


@pytest.mark.slow
def test_a_right_quantity_of_ones_own_goes_through_every_call():
    def predicted(spec, inputs):
        return Prediction("own", "exact", np.zeros((2, 1)), None, "O(1)", "always", "here")

    quantity = own(theories=(Theory("exact", never, predicted),), input_degree=np.int64(0))
    shown = str(
        di.compare(
            di.simulate(SPEC, quantity, POINT, num_seeds=20), di.predict(SPEC, quantity, POINT)
        )
    )
    assert "own" in shown
