"""The same coefficients by differentiation of the density or activation, and closed forms."""

import itertools
import math
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.activations import (
    as_activation,
    erf,
    from_function,
    gelu,
    leaky_relu,
    relu,
    tanh,
)
from deepinit.theory.kernel_corrections import kernel_corrections, tangent_covariance
from deepinit.theory.kernel_corrections.homogeneous import (
    homogeneous_pair_moments,
    homogeneous_single_moments,
)
from deepinit.theory.numerics.kernel_moments import pair_moments, single_moments
from deepinit.theory.numerics.smooth_moments import smooth_pair_moments

FIRST = np.array([[1.0, 0.4], [0.4, 0.7]])
ENTRIES = ((0, 0), (0, 1), (1, 1))


def _standard_rule(kinked, kernel):
    """Nodes in the coordinates of z = L u, for a kink at 0: polar, split where a preactivation
    changes sign."""
    if not kinked:
        line = np.linspace(-9.0, 9.0, 101)
        u = np.stack([axis.ravel() for axis in np.meshgrid(line, line, indexing="ij")])
        return u, (line[1] - line[0]) ** 2 * np.exp(-0.5 * (u**2).sum(0)) / (2.0 * math.pi)
    lower = np.linalg.cholesky(kernel)
    zeros = [math.atan2(-row[0], row[1]) % (2.0 * math.pi) for row in lower]
    cuts = sorted([(zero + turn) % (2.0 * math.pi) for zero in zeros for turn in (0.0, math.pi)])
    cuts.append(cuts[0] + 2.0 * math.pi)
    x, mass = np.polynomial.legendre.leggauss(24)
    angles = np.concatenate(
        [0.5 * (b - a) * x + 0.5 * (a + b) for a, b in itertools.pairwise(cuts)]
    )
    arcs = np.concatenate([0.5 * (b - a) * mass for a, b in itertools.pairwise(cuts)]) / (
        2.0 * math.pi
    )
    half_squares, radial = np.polynomial.laguerre.laggauss(6)
    radii = np.sqrt(2.0 * half_squares)
    u = np.stack([np.outer(np.cos(angles), radii).ravel(), np.outer(np.sin(angles), radii).ravel()])
    return u, np.outer(arcs, radial).ravel()


@lru_cache(maxsize=2)
def _map_and_derivatives(name):
    """(value, Jacobian, Hessian) of (G, Theta) -> (sb2 + sw2 g, tb + tw g + sw2 h Theta) at frozen
    nodes."""
    phi = as_activation(name)

    def log_density(z, k):
        determinant = k[0] * k[2] - k[1] ** 2
        return -0.5 * (
            k[2] * z[0] ** 2 - 2.0 * k[1] * z[0] * z[1] + k[0] * z[1] ** 2
        ) / determinant - 0.5 * jnp.log(determinant)

    def layer(state, frozen, z, weights, sw2, sb2, tw, tb):
        moving = weights * jnp.exp(log_density(z, state[:3]) - log_density(z, frozen))
        f, d = phi(z), phi.derivative(z)
        g = jnp.stack([jnp.sum(moving * f[a] * f[b]) for a, b in ENTRIES])
        h = jnp.stack([jnp.sum(moving * d[a] * d[b]) for a, b in ENTRIES])
        return jnp.concatenate([sb2 + sw2 * g, tb + tw * g + sw2 * h * state[3:]])

    return jax.jit(
        lambda *args: (layer(*args), jax.jacfwd(layer)(*args), jax.hessian(layer)(*args))
    )


