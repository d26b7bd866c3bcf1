"""Gradients of `kernel_scan` for every built-in at equal, parallel, opposite and zero rows.

A forward-mode Jacobian of both kernels is compared with central differences along directions in
inputs, weight variances and bias variances; with one-sided ones at a bias variance of 0.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.activations import BUILTIN, FAMILIES
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_scan

DEPTH = 3
STEP = 1e-5
A = np.array([1.0, 2.0])
ACROSS = np.array([-2.0, 1.0])
ROWS = np.array(
    [A, A, 2 * A, -A, 0 * A, [0.5, -0.3], *(A + turn * ACROSS for turn in (1e-8, 1e-3, 2e-3))]
)
EQUAL, PARALLEL, OPPOSITE, ZERO, GENERIC, NEAR, TURNED, TURNED_TWICE = range(1, 9)
PAIRS = (EQUAL, PARALLEL, OPPOSITE, ZERO, GENERIC)

FAMILY_MEMBERS = [di.leaky_relu(0.2), di.elu(1.0), di.elu(0.5), di.celu(2.0)]
EVERY = [BUILTIN[name]() for name in BUILTIN if BUILTIN[name] not in FAMILIES] + FAMILY_MEMBERS
# One of a kind: homogeneous, smooth with a closed form, smooth without, with a kink and a bend.
SLOW = (di.relu, di.gelu, di.tanh, di.elu(1.0))
ALL = [
    pytest.param(
        activation,
        id=repr(activation),
        marks=pytest.mark.slow if activation in SLOW else pytest.mark.exhaustive,
    )
    for activation in EVERY
]


class Found:
    """Both kernels, compiled once, and their Jacobians in x, weight and bias variances."""

    def __init__(self, activation):
        self.last = jax.jit(
            lambda *arguments: jnp.stack([k[-1] for k in kernel_scan(activation, *arguments)])
        )
        self.jacobians = jax.jit(jax.jacfwd(self.last, (0, 1, 2)))

    def arguments(self, bias_var):
        return jnp.asarray(ROWS), jnp.linspace(1.5, 2.0, DEPTH), jnp.full(DEPTH, bias_var)

    @functools.cache  # noqa: B019 - as long as the module
    def jacobian(self, bias_var):
        with host_float64():
            return [np.asarray(part) for part in self.jacobians(*self.arguments(bias_var))]

    def along(self, bias_var, *directions):
        """(derivative, difference) of [kernel, row, row], rows before NEAR, along a direction.

        Directions in x, weight and bias variances; None for 0.
        """
        parts = [
            np.zeros(np.shape(at)) if step is None else step
            for at, step in zip(self.arguments(bias_var), directions, strict=True)
        ]
        derivative = sum(
            np.tensordot(jacobian, part, axes=np.ndim(part))
            for jacobian, part in zip(self.jacobian(bias_var), parts, strict=True)
        )[:, :NEAR, :NEAR]
        with host_float64():

            def at(step):
                rows, *variances = (
                    at + step * part
                    for at, part in zip(self.arguments(bias_var), parts, strict=True)
                )
                return np.asarray(self.last(rows[:NEAR], *variances))

            if bias_var == 0.0 and directions[2] is not None:
                return derivative, (4 * at(STEP) - at(2 * STEP) - 3 * at(0.0)) / (2 * STEP)
            central = [(at(step) - at(-step)) / (2 * step) for step in (STEP, 2 * STEP)]
            return derivative, 2 * central[0] - central[
                1
            ]  # beside a kink its error is that of |h| h


@functools.cache
def found(activation):
    return Found(activation)


def compare(derivative, difference, rows, tolerance):
    np.testing.assert_allclose(
        derivative[:, 0, rows], difference[:, 0, rows], rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("activation", ALL)
def test_gradients_of_every_builtin(activation):
    kernels, is_smooth = found(activation), not activation.kinks
    check = functools.partial(compare, tolerance=1e-6 if is_smooth else 1e-5)
    rng = np.random.default_rng(3)
    others = rng.standard_normal(ROWS.shape)
    others[NEAR:] = 0.0
    zero_row = np.where(np.arange(len(ROWS)) == ZERO, rng.standard_normal(ROWS.T.shape), 0.0).T
    others[ZERO] = 0.0
    layers = rng.uniform(0.5, 1.0, DEPTH)
    assert all(
        np.isfinite(part).all() for bias_var in (0.0, 0.1) for part in kernels.jacobian(bias_var)
    )
    check(*kernels.along(0.1, others + zero_row, layers, 0.7 * layers[::-1]), [0, *PAIRS])
    if activation.has_corner(0.0):
        check(*kernels.along(0.0, others, layers, None), [0, *PAIRS])
    else:
        check(*kernels.along(0.0, others + zero_row, layers, None), [0, *PAIRS])
    # at a bias variance of 0: the infinite slopes that the docstring names are left out
    check(
        *kernels.along(0.0, None, None, layers), [0, *PAIRS] if is_smooth else [0, EQUAL, GENERIC]
    )


@pytest.mark.parametrize("activation", ALL)
def test_gradients_at_nearly_equal_rows_are_the_limit_from_their_side(activation):
    has_kink = bool(activation.kinks) and any(map(activation.has_corner, activation.kinks))
    for bias_var in (0.0, 0.1):
        of_inputs, of_weights, of_biases = found(activation).jacobian(bias_var)
        for jacobian in (of_inputs[:, :, :, 0], of_weights, of_biases):
            at = {row: jacobian[:, 0, row] for row in (EQUAL, NEAR, TURNED, TURNED_TWICE)}
            limit = 2 * at[TURNED] - at[TURNED_TWICE]
            np.testing.assert_allclose(at[NEAR], limit, rtol=3e-4, atol=3e-4)
            if has_kink and jacobian.shape[-1] == 2:  # the tangent kernel, in the row itself
                assert np.abs(at[EQUAL] - limit)[1].max() > 1e-2


def test_every_builtin_is_in_the_battery():
    assert {activation.name for activation in EVERY} == set(BUILTIN)
