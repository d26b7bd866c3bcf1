"""Earlier bounds on mean lengths, and input that is refused."""

import math

import numpy as np
import pytest
from statistical import assert_mean

from deepinit.core.errors import SpecError
from deepinit.theory.lengths import (
    HomogeneousNetwork,
    expansion,
    layer_factor_moment,
    length_moment,
    length_moments_by_layer,
    log_length_moments,
    log_length_moments_by_layer,
    log_volume_moments,
    log_volume_moments_by_layer,
    price_tanner_bound,
    raghu_lower_bound,
    raghu_upper_bound,
    volume_moment,
)


def test_bounds_bracket_the_exact_mean():
    for widths in ([10] * 5, [3, 8, 4, 16, 2], [2, 5, 5, 1]):
        for hidden_var in (1.0, 2.0, 3.0):
            exact = length_moment(HomogeneousNetwork(widths, hidden_var=hidden_var))
            assert price_tanner_bound(HomogeneousNetwork(widths, hidden_var=hidden_var)) < exact
            assert exact < math.sqrt(
                length_moment(HomogeneousNetwork(widths, hidden_var=hidden_var), 2)
            )
    # exact at width one
    assert price_tanner_bound(HomogeneousNetwork([3, 1, 1])) == pytest.approx(
        length_moment(HomogeneousNetwork([3, 1, 1])), rel=1e-14
    )
    sparse = price_tanner_bound(HomogeneousNetwork([10] * 5), density=0.25)
    # four layers, sqrt each
    assert sparse == pytest.approx(
        price_tanner_bound(HomogeneousNetwork([10] * 5)) * 0.25**2, rel=1e-14
    )


def test_price_tanner_of_sampled_sparse_layers():
    # One neuron, a tangent along a coordinate axis: the bound is the mean. Resolves 2 %.
    rng = np.random.default_rng(5)
    density, fan_in, layers = 0.3, 6, 100_000
    weights = rng.standard_normal((layers, fan_in)) * (rng.random((layers, fan_in)) < density)
    weights *= math.sqrt(2.0 / (fan_in * density))
    active = weights @ rng.standard_normal(fan_in) > 0
    axis, diagonal = (
        np.abs(weights @ tangent) * active
        for tangent in (np.eye(fan_in)[0], fan_in**-0.5 * np.ones(fan_in))
    )
    bound = price_tanner_bound(HomogeneousNetwork([fan_in, 1], output=None), density=density)
    assert diagonal.mean() > bound + 5 * axis.std() / math.sqrt(layers)
    # without the sparsity, or with its full power where the variance is that of all weights
    for rival in (
        price_tanner_bound(HomogeneousNetwork([fan_in, 1], output=None)),
        bound * math.sqrt(density),
    ):
        assert_mean(axis, bound, rejects=rival, resolves=0.05)


def test_raghu_bounds():
    # hard tanh: sigma_w / (sw^2 + sb^2)^{1/4} sqrt(k) / sqrt(sqrt(sw^2 + sb^2) + k)
    sigma_w2, sigma_b2, k, depth = 4.0, 0.5, 30, 3
    both = math.sqrt(sigma_w2 + sigma_b2)
    base = 2.0 / both**0.5 * math.sqrt(k) / math.sqrt(both + k)
    value = raghu_lower_bound(
        k, depth, hidden_var=sigma_w2, bias_var=sigma_b2, activation="hard_tanh"
    )
    assert value == pytest.approx(base**depth, rel=1e-14)
    no_bias = raghu_lower_bound(k, 1, hidden_var=sigma_w2, activation="hard_tanh")
    assert no_bias == pytest.approx(math.sqrt(2.0 * k) / math.sqrt(2.0 + k), rel=1e-14)
    # ReLU: the claimed rate exceeds the exact factor, so it is no bound as it stands
    for width in (1, 10, 100):
        exact = layer_factor_moment(width, 1)
        assert raghu_lower_bound(width, 1) > exact
        assert raghu_upper_bound(1) > exact
    assert raghu_upper_bound(4, hidden_var=3.0) == pytest.approx(9.0)
    assert raghu_lower_bound(10, 0) == raghu_upper_bound(0) == 1.0
    assert raghu_lower_bound(10, 2, hidden_var=0.0) == 0.0


