"""Exact control variates of the NNGP kernel of critical ReLU networks at one point, as a fake rule.

q_l = |x^l|^2 / n has E[q_l | q_{l-1}] = q_{l-1} and Var[q_l | q_{l-1}] = 5 q_{l-1}^2 / n: with
independent steps, E q_l = q_0 and Var q_l = q_0^2 ((1 + 5/n)^l - 1).
"""

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.quantities.controls import Control, Controls

STRENGTH = 0.9  # 1 leaves no variance of the mean
OFF_CENTRE = 1.1


def relu_control(spec, quantity, inputs, *, bias=0.0):
    """`control_of` for equal widths and one point; `bias` plants a mean of the control."""
    if quantity.name not in ("nngp", "output_kurtosis") or spec.activation.name != "relu":
        raise SpecError(f"{quantity.name} of {spec.activation}", "nngp of relu", "Be content.")
    width, start = spec.widths[0], float(np.mean(inputs.points**2))
    centre = OFF_CENTRE * start

    def columns(state):
        import jax.numpy as jnp

        rows = state.postactivations
        return jnp.exp(2 * rows.point_scales) * jnp.mean(rows.points**2, axis=1)

    def of_block(columns):
        kernel = np.asarray(columns, np.float64)
        past = np.concatenate([np.full_like(kernel[:, :1], start), kernel[:, :-1]], axis=1)
        walk = kernel - start
        square = walk**2 - 5.0 * np.cumsum(past**2, axis=1) / width + 2 * (start - centre) * walk
        return Controls(STRENGTH * walk + bias * start, square)

    return Control(columns, of_block, np.full((len(spec.widths), 1), centre))


def exact_mean(spec, inputs):
    return np.full((len(spec.widths), 1), np.mean(inputs.points**2))


def exact_variance(spec, inputs):
    layers = np.arange(1, len(spec.widths) + 1)[:, None]
    return exact_mean(spec, inputs) ** 2 * ((1 + 5 / spec.widths[0]) ** layers - 1)
