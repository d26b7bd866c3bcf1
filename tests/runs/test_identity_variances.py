"""Variances of 0, 1e300 and 1e-300: the right number, or a sentence."""

import warnings

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities
PAIR = di.inputs.pair(0.5)


def mlp(activation, variance, bias=None, law=di.normal, **output):
    bias_law = None if bias is None else di.normal(bias, "absolute")
    return di.MLP((4, 3), activation, law(variance), bias_law=bias_law, **output)


def resnet(variance):
    return di.ResNet(2, 2, weight_law=di.normal(variance))


CASES = [
    (Q.log_volume, mlp("relu", 0.0)),
    (Q.log_volume, mlp("relu", 0.0, law=di.orthogonal)),
    (Q.log_volume, mlp("relu", 0.0, 0.0)),
    (Q.log_volume, mlp("relu", 2.0, output_width=1, output_law=di.normal(0.0))),
    (Q.log_volume, mlp("tanh", 1e300)),
    (Q.log_volume, resnet(1e300)),
    (Q.log_sin2_angle, mlp("relu", 1e300)),
    (Q.log_sin2_angle, mlp("tanh", 1e300)),
    (Q.log_sin2_angle, mlp("relu", 2.0, 1e300)),
    (Q.log_sin2_angle, mlp("relu", 2.0, 0.0)),
    (Q.length_distortion, mlp("relu", 0.0)),
]


@pytest.mark.parametrize(
    ("quantity", "spec"),
    CASES,
    ids=[f"{number}-{case[0].name}" for number, case in enumerate(CASES)],
)
@pytest.mark.slow_cases("4-log_volume", "7-log_sin2_angle")
def test_a9_extreme_variances_give_numbers_or_a_sentence(quantity, spec):
    inputs = {
        "Inputs": PAIR,
        "Frames": di.frames.random(2),
        "SampledCurve": di.curves.sampled(di.curves.circle(), 3),
    }[quantity.measurement.accepts.__name__]
    calls = [lambda: di.infinite(spec, quantity, inputs)]
    for theory in quantity.theories:
        if not theory.is_limit:
            calls.append(lambda name=theory.name: di.predict(spec, quantity, inputs, name))
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for call in calls:
            try:
                mean = call().mean
            except SpecError:
                continue
            assert np.isfinite(mean).all()


def test_a9_a_formula_beyond_float64_is_named():
    with pytest.raises(SpecError, match="leaves the range of float64"):
        di.infinite(mlp("relu", 0.0), Q.log_volume, di.frames.random(2))


def test_a9_entries_beyond_float32_are_refused_before_they_are_drawn():
    for spec in (
        mlp("relu", 1e300),
        mlp("relu", 1e-300),
        mlp("relu", 2.0, 1e300),
        mlp("relu", 1e300, law=di.uniform),
    ):
        with pytest.raises(SpecError, match=r"entries of size .* in float32"):
            di.simulate(spec, Q.log_norm, di.inputs.ones(2), num_seeds=2)
    with pytest.raises(SpecError, match="entries of size 1e"):
        di.constant(1e300).sample(None, (2, 1))
    assert di.normal(1e60).entry_std(1) == 1e30
    assert di.normal(0.0).entry_std(1) == 0.0