ALL = (
    length_moment,
    length_moments_by_layer,
    log_length_moments,
    log_length_moments_by_layer,
    price_tanner_bound,
)


@pytest.mark.parametrize("function", [*ALL, expansion])
@pytest.mark.parametrize(
    "widths",
    [[5], [], [3, 0], [3, 2.5], [3, -1, 4], 7, [3, "4"], None, [3, math.nan], [2, math.inf]],
)
def test_bad_widths_are_refused(function, widths):
    with pytest.raises(SpecError, match="integers >= 1"):
        function(HomogeneousNetwork(widths))


@pytest.mark.parametrize("function", [*ALL, expansion])
def test_bare_widths_are_refused(function):
    with pytest.raises(SpecError, match="HomogeneousNetwork"):
        function((3, 4))


@pytest.mark.parametrize("function", [*ALL, expansion])
def test_bad_options_are_refused(function):
    with pytest.raises(SpecError, match="hidden_var=-1"):
        function(HomogeneousNetwork([3, 4], hidden_var=-1))
    with pytest.raises(SpecError, match="output_var=nan"):
        function(HomogeneousNetwork([3, 4], output_var=math.nan))
    with pytest.raises(SpecError, match="'linear'"):
        function(HomogeneousNetwork([3, 4], output="softmax"))
    with pytest.raises(SpecError, match=r"law=.*normal, orthogonal"):
        function(HomogeneousNetwork([3, 4], law="truncated_normal"))
    with pytest.raises(SpecError, match="negative_slope"):
        function(HomogeneousNetwork([3, 4], negative_slope=math.nan))


@pytest.mark.parametrize("m", [-1, math.nan, "2"])
def test_bad_moments_are_refused(m):
    for function in (length_moment, length_moments_by_layer):
        with pytest.raises(SpecError, match="a finite number >= 0"):
            function(HomogeneousNetwork([3, 4]), m)
    with pytest.raises(SpecError, match="a finite number >= 0"):
        volume_moment(HomogeneousNetwork([3, 4]), 1, m)
    with pytest.raises(SpecError, match="a finite number >= 0"):
        expansion(HomogeneousNetwork([3, 4]), 1, m)


@pytest.mark.parametrize("d", [0, -1, 1.5, "2", None, math.inf])
def test_bad_dimensions_are_refused(d):
    for function in (volume_moment, log_volume_moments, log_volume_moments_by_layer):
        with pytest.raises(SpecError, match=r"d=.*integers >= 1"):
            function(HomogeneousNetwork([3, 4]), d)
    with pytest.raises(SpecError, match=r"d=.*integers >= 1"):
        expansion(HomogeneousNetwork([3, 4]), 1, 1, d)


def test_bad_bounds_are_refused():
    with pytest.raises(SpecError, match="density"):
        price_tanner_bound(HomogeneousNetwork([3, 4]), density=0.0)
    with pytest.raises(SpecError, match="density"):
        price_tanner_bound(HomogeneousNetwork([3, 4]), density=1.5)
    with pytest.raises(SpecError, match="law='orthogonal'"):
        price_tanner_bound(HomogeneousNetwork([3, 4], law="orthogonal"))
    with pytest.raises(SpecError, match=r"negative_slope=0.1"):
        price_tanner_bound(HomogeneousNetwork([3, 4], negative_slope=0.1))
    with pytest.raises(SpecError, match="width"):
        raghu_lower_bound(0, 3)
    with pytest.raises(SpecError, match="depth"):
        raghu_lower_bound(3, -1)
    with pytest.raises(SpecError, match="depth"):
        raghu_upper_bound(1.5)
    with pytest.raises(SpecError, match="hidden_var"):
        raghu_upper_bound(1, hidden_var=-2)
    with pytest.raises(SpecError, match="hard_tanh"):
        raghu_lower_bound(3, 1, activation="tanh")
    with pytest.raises(SpecError, match=r"bias_var=0.1"):
        raghu_lower_bound(3, 1, bias_var=0.1)
