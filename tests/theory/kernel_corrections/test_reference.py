import numpy as np
import pytest

from deepinit.core.activations import leaky_relu
from deepinit.theory.kernel_corrections import (
    criticality_class,
    kernel_corrections,
    log_kernel,
    tangent_covariance,
)

FIRST = np.array([[1.0, 0.4], [0.4, 0.7]])
WIDTHS = (20, 40, 30)
UPPER = np.triu_indices(3)

# after three hidden layers, entries (11), (12), (22); covariances row by row of the upper triangle
REFERENCE = {
    ("relu", 2.0, 0.0): (
        [1.0, 0.611242208139, 0.7],
        [0.0, -0.0102808602376, 0.0],
        [4.0, 1.41874814282, 2.8],
        [0.0, 0.0475025395807, 0.0],
        [
            0.541666666667,
            0.273858436113,
            0.165015399899,
            0.206281841375,
            0.191700905279,
            0.265416666667,
        ],
        [5.86666666667, 1.93545625837, 1.9876826586, 1.08736066992, 1.35481938086, 2.87466666667],
    ),
    ("tanh", 1.3, 0.1): (
        [0.45566841573, 0.314886097734, 0.441967859416],
        [-0.002117634171, -0.000556721990746, -0.00219932381707],
        [1.51584872451, 0.793733770967, 1.41125428474],
        [-0.00441503369182, -0.000954280439354, -0.00552315044029],
        [
            0.0044090528868,
            0.00303731111273,
            0.00142151666653,
            0.00682318944431,
            0.00303052097632,
            0.00425439711984,
        ],
        [
            0.150578652189,
            0.0566693135557,
            0.101284319164,
            0.0500598524447,
            0.050626616309,
            0.117601020469,
        ],
    ),
    ("gelu", 1.8, 0.05): (
        [0.518925262653, 0.275330284327, 0.341199592671],
        [0.0240547655036, 0.00797600683681, 0.0194375323134],
        [2.02564063906, 0.705786533721, 1.24212801983],
        [0.105019159288, 0.0503449251343, 0.0911764189673],
        [
            0.182407317723,
            0.0703597255061,
            0.0404453456577,
            0.046209446184,
            0.0437360458242,
            0.0676876971958,
        ],
        [
            2.34415585401,
            0.647392768106,
            0.617866098826,
            0.311910403893,
            0.402656988077,
            0.859235499156,
        ],
    ),
}
SINGLE = {
    ("relu", 2.0, 0.0): ([0.5, 1.0], [0, 0], [1.2, 5.8], [0, 0], [0.6, 1.8]),
    ("tanh", 1.3, 0.1): (
        [0.01648151173651, 0.01480192128444],
        [0, -0.003854313063421],
        [0.1166539735829, 0.2752287496054],
        [0, -0.006530288527298],
        None,
    ),
    ("gelu", 1.8, 0.05): (
        [0.3641325153048, 0.5010568895491],
        [0, 0.01963209015651],
        [0.9069183153043, 3.197608920036],
        [0, 0.05839361521529],
        None,
    ),
}


@pytest.mark.parametrize("setting", REFERENCE)
def test_two_inputs_to_the_printed_digits(setting):
    found = kernel_corrections(setting[0], FIRST, WIDTHS, *setting[1:])
    kernel, shift, tangent, tangent_shift, covariance, tangents = REFERENCE[setting]
    digits = {"rel": 6e-12, "abs": 1e-14}
    assert found.kernel[-1] == pytest.approx(kernel, **digits)
    assert found.kernel_shift[-1] == pytest.approx(shift, **digits)
    assert found.tangent[-1] == pytest.approx(tangent, **digits)
    assert found.tangent_shift[-1] == pytest.approx(tangent_shift, **digits)
    assert found.kernel_covariance[-1][UPPER] == pytest.approx(covariance, **digits)
    assert tangent_covariance(found)[-1][UPPER] == pytest.approx(tangents, **digits)


