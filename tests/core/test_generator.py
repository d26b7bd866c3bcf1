import jax
import numpy as np
import pytest

from deepinit.core.generator import sequential_bits, standard_normals


@pytest.mark.parametrize("shape", [(2,), (10, 256), (3, 5), (0, 4), (1, 1)])
@pytest.mark.slow_cases("shape0", "shape1")
def test_normals_are_those_of_jax_in_sequential_mode_bit_for_bit(shape):
    for seed in range(3):
        key = jax.random.fold_in(jax.random.key(7, impl="threefry2x32"), seed)
        with sequential_bits():
            wanted = np.asarray(jax.random.normal(key, shape, np.float32))
        for draw in (standard_normals, jax.jit(standard_normals, static_argnums=(1, 2))):
            np.testing.assert_array_equal(np.asarray(draw(key, shape, np.float32)), wanted)
    if wanted.size > 2:
        with jax.threefry_partitionable(
            True
        ):  # the other mode's numbers differ: equality says something
            assert not np.array_equal(np.asarray(jax.random.normal(key, shape, np.float32)), wanted)


@pytest.mark.slow
def test_normals_of_a_batch_of_keys_are_those_of_each_key():
    keys = jax.random.split(jax.random.key(3, impl="threefry2x32"), 4)
    together = jax.jit(jax.vmap(lambda key: standard_normals(key, (2, 8), np.float32)))(keys)
    for key, drawn in zip(keys, np.asarray(together), strict=True):
        np.testing.assert_array_equal(np.asarray(standard_normals(key, (2, 8), np.float32)), drawn)


def test_other_dtypes_and_generators_are_left_to_jax():
    with sequential_bits():
        half = np.asarray(jax.random.normal(jax.random.key(1), (4,), np.float16))
        other = np.asarray(jax.random.normal(jax.random.key(1, impl="rbg"), (4,), np.float32))
    np.testing.assert_array_equal(
        np.asarray(standard_normals(jax.random.key(1), (4,), np.float16)), half
    )
    np.testing.assert_array_equal(
        np.asarray(standard_normals(jax.random.key(1, impl="rbg"), (4,), np.float32)), other
    )
