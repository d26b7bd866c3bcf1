"""Keys: golden hashes name a change of JAX's generator; other generators are refused."""

import hashlib

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.ensembles import DRAW_SCHEME
from deepinit.ensembles.keys import root_key

# Equal on JAX 0.10 and 0.12. A failure means that JAX draws other numbers: stored runs cannot be
# continued, and DRAW_SCHEME must increase.
BITS = {
    0: "aeaa1ef2b94697f9f0534c84cf1cd4174c8b48a59ae5f247bc6c9f1abe74f618",
    1: "45799f861f566a78b5da3db331b184ff4bcc9329f1e3ca86801ed1727c4f56da",
    4095: "d5f40f3ba240447bcf9ba027fd11391ed6ca322cbc7765aaa59c401acc76f99f",
    2**32 - 1: "2ca61a39843bce48123a7da92952d7459e64df5510df5267f5bdcc1022fb7fc5",
}


NORMALS = "0e8a4ae09a180c296db87c5691b4360bb2e654c9d14414fb349757ea280fb247"

# ln sin^2 of the first network's two layers
EXPLICIT = [-3.307873, -4.318088]
CONDITIONAL = [0, -0.09393334]


def digest(array, dtype):
    return hashlib.sha256(np.asarray(array).astype(dtype).tobytes()).hexdigest()


@pytest.mark.parametrize("seed", BITS)
def test_a_seed_draws_the_bits_that_it_always_drew(seed):
    assert DRAW_SCHEME == 2
    key = jax.random.fold_in(root_key(0), np.uint32(seed))
    with sequential_bits():
        assert digest(jax.random.bits(key, (16,), "uint32"), "<u4") == BITS[seed]


def test_a_layer_draws_the_normals_that_it_always_drew():
    key = jax.random.fold_in(jax.random.fold_in(root_key(0), 7), 3)
    normals = np.asarray(di.normal(1.0, "absolute").sample(key, (16, 1)))[:, 0]
    np.testing.assert_allclose(
        normals[:4], [-0.24079666, -1.2098138, 0.79667294, -0.8395669], rtol=1e-6
    )
    # the inverse error function may differ in the last digit between compilers: 4 decimals
    assert digest(np.round(normals.astype(np.float64) * 1e4), "<i4") == NORMALS


def test_integers_and_typed_keys_are_the_same_root():
    data = [
        jax.random.key_data(root_key(key))
        for key in (5, np.int64(5), jax.random.key(5, impl="threefry2x32"))
    ]
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
        (lambda: -1, "integers from 0 to 4294967295"),
        (lambda: 2**32, "integers from 0 to 4294967295"),
    ],
)
def test_what_is_no_threefry_root_is_refused(make, message):
    with pytest.raises(SpecError, match=message) as error:
        root_key(make())
    assert "Allowed:" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("partitionable", [True, False])
@pytest.mark.slow_cases("False")
@pytest.mark.exhaustive_cases("True")
@pytest.mark.exhaustive_cases("False")
def test_networks_do_not_depend_on_the_mode_that_jax_is_in(partitionable):
    spec, inputs = di.MLP(widths=(8, 8)), di.inputs.pair(0.5)
    with jax.threefry_partitionable(partitionable):
        found = [
            di.simulate(
                spec,
                di.quantities.log_sin2_angle,
                inputs,
                num_seeds=3,
                linear_map=name,
                keep_samples=True,
            )
            for name in ("explicit", "conditional")
        ]
    np.testing.assert_allclose(found[0].samples[0, :, 0], EXPLICIT, rtol=1e-5)
    np.testing.assert_allclose(found[1].samples[0, :, 0], CONDITIONAL, rtol=1e-5)