@pytest.mark.parametrize("setting", SINGLE)
def test_one_input_to_the_printed_digits(setting):
    found = kernel_corrections(setting[0], 1.0, (10, 10), *setting[1:])
    covariance, shift, tangents, tangent_shift, mixed = SINGLE[setting]
    digits = {"rel": 1e-12, "abs": 1e-14}
    assert found.kernel_covariance.ravel() == pytest.approx(covariance, **digits)
    assert found.kernel_shift.ravel() == pytest.approx(shift, **digits)
    assert tangent_covariance(found).ravel() == pytest.approx(tangents, **digits)
    assert found.tangent_shift.ravel() == pytest.approx(tangent_shift, **digits)
    if mixed is not None:
        assert found.tangent_kernel_covariance.ravel() == pytest.approx(mixed, **digits)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_everything_of_first_order_is_inverse_to_the_widths(activation):
    one = kernel_corrections(activation, FIRST, (12, 24, 16), 1.7, 0.05)
    many = kernel_corrections(activation, FIRST, (84, 168, 112), 1.7, 0.05)
    for name in (
        "kernel_shift",
        "tangent_shift",
        "kernel_covariance",
        "tangent_kernel_covariance",
        "straight",
    ):
        assert 7.0 * getattr(many, name) == pytest.approx(getattr(one, name), rel=1e-13, abs=1e-15)
    assert 7.0 * tangent_covariance(many, 3) == pytest.approx(tangent_covariance(one, 3), rel=1e-13)


def test_one_hidden_layer_has_noise_and_no_shift():
    found = kernel_corrections("tanh", FIRST, (9,), 1.3, 0.1)
    assert np.all(found.kernel_shift == 0.0)
    assert np.all(found.tangent_shift == 0.0)
    doubled = kernel_corrections("tanh", FIRST, (18,), 1.3, 0.1)
    assert 2.0 * doubled.kernel_covariance == pytest.approx(found.kernel_covariance)


@pytest.mark.parametrize(
    ("activation", "weight_var", "c"),
    [("relu", 2.0, 5.0), (leaky_relu(0.2), 2.0 / 1.04, 4.5562130177514795), ("linear", 1.0, 2.0)],
)
def test_homogeneous_activations_at_one_input(activation, weight_var, c):
    widths = np.array([8, 20, 11, 16])
    found = kernel_corrections(activation, 0.9, widths, weight_var)
    sums = np.cumsum(1.0 / widths)
    assert found.kernel_covariance.ravel() == pytest.approx(c * 0.81 * sums, rel=1e-13)
    assert np.abs(found.kernel_shift).max() < 1e-12
    assert np.abs(found.tangent_shift).max() < 1e-12


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_subsets_and_orders_of_inputs(activation):
    x = np.random.default_rng(5).normal(size=(3, 4))
    first = x @ x.T / 4.0
    whole = kernel_corrections(activation, first, (30, 20), 1.5, 0.1)
    some = kernel_corrections(activation, first[np.ix_([0, 2], [0, 2])], (30, 20), 1.5, 0.1)
    turned = kernel_corrections(activation, first[::-1, ::-1], (30, 20), 1.5, 0.1)
    part = np.array([0, 2, 5])  # (0, 0), (0, 2), (2, 2) of the upper triangle
    back = np.array([5, 4, 2, 3, 1, 0])
    for name in ("kernel", "kernel_shift", "tangent", "tangent_shift"):
        assert getattr(whole, name)[:, part] == pytest.approx(
            getattr(some, name), rel=1e-9, abs=1e-14
        )
        assert getattr(turned, name)[:, back] == pytest.approx(
            getattr(whole, name), rel=1e-9, abs=1e-14
        )
    for name in (
        "kernel_covariance",
        "tangent_covariance",
        "tangent_kernel_covariance",
        "straight",
        "crossed",
    ):
        block = getattr(whole, name)[:, part[:, None], part]
        assert block == pytest.approx(getattr(some, name), rel=1e-9, abs=1e-14)
    assert np.isnan(whole.kernel_covariance[0, 1, 2])  # (0, 1) with (0, 2): three inputs
    assert not np.isnan(whole.kernel_covariance[0, 0, 3])