def _by_automatic_differentiation(
    name, widths, sw2, sb2, with_reuse=True, rates=None, first_tangent=FIRST
):
    """The recursion of the state (G, Theta) as a whole; Fc with its indices written out."""
    phi, k = as_activation(name), 2
    step = _map_and_derivatives(name)
    state = np.array([matrix[a, b] for matrix in (FIRST, first_tangent) for a, b in ENTRIES])
    covariance, shift = np.zeros((6, 6)), np.zeros(6)
    crossed, reuse = np.zeros((k,) * 4), np.zeros((k,) * 4)  # B_ab|cd, Fc_cd;ab
    for layer, n in enumerate(widths):
        tw, tb = (sw2, sb2) if rates is None else (rates[0][layer], rates[1])
        kernel = np.array([[state[0], state[1]], [state[1], state[2]]])
        tangent = np.array([[state[3], state[4]], [state[4], state[5]]])
        u, w = _standard_rule(bool(phi.kinks), kernel)
        z = np.linalg.cholesky(kernel) @ u
        with jax.enable_x64(True):
            value, jacobian, hessian = (
                np.asarray(part) for part in step(state, state[:3], z, w, sw2, sb2, tw, tb)
            )
        f, d = np.asarray(phi(z)), np.asarray(phi.derivative(z))
        one = np.stack([sw2 * f[a] * f[b] for a, b in ENTRIES])
        two = np.stack([tw * f[a] * f[b] + sw2 * tangent[a, b] * d[a] * d[b] for a, b in ENTRIES])
        both = np.concatenate([one, two])
        both = both - (both @ w)[:, None]
        y = np.linalg.solve(kernel, z)
        precision = np.linalg.inv(kernel)
        h = np.einsum("q,aq,bq->ab", w, d, d)
        second = np.einsum("q,cq,dq,aq,bq->cdab", w, y, y, d, d) - np.einsum(
            "cd,ab->cdab", precision, h
        )
        q = sw2 * np.einsum("cdab,cdab->ab", reuse, second)
        new_shift = jacobian @ shift + 0.5 * np.einsum("iab,ab->i", hessian, covariance)
        new_shift[3:] += [q[a, b] * with_reuse for a, b in ENTRIES]
        covariance = jacobian @ covariance @ jacobian.T + (both * w) @ both.T / n
        stein = np.einsum("q,eq,cq,aq->ace", w, y, f, d)  # Q^a_ce
        fourth = np.einsum("q,aq,bq,cq,dq->abcd", w, d, d, d, d)
        source = np.einsum("q,cq,dq,aq,bq,ab->cdab", w, f, f, d, d, tangent)
        crossed = sw2**2 * (
            np.einsum("abcd,ab,cd->abcd", fourth, tangent, tangent) / n
            + np.einsum("ac,bd,abcd->abcd", h, h, crossed)
        )
        reuse = sw2**2 * (source / n + np.einsum("ace,bdf,efab->cdab", stein, stein, reuse))
        state, shift = value, new_shift
    pairs = [[crossed[a, b, c, d] + crossed[a, b, d, c] for c, d in ENTRIES] for a, b in ENTRIES]
    return state, shift, covariance, np.array(pairs)


@pytest.mark.parametrize("standard", [False, True])
@pytest.mark.parametrize(
    ("name", "weight_var", "bias_var"), [("relu", 2.0, 0.0), ("tanh", 1.3, 0.1)]
)
@pytest.mark.slow
def test_automatic_differentiation_of_the_whole_state(name, weight_var, bias_var, standard):
    widths = (20, 40, 30)
    ours, theirs = {}, {}
    if standard:  # parametrisation: the weights themselves are trained, and so are biases
        ours = {"weight_rate": widths, "bias_rate": 1.0, "first_tangent": 1.0 + FIRST}
        theirs = {"rates": (np.array(widths, dtype=float), 1.0), "first_tangent": 1.0 + FIRST}
    corrections = kernel_corrections(name, FIRST, widths, weight_var, bias_var, **ours)
    state, shift, covariance, crossed = _by_automatic_differentiation(
        name, widths, weight_var, bias_var, **theirs
    )
    digits = {"rel": 1e-10, "abs": 1e-13 * corrections.tangent[-1, 0] ** 2}
    assert np.concatenate([corrections.kernel[-1], corrections.tangent[-1]]) == pytest.approx(
        state, **digits
    )
    assert np.concatenate(
        [corrections.kernel_shift[-1], corrections.tangent_shift[-1]]
    ) == pytest.approx(shift, **digits)
    assert corrections.kernel_covariance[-1] == pytest.approx(covariance[:3, :3], **digits)
    assert corrections.tangent_kernel_covariance[-1] == pytest.approx(covariance[3:, :3], **digits)
    assert corrections.tangent_covariance[-1] == pytest.approx(covariance[3:, 3:], **digits)
    assert corrections.straight[-1] + corrections.crossed[-1] == pytest.approx(crossed, **digits)


