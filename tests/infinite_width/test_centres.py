"""Gaussian expectations over pairs with means: dense rules, closed forms, far bends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats

import deepinit as di
from deepinit.core import activations as act
from deepinit.infinite_width.centres import averages
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.residual import residual_layers

COVARIANCE, MEANS = np.array([[0.8, 0.3], [0.3, 0.5]]), np.array([[0.4, -0.7], [-0.2, 1.1]])


def products_of(activation, engine):
    with host_float64():
        compiled = jax.jit(
            lambda means, covariance: averages(activation, means, covariance, engine)
        )
        return [np.asarray(part) for part in compiled(MEANS, COVARIANCE)[:3]]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_products_of_a_smooth_activation_with_means_equal_a_dense_rule():
    nodes = np.linspace(-9.0, 9.0, 301)
    a, b = np.meshgrid(nodes, nodes, indexing="ij")
    density = np.exp(-0.5 * (a * a + b * b)) / (2.0 * np.pi) * (nodes[1] - nodes[0]) ** 2
    u = (
        MEANS[..., None, None]
        + np.einsum("ij,jab->iab", np.linalg.cholesky(COVARIANCE), np.stack([a, b]))[:, None]
    )
    for engine in ("series", "quadrature"):
        values, slopes, means = products_of(act.gelu, engine)
        np.testing.assert_allclose(
            values, np.einsum("idab,jdab,ab->ij", *2 * [act.gelu(u)], density) / 2, rtol=1e-11
        )
        slopes_expected = np.einsum("idab,jdab,ab->ij", *2 * [act.gelu.derivative(u)], density) / 2
        np.testing.assert_allclose(slopes, slopes_expected, rtol=1e-11)
        np.testing.assert_allclose(
            means, np.einsum("idab,ab->i", act.gelu(u), density) / 2, rtol=1e-11
        )


@pytest.mark.slow
def test_products_of_relu_with_means_equal_one_dimensional_integrals():
    values, slopes, means = products_of(act.relu, "quadrature")
    stds, covariance = np.sqrt(np.diagonal(COVARIANCE)), COVARIANCE[0, 1]

    def positive_part(mean, std):
        return mean * stats.norm.cdf(mean / std) + std * stats.norm.pdf(mean / std)

    rest = np.sqrt(COVARIANCE[1, 1] - covariance**2 / COVARIANCE[0, 0])

    def pair(function, seen):
        def of_coordinate(first, second):
            def integrand(u):
                at = second + covariance / COVARIANCE[0, 0] * (u - first)
                return function(u) * seen(at) * stats.norm.pdf(u, first, stds[0])

            return integrate.quad(
                integrand, 0.0, first + 9.0 * stds[0], epsabs=1e-13, epsrel=1e-12
            )[0]

        return np.mean([of_coordinate(*coordinate) for coordinate in MEANS.T])

    np.testing.assert_allclose(
        values[0, 1], pair(lambda u: u, lambda at: positive_part(at, rest)), rtol=1e-9
    )
    np.testing.assert_allclose(
        slopes[0, 1], pair(lambda u: 1.0, lambda at: stats.norm.cdf(at / rest)), rtol=1e-9
    )
    np.testing.assert_allclose(
        np.diagonal(slopes), stats.norm.cdf(MEANS / stds[:, None]).mean(1), rtol=1e-9
    )
    np.testing.assert_allclose(means, positive_part(MEANS, stds[:, None]).mean(1), rtol=1e-9)


@pytest.mark.slow
def test_products_of_a_kinked_activation_with_means_equal_a_dense_rule():
    nodes = np.linspace(-8.0, 8.0, 2001)
    density = np.exp(-0.5 * nodes**2) / np.sqrt(2.0 * np.pi) * (nodes[1] - nodes[0])
    factor, elu = np.linalg.cholesky(COVARIANCE), act.elu()
    products = []
    for first, second in MEANS.T:
        u = first + factor[0, 0] * nodes
        v = second + factor[1, 0] * nodes[:, None] + factor[1, 1] * nodes
        pairs = ((elu, elu), (elu.derivative, elu.derivative))
        products.append([density @ (f(u) * (g(v) @ density)) for f, g in pairs])
    values, slopes, _ = products_of(elu, "quadrature")
    np.testing.assert_allclose([values[0, 1], slopes[0, 1]], np.mean(products, axis=0), rtol=1e-5)


FAST = di.from_function(lambda x: jnp.sin(20 * x))


@pytest.mark.slow
def test_a_fast_inner_activation_at_small_variances_has_the_closed_form():
    """x + W psi(x), psi = sin(20 x), no embedding, equal coordinates 1: E psi^2 in closed form."""
    depth, w = 4, 0.5
    inner = {"activation": "linear", "inner_activation": FAST}
    net = di.ResNet(3, depth, block="shallow", weight_law=di.normal(w, "depth"), **inner)
    variance = 0.0
    for _ in range(depth):
        square = 0.5 * (1.0 - np.cos(40.0) * np.exp(-800.0 * variance))
        variance += w / depth * square
    found = residual_layers(net, np.ones((1, 3))).nngp[-1].item()
    assert found == pytest.approx(1.0 + variance, rel=1e-9)


@pytest.mark.slow_cases("20.0")
@pytest.mark.parametrize("scale", [0.1, 5.0, 20.0, 100.0])
@pytest.mark.slow_cases("0.1", "5.0", "100.0")
def test_erf_inside_blocks_without_embedding_has_the_closed_form_with_means(scale):
    """Linear phi: dV/dc = D = (4/pi) det(I + 2C)^{-1/2} exp(-m'(I + 2C)^{-1} m), V(0) a product."""
    w, x = 200.0, scale * np.array([[1.0, -0.5, 3.0], [0.2, 0.0, -2.0]])
    law = di.normal(2.0 * w, "depth")
    net = di.ResNet(
        3, 2, block="shallow", activation=di.linear, inner_activation=di.erf, weight_law=law
    )
    first = w * special.erf(x) @ special.erf(x).T / 3.0
    products, slopes = np.zeros((2, 2)), np.zeros((2, 2))

    def slope(c, variances, means):
        matrix = np.eye(2) + 2.0 * np.array([[variances[0], c], [c, variances[1]]])
        weight = 4.0 / np.pi / np.sqrt(np.linalg.det(matrix))
        return weight * np.exp(-means @ np.linalg.solve(matrix, means))

    for i, j in ((0, 0), (0, 1), (1, 1)):
        variances = first[i, i], first[j, j]
        for means in x[[i, j]].T:
            start = np.prod(special.erf(means / np.sqrt(1.0 + 2.0 * np.array(variances))))
            path = integrate.quad(slope, 0.0, first[i, j], (variances, means), epsrel=1e-12)[0]
            products[i, j] += (start + path) / 3.0
            slopes[i, j] += slope(first[i, j], variances, means) / 3.0
    products[1, 0], slopes[1, 0] = products[0, 1], slopes[0, 1]
    found = residual_layers(net, x)
    nngp = x @ x.T / 3.0 + first + w * products
    np.testing.assert_allclose(found.nngp[-1], nngp, rtol=1e-11)
    np.testing.assert_allclose(found.ntk[-1], first + w * products + w * slopes * first, rtol=1e-11)


@pytest.mark.slow_cases("tanh")
@pytest.mark.parametrize("activation", [di.tanh, di.softplus], ids=["tanh", "softplus"])
@pytest.mark.slow_cases("softplus")
def test_smooth_blocks_with_far_means_have_the_kernel_of_a_dense_rule(activation):
    """Second block of x + W psi(x), no embedding: E psi(m + s z)^2 on a grid of spacing 2e-4."""
    w, x = 100.0, np.array([[40.0, -3.0, 0.1]])
    net = di.ResNet(
        3,
        2,
        block="shallow",
        activation=di.linear,
        inner_activation=activation,
        weight_law=di.normal(w, "absolute"),
    )
    first = 3.0 * w * float(np.mean(activation(x) ** 2))
    z = np.arange(-10.0, 10.0, 2e-4)
    density = 2e-4 * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    at = x.T + np.sqrt(first) * z
    square = np.mean(activation(at) ** 2 @ density)
    slope = np.mean(activation.derivative(at) ** 2 @ density)
    found = residual_layers(net, x)
    nngp = np.mean(x**2) + first + 3.0 * w * square
    assert found.nngp[-1].item() == pytest.approx(nngp, rel=1e-10)
    ntk = first + 3.0 * w * square + 3.0 * w * slope * first
    assert found.ntk[-1].item() == pytest.approx(ntk, rel=1e-10)
