"""Every quantity x network x inputs: a theory predicts, finite and in shape, or gives a reason."""

import itertools

import numpy as np
import pytest
from battery import INPUTS, POINTS, ROWS, SPECS, TRAININGS
from statistical import assert_mean

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.quantities.programs import chosen_linear_map
from deepinit.quantities.routes import evaluate
from deepinit.quantities.theory import Theory

Q = di.quantities


def test_the_battery_has_at_least_sixty_networks():
    assert len(SPECS) >= 60


def test_the_battery_has_every_quantity():
    assert {*INPUTS} == {*Q.BUILTIN}


@pytest.mark.slow_cases("cosine-16")
@pytest.mark.exhaustive_cases("nngp-1", "training_loss-1", "cosine-1", "ntk-1")
@pytest.mark.slow_cases("nngp-16", "training_loss-16")
@pytest.mark.parametrize("every", [16, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted(INPUTS))
@pytest.mark.slow_cases("bias_ntk-16", "log_distance-16", "log_sin2_angle-16")
@pytest.mark.slow_cases("length_distortion-16", "log_norm-16")
@pytest.mark.exhaustive_cases("bias_ntk-1", "length_distortion-1")
@pytest.mark.exhaustive_cases("log_distance-1", "log_norm-1", "log_sin2_angle-1", "log_volume-1")
def test_a_theory_predicts_or_says_why_not(name, every):
    quantity, applied = getattr(Q, name), set()
    for number, (spec, (label, inputs)) in enumerate(
        itertools.product(SPECS[::every], INPUTS[name].items())
    ):
        try:
            chosen_linear_map(spec, quantity, inputs, "auto")
        except SpecError:
            continue  # the quantity has no meaning here: nothing is simulated
        predictions, reasons = evaluate(spec, quantity, inputs)
        where = f"{name} of {spec} at {label}"
        axis = quantity.measurement.axis(spec, inputs)
        shape = (axis.length, len(axis.entries))
        for prediction in predictions:
            assert prediction.mean.shape == shape, f"{prediction.name}, {where}"
            finite = np.isfinite(
                prediction.mean
            )  # of training, steps that a theory leaves out are NaN
            assert finite.any() if INPUTS[name] is TRAININGS else finite.all(), (
                f"{prediction.name}, {where}"
            )
            assert prediction.variance is None or not np.isinf(prediction.variance).any(), (
                f"{prediction.name}, {where}"
            )
            applied.add(prediction.name)
        assert {p.name for p in predictions} | set(reasons) == {
            theory.name for theory in quantity.theories
        }
        if number % 4 and every == 1:  # each of these computes every prediction again
            continue
        finite = [p.name for p in predictions if p.name != "infinite_width"]
        assert list(quantity.applicable(spec, inputs)) == [p.name for p in predictions], where
        if finite:
            assert di.predict(spec, quantity, inputs).name == finite[0]
        else:
            with pytest.raises(SpecError):
                di.predict(spec, quantity, inputs)
    expected = {theory.name for theory in quantity.theories}
    assert (
        applied == expected or every > 1 or name in ("survival", "token_cosine")
    )  # the whole battery reaches every theory


def test_a07_an_angle_needs_a_pair():
    for route in (di.simulate, di.predict, di.infinite):
        for inputs in (di.inputs.ones(4), di.inputs.points(ROWS)):
            with pytest.raises(SpecError, match=r"without a partner.*di\.inputs\.pair"):
                route(di.MLP((8,)), Q.log_sin2_angle, inputs)


def test_a_reason_is_returned_not_raised():
    found = Q.nngp.theory("exact").evaluate(di.MLP((8,), "tanh"), POINTS["one"])
    assert isinstance(found, str)
    assert isinstance(Q.nngp.theory("exact").evaluate(di.MLP((8,)), POINTS["one"]), Prediction)


def test_what_a_theory_does_not_cover_is_refused_before_its_functions():
    def never(spec, inputs):
        raise AssertionError

    nets = di.MLP((2,)), di.ResNet(2, 1), di.ConvResNet((2,), 1, 1, 1), di.layers.Dense(2)
    for covers, covered in (
        ((di.ResNet,), "it covers ResNet, not"),
        ((di.ResNet, di.ConvResNet), "it covers ResNet and ConvResNet, not"),
    ):
        theory = Theory("exact", never, never, covers)
        assert theory.evaluate(nets[0], None) == f"{covered} MLP"
        assert theory.evaluate(nets[3], None) == f"{covered} composed networks"
        with pytest.raises(AssertionError):
            theory.evaluate(nets[1], None)
    every = Theory("exact", never, never)
    assert "covers named architectures, not composed" in str(every.evaluate(nets[3], None))
    for net in (*nets[:3], object()):
        with pytest.raises(AssertionError):
            every.evaluate(net, None)


@pytest.mark.slow
def test_log_gradient_norm_is_the_logarithm_of_the_norm():
    """One output weight N(0, 1): E ln|w| = -(gamma + ln 2) / 2 = -0.635; twice for w^2."""
    net = di.MLP((1,), "linear", output_width=1)
    sim = di.simulate(net, Q.log_gradient_norm, di.inputs.ones(1), num_seeds=4000)
    exact = -0.5 * (np.euler_gamma + np.log(2.0))
    assert_mean(sim, exact, rejects=2.0 * exact, resolves=0.2)
    assert np.abs((sim.mean - 2.0 * exact) / sim.standard_error).min() > 20


@pytest.mark.slow
def test_a_quantity_derived_from_another_is_compared_under_its_own_name():
    own = Q.log_norm._replace(name="own")
    net, inputs = di.MLP((4,) * 2), di.inputs.ones(3)
    sim = di.simulate(net, own, inputs, num_seeds=10)
    found = [
        di.predict(net, own, inputs),
        di.infinite(net, own, inputs),
        *evaluate(net, own, inputs)[0],
    ]
    assert {prediction.quantity for prediction in found} == {"own"}
    assert di.compare(sim, *found[:2]).dataset.sizes["theory"] == 2