def test_independent_backward_weights_change_the_sign_of_the_tangent_shift():
    widths = (12, 24, 16)
    with_reuse = kernel_corrections("tanh", FIRST, widths, 1.3, 0.1).tangent_shift[-1]
    without = _by_automatic_differentiation("tanh", widths, 1.3, 0.1, with_reuse=False)[1][3:]
    assert with_reuse == pytest.approx([-0.00736, -0.00159, -0.00921], abs=6e-6)
    assert without == pytest.approx([0.00715, 0.00898, 0.00375], abs=6e-6)


def _assert_same(one, two, tolerance, products=None):
    for name in ("g", "h"):
        for left, right in zip(getattr(one, name), getattr(two, name), strict=True):
            assert np.abs(left - right).max() <= tolerance * (1.0 + np.abs(right).max()), name
    assert one.products == pytest.approx(two.products, rel=products or tolerance, abs=tolerance)


KERNELS = np.array([[1.0, 0.4, 0.7], [0.5, -0.3, 0.6], [0.2, 0.15, 0.3]])


@pytest.mark.parametrize("activation", [tanh, gelu, erf])
@pytest.mark.slow_cases("activation1")
def test_differentiating_the_density_or_the_activation(activation):
    _assert_same(pair_moments(activation, KERNELS), smooth_pair_moments(activation, KERNELS), 1e-9)


def test_nearly_parallel_inputs_join_on_smoothly():
    kernel = np.array([[0.5, 0.0, 0.6]])
    kernel[0, 1] = math.sqrt(0.3 * (1.0 - 0.00999))
    _assert_same(pair_moments(tanh, kernel), smooth_pair_moments(tanh, kernel), 1e-8)


@pytest.mark.parametrize("activation", [relu, leaky_relu(0.2), leaky_relu(-0.7)])
def test_closed_forms_against_quadrature(activation):
    quadrature = pair_moments(activation, KERNELS)
    _assert_same(homogeneous_pair_moments(activation.slopes, KERNELS), quadrature, 1e-9)
    variances = np.array([0.4, 2.3])
    _assert_same(
        homogeneous_single_moments(activation.slopes, variances),
        single_moments(activation, variances),
        1e-11,
    )


def test_closed_forms_of_four_products_of_relu():
    a, c, b = KERNELS[1]
    rho = c / math.sqrt(a * b)
    theta, sine = math.acos(rho), math.sqrt(1.0 - rho**2)
    corrections = homogeneous_pair_moments((0.0, 1.0), KERNELS[1:2]).products[0]
    cubic = (
        a**1.5 * b**0.5 * (sine * (2.0 + rho**2) + 3.0 * rho * (math.pi - theta)) / (2.0 * math.pi)
    )
    square = a * b * (3.0 * sine * rho + (math.pi - theta) * (1.0 + 2.0 * rho**2)) / (2.0 * math.pi)
    assert (corrections[0, 0], corrections[0, 1]) == pytest.approx((1.5 * a**2, cubic), rel=1e-13)
    assert (corrections[1, 1], corrections[0, 2]) == pytest.approx((square, square), rel=1e-13)
    assert corrections[0, 5] == pytest.approx(
        a * (math.pi - theta + rho * sine) / (2.0 * math.pi), rel=1e-13
    )


def test_second_derivative_across_the_kink_has_the_right_sign():
    hessian = homogeneous_pair_moments((0.0, 1.0), KERNELS[:1]).g.hessian[0]
    assert hessian[1, 1] == pytest.approx(0.216582, abs=6e-7)


