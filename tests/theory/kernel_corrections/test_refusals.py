import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.activations import from_function
from deepinit.core.errors import ResourceError, SpecError
from deepinit.theory.kernel_corrections import (
    criticality_class,
    deep_wide_ntk_ratio,
    homogeneous_kernel_moment,
    homogeneous_ntk_moments,
    kernel_corrections,
    log_kernel,
    output_fourth_cumulant,
    output_statistics,
    tangent_covariance,
)

PAIR = np.array([[1.0, 0.4], [0.4, 0.7]])


def _staircase(x):
    return jnp.round(4.0 * x) / 4.0


def _cusp(x):
    return jnp.sqrt(jnp.abs(x))


def _steep(x):
    return jnp.tanh(100.0 * x)


def _hidden_kink(x):
    return jnp.where(x > 0.5, x - 0.5, 0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("tanh", [[1.0, 0.2, 1.0], [0.2, 1.0, 0.2], [1.0, 0.2, 1.0]], (9,)),
            "inputs 0 and 2 of correlation 1",
        ),
        (("relu", [[1.0, -2.0], [-2.0, 4.0]], (9,)), "inputs 0 and 1 of correlation -1"),
        (("tanh", [[1.0, 0.0], [0.0, 0.0]], (9,)), "input 1 with itself"),
        (
            ("tanh", [[1.0, 0.3], [0.2, 1.0]], (9,)),
            "first_kernel that differs from its transpose.*a symmetric matrix",
        ),
        (("tanh", [[1.0, 0.3]], (9,)), r"\(1, 2\)"),
        (("tanh", [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]], (9,)), "negative eigenvalue"),
        (("tanh", PAIR, ()), "one integer per hidden layer"),
        (("tanh", PAIR, (9, 0)), "integers >= 1"),
        (("tanh", PAIR, (2,) * 7), r"1/width of 3\.5\. Allowed: up to 3;"),
        (("tanh", PAIR, (9, 9), (1.0,)), r"weight_var=.*one number or \[2\]"),
        (("tanh", PAIR, (9,), -1.0), "weight_var"),
        (("tanh", PAIR, (9,), 1.0, -0.1), "bias_var"),
        (("relu", PAIR, (10**6,) * 400, 20.0), "after hidden layer 7"),
        (("tanh", [[1.0, np.nan], [np.nan, 1.0]], (9,)), "not finite"),
        (("tanh", np.inf, (9,)), "not finite"),
        (("tanh", "one", (9,)), "first_kernel"),
        (("tnah", PAIR, (9,)), "tnah"),
        (("tanh", PAIR, (9,), np.nan), "weight_var"),
        (("tanh", PAIR, (9, 9), 1.0, (0.1,)), "bias_var"),
        ((_cusp, PAIR, (9,), 1.0), "has the derivative inf at x=0"),
        ((_steep, PAIR, (9,), 1.0), "mean derivative is 3.98942, by its values 0.797219"),
        (("tanh", PAIR, (9, 9), 400.0), r"standard deviation 1\d.*take smaller variances"),
        ((_staircase, PAIR, (9,), 1.0), "and at many more points"),
    ],
)
def test_refusals_name_the_argument_and_its_range(arguments, message):
    with pytest.raises(SpecError, match=message):
        kernel_corrections(*arguments)


@pytest.mark.slow
def test_declared_kinks_pass():
    corrections = kernel_corrections(from_function(_hidden_kink, kinks=(0.5,)), 1.0, (9,), 1.0)
    assert np.isfinite(corrections.tangent_covariance).all()
    smoother = kernel_corrections(from_function(jax.nn.elu, kinks=(0.0,)), PAIR, (9,), 1.0)
    assert np.isfinite(smoother.tangent_covariance).all()


def test_memory_is_estimated_first():
    with pytest.raises(ResourceError, match=r"layers, 8643\d+ bytes .*2147483648 bytes"):
        kernel_corrections("tanh", np.eye(300), (1000,) * 100)


def test_other_refusals():
    with pytest.raises(SpecError, match="vertex"):
        kernel_corrections("tanh", PAIR, (9,), vertex="everything")
    with pytest.raises(SpecError, match="first_tangent"):
        kernel_corrections("tanh", PAIR, (9,), first_tangent=[1.0])
    with pytest.raises(SpecError, match="weight_rate"):
        kernel_corrections("tanh", PAIR, (9,), weight_rate=-1.0)
    corrections = kernel_corrections("tanh", PAIR, (9,))
    with pytest.raises(SpecError, match="num_outputs"):
        tangent_covariance(corrections, 0)
    with pytest.raises(SpecError, match="inputs"):
        output_fourth_cumulant(corrections, (0, 1, 2, 0))
    with pytest.raises(SpecError, match="weight_var"):
        criticality_class("tanh", 0.0)


