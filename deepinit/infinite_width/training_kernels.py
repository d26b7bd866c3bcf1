"""Kernels of networks in standard parametrization.

Perceptrons of `training`: weights W^l [n_l, n_{l-1}] of variance v_l, hidden biases of variance
b_l. S^l = E[phi(z^l) phi(z'^l)], D^l = E[phi'(z^l) phi'(z'^l)], (z^l, z'^l) ~ N(0, K^l),
S^0 = x.x'/n_0,
    K^l = n_{l-1} v_l S^{l-1} + b_l,
    Theta^l = n_{l-1} S^{l-1} + 1 + n_{l-1} v_l D^{l-1} Theta^{l-1},      Theta^1 = x.x' + 1,
the 1 for a trained bias; at the output, without b and 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from deepinit.core.specs import MLP
from deepinit.core.training_options import require_output_layer
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.neural_tangents import load
from deepinit.infinite_width.neural_tangents.layers import stax_activation
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances
from deepinit.infinite_width.validate import checked_limit, checked_rows


class TrainingKernels(NamedTuple):
    """NNGP and NTK of one output, in standard parametrization."""

    nngp: Float[np.ndarray, "num num"]
    ntk: Float[np.ndarray, "num num"]


KernelsOf = Callable[[MLP, np.ndarray], TrainingKernels]


def standard_kernels(spec: MLP, x: Real[Array, "num dimension"] | Plain) -> TrainingKernels:
    """NNGP and NTK of the output in standard parametrization, in float64.

    Output layer without bias; hidden biases are trained. Accuracy of `recursion.kernel_layers`.
    Raises SpecError: no output layer, constant biases, unresolved activation.
    Valid for: exact means of f f' and of the empirical NTK at every width for one hidden layer with
        normal weights and biases and for linear networks; else error O(1/width).
    Reference: arXiv 2001.07301.
    """
    x = checked_rows(x)
    weight_vars, bias_vars, fan_ins = _layers(spec, x.shape[1])
    with host_float64():
        import jax

        from deepinit.infinite_width.resolution import check_resolution

        activated = weight_vars[:-1], bias_vars[:-1]
        check_resolution(spec.activation, np.mean(x**2, axis=1), *activated)
        arrays = map(jax.numpy.asarray, (x, weight_vars, bias_vars, fan_ins))
        run = jax.jit(_standard_scan, static_argnums=0)
        kernels = run(spec.activation, float(spec.bias_law is not None), *arrays)
        kernels = TrainingKernels(*map(np.asarray, kernels))
    return checked_limit(kernels, is_kernel=True)


def stax_standard_kernels(spec: MLP, x: Real[Array, "num dimension"] | Plain) -> TrainingKernels:
    """`standard_kernels` by neural-tangents' stax, for its activations, in float64.

    Error about 1e-8 a layer at variances of order 1, more with tiny weights.
    Raises SpecError: as `standard_kernels`. ResourceError: neural-tangents is absent or does not
        work.
    Reference: arXiv 1912.02803, 2001.07301.
    """
    x = checked_rows(x)
    weight_vars, bias_vars, _ = _layers(spec, x.shape[1])
    stax = load().stax
    assert spec.output_width is not None

    def dense(layer: int, width: int, biased: bool):
        b_std = float(np.sqrt(bias_vars[layer])) if biased else None
        W_std = float(np.sqrt(weight_vars[layer]))
        return stax.Dense(width, W_std=W_std, b_std=b_std, parameterization="standard")

    with host_float64():
        import jax

        parts = []
        for layer, width in enumerate(spec.widths):
            parts.append(dense(layer, width, spec.bias_law is not None))
            parts.append(stax_activation(spec.activation))
        kernel_fn = stax.serial(*parts, dense(spec.depth, spec.output_width, False))[2]
        kernel = jax.jit(lambda rows: kernel_fn(rows, None, ("nngp", "ntk")))(x)
        kernels = TrainingKernels(np.asarray(kernel.nngp), np.asarray(kernel.ntk))
    return checked_limit(kernels, is_kernel=True)


def _standard_scan(activation, has_bias, x, weight_vars, bias_vars, fan_ins):
    import jax
    import jax.numpy as jnp

    from deepinit.infinite_width.pairs import affine, matrices, nonlinearity, rows_of_points

    rows = rows_of_points(x)

    def hidden_layer(carry, layer):
        below, point_response, pair_response = carry
        weight_var, bias_var, fan_in = layer
        point_ntk = fan_in * below.variance + has_bias + weight_var * point_response
        pair_ntk = fan_in * below.covariance + has_bias + weight_var * pair_response
        above, point_slope, pair_slope = nonlinearity(
            activation, affine(below, weight_var, bias_var)
        )
        return (above, point_slope * point_ntk, pair_slope * pair_ntk), None

    start = (rows, jnp.zeros_like(rows.variance), jnp.zeros_like(rows.growth))
    hidden = (weight_vars[:-1], bias_vars[:-1], fan_ins[:-1])
    (last, point_response, pair_response), _ = jax.lax.scan(hidden_layer, start, hidden)
    weight_var, fan_in = weight_vars[-1], fan_ins[-1]

    nngp = matrices(rows, weight_var * last.variance, weight_var * last.covariance)
    point_ntk = fan_in * last.variance + weight_var * point_response
    return nngp, matrices(rows, point_ntk, fan_in * last.covariance + weight_var * pair_response)


def _layers(spec: MLP, dimension: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weight variances times fan_in, bias variances, fan_ins."""
    require_output_layer(spec)
    weight_vars, bias_vars = layer_variances(spec, dimension)
    fan_ins = np.asarray((dimension, *spec.widths), np.float64)
    return weight_vars, np.append(bias_vars[:-1], 0.0), fan_ins
