"""Training in the linear regime: refusals."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core import targets
from deepinit.core.errors import SpecError
from deepinit.core.laws import constant, normal, uniform
from deepinit.infinite_width.training import ntk_training

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((4, 3)), RNG.standard_normal((4, 2))
EXAMPLES = targets.examples(X, Y)
BIAS = normal(0.3, "absolute")
LINEAR = di.MLP((5,), di.linear, normal(0.7), BIAS, 2, normal(0.2, "absolute"))
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("times", "what"),
    [
        ([-1.0, 0.0], "times"),
        ([1.0, 0.5], "do not decrease"),
        ([0.0, np.inf], "finite"),
        ([], r"times of shape \(0,\).*\[T\]"),
        (1.0, r"times of shape \(\).*\[T\]"),
        (["a"], "array of real numbers"),
    ],
)
@pytest.mark.slow_cases("times0-times", "times1-do not decrease")
def test_times_that_no_run_has_are_refused(times, what):
    with pytest.raises(SpecError, match=what):
        ntk_training(LINEAR, EXAMPLES, times)


@pytest.mark.parametrize(
    ("spec", "examples", "test_inputs", "what"),
    [
        (LINEAR, targets.examples(X, np.arange(4)), None, "classes"),
        (LINEAR, X, None, "examples of type ndarray"),
        (di.MLP((5,), di.relu), EXAMPLES, None, "an MLP with an output layer"),
        (di.ResNet(3, 2, output_width=2), EXAMPLES, None, "an MLP"),
        (di.MLP((5,), di.relu, bias_law=constant(0.1), output_width=2), EXAMPLES, None, "biases"),
        (
            di.MLP((5,), di.relu, uniform(2.0), output_width=3),
            EXAMPLES,
            None,
            "3 outputs for targets of 2",
        ),
        (LINEAR, EXAMPLES, np.ones((2, 4)), r"test inputs.*\[num, 3\]"),
        (LINEAR, EXAMPLES, np.ones(3), r"test inputs.*\[num, 3\]"),
    ],
)
def test_what_has_no_prediction_is_refused(spec, examples, test_inputs, what):
    with pytest.raises(SpecError, match=what):
        ntk_training(spec, examples, [1.0], test_inputs=test_inputs)
