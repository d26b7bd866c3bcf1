import numpy as np
import pytest

from deepinit.core.activations import leaky_relu
from deepinit.theory.kernel_corrections import kernel_corrections, tangent_covariance

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
    corrections = kernel_corrections(setting[0], FIRST, WIDTHS, *setting[1:])
    kernel, shift, tangent, tangent_shift, covariance, tangents = REFERENCE[setting]
    digits = {"rel": 6e-12, "abs": 1e-14}
    assert corrections.kernel[-1] == pytest.approx(kernel, **digits)
    assert corrections.kernel_shift[-1] == pytest.approx(shift, **digits)
    assert corrections.tangent[-1] == pytest.approx(tangent, **digits)
    assert corrections.tangent_shift[-1] == pytest.approx(tangent_shift, **digits)
    assert corrections.kernel_covariance[-1][UPPER] == pytest.approx(covariance, **digits)
    assert tangent_covariance(corrections)[-1][UPPER] == pytest.approx(tangents, **digits)


@pytest.mark.parametrize("setting", SINGLE)
def test_one_input_to_the_printed_digits(setting):
    corrections = kernel_corrections(setting[0], 1.0, (10, 10), *setting[1:])
    covariance, shift, tangents, tangent_shift, mixed = SINGLE[setting]
    digits = {"rel": 1e-12, "abs": 1e-14}
    assert corrections.kernel_covariance.ravel() == pytest.approx(covariance, **digits)
    assert corrections.kernel_shift.ravel() == pytest.approx(shift, **digits)
    assert tangent_covariance(corrections).ravel() == pytest.approx(tangents, **digits)
    assert corrections.tangent_shift.ravel() == pytest.approx(tangent_shift, **digits)
    if mixed is not None:
        assert corrections.tangent_kernel_covariance.ravel() == pytest.approx(mixed, **digits)


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
    corrections = kernel_corrections("tanh", FIRST, (9,), 1.3, 0.1)
    assert np.all(corrections.kernel_shift == 0.0)
    assert np.all(corrections.tangent_shift == 0.0)
    doubled = kernel_corrections("tanh", FIRST, (18,), 1.3, 0.1)
    assert 2.0 * doubled.kernel_covariance == pytest.approx(corrections.kernel_covariance)


@pytest.mark.parametrize(
    ("activation", "weight_var", "c"),
    [("relu", 2.0, 5.0), (leaky_relu(0.2), 2.0 / 1.04, 4.5562130177514795), ("linear", 1.0, 2.0)],
)
def test_homogeneous_activations_at_one_input(activation, weight_var, c):
    widths = np.array([8, 20, 11, 16])
    corrections = kernel_corrections(activation, 0.9, widths, weight_var)
    sums = np.cumsum(1.0 / widths)
    assert corrections.kernel_covariance.ravel() == pytest.approx(c * 0.81 * sums, rel=1e-13)
    assert np.abs(corrections.kernel_shift).max() < 1e-12
    assert np.abs(corrections.tangent_shift).max() < 1e-12


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
    corrections = kernel_corrections(activation, FIRST, (20, 30, 20), weight_var, 0.02)
    for covariance in (corrections.kernel_covariance, tangent_covariance(corrections)):
        assert covariance == pytest.approx(covariance.transpose(0, 2, 1), rel=1e-12)
        assert np.linalg.eigvalsh(covariance).min() > -1e-15
