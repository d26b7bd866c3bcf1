"""Lengths of curves at infinite width: refusals."""

import math

import numpy as np
import pytest

from deepinit.core import activations as act
from deepinit.core import curves
from deepinit.core.errors import SpecError
from deepinit.core.laws import normal
from deepinit.core.specs import MLP
from deepinit.infinite_width.lengths import curve_length_moments, velocity_kernel

BIAS = normal(0.3, scaling="absolute")
CIRCLE = curves.circle()
LINE = curves.line([1.0, -2.0, 0.0], [1.0, 2.0, 0.5])
NODES = 0.3 + np.array([0.0, 1e-4, 1e-2, 0.1, 0.3, 0.6])


def test_another_source_of_the_kernel_is_refused():
    with pytest.raises(SpecError, match=r"through='monte_carlo'.*recursion, neural_tangents"):
        curve_length_moments(MLP((8,), output_width=2), CIRCLE, through="monte_carlo")


def test_no_output_layer_too_few_nodes_and_more_than_a_turn_are_refused():
    with pytest.raises(SpecError, match="output_width"):
        curve_length_moments(MLP((8,)), LINE)
    with pytest.raises(SpecError, match="num_nodes"):
        curve_length_moments(MLP((8,), output_width=1), LINE, 3)
    twice = curves.Curve("circle", CIRCLE.coefficients, 0.0, 4.0 * math.pi, "twice around")
    with pytest.raises(SpecError, match="one turn"):
        curve_length_moments(MLP((8,), output_width=1), twice)


@pytest.mark.slow
def test_a_curve_through_the_origin_is_refused_only_where_all_units_switch_at_once():
    through = curves.line([-1.0, -2.0], [1.0, 2.0])
    for call in (
        lambda spec: velocity_kernel(spec, through, NODES),
        lambda spec: curve_length_moments(spec, through),
    ):
        with pytest.raises(SpecError, match="through 0"):
            call(MLP((8,), output_width=1))
    assert curve_length_moments(MLP((8,), bias_law=BIAS, output_width=1), through).variance > 0
    assert curve_length_moments(MLP((8,), act.linear, output_width=1), through).variance > 0