def test_closed_form_of_erf():
    def kernel(k):
        return (
            2.0
            / math.pi
            * jnp.arcsin(2.0 * k[1] / jnp.sqrt((1.0 + 2.0 * k[0]) * (1.0 + 2.0 * k[2])))
        )

    with jax.enable_x64(True):
        exact = [
            jax.jit(jax.vmap(fn))(KERNELS) for fn in (kernel, jax.grad(kernel), jax.hessian(kernel))
        ]
        exact = [np.asarray(each) for each in exact]
    for left, right in zip(pair_moments(erf, KERNELS).g, exact, strict=True):
        assert left == pytest.approx(right, rel=1e-10, abs=1e-12)


def _soft_clip(x):
    return jnp.clip(x, -0.5, 1.0)


def test_several_kinks_against_differences_of_the_values():
    clip, kernel, step = from_function(_soft_clip, kinks=(-0.5, 1.0)), KERNELS[1:2], 1e-4
    moments = pair_moments(clip, kernel)
    for entry in range(2):
        change = np.zeros(3)
        change[entry] = step
        above, below = (pair_moments(clip, kernel + sign * change) for sign in (1.0, -1.0))
        for name in ("g", "h"):
            corrections, up, down = (getattr(each, name) for each in (moments, above, below))
            slope, curvature = (
                (up.value - down.value) / (2 * step),
                (up.gradient - down.gradient) / (2 * step),
            )
            assert corrections.gradient[:, entry] == pytest.approx(slope, rel=1e-5, abs=1e-8)
            assert corrections.hessian[:, entry] == pytest.approx(curvature, rel=1e-4, abs=1e-6)
    single, up, down = (single_moments(clip, kernel[:, 0] + shift) for shift in (0.0, step, -step))
    assert single.g.gradient[:, 0] == pytest.approx(
        (up.g.value - down.g.value) / (2 * step), rel=1e-6
    )
    assert single.h.hessian[:, 0, 0] == pytest.approx(
        (up.h.gradient - down.h.gradient)[:, 0] / (2 * step), rel=1e-5
    )


def test_declared_and_undeclared_homogeneity_agree():
    ours = kernel_corrections("relu", FIRST, (20,), 2.0, 0.1)
    theirs = kernel_corrections(from_function(jax.nn.relu, kinks=(0.0,)), FIRST, (20,), 2.0, 0.1)
    for name in ("kernel", "tangent", "kernel_covariance", "tangent_covariance", "crossed"):
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), rel=1e-8, abs=1e-11)


def test_products_of_three_inputs():
    x = np.random.default_rng(2).normal(size=(3, 4))
    first = x @ x.T / 6.0
    exact = kernel_corrections("tanh", first, (30, 20), 1.3, 0.1, vertex="all")
    pairs = kernel_corrections("tanh", first, (30, 20), 1.3, 0.1)
    known = ~np.isnan(pairs.kernel_covariance)
    assert exact.vertex_error == 0.0
    assert exact.kernel_covariance[known] == pytest.approx(
        pairs.kernel_covariance[known], rel=1e-14
    )
    # the same three inputs among four are integrated by quasi-Monte Carlo
    fourth = np.zeros((4, 4))
    fourth[:3, :3] = first
    fourth[3, 3] = 0.8
    sampled = kernel_corrections("tanh", fourth, (30, 20), 1.3, 0.1, vertex="all")
    part = np.array([0, 1, 2, 4, 5, 7])
    scale = np.sqrt(np.diagonal(exact.kernel_covariance, axis1=1, axis2=2))
    miss = np.abs(sampled.kernel_covariance[:, part[:, None], part] - exact.kernel_covariance)
    relative = (miss / (scale[:, :, None] * scale[:, None, :])).max()
    assert 0.0 < relative < 4.0 * sampled.vertex_error < 0.1
    assert np.linalg.eigvalsh(tangent_covariance(exact)).min() > -1e-9
