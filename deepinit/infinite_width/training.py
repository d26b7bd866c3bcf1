"""Gradient flow of the mean square error in the linear regime, by neural-tangents.

Loss R = 1/(2n) sum_i |f(x_i) - y_i|^2, theta' = -grad R, Theta the initial tangent kernel:
    f_t = y + e^{-Theta t / n} (f_0 - y),
    f_t(x) = f_0(x) + Theta(x, .) Theta^{-1} (1 - e^{-Theta t / n}) (y - f_0).
neural-tangents divides by n K, K the number of outputs: its learning rate is K here.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP
from deepinit.core.targets import Examples
from deepinit.core.training_options import require_output_layer
from deepinit.core.typing import Array, Float, Plain, PyTree, Real
from deepinit.infinite_width.neural_tangents import load, require_structured_derivatives
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.training_kernels import KernelsOf, TrainingKernels, standard_kernels
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


class LinearizedTraining(NamedTuple):
    """One linearised network in training.

    `times`; `loss`: R; `outputs`: [T, n, K], at the examples; `test_outputs`: or None.
    """

    times: Float[np.ndarray, "times"]
    outputs: Float[np.ndarray, "times examples outputs"]
    loss: Float[np.ndarray, "times"]
    test_outputs: Float[np.ndarray, "times tests outputs"] | None


def ntk_training(
    spec: MLP,
    examples: Examples,
    times: Real[Array, "times"] | Plain,
    *,
    test_inputs: Real[Array, "tests dimension"] | Plain | None = None,
    kernels: KernelsOf = standard_kernels,
) -> NtkTraining:
    """Mean and variance over initializations of gradient flow under the mean NTK.

    mean = (1 - e^{-Theta t/n}) y, variance = diag(e^{-Theta t/n} K e^{-Theta t/n}), K the NNGP
    kernel, loss = 1/(2n) sum_ik [(mean - y)^2 + variance].

    `spec`: with an output layer, for `training.perceptron(spec)`: standard parametrization, no
    output bias. `times`: >= 0, not decreasing: learning rate times steps. `kernels`:
    `standard_kernels` or `stax_standard_kernels`.
    Raises SpecError: class targets, no output layer, wrong number of outputs, constant biases,
        invalid times. ResourceError: neural-tangents is absent or does not work.
    Valid for: infinite width in the lazy regime (not small initializations); error O(1/width). At
        t = 0 the loss is exact at every width for one hidden layer with normal laws.
    Reference: arXiv 1902.06720, sections 2.2 and 2.3.
    """
    times = _checked_times(times)
    _check_examples(examples)
    num, num_outputs = examples.targets.shape
    require_output_layer(spec)
    if spec.output_width != num_outputs:
        raise _other_outputs(num_outputs, spec.output_width)
    test = _checked_test(test_inputs, examples)
    both = kernels(spec, np.concatenate([examples.inputs, test]))

    def kernel_fn(rows, others, get):  # of row numbers
        chosen = np.ix_(rows, rows if others is None else others)
        wanted = TrainingKernels(both.nngp[chosen], both.ntk[chosen])
        return getattr(wanted, get) if isinstance(get, str) else wanted

    with host_float64():
        predict_fn = load().predict.gradient_descent_mse_ensemble(
            kernel_fn,
            np.arange(num),
            examples.targets,
            learning_rate=float(num_outputs),
            diag_reg=_floor(np.diag(both.ntk)[:num]),
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


def _check_parameters(parameters: Any) -> None:
    """Refuse leaves that are not floating-point."""
    import jax
    import jax.numpy as jnp

    for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
        kind = jnp.result_type(leaf)
        if not jnp.issubdtype(kind, jnp.floating):
            given = f"the parameter {jax.tree_util.keystr(path) or 'parameters'} of type {kind}"
            remedy = "Bind it to apply_fn by functools.partial."
            raise SpecError(given, "floating-point arrays", remedy)


def linearized_training(
    apply_fn: Callable[[PyTree, Array], Array],
    parameters: PyTree,
    examples: Examples,
    times: Real[Array, "times"] | Plain,
    *,
    test_inputs: Real[Array, "tests dimension"] | Plain | None = None,
) -> LinearizedTraining:
    """Gradient flow of one network, linearised about its parameters.

    f_t = y + e^{-Theta t/n} (f_0 - y), Theta [n, n, K, K] of this network.

    `apply_fn`: `apply_fn(parameters, x)`, [dimension] -> [K], like `Network.apply`. `parameters`: a
    pytree of floating-point arrays, cast to float64. Others: as `ntk_training`.
    Raises SpecError: class targets, wrong number of outputs, invalid times, parameters not
        floating-point. ResourceError: neural-tangents or its structured derivatives do not work.
    Valid for: exact for the linearised network; the network follows it to O(1/sqrt(width)) in the
        lazy regime.
    Reference: arXiv 1902.06720, section 2.2; arXiv 2206.08720 (kernel).
    """
    times = _checked_times(times)
    _check_examples(examples)
    num, num_outputs = examples.targets.shape
    rows = np.concatenate([examples.inputs, _checked_test(test_inputs, examples)])
    with host_float64():
        import jax
        import jax.numpy as jnp

        require_structured_derivatives()
        nt = load()
        _check_parameters(parameters)
        parameters = jax.tree_util.tree_map(lambda leaf: jnp.asarray(leaf, "float64"), parameters)
        batched = jax.vmap(apply_fn, (None, 0))
        shape = jax.eval_shape(batched, parameters, rows).shape
        if shape != (len(rows), num_outputs):
            raise _other_outputs(num_outputs, shape[1] if len(shape) == 2 else f"shape {shape[1:]}")
        kernel_fn = jax.jit(
            nt.empirical_ntk_fn(
                lambda p, x: batched(p, x),
                trace_axes=(),
                vmap_axes=0,
                implementation=nt.NtkImplementation.STRUCTURED_DERIVATIVES,
            )
        )
        kernel = kernel_fn(rows, examples.inputs, parameters)
        start = jax.jit(batched)(parameters, rows)
        predict_fn = nt.predict.gradient_descent_mse(
            kernel[:num],
            jnp.asarray(examples.targets),
            learning_rate=float(num_outputs),
            diag_reg=_floor(np.einsum("iikk->ik", np.asarray(kernel[:num]))),
            diag_reg_absolute_scale=True,
            trace_axes=(),
        )
        if len(rows) > num:
            predicted = predict_fn(times, start[:num], start[num:], kernel[num:])
            outputs, test_outputs = (np.asarray(part) for part in predicted)
        else:
            outputs, test_outputs = np.asarray(predict_fn(times, start)), None
    loss = 0.5 * np.sum((outputs - examples.targets) ** 2, axis=(1, 2)) / num
    return checked_limit(LinearizedTraining(times, outputs, loss, test_outputs), "of training")


def _floor(diagonal: np.ndarray) -> float:
    return _RELATIVE_FLOOR * float(np.mean(diagonal)) + _ABSOLUTE_FLOOR


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


def _other_outputs(num_targets: int, given: Any) -> SpecError:
    outputs = f"a network of {given} outputs for targets of {num_targets} numbers"
    return SpecError(outputs, f"{num_targets} outputs", f"Take output_width={num_targets}.")
