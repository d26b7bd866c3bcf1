import hashlib

import jax
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from deepinit.core.generator import folded, sequential_bits, standard_normals


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


def test_folded_keys_are_threefry_of_the_digest():
    """One block on (key, 64-bit digest), by JAX's own primitive; other tuples, other keys."""
    key, numbers = jax.random.key(3), (7, -2, 5)
    digest = hashlib.blake2b(b"(7, -2, 5)", digest_size=8).digest()
    words = np.frombuffer(digest, "<u4")
    expected = threefry_2x32(jax.random.key_data(key), words)
    np.testing.assert_array_equal(jax.random.key_data(folded(key, numbers)), expected)
    others = [folded(key, other) for other in ((7, -2), (7, -2, 6), (-2, 7, 5))]
    found = [*others, folded(key, numbers), folded(jax.random.key(4), numbers)]
    assert len({bytes(jax.random.key_data(each)) for each in found}) == len(found)


def test_keys_of_other_generators_are_folded_by_jax():
    found = folded(jax.random.key(3, impl="rbg"), (1, 2))
    assert str(jax.random.key_impl(found)) == "rbg"


def test_arrays_of_keys_are_refused():
    """Their words would be mixed."""
    keys = jax.random.split(jax.random.key(0), 2)
    with pytest.raises(ValueError, match="single key"):
        standard_normals(keys, (2,), "float32")
