import jax
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diffusions.coupled import coupled_errors, coupled_fn


def _shallow(activation, weight_var, bias_var, depth=8, law=di.normal, **more):
    laws = law(weight_var, "depth"), None, di.normal(bias_var, "depth")
    return di.ResNet(10, depth, None, activation, *laws, block="shallow", **more)


@pytest.mark.parametrize(
    ("activation", "order", "other"),
    [pytest.param(di.tanh, 1.0, 0.5, marks=pytest.mark.slow), (di.silu, 0.5, 1.0)],
)
@pytest.mark.exhaustive
def test_networks_tend_to_their_diffusion_with_order_one_or_one_half(activation, order, other):
    # effect: the order to 0.1; variance 0.3 keeps the next order small from depth 16
    errors = coupled_errors(
        _shallow(activation, 0.3, 0.1), 0.5 * np.ones(10), (16, 128), num_seeds=400
    )
    assert_value(errors.orders[0], errors.order_errors[0], order, rejects=other)
    assert not errors.num_left.any()
    np.testing.assert_allclose(errors.orders, errors.local_orders[0])
    np.testing.assert_allclose(errors.order_errors, errors.local_order_errors[0])


@pytest.mark.exhaustive
def test_linear_networks_are_their_euler_scheme_whatever_the_law_of_the_weights():
    spec = _shallow(
        di.linear, 1.0, 0.5, law=di.uniform, embedding_law=di.normal(1.0), output_width=3
    )
    coupled = jax.jit(coupled_fn(spec, np.random.default_rng(0).standard_normal((2, 4))))(
        jax.random.key(0)
    )
    np.testing.assert_allclose(coupled.network, coupled.diffusion, rtol=1e-5, atol=1e-5)
    assert np.abs(coupled.network[0] - coupled.network[1]).max() > 0.1


@pytest.mark.slow
def test_explosions_are_counted_or_refused():
    # the network is Lipschitz and stays; its diffusion squares at every step
    spec = _shallow(di.silu, 1.0, 0.0)
    with pytest.raises(SpecError, match="explodes"):
        coupled_errors(spec, 1e19 * np.ones(10), (8, 16), num_seeds=4)


@pytest.mark.parametrize(
    ("more", "words"),
    [({"depths": (32,)}, "increasing"), ({"depths": (32, 16)}, "increasing"),
     ({"num_seeds": 1}, "num_seeds"),
     ({"key": -1}, "key"), ({"depths": (0, 4)}, "depths"), ({"depths": 64}, "depths=64")],
)  # fmt: skip
def test_bad_arguments_are_refused(more, words):
    with pytest.raises(SpecError, match=words):
        coupled_errors(_shallow(di.tanh, 1.0, 1.0), np.ones(10), **more)


def test_networks_without_a_limit_are_refused():
    with pytest.raises(SpecError, match="MLP for a limit of infinite depth"):
        coupled_errors(di.MLP((10, 10)), np.ones(10))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "order", "other"), [(di.tanh, 1.0, 0.5), (di.silu, 0.5, 1.0)]
)
@pytest.mark.exhaustive
def test_strong_orders_at_unit_variances(activation, order, other):
    errors = coupled_errors(
        _shallow(activation, 1.0, 1.0), np.ones(10), (128, 256, 512, 1024), num_seeds=600
    )
    assert_value(errors.orders[0], errors.order_errors[0], order, rejects=other)
