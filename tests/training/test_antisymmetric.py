import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError


@pytest.mark.slow
@pytest.mark.exhaustive
def test_antisymmetric_networks_start_at_zero_with_the_kernel_of_one_copy():
    net = di.training.perceptron(di.MLP((5,), di.tanh, output_width=1))
    pair = di.training.antisymmetric(net)
    x = jnp.array([[0.3, -0.7], [1.1, 0.2]])
    theta, both = net.init(jax.random.key(0), 2), pair.init(jax.random.key(0), 2)
    assert not jax.vmap(pair.apply, (None, 0))(both, x).any()

    def kernel(network, parameters):
        jacobian = jax.vmap(jax.grad(lambda p, x: network.apply(p, x)[0]), (None, 0))(parameters, x)
        flat = jnp.concatenate([leaf.reshape(2, -1) for leaf in jax.tree.leaves(jacobian)], axis=1)
        return flat @ flat.T

    assert np.asarray(kernel(pair, both)) == pytest.approx(np.asarray(kernel(net, theta)), rel=1e-5)
    with pytest.raises(SpecError, match="Network"):
        di.training.antisymmetric(3)
