"""Lengths and volumes: what has no theory, sampler or limit is refused, or idealized."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

VOLUME, LENGTH = di.quantities.log_volume, di.quantities.length_distortion
BIAS = di.normal(0.5, "absolute")
TANH, CONSTANT = (
    di.MLP(widths=(8,), activation=di.tanh),
    di.MLP(widths=(8,), bias_law=di.constant(0.5)),
)
UNEQUAL = di.MLP(widths=(8, 4), weight_law=di.normal(0.1, "absolute"))
CIRCLE, ONE = di.curves.sampled(di.curves.circle()), di.frames.random(2)


@pytest.mark.parametrize("case", [(LENGTH, CIRCLE), (VOLUME, ONE)], ids=["length", "volume"])
@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (TANH, r"no finite-width prediction.*activation tanh.*di\.simulate"),
        (CONSTANT, r"activation relu and biases that are all 0\.5"),
        (
            di.ResNet(2, 2, bias_law=di.constant(-0.5)),
            r"ResNet networks.*biases that are all -0\.5",
        ),
        (
            di.ResNet(2, 2, activation=di.leaky_relu(0.1)),
            r"ResNet networks of two-layer blocks with the activation leaky_relu",
        ),
        (UNEQUAL, r"one absolute variance in layers of different widths.*fan_in"),
        (di.ResNet(3, 2), "inputs of dimension 2 for a residual network of width 3"),
    ],
)
@pytest.mark.slow_cases(
    "spec0-no finite-width prediction.*activation tanh.*di\\\\.simulate-length",
    "spec0-no finite-width prediction.*activation tanh.*di\\\\.simulate-volume",
)
def test_what_no_theory_predicts_is_refused(case, spec, words):
    with pytest.raises(SpecError, match=words):
        di.predict(spec, *case)


def test_absolute_variances_at_equal_widths_are_predicted():
    spec, same = (
        di.MLP(widths=(4, 4), weight_law=law)
        for law in (di.normal(0.5, "absolute"), di.normal(2.0))
    )
    at = di.frames.random(4)
    np.testing.assert_allclose(
        di.predict(spec, VOLUME, at).mean, di.predict(same, VOLUME, at).mean, rtol=1e-12
    )


def test_other_laws_are_predicted_as_if_gaussian_and_say_so():
    spec = di.MLP(widths=(8,), weight_law=di.uniform(2.0))
    found = di.predict(spec, LENGTH, CIRCLE)
    assert found.name == "idealized"
    assert found.error_order.startswith("O(1/width): weights of the law uniform")
    np.testing.assert_array_equal(found.mean, di.predict(di.MLP(widths=(8,)), LENGTH, CIRCLE).mean)
    with pytest.raises(SpecError, match=r"exact does not predict.*uniform.*apply: idealized"):
        di.predict(spec, LENGTH, CIRCLE, "exact")


@pytest.mark.parametrize("case", [(LENGTH, CIRCLE), (VOLUME, ONE)], ids=["length", "volume"])
def test_infinite_width_refuses_constant_biases(case):
    for spec in (CONSTANT, di.ResNet(2, 2, bias_law=di.constant(0.5))):
        with pytest.raises(SpecError, match=r"biases that are all 0\.5, at infinite width"):
            di.infinite(spec, *case)


@pytest.mark.parametrize(
    "route",
    [
        di.simulate,
        di.predict,
        di.infinite,
        lambda *given: di.simulate(*given, linear_map="chi_square"),
    ],
)
def test_more_vectors_than_neurons_have_volume_0(route):
    for spec in (di.MLP(widths=(8, 2)), di.MLP(widths=(8,), output_width=2)):
        with pytest.raises(SpecError, match=r"3 vectors through a layer of 2 neurons.*exactly 0"):
            route(spec, VOLUME, di.frames.random(4, 3))


@pytest.mark.parametrize(
    ("spec", "frames", "words"),
    [
        (TANH, ONE, r"linear_map='chi_square' with the activation tanh"),
        (CONSTANT, ONE, r"linear_map='chi_square' with biases that are all 0\.5"),
        (
            di.MLP(widths=(4,)),
            di.frames.random(2, num_points=2),
            r"chi_square' with 2 points.*one point",
        ),
        (di.ResNet(4, 2), di.frames.random(4, 2), "volumes or outputs of residual networks"),
        (di.ResNet(4, 2), di.frames.random(3), "inputs of dimension 3 for a residual network"),
        (di.MLP(widths=(4,), weight_law=di.uniform(2.0)), ONE, "weights of the law uniform"),
    ],
)
def test_chi_square_refuses_what_has_no_such_law(spec, frames, words):
    with pytest.raises(SpecError, match=words):
        di.simulate(spec, VOLUME, frames, linear_map="chi_square")


def test_chi_square_refuses_curves():
    with pytest.raises(SpecError, match=r"chi_square' for length_distortion.*log_volume"):
        di.simulate(di.MLP(widths=(4,)), LENGTH, CIRCLE, linear_map="chi_square")


@pytest.mark.parametrize("route", [di.simulate, di.predict, di.infinite])
def test_inputs_of_the_wrong_kind_are_refused_with_an_example(route):
    spec = di.MLP(widths=(4,))
    for quantity, wrong, words in (
        (
            LENGTH,
            di.curves.circle(),
            r"type Curve.*SampledCurve for length_distortion.*di\.curves\.sampled\(di\.curves",
        ),
        (LENGTH, ONE, r"type Frames.*SampledCurve for length_distortion"),
        (
            VOLUME,
            CIRCLE,
            r"type SampledCurve.*Frames for log_volume.*di\.frames\.random\(dimension=3\)",
        ),
        (VOLUME, di.inputs.pair(0.1), r"type Inputs.*Frames for log_volume"),
        (
            di.quantities.log_sin2_angle,
            ONE,
            r"type Frames.*Inputs for log_sin2_angle.*di\.inputs\.pair",
        ),
    ):
        with pytest.raises(SpecError, match=words):
            route(spec, quantity, wrong)
