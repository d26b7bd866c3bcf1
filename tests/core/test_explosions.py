import math

import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.core.explosions import explosion_time
from deepinit.theory.diffusion import explosion_times, inner_limit

ALONE = np.zeros((1, 1), int)


@pytest.mark.parametrize("z", [-2.0, 0.0, 0.75, 1.0, 4.0, 6.0])
def test_explosion_time_is_the_closed_form_without_an_inner_activation(z):
    found = explosion_time("silu", "linear", np.full((1, 5), z), ALONE, 1.0, 1.0, 100.0)
    assert found == pytest.approx(explosion_times("silu", [z * z], 1.0, 1.0, [z])[0], rel=3e-6)


@pytest.mark.parametrize("size", [1e-3, 1e10, 1e19])
def test_explosion_time_at_every_size_of_the_input(size):
    found = explosion_time("silu", "linear", np.full((1, 5), size), ALONE, 1.0, 0.0, 100.0)
    assert found == pytest.approx(explosion_times("silu", [size**2], 1.0, 0.0, [size])[0], rel=1e-5)


@pytest.mark.parametrize("inner", ["relu", "silu", "gelu"])
@pytest.mark.slow
def test_explosion_time_with_an_inner_activation_is_where_the_limit_equations_end(inner):
    found = explosion_time("silu", inner, np.full((1, 5), 1.5), ALONE, 1.0, 0.5, 100.0)
    inner_limit("silu", inner, [[0.0]], 1.0, 0.5, 0.999 * found, [1.5])
    with pytest.raises(SpecError, match="explodes"):
        inner_limit("silu", inner, [[0.0]], 1.0, 0.5, 1.001 * found, [1.5])


def test_superlinear_growth_explodes_also_without_a_mean():
    # psi = x^2: the clock runs at E (1 + sqrt(tau) Z)^4 = 1 + 6 tau + 3 tau^2
    root = math.sqrt(24.0)
    expected = math.log((6.0 + root) / (6.0 - root)) / root
    found = explosion_time("tanh", lambda x: x**2, np.ones((1, 5)), ALONE, 1.0, 0.0, 100.0)
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_cannot_explode_does_not():
    one = np.ones((1, 5))
    assert explosion_time("tanh", "linear", 1e6 * one, ALONE, 9.0, 9.0, 1e6) == math.inf
    assert explosion_time("silu", "tanh", 1e6 * one, ALONE, 9.0, 9.0, 1e6) == math.inf
    assert explosion_time("silu", "linear", 0.0 * one, ALONE, 9.0, 0.0, 1e6) == math.inf
    assert (
        explosion_time("silu", "linear", one, ALONE, 1.0, 1.0, 2.7) == math.inf
    )  # 2.77: beyond the horizon


def test_variance_of_an_embedding_counts_as_the_mean_square():
    embedded = explosion_time(
        "silu", "linear", np.zeros((1, 1)), ALONE, 1.0, 1.0, 100.0, np.array([4.0])
    )
    assert embedded == pytest.approx(explosion_times("silu", [4.0], 1.0, 1.0)[0], rel=1e-5)