def test_range_travels_with_the_result():
    wide, narrow = (kernel_corrections("gelu", 1.0, (n,) * 10, 1.8, 0.05) for n in (1000, 10))
    assert wide.largest_sum == pytest.approx(narrow.largest_sum, rel=1e-10)
    # simulated variances at depth 10, width 256 are 1.8 times those of first order
    assert 0.005 < wide.largest_sum < 0.03
    assert wide.sum_inverse_widths[-1] == pytest.approx(0.01)
    assert "here 1." in narrow.valid_for
    assert "within its range" in wide.valid_for
    assert "meaningless" in narrow.valid_for
    assert narrow.relative_variance == pytest.approx(100.0 * wide.relative_variance, rel=1e-10)
    assert kernel_corrections("relu", 1.0, (100,)).largest_sum == 0.1


@pytest.mark.parametrize(
    ("width", "words"),
    [(1000, "within"), (256, "beyond its range after 3 of 10"), (20, "meaningless")],
)
def test_gelu_off_criticality_is_said_to_be_out_of_range_where_it_is(width, words):
    # simulated variances are 1.8 times first order at width 256, eight times at 64, although V/K^2
    # of the last layer is 0.03
    corrections = kernel_corrections("gelu", PAIR, (width,) * 10, 1.8, 0.05)
    assert words in corrections.valid_for
    assert (corrections.sum_inverse_widths[-1] <= corrections.largest_sum) == (words == "within")
    last = corrections.kernel_covariance[-1, 0, 0] / corrections.kernel[-1, 0] ** 2
    assert corrections.relative_variance.max() > 3.0 * last


@pytest.mark.parametrize(("activation", "edge"), [("relu", 0.1), ("tanh", 0.5)])
def test_range_in_layers_and_widths(activation, edge):
    corrections = kernel_corrections(activation, 1.0, (50,) * 30, None)
    held = int(50 * edge)
    assert f"{held} of 30 layers" in corrections.valid_for
    assert f"{30 / 50 / edge:.3g} times as large" in corrections.valid_for
    enough = math.ceil(30 / edge)
    assert "within its range" in kernel_corrections(activation, 1.0, (enough,) * 30, None).valid_for


def test_nearly_parallel_inputs_of_relu_are_marked():
    corrections = kernel_corrections("relu", PAIR, (100,) * 200)
    assert np.isnan(corrections.angle_spread[:, 0]).all()
    assert corrections.angle_spread[0, 1] < 0.2
    assert corrections.angle_spread[-1, 1] > 1.0
    assert "Nearly parallel" in corrections.valid_for
    assert "Nearly parallel" not in kernel_corrections("relu", PAIR, (1000,)).valid_for


def test_parallel_inputs_of_relu_are_not_a_number_and_spoil_nothing_else():
    corrections = kernel_corrections("relu", PAIR, (1000,) * 80, 1.5, 0.1)
    alone = kernel_corrections("relu", 1.0, (1000,) * 80, 1.5, 0.1)
    lost = np.isnan(corrections.tangent_shift[:, 1])
    correlation = corrections.kernel[:, 1] / np.sqrt(
        corrections.kernel[:, 0] * corrections.kernel[:, 2]
    )
    assert 40 < np.flatnonzero(lost)[0] < 60
    assert lost[np.flatnonzero(lost)[0] :].all()
    assert correlation[~lost][:-1].max() < 1.0 - 1e-7
    assert np.isfinite(corrections.kernel_covariance).all()
    assert tangent_covariance(corrections)[:, 0, 0] == pytest.approx(
        tangent_covariance(alone)[:, 0, 0], rel=1e-12
    )


@pytest.mark.slow
def test_ordered_phase_brings_inputs_together_without_breaking():
    corrections = kernel_corrections("tanh", PAIR, (1000,) * 120, 0.8, 0.2)
    for name in ("kernel_shift", "tangent_shift", "kernel_covariance", "tangent_covariance"):
        assert np.isfinite(getattr(corrections, name)).all()
    assert corrections.kernel_shift[-1, 1] == pytest.approx(
        corrections.kernel_shift[-1, 0], rel=1e-9
    )
    assert corrections.tangent_shift[-1, 1] == pytest.approx(
        corrections.tangent_shift[-1, 0], rel=1e-9
    )
    saturated = (
        1000.0
        * tangent_covariance(corrections)[-1]
        / np.outer(corrections.tangent[-1], corrections.tangent[-1])
    )
    assert saturated == pytest.approx(np.full((3, 3), 0.874819), rel=1e-6)


