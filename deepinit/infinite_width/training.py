"""Gradient flow of the mean square error in the linear regime.

Loss R = 1/(2n) sum_i |f(x_i) - y_i|^2, theta' = -grad R, Theta the initial tangent kernel:
    f_t(x) = f_0(x) + A_t(x) (y - f_0),  A_t(x) = Theta(x, .) Theta^{-1} (1 - e^{-Theta t / n}),
in the eigenbasis of Theta on the examples. f_0 is Gaussian, of covariance the NNGP kernel K.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP
from deepinit.core.targets import Examples
from deepinit.core.training_options import require_output_layer
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.training_kernels import TrainingKernels, standard_kernels
from deepinit.infinite_width.validate import checked_limit


class NtkTraining(NamedTuple):
    """Mean and variance over initializations in training; outputs are independent.

    `times`; `loss`: mean of R; `mean`, `variance`: [T, n, K], at the examples; `test_mean`,
    `test_variance`: or None.
    """

    times: Float[np.ndarray, "times"]
    mean: Float[np.ndarray, "times examples outputs"]
    variance: Float[np.ndarray, "times examples outputs"]
    loss: Float[np.ndarray, "times"]
    test_mean: Float[np.ndarray, "times tests outputs"] | None
    test_variance: Float[np.ndarray, "times tests outputs"] | None


def ntk_training(
    spec: MLP,
    examples: Examples,
    times: Real[Array, "times"] | Plain,
    *,
    test_inputs: Real[Array, "tests dimension"] | Plain | None = None,
) -> NtkTraining:
    """Mean and variance over initializations of gradient flow under the mean NTK.

    mean = (1 - e^{-Theta t/n}) y, variance = diag(e^{-Theta t/n} K e^{-Theta t/n}), K the NNGP
    kernel, loss = 1/(2n) sum_ik [(mean - y)^2 + variance].

    Args:
        spec: with an output layer, for `training.perceptron(spec)`: standard parametrization, no
            output bias.
        examples: inputs [n, dimension], targets [n, K].
        times: [T], >= 0, not decreasing: learning rate times steps.
        test_inputs: [num, dimension].

    Raises:
        SpecError: class targets, no output layer, wrong number of outputs, constant biases, invalid
            times.

    Valid for: infinite width in the lazy regime (not small initializations); error O(1/width). At t
        = 0 the loss is exact at every width for one hidden layer with normal laws.

    Reference: arXiv 1902.06720, sections 2.2 and 2.3.
    """
    times = _checked_times(times)
    _check_examples(examples)
    num, num_outputs = examples.targets.shape
    require_output_layer(spec)
    given = f"a network of {spec.output_width} outputs for targets of {num_outputs} numbers"
    remedy = f"Take output_width={num_outputs}."
    validate.require(spec.output_width == num_outputs, given, f"{num_outputs} outputs", remedy)
    test = _checked_test(test_inputs, examples)
    kernels = standard_kernels(spec, np.concatenate([examples.inputs, test]))
    mean, variance = _moments(kernels, examples.targets, times)
    errors = mean[:, :num] - examples.targets
    loss = 0.5 * np.sum(errors**2 + variance[:, :num], axis=(1, 2)) / num
    at_test = (mean[:, num:], variance[:, num:]) if len(test) else (None, None)
    result = NtkTraining(times, mean[:, :num], variance[:, :num], loss, *at_test)
    return checked_limit(result, "of training")


def _moments(
    kernels: TrainingKernels, targets: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance [T, rows, K] at all rows, the first of which are the examples."""
    num = len(targets)
    eigenvalues, vectors = np.linalg.eigh(kernels.ntk[:num, :num])
    eigenvalues = np.maximum(eigenvalues, 0.0)  # rounding
    onto_examples = kernels.ntk[:, :num] @ vectors
    means, variances = [], []
    for time in times:
        response = onto_examples * _response(eigenvalues, time / num) @ vectors.T
        means.append(response @ targets)
        remaining = np.eye(len(response))
        remaining[:, :num] -= response
        variances.append(np.sum(remaining @ kernels.nngp * remaining, axis=1))
    mean = np.stack(means)
    variance = np.maximum(np.stack(variances), 0.0)  # rounding
    return mean, np.repeat(variance[:, :, None], mean.shape[2], axis=2)


def _response(eigenvalues: np.ndarray, time: float) -> np.ndarray:
    """(1 - e^{-x t}) / x, and t at x = 0."""
    exponents = eigenvalues * time
    small = exponents < 1e-300  # also subnormal, where the quotient has no digits
    return np.where(small, time, -np.expm1(-exponents) / np.where(small, 1.0, eigenvalues))


def _checked_times(given: Any) -> np.ndarray:
    remedy = "Gradient descent at the rate r has the time r times the step: [0.0, 1.0]."
    times = validate.array("times", given, ["T"], remedy)
    if times[0] < 0.0 or np.any(np.diff(times) < 0.0):
        text = np.array2string(times, threshold=6)
        raise SpecError(f"times {text}", "finite times >= 0 that do not decrease", remedy)
    return times


def _check_examples(examples: Any) -> None:
    remedy = "Write targets.examples(inputs, targets)."
    validate.instance("examples", examples, Examples, "Examples", remedy)
    if examples.are_classes:
        given = "classes as targets of the mse, the one loss whose linear regime has a closed form"
        raise SpecError(given, "numbers [n, outputs]", "Give floats, e.g. one-hot rows.")


def _checked_test(test_inputs: Any, examples: Examples) -> np.ndarray:
    """[num, dimension]; zero rows for None."""
    if test_inputs is None:
        return np.empty((0, examples.dimension))
    remedy = "Flatten images: x.reshape(len(x), -1)."
    return validate.array("test inputs", test_inputs, ["num", examples.dimension], remedy)
