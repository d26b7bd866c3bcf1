"""Box-Muller pairs against the same formula in float64, and their law."""

import jax
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from deepinit.core import paired_normals as module
from deepinit.core.generator import standard_normals
from deepinit.core.paired_normals import paired_normals

_KEY = jax.random.key(5, impl="threefry2x32")


@pytest.mark.parametrize("shape", [(3, 5), (1,)])
def test_normals_are_radii_times_cosines_and_sines_of_the_words_of_a_block(shape):
    """JAX's own threefry, NumPy in float64."""
    size = int(np.prod(shape))
    half = (size + 1) // 2
    blocks = np.roll(np.arange(2 * half, dtype=np.uint32), half)
    words = threefry_2x32(jax.random.key_data(_KEY), blocks)
    first, second = np.split(np.asarray(words, np.float64) / 2.0**32, 2)
    radius = np.sqrt(-2 * np.log(first))
    waves = np.cos(2 * np.pi * second), np.sin(2 * np.pi * second)
    exact = np.concatenate([radius * wave for wave in waves])[:size].reshape(shape)
    found = np.asarray(paired_normals(_KEY, shape, np.float32))
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-6)


def test_cosines_are_right_at_all_angles():
    angles = np.r_[0 : 2**32 - 1 : 65521, 2**30, 2**31, 2**31 - 1, 2**32 - 1].astype(np.uint32)
    exact = np.cos(2 * np.pi * angles / 2.0**32)
    np.testing.assert_allclose(module._cosine(angles), exact, rtol=0, atol=3e-7)


@pytest.mark.slow
def test_law_is_normal_and_pairs_are_independent():
    """Kolmogorov-Smirnov, moments, tails, correlations; a rival whose angles are half a turn."""
    draw = jax.jit(lambda key: paired_normals(key, (2**22,), np.float32))
    found = np.asarray(draw(_KEY), np.float64)
    tail = 2 * stats.norm.sf(4)

    def largest_z(values):
        pairs = np.split(values, 2)
        count = len(values)
        z = [
            np.mean(values) * count**0.5,
            (np.mean(values**2) - 1) * (count / 2) ** 0.5,
            (np.mean(values**4) - 3) * (count / 96) ** 0.5,
            (np.mean(np.abs(values) > 4) - tail) * (count / tail) ** 0.5,
            np.mean(pairs[0] * pairs[1]) * (count / 2) ** 0.5,
            np.mean((pairs[0] ** 2 - 1) * (pairs[1] ** 2 - 1)) * (count / 8) ** 0.5,
            np.mean(values[1:] * values[:-1]) * count**0.5,
        ]
        return np.max(np.abs(z))

    assert largest_z(found) < 5
    assert stats.kstest(found, "norm").statistic * len(found) ** 0.5 < 2.4  # 5 standard errors
    cosines, sines = np.split(found, 2)
    assert largest_z(np.concatenate([cosines, np.abs(sines)])) > 5


def test_other_dtypes_and_generators_are_those_of_standard_normals():
    for key, dtype, shape in (
        (jax.random.key(1), np.float16, (4,)),
        (jax.random.key(1, impl="rbg"), np.float32, (4,)),
        (_KEY, np.float32, (0, 3)),
    ):
        found = paired_normals(key, shape, dtype)
        np.testing.assert_array_equal(found, standard_normals(key, shape, dtype))


def test_normals_of_a_batch_of_keys_are_those_of_each_key():
    keys = jax.random.split(_KEY, 3)
    together = jax.jit(jax.vmap(lambda key: paired_normals(key, (2, 5), np.float32)))(keys)
    for key, drawn in zip(keys, np.asarray(together), strict=True):
        np.testing.assert_allclose(paired_normals(key, (2, 5), np.float32), drawn, atol=1e-6)


def test_normals_are_independent_of_those_of_jax():
    """Blocks (0, n) are JAX's: with them a number of each pair has correlation -0.26."""
    keys = jax.random.split(_KEY, 20_000)
    own = jax.jit(jax.vmap(lambda key: paired_normals(key, (2,), np.float32)))(keys)
    other = jax.jit(jax.vmap(lambda key: jax.random.normal(key, (2,))))(keys)
    products = np.asarray(own, np.float64).T @ np.asarray(other, np.float64) / len(keys)
    assert np.abs(products).max() < 5 / len(keys) ** 0.5


def test_arrays_of_keys_are_refused():
    with pytest.raises(ValueError, match="single key"):
        paired_normals(jax.random.split(_KEY, 2), (2,), np.float32)