@pytest.mark.parametrize(
    ("hidden", "output", "words"),
    [
        (1.5, 1.0, "class chaotic"),  # at the variance of the output alone it would be critical
        (1.0, 3.0, "class zero_critical"),
    ],
)
def test_the_class_is_that_of_the_hidden_layers_and_not_of_the_output(hidden, output, words):
    corrections = kernel_corrections("tanh", 1.0, (500,) * 6, [hidden] * 5 + [output])
    assert words in corrections.valid_for
    assert (
        corrections.class_name
        == criticality_class("tanh", hidden).name
        != criticality_class("tanh", output).name
    )
    assert corrections.largest_sum == 0.5 if hidden == 1.0 else corrections.largest_sum < 0.5


def test_variances_that_change_from_layer_to_layer_have_an_estimated_range():
    corrections = kernel_corrections("relu", 1.0, (500,) * 3, [2.0, 1.0, 1.0])
    assert corrections.class_name == "scale_invariant"
    assert (
        corrections.largest_sum < 0.5 * kernel_corrections("relu", 1.0, (500,) * 3, 2.0).largest_sum
    )


def test_kernels_that_explode_are_refused_before_they_take_all_memory():
    assert criticality_class("gelu", 3.0).name == "unsettled"
    with pytest.raises(SpecError, match=r"up to 3000.*critical"):
        kernel_corrections("gelu", 1.0, (1000,) * 60, 3.0)
    with pytest.raises(SpecError, match=r"up to 3000.*critical"):
        kernel_corrections("tanh", PAIR, (9, 8), 1e18)


def test_a_small_start_does_not_hide_that_the_kernel_grows():
    small, usual = (criticality_class("tanh", 1.5, mean_square=start) for start in (1e-300, 1.0))
    assert small.name == usual.name == "chaotic"
    assert small.fixed_point == pytest.approx(usual.fixed_point, rel=1e-9)
    assert criticality_class("tanh", 0.5, mean_square=1e-300).name == "vanishing"


FOUND = kernel_corrections("tanh", PAIR, (9,))


@pytest.mark.parametrize("bad", [None, "one", "1.0", [1.0, [2.0]], {}, 1j, np.nan, True])
@pytest.mark.parametrize(
    "call",
    [
        lambda bad: criticality_class("tanh", bad),
        lambda bad: criticality_class("tanh", 1.0, bad),
        lambda bad: criticality_class("tanh", 1.0, mean_square=bad),
        lambda bad: tangent_covariance(bad),
        lambda bad: tangent_covariance(FOUND, bad),
        lambda bad: log_kernel(bad),
        lambda bad: output_fourth_cumulant(bad, (0, 0, 1, 1)),
        lambda bad: output_fourth_cumulant(FOUND, bad),
        lambda bad: output_fourth_cumulant(FOUND, (0, 0, 1, 0.5 if bad is True else bad)),
        lambda bad: kernel_corrections(
            "tanh", PAIR, (9,), first_tangent={} if bad is None else bad
        ),
        lambda bad: homogeneous_kernel_moment("relu", (3,), 2.0, bad),
        lambda bad: homogeneous_ntk_moments("relu", 1.0, (3,), 2.0, bias_rate=bad),
    ],
)
def test_arguments_of_another_kind_are_refused_in_words(call, bad):
    with pytest.raises(SpecError, match="Allowed"):
        call(bad)


@pytest.mark.parametrize(
    "call",
    [
        lambda: kernel_corrections({}, PAIR, (9,)),
        lambda: kernel_corrections("tanh", PAIR, (9,), vertex=np.array([True, False])),
        lambda: kernel_corrections("tanh", PAIR, 10**60),
        lambda: kernel_corrections("tanh", PAIR, (1e300,)),
        lambda: kernel_corrections("tanh", 10**400, (9,)),
        lambda: tangent_covariance(FOUND, 1.5),
        lambda: tangent_covariance(FOUND, np.inf),
        lambda: output_fourth_cumulant(FOUND, (0, 0, 1, 1), same="no"),
        lambda: output_statistics("one"),
        lambda: output_statistics(np.inf),
    ],
)
def test_sizes_and_kinds_that_nothing_can_be_done_with(call):
    with pytest.raises(SpecError, match="Allowed"):
        call()


def test_moments_beyond_float64_are_infinite():
    corrections = homogeneous_ntk_moments("relu", 1e300, (4, 3), 2.0)
    assert (corrections.second, corrections.variance) == (math.inf, math.inf)
    assert corrections.mean == pytest.approx(3e300)
    assert deep_wide_ntk_ratio("relu", 1e300) == deep_wide_ntk_ratio("relu", 1e3) == math.inf
