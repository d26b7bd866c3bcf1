"""Own quantities and theories whose fields or functions are of another kind: a sentence that names the field."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.quantities.theory import Theory
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
    "events": own(events="not_finite"),
    "events of numbers": own(events=(1, 2)),
    "events of none": own(events=()),
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


def test_functions_of_a_theory_must_return_what_they_say():
    wrong = own(theories=(Theory("exact", never, lambda spec, inputs: 3.0),))
    with pytest.raises(SpecError, match=r"3\.0 from predict of the theory 'exact'"):
        di.predict(SPEC, wrong, POINT)
    wrong = own(theories=(Theory("exact", lambda spec, inputs: True, never),))
    with pytest.raises(SpecError, match="True from conditions of the theory 'exact'"):
        di.predict(SPEC, wrong, POINT)


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
