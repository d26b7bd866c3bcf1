import itertools
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from deepinit.core.activations import BUILTIN
from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import (
    depth_bias,
    diffusion_constants,
    double_limit,
    explosion_times,
    linear_model,
    linear_network,
    network_kernels,
)


def copied(*inputs):
    """gram and mean of inputs copied to every coordinate."""
    z = np.array(inputs, dtype=float)
    return np.outer(z, z), z


def integrated(constants, gram, mean, weight, bias, horizon):
    """lambda, m and Theta by a generic solver, from the published equations (of lambda, not of its covariance)."""
    a, b, _ = constants
    n = len(mean)

    def rates(_, state):
        m, overlap, kernel = state[:n], state[n : n + n * n].reshape(n, n), state[n + n * n :].reshape(n, n)
        s = bias + weight * overlap
        own = np.diag(s)
        drift = 0.5 * b * (np.outer(own, m) + np.outer(m, own))
        return np.concatenate([0.5 * b * own, (drift + a**2 * s).ravel(), (a**2 * (s + weight * kernel)).ravel()])

    start = np.concatenate([mean, gram.ravel(), np.zeros(n * n)])
    end = solve_ivp(rates, (0.0, horizon), start, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    return end[:n], end[n : n + n * n].reshape(n, n), end[n + n * n :].reshape(n, n)


SWISH = [
    (-2.0, -1.050903, 2.053494, 5.562548),
    (-1.0, -0.540556, 0.751645, 5.842313),
    (0.0, 0.290926, 0.375563, 4.836798),
    (0.75, 1.318182, 2.305785, 3.2),
    (1.0, 1.793395, 4.009662, 2.772589),
    (2.0, 5.117930, 29.311136, 1.721636),
    (3.0, 17.582246, 323.717631, 1.221721),
]


@pytest.mark.parametrize(("z", "mean", "square", "time"), SWISH)
def test_swish_table(z, mean, square, time):
    gram, start = copied(z)
    found = double_limit("silu", gram, 1.0, 1.0, mean=start)
    got = (found.mean[0], found.overlap[0, 0], found.explosion_times[0])
    assert got == pytest.approx((mean, square, time), abs=6e-7)
    assert found.covariance[0, 0] + found.mean[0] ** 2 == pytest.approx(found.overlap[0, 0], rel=1e-12)


def test_swish_pair():
    gram, mean = copied(1.0, 2.0)
    found = double_limit("silu", gram, 1.0, 1.0, mean=mean)
    assert found.overlap[0, 1] == pytest.approx(10.657400, abs=6e-7)
    assert found.conditional_covariance[0, 1] == pytest.approx(1.478929, abs=6e-7)
    assert (found.weight_kernel[0, 1], found.bias_kernel) == pytest.approx((1.349950, 0.284025), abs=6e-7)


@pytest.mark.parametrize(("z", "time"), [(4.0, 0.941622), (6.0, 0.642961)])
def test_a_horizon_beyond_the_explosion_is_refused_with_its_time(z, time):
    gram, mean = copied(0.1, z)
    assert explosion_times("silu", np.diag(gram), 1.0, 1.0, mean)[1] == pytest.approx(time, abs=6e-7)
    with pytest.raises(SpecError, match=rf"for input 1 at the time {time:.6g}"):
        double_limit("silu", gram, 1.0, 1.0, mean=mean)
    double_limit("silu", gram, 1.0, 1.0, horizon=time - 0.01, mean=mean)


def polynomial(b):
    return lambda x: 0.8 * x + 0.5 * b * x * x


BRANCHES = {  # name: (b, weight_var, bias_var, (q, m), horizon)
    "tangent": (0.9, 1.2, 0.8, (1.5, 0.3), 0.8),
    "cotangent, explosive": (0.9, 1.2, 0.05, (1.0, 0.95), 0.7),
    "cotangent, calm": (0.9, 1.2, 0.05, (4.0, -1.99), 3.0),
    "hyperbolic tangent": (0.3, 1.2, 0.0, (1e-4, 0.0), 2.0),
    "negative curvature": (-0.7, 0.9, 0.4, (1.0, 0.2), 1.0),
    "no weights": (0.9, 0.0, 0.8, (1.5, 0.3), 1.7),
    "no curvature": (0.0, 1.1, 0.3, (1.5, 0.3), 1.2),
    "tiny curvature": (1e-9, 1.1, 0.3, (1.5, 0.3), 1.2),
    "tiny weights": (0.9, 1e-10, 0.8, (1.5, 0.3), 1.7),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_closed_forms_against_a_generic_solver(name):
    b, weight, bias, (q, m), horizon = BRANCHES[name]
    activation = polynomial(b)
    mean = np.array([m, 0.5 * m - 0.05])
    gram = np.outer(mean, mean) + np.array([[1.0, 0.4], [0.4, 0.5]]) * (q - m * m)
    found = double_limit(activation, gram, weight, bias, horizon, mean)
    means, overlap, kernel = integrated(diffusion_constants(activation), gram, mean, weight, bias, horizon)
    assert found.mean == pytest.approx(means, rel=1e-9, abs=1e-11)
    assert found.overlap == pytest.approx(overlap, rel=1e-9, abs=1e-11)
    assert found.block_kernel == pytest.approx(kernel, rel=1e-9, abs=1e-11)
    before = found.overlap - np.outer(found.mean, found.mean)
    assert before == pytest.approx(found.covariance, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("name", BRANCHES)
def test_closed_forms_against_the_textbook_branches(name):
    b, weight, bias, (q, m), t = BRANCHES[name]
    if abs(b) < 1e-3 or weight < 1e-3:
        return
    u0, w, a2 = b * m + 0.64, math.sqrt(weight), 0.64
    big = b**2 * (bias + weight * q) - weight * u0**2
    rho, time = math.sqrt(abs(big)), math.inf
    if big > 0:
        angle = math.atan(w * u0 / rho)
        u, time = rho / w * math.tan(0.5 * w * rho * t + angle), 2 / (w * rho) * (math.pi / 2 - angle)
    elif abs(y := w * u0 / rho) < 1:
        u = rho / w * math.tanh(math.atanh(y) - 0.5 * w * rho * t)
    else:
        u = rho / w / math.tanh(math.atanh(1 / y) - 0.5 * w * rho * t)
        time = math.log((y + 1) / (y - 1)) / (w * rho) if y > 1 else math.inf
    found = double_limit(polynomial(b), [[q]], weight, bias, t, [m])
    assert found.mean[0] == pytest.approx((u - a2) / b, rel=1e-11)
    s = (weight * u**2 + big) / b**2
    assert found.overlap[0, 0] == pytest.approx((s - bias) / weight, rel=1e-10)
    assert found.explosion_times[0] == pytest.approx(time, rel=1e-11)


def test_every_branch_is_among_the_cases():
    signs = set()
    for b, weight, bias, (q, m), _ in BRANCHES.values():
        u0 = b * m + 0.64
        big = b**2 * (bias + weight * q) - weight * u0**2
        y = math.sqrt(weight / -big) * u0 if big < 0 else 0.0
        signs.add(
            "tan" if big > 0 else "coth+" if y > 1 + 1e-12 else "coth-" if y < -1 else "tanh" if y < 1 else "edge"
        )
    assert signs >= {"tan", "coth+", "coth-"}


def test_the_two_remaining_branches_are_reached_by_inputs_of_their_own():
    # A = 0 exactly: swish at z = 3/4; u a hyperbola, explosion at 2 / u_0
    assert explosion_times("silu", [0.5625], 1.0, 1.0, [0.75])[0] == 3.2
    # |y| < 1 needs b^2 s_0 < 0: s_0 > 0 makes w^2 u_0^2 < w^2 u_0^2 + A impossible, so that y^2 >= 1 whenever A < 0
    for q, m, bias in itertools.product((0.1, 1.0, 4.0), (-0.3, 0.0, 0.3), (0.0, 0.5)):
        b, u0 = 0.9, 0.9 * m + 0.64
        big = b**2 * (bias + q) - u0**2
        assert big >= 0 or u0**2 / -big >= 1.0


def test_close_to_the_explosion_the_integrals_stay_accurate():
    gram, mean = copied(1.0, 0.4)
    time = explosion_times("silu", [1.0], 1.0, 1.0, [1.0])[0]
    horizon = time * (1.0 - 1e-3)
    found = double_limit("silu", gram, 1.0, 1.0, horizon, mean)
    _, overlap, kernel = integrated(diffusion_constants("silu"), gram, mean, 1.0, 1.0, horizon)
    assert found.overlap == pytest.approx(overlap, rel=1e-6)
    assert found.block_kernel == pytest.approx(kernel, rel=1e-6)
    assert found.overlap[0, 0] > 1e5


def test_tanh_values():
    gram, _ = copied(1.0, 2.0, 0.0)
    found = double_limit("tanh", gram, 1.0, 1.0)
    assert np.diag(found.conditional_covariance)[[2, 0]] == pytest.approx((1.71828, 3.43656), abs=6e-6)
    assert found.conditional_covariance[0, 2] == pytest.approx(1.71828, abs=6e-6)
    assert (found.weight_kernel[0, 1], found.bias_kernel) == pytest.approx((6.43656, 1.71828), abs=6e-6)
    assert (found.overlap[0, 0], found.overlap[0, 1]) == pytest.approx((4.43656, 7.15485), abs=6e-6)
    assert np.isinf(found.explosion_times).all()


@pytest.mark.parametrize(("activation", "horizon"), [("tanh", 1.0), ("erf", 0.1), ("sin", 9.0)])
def test_without_curvature_the_correlation_depends_on_neither_horizon_nor_activation(activation, horizon):
    z = np.array([2.0, -2.0, 0.5])
    found = double_limit(activation, np.outer(z, z), 1.0, 1.0, horizon)
    expected = (np.outer(z, z) + 1.0) / np.sqrt(np.outer(z**2 + 1.0, z**2 + 1.0))
    assert found.correlation == pytest.approx(expected, rel=1e-12)
    assert found.correlation[0, 1] == pytest.approx(-0.6)
    curved = double_limit("silu", np.outer(z, z), 1.0, 1.0, 0.1, z)
    assert abs(curved.correlation - expected).max() > 1e-3


def test_without_curvature_everything_is_in_closed_form():
    gram, w, b, t = np.array([[1.3, 0.4], [0.4, 0.6]]), 0.7, 0.35, 1.4
    c, r, e = w * t, b / w, math.exp(w * t)
    found = double_limit("tanh", gram, w, b, t)
    assert found.overlap == pytest.approx(gram * e + r * (e - 1), rel=1e-13)
    assert found.conditional_covariance == pytest.approx((gram + r) * (e - 1), rel=1e-13)
    assert found.block_kernel == pytest.approx((gram + r) * c * e, rel=1e-13)
    assert found.weight_kernel == pytest.approx(gram * c * e + r * (c * e - (e - 1)), rel=1e-12)
    shifted = double_limit("tanh", gram, w, b, t, [0.3, 0.2])  # the mean only matters with curvature
    assert shifted.overlap == pytest.approx(found.overlap, rel=1e-12)
    assert shifted.weight_kernel == pytest.approx(found.weight_kernel, rel=1e-12)


def at_depth(activation, gram, mean, weight, bias, depth):
    """The infinitely wide network of finite depth: overlaps and tangent kernels (weights, biases) by quadrature."""
    nodes, mass = np.polynomial.hermite_e.hermegauss(24)
    mass = mass / mass.sum()
    x, y = (axis.ravel() for axis in np.meshgrid(nodes, nodes, indexing="ij"))
    grid, dt = np.outer(mass, mass).ravel(), 1.0 / depth
    overlap, mean, kernels = gram.copy(), mean.copy(), np.zeros((2, 2, 2))
    for _ in range(depth):
        cov = dt * (bias + weight * overlap)
        first = math.sqrt(cov[0, 0])
        tilt = cov[0, 1] / first
        h = np.array([first * x, tilt * x + math.sqrt(max(cov[1, 1] - tilt**2, 0.0)) * y])
        values, slopes = activation(h), activation.derivative(h)
        moved, product, slope = values @ grid, (values * grid) @ values.T, (slopes * grid) @ slopes.T
        kernels = kernels + slope * dt * (np.array([weight * overlap, np.full((2, 2), bias)]) + weight * kernels)
        overlap = overlap + np.outer(mean, moved) + np.outer(moved, mean) + product
        mean = mean + moved
    return np.array([overlap, *kernels])


def test_the_wide_network_of_finite_depth_reproduces_its_table():
    gram, mean = copied(1.0, 2.0)
    overlap, weight, bias = at_depth(BUILTIN["tanh"](), gram, mean, 1.0, 1.0, 64)
    values = (weight[0, 1], bias[0, 1], overlap[0, 0], overlap[0, 1])
    assert values == pytest.approx((4.696461, 1.366067, 3.944023, 6.068272), abs=1e-6)


@pytest.mark.parametrize("name", ["tanh", "linear", "erf"])
def test_the_bias_of_finite_depth_against_wide_networks(name):
    gram, mean = copied(0.5, 1.0)
    limit = double_limit(name, gram, 1.0, 0.5, mean=mean)
    bias = depth_bias(name, gram, 1.0, 0.5)

    def slope(depth):
        overlap, weights, biases = at_depth(BUILTIN[name](), gram, mean, 1.0, 0.5, depth)
        return depth * np.array([overlap - limit.overlap, weights + biases - limit.block_kernel])

    extrapolated = 2.0 * slope(800) - slope(400)
    assert extrapolated == pytest.approx(np.array(bias), rel=2e-4)


def test_swish_networks_of_finite_depth_tend_to_the_limit():
    gram, mean = copied(1.0, 2.0)
    first, second, third = (at_depth(BUILTIN["silu"](), gram, mean, 1.0, 1.0, depth) for depth in (100, 200, 400))
    assert (second[1, 0, 1], second[2, 0, 1]) == pytest.approx((1.378135, 0.292828), abs=1e-6)
    limit = double_limit("silu", gram, 1.0, 1.0, mean=mean)
    extrapolated = (first - 6.0 * second + 8.0 * third) / 3.0
    assert extrapolated[0] == pytest.approx(limit.overlap, rel=1e-4)
    assert extrapolated[1] == pytest.approx(limit.weight_kernel, rel=1e-4)


def test_coefficients_of_the_depth_bias():
    gram, _ = copied(1.0, 2.0)
    found = depth_bias("tanh", gram, 1.0, 1.0)
    assert found.overlap[[0, 1, 0], [0, 1, 1]] == pytest.approx((-40.08, -240.33, -102.16), abs=6e-3)
    assert found.block_kernel[0, 1] == pytest.approx(-208.4, abs=6e-2)
    assert depth_bias("linear", 1.0, 1.0, 1.0).overlap[0, 0] == pytest.approx(-math.e)
    unmoved = depth_bias("tanh", gram, 0.0, 1.0)  # no weights: q_0 + E phi(N(0, dt))^2 L, Theta = E phi'^2
    assert unmoved.overlap == pytest.approx(np.full((2, 2), -2.0))
    assert unmoved.block_kernel == pytest.approx(np.full((2, 2), -2.0))


def test_linear_networks_are_exact_at_every_depth():
    gram, w, b = np.array([[0.15, -0.2], [-0.2, 0.9]]), 1.21, 0.36
    found = linear_network(gram, 40, w, b)
    values = (found.overlap[0, 0], found.block_kernel[0, 0], 0.15 * found.jacobian_mean_square)
    assert values == pytest.approx((1.1765, 1.7313, 0.4941), abs=6e-5)
    overlap, weights, biases = at_depth(BUILTIN["linear"](), gram, np.zeros(2), w, b, 7)
    exact = linear_network(gram, 7, w, b)
    assert exact.overlap == pytest.approx(overlap, rel=1e-12)
    assert exact.weight_kernel == pytest.approx(weights, rel=1e-12)
    assert np.full((2, 2), exact.bias_kernel) == pytest.approx(biases, rel=1e-12)
    assert linear_network(gram, 3, 0.0, b).bias_kernel == pytest.approx(b)
    limit = double_limit("linear", gram, w, b)
    assert linear_network(gram, 10**7, w, b).overlap == pytest.approx(limit.overlap, rel=1e-6)


def test_kernels_of_the_complete_network():
    products, w, b, t, z, y = np.array([[1.5, 0.3], [0.3, 0.8]]), 1.1, 0.4, 0.9, 0.5, 1.7
    c, r, e = w * t, b / w, math.exp(w * t)
    found = network_kernels("tanh", products, w, b, t, embedding_var=z, readout_var=y)
    assert found.nngp == pytest.approx(y * (z * e * products + r * (e - 1)), rel=1e-13)
    assert found.ntk == pytest.approx(y * (z * (c + 2) * e * products + r * (c * e + e - 1)), rel=1e-13)
    assert found.ntk == pytest.approx(found.readout + found.blocks + found.embedding)
    for size in (1, 2, 3):
        for trained in itertools.combinations(("readout", "blocks", "embedding"), size):
            settings = {"embedding_var": z, "readout_var": y, "trained": trained}
            kernel = network_kernels("tanh", products, w, b, t, **settings).ntk
            model = linear_model("tanh", w, b, t, **settings)
            assert kernel == pytest.approx(model.intercept_var + model.slope_var * products, rel=1e-13)
    bayes = linear_model("tanh", w, b, t, embedding_var=z, readout_var=y)
    assert bayes == pytest.approx((y * r * (e - 1), y * z * e))
    no_bias = network_kernels("tanh", products, 0.0, b, t)
    assert no_bias.nngp == pytest.approx(products + b * t)


def test_shares_of_finite_linear_networks_tend_to_those_of_the_complete_network():
    deep = linear_network(0.15, 10**7, 1.21, 0.36)
    found = network_kernels("linear", 0.15, 1.21, 0.36)
    shares = (found.readout[0, 0], found.blocks[0, 0], found.embedding[0, 0])
    expected = (deep.overlap[0, 0], deep.block_kernel[0, 0], 0.15 * deep.jacobian_mean_square)
    assert shares == pytest.approx(expected, rel=1e-6)


def test_with_curvature_the_kernel_is_not_affine():
    # four inputs on a line: an affine function of the inner product has no third difference in z
    z = np.array([0.0, 0.5, 1.0, 1.5])

    def third_difference(activation):
        row = network_kernels(activation, np.outer(z, z), 1.0, 0.5, 0.5).nngp[1]
        return row[3] - 3 * row[2] + 3 * row[1] - row[0]

    assert abs(third_difference("tanh")) < 1e-12
    assert abs(third_difference("silu")) > 1e-4


def test_both_kernels_predict_as_least_squares_with_intercept_when_noise_vanishes():
    points = np.array([[1.0, 0.2], [-0.4, 0.9], [0.3, -1.2], [0.8, 0.8], [-1.0, -0.1], [0.1, 0.3]])
    targets = np.array([0.3, -1.0, 0.7, 0.2, 1.1, -0.6])
    design = np.column_stack([np.ones(6), points])
    fitted = design @ np.linalg.lstsq(design, targets, rcond=None)[0]
    kernels = network_kernels("tanh", points @ points.T, 1.0, 0.5)
    predictions = [k @ np.linalg.solve(k + 1e-8 * np.eye(6), targets) for k in (kernels.nngp, kernels.ntk)]
    assert predictions == [pytest.approx(fitted, abs=1e-6)] * 2
    noisy = [k @ np.linalg.solve(k + np.eye(6), targets) for k in (kernels.nngp, kernels.ntk)]
    assert abs(noisy[0] - noisy[1]).max() > 1e-2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: double_limit("tanh", np.ones((2, 3)), 1.0), "gram of shape"),
        (lambda: double_limit("tanh", np.eye(2), -1.0), "weight_var=-1.0"),
        (lambda: double_limit("tanh", np.eye(2), 1.0, horizon=math.inf), "horizon=inf"),
        (lambda: double_limit("silu", np.eye(2), 1.0, mean=[0.0]), "mean of shape"),
        (lambda: double_limit("silu", np.eye(2), 1.0, mean=[2.0, 0.0]), r"gram - mean mean\^T"),
        (lambda: double_limit("tanh", np.eye(2), 1.0, 1.0, 200.0), "growth exponent of 200"),
        (lambda: explosion_times("silu", [1.0], 1.0, mean=[2.0]), "mean squares"),
        (lambda: explosion_times("silu", [-1.0], 1.0), "semidefinite"),
        (lambda: depth_bias("silu", 1.0, 1.0), r"phi''\(0\)"),
        (lambda: linear_network(1.0, 0, 1.0), "depth=0"),
        (lambda: network_kernels("tanh", np.eye(2), 1.0, trained=("head",)), "readout, blocks, embedding"),
        (lambda: network_kernels("tanh", np.eye(2), 1.0, trained=()), "one or more"),
        (lambda: network_kernels("tanh", np.eye(2), 1.0, embedding_var=0.0), "embedding_var=0.0"),
        (lambda: network_kernels("silu", 16.0 * np.eye(2), 1.0, 1.0, 5.0), "explodes"),
        (lambda: linear_model("silu", 1.0), r"phi''\(0\)"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(SpecError, match=words):
        call()
