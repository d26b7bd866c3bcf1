"""Gradient flow of the mean square error in the linear regime, by neural-tangents.

Loss R = 1/(2n) sum_i |f(x_i) - y_i|^2, theta' = -grad R, Theta the initial tangent kernel:
    f_t = y + e^{-Theta t / n} (f_0 - y),
    f_t(x) = f_0(x) + Theta(x, .) Theta^{-1} (1 - e^{-Theta t / n}) (y - f_0).
neural-tangents divides by n K, K the number of outputs: its learning rate is K here.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP
from deepinit.core.targets import Examples
from deepinit.core.training_options import require_output_layer
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.neural_tangents import load
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.training_kernels import TrainingKernels, standard_kernels
from deepinit.infinite_width.validate import checked_limit

# Added to the diagonal, relative to its mean and below rounding: an eigenvalue 0 (a row of zeros, a
# dead network) gets the limit t of the quotient (1 - e^{-0 t}) / 0.
_RELATIVE_FLOOR, _ABSOLUTE_FLOOR = 1e-18, 1e-300


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
        ResourceError: neural-tangents is absent or does not work.

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
    both = standard_kernels(spec, np.concatenate([examples.inputs, test]))

    def kernel_fn(rows, others, get):  # of row numbers
        chosen = np.ix_(rows, rows if others is None else others)
        wanted = TrainingKernels(both.nngp[chosen], both.ntk[chosen])
        return getattr(wanted, get) if isinstance(get, str) else wanted

    diagonal = float(np.mean(np.diag(both.ntk)[:num]))
    floor = _RELATIVE_FLOOR * diagonal + _ABSOLUTE_FLOOR
    with host_float64():
        predict_fn = load().predict.gradient_descent_mse_ensemble(
            kernel_fn,
            np.arange(num),
            examples.targets,
            learning_rate=float(num_outputs),
            diag_reg=floor,
            diag_reg_absolute_scale=True,
        )

        def at_all_times(rows):
            # one time after the other, to hold one covariance of all rows
            gaussians = [predict_fn(time, rows, "ntk", compute_cov=True) for time in times]
            mean = np.stack([np.asarray(gaussian.mean) for gaussian in gaussians])
            variance = np.stack([np.diagonal(gaussian.covariance) for gaussian in gaussians])
            # rounding below 0
            return mean, np.broadcast_to(np.maximum(variance, 0.0)[:, :, None], mean.shape).copy()

        mean, variance = at_all_times(None)
        test_mean, test_variance = (
            at_all_times(np.arange(num, num + len(test))) if len(test) else (None, None)
        )
    loss = 0.5 * np.sum((mean - examples.targets) ** 2 + variance, axis=(1, 2)) / num
    result = NtkTraining(times, mean, variance, loss, test_mean, test_variance)
    return checked_limit(result, "of training")


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
