"""Keys: golden hashes name a change of JAX's generator; other generators are refused."""

import hashlib

import jax
import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.ensembles import DRAW_SCHEME
from deepinit.ensembles.keys import root_key

# Equal on JAX 0.8, 0.10 and 0.12. If one fails, JAX draws other numbers than when stored runs were made: these cannot be
# continued, and DRAW_SCHEME has to go up.
BITS = {
    0: "8553444b2867ba09981f9cf1a543bc982b2b46f171dff64b81aed456147acf33",
    1: "9c380aaf2df7e728262d499b729235314329e62ae1165ac83fd4d837184715bc",
    4095: "50e5906db4e621107227ab28d98b602147aec6b77b1727ac5f00627ef1a5e3ff",
    2**32 - 1: "3bcac0a0ceb2a2ef823f91dc8a099cdc4d553f61fbc2e76782ae27769b1d8a4b",
}


NORMALS = "968d7604db25d54e78af696e2317d357a70db1b7c996dd5d736d059b11f7576b"


def digest(array, dtype):
    return hashlib.sha256(np.asarray(array).astype(dtype).tobytes()).hexdigest()


@pytest.mark.parametrize("seed", BITS)
def test_a_seed_draws_the_bits_that_it_always_drew(seed):
    assert DRAW_SCHEME == 1
    key = jax.random.fold_in(root_key(0), np.uint32(seed))
    assert digest(jax.random.bits(key, (16,), "uint32"), "<u4") == BITS[seed]


def test_a_layer_draws_the_normals_that_it_always_drew():
    key = jax.random.fold_in(jax.random.fold_in(root_key(0), 7), 3)
    normals = np.asarray(jax.random.normal(key, (16,), "float32"))
    np.testing.assert_allclose(normals[:4], [-0.24089421, -1.8952482, -0.22188231, -0.5549237], rtol=1e-6)
    # Bits become normals by the inverse error function, whose last digit a compiler may change: four decimals.
    assert digest(np.round(normals.astype(np.float64) * 1e4), "<i4") == NORMALS


def test_integers_and_typed_keys_are_the_same_root():
    data = [jax.random.key_data(root_key(key)) for key in (5, np.int64(5), jax.random.key(5, impl="threefry2x32"))]
    np.testing.assert_array_equal(data[0], data[1])
    np.testing.assert_array_equal(data[0], data[2])
    assert not np.array_equal(data[0], jax.random.key_data(root_key(6)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jax.random.key(0, impl="rbg"), "a key of the generator rbg"),
        (lambda: jax.random.key(0, impl="unsafe_rbg"), "a key of the generator unsafe_rbg"),
        (lambda: jax.random.PRNGKey(0), "Write key=0"),
        (lambda: "zero", "key='zero'"),
        (lambda: -1, "from 0 to 2\\^32 - 1"),
        (lambda: 2**32, "from 0 to 2\\^32 - 1"),
    ],
)
def test_what_is_no_threefry_root_is_refused(make, message):
    with pytest.raises(SpecError, match=message) as error:
        root_key(make())
    assert "Allowed:" in str(error.value)
    assert "\n" not in str(error.value)


def test_the_flag_that_changes_draws_is_refused():
    with jax.threefry_partitionable(False), pytest.raises(SpecError, match="jax_threefry_partitionable=False"):
        root_key(0)