def test_relu_follows_the_scale_of_an_input():
    scales = np.array([1.0, 3.0])
    plain = kernel_corrections("relu", FIRST, (20, 30))
    scaled = kernel_corrections("relu", FIRST * np.outer(scales, scales), (20, 30))
    powers = np.array([1.0, 3.0, 9.0])
    assert scaled.kernel_shift == pytest.approx(plain.kernel_shift * powers, rel=1e-12, abs=1e-15)
    assert scaled.tangent_shift == pytest.approx(plain.tangent_shift * powers, rel=1e-12, abs=1e-15)
    assert tangent_covariance(scaled) == pytest.approx(
        tangent_covariance(plain) * np.outer(powers, powers), rel=1e-12
    )


@pytest.mark.parametrize(
    ("activation", "weight_var"), [("relu", 2.0), ("tanh", 1.3), ("gelu", 1.8)]
)
def test_covariances_are_positive(activation, weight_var):
    found = kernel_corrections(activation, FIRST, (20, 30, 20), weight_var, 0.02)
    for covariance in (found.kernel_covariance, tangent_covariance(found)):
        assert covariance == pytest.approx(covariance.transpose(0, 2, 1), rel=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > -1e-15


@pytest.mark.parametrize(("activation", "weight_var"), [("tanh", 1.0), ("erf", np.pi / 4.0)])
@pytest.mark.slow_cases("erf-0.7853981633974483")
def test_marginal_activations_reach_their_slopes(activation, weight_var):
    depth, width = (
        999,
        10**6,
    )  # the printed values are those of layer 1000, which 999 hidden layers precede
    found = kernel_corrections(activation, 0.3, (width,) * depth, weight_var)
    expected = criticality_class(activation, weight_var)
    r, k, t = 1000 / width, found.kernel[-1, 0], found.tangent[-1, 0]
    assert found.class_name == expected.name == "zero_critical"
    assert found.kernel_covariance[-1, 0, 0] / k**2 / r == pytest.approx(
        expected.kernel_variance, rel=0.01
    )
    assert found.kernel_shift[-1, 0] / k / r == pytest.approx(expected.kernel_shift, rel=0.01)
    assert tangent_covariance(found)[-1, 0, 0] / t**2 / r == pytest.approx(
        expected.tangent_variance, rel=0.01
    )
    assert found.tangent_shift[-1, 0] / t / r == pytest.approx(expected.tangent_shift, rel=0.012)
    if activation == "tanh":
        slopes = [found.kernel_covariance[-1, 0, 0] / k**2 / r, found.kernel_shift[-1, 0] / k / r]
        slopes += [
            tangent_covariance(found)[-1, 0, 0] / t**2 / r,
            found.tangent_shift[-1, 0] / t / r,
        ]
        assert slopes == pytest.approx([0.66513, -0.33102, 0.66680, -0.24731], abs=6e-6)


@pytest.mark.parametrize("activation", ["relu", leaky_relu(0.2), "linear"])
def test_scale_invariant_activations_reach_their_slopes(activation):
    expected = criticality_class(activation, _gain(activation))
    depth, width = 400, 10**5
    found = kernel_corrections(activation, 1.0, (width,) * depth, _gain(activation))
    r, t = depth / width, found.tangent[-1, 0]
    assert found.kernel_covariance[-1, 0, 0] / r == pytest.approx(
        expected.kernel_variance, rel=1e-12
    )
    assert tangent_covariance(found)[-1, 0, 0] / t**2 / r == pytest.approx(
        expected.tangent_variance, rel=0.005
    )
    assert found.tangent_kernel_covariance[-1, 0, 0] / t / r == pytest.approx(
        expected.mixed, rel=0.005
    )


def _gain(activation):
    return {"relu": 2.0, "linear": 1.0}.get(
        activation if isinstance(activation, str) else "", 2.0 / 1.04
    )


@pytest.mark.parametrize(
    ("weight_var", "variance", "shift"),
    [(1.3, 0.1235550517, -0.0903929263), (3.0, 1.162754563, -0.2310426969)],
)
def test_fixed_points_off_criticality(weight_var, variance, shift):
    kind = criticality_class("tanh", weight_var, 0.1)
    assert kind.name == ("ordered" if weight_var < 2.0 else "chaotic")
    assert kind.kernel_variance * kind.fixed_point**2 == pytest.approx(variance, rel=1e-9)
    assert kind.kernel_shift * kind.fixed_point == pytest.approx(shift, rel=1e-9)
    found = kernel_corrections("tanh", kind.fixed_point, (1000,) * 60, weight_var, 0.1)
    assert 1000.0 * found.kernel_covariance[-1, 0, 0] == pytest.approx(variance, rel=1e-9)
    assert 1000.0 * found.kernel_shift[-1, 0] == pytest.approx(shift, rel=1e-9)


def test_logarithms_take_half_the_variance():
    found = kernel_corrections("tanh", 1.0, (40, 30), 1.5, 0.05)
    logs = log_kernel(found)
    relative = found.kernel_covariance[:, 0, 0] / found.kernel[:, 0] ** 2
    assert logs.variance[:, 0] == pytest.approx(relative)
    assert 3.0 * relative[-1] == pytest.approx(0.07312, abs=6e-6)
    assert logs.mean[-1, 0] - np.log(found.kernel[-1, 0]) == pytest.approx(-0.014839, abs=6e-7)


def test_tangent_kernel_between_two_outputs():
    # simulated: second moments .0924(7) at these widths and .0452(3) at twice, mixed inputs .0586
    found = kernel_corrections("tanh", FIRST, (24, 32, 40), 1.4, 0.1)
    assert found.straight[-1][[0, 0], [0, 2]] == pytest.approx([0.0890, 0.05857], abs=5e-5)
    assert found.tangent_covariance[-1, 0, 0] == pytest.approx(0.0071, abs=5e-5)


@pytest.mark.parametrize(("weight_var", "grows"), [(1.3, 0.0), (3.0, 5.2)])
def test_tangent_kernel_saturates_in_the_ordered_phase_and_grows_with_depth_in_the_chaotic_one(
    weight_var, grows
):
    found = kernel_corrections("tanh", 1.0, (1000,) * 200, weight_var, 0.1)
    variance = 1000 * tangent_covariance(found)[:, 0, 0] / found.tangent[:, 0] ** 2
    shift = 1000 * found.tangent_shift[:, 0] / found.tangent[:, 0]
    if grows:
        assert variance[-1] / 200 == pytest.approx(grows, abs=0.05)
        assert shift[-1] / 200 == pytest.approx(0.30, abs=0.005)
    else:
        assert variance[[150, -1]] == pytest.approx([5.39772, 5.39772], abs=5e-6)
        assert abs(shift[-1] - shift[150]) < 1e-9  # chi_perp^150 is 1e-13


@pytest.mark.slow
def test_two_inputs_on_the_critical_line():
    relu = kernel_corrections("relu", FIRST, (1000,) * 100)
    assert 1000 * relu.kernel_shift[9, 1] / relu.kernel[9, 1] == pytest.approx(-2.12, abs=5e-3)
    depths = np.array([10, 100])
    slopes = 1000 * (relu.tangent_shift / relu.tangent)[depths - 1, 1] / depths
    assert slopes == pytest.approx(
        [0.63, 1.14], abs=5e-3
    )  # more than at infinite width, and the kernel less
    tanh = kernel_corrections("tanh", FIRST, (1000,) * 999, 1.0)
    k = tanh.kernel[-1]
    assert k[1] / np.sqrt(k[0] * k[2]) == pytest.approx(0.4255, abs=2e-4)
    assert tanh.kernel_covariance[-1, 1, 1] / k[1] ** 2 == pytest.approx(4.9, abs=0.02)


def test_networks_that_show_the_shift_of_the_mean():
    # z^2 V / K1^2 of them show it at z standard errors
    for setting, number in ((("gelu", 1.8, 0.05), 320), (("tanh", 1.3, 0.1), 980)):
        found = kernel_corrections(setting[0], FIRST, WIDTHS, *setting[1:])
        assert found.kernel_covariance[-1, 0, 0] / found.kernel_shift[-1, 0] ** 2 == pytest.approx(
            number, rel=0.02
        )
