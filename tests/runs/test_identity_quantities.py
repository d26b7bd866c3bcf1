"""Own quantities differ by the values of their taps, also if their source is equal."""

import pytest

import deepinit as di
from deepinit.core.fingerprint import source_record
from deepinit.quantities.kinds import ExactLaw, Trained
from deepinit.quantities.record import quantity_record
from deepinit.runs.experiment import Case

Q = di.quantities
HIDDEN = {"offset": 0.0}  # read by a name that is made while the code runs: no source names it


def offset():
    return globals()["HID" + "DEN"]["offset"]


def shifted(tap):
    def own(state, inputs):
        found = tap(state, inputs)
        return found._replace(value=found.value + offset())

    return own


def shifted_in_training(tap):
    def own(spec, training):
        record = tap(spec, training)

        def at(snapshot):
            found = record(snapshot)
            return found._replace(value=found.value + offset())

        return at

    return own


def own(quantity):
    measurement = quantity.measurement
    if isinstance(measurement, ExactLaw):
        measurement = measurement._replace(
            forward=measurement.forward._replace(tap=shifted(measurement.forward.tap))
        )
    else:
        shift = shifted_in_training if isinstance(measurement, Trained) else shifted
        measurement = measurement._replace(tap=shift(measurement.tap))
    return quantity._replace(name="own", measurement=measurement, theories=())


TRAINING = di.TrainingConfig(di.targets.two_sines(4), (0, 2), "gd", 0.1)
KINDS = {
    "forward": (Q.log_norm, di.inputs.points([[1.0, 0.5]])),
    "exact law": (Q.log_sin2_angle, di.inputs.pair(0.3)),
    "backward": (Q.ntk, di.inputs.points([[1.0, 0.5]])),
    "trained": (Q.training_loss, TRAINING),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow_cases("backward", "trained")
def test_values_tell_taps_apart_that_have_one_source(kind, monkeypatch):
    quantity, inputs = KINDS[kind]
    spec = di.MLP((4,) * 2, output_width=1)
    before = quantity_record(own(quantity), spec, inputs)
    assert before["values"].startswith("float64: ")
    assert "nan" not in before["values"]
    assert quantity_record(own(quantity), spec, inputs) == before
    monkeypatch.setitem(HIDDEN, "offset", 1.0)
    assert source_record(own(quantity)).items() <= before.items()
    assert quantity_record(own(quantity), spec, inputs)["values"] != before["values"]


def test_the_values_are_in_the_identity_of_a_case_and_built_ins_have_none():
    spec, inputs = di.MLP((4,) * 2), di.inputs.points([[1.0, 0.5]])
    assert "values" in Case("c", spec, own(Q.log_norm), inputs, 2).identity()["code"]["quantity"]
    assert "code" not in Case("c", spec, Q.log_norm, inputs, 2).identity()


def test_a_tap_that_cannot_be_evaluated_there_is_known_by_its_source():
    def tap(state, inputs):
        raise RuntimeError(state, inputs)

    broken = Q.log_norm._replace(name="own", measurement=Q.log_norm.measurement._replace(tap=tap))
    record = quantity_record(broken, di.MLP((4,) * 2), di.inputs.points([[1.0, 0.5]]))
    assert record["values"] == "none in float32 or float64"
    assert len(record) > 1
