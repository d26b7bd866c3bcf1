"""Attached derivatives survive every transformation, also the reverse mode of a scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.infinite_width.attached import attach
from deepinit.infinite_width.precision import host_float64


def _sine_changes(order, variables, changes):
    return (_sine(variables[0], order + 1) * changes[0],)


def _sine(x, order=0):
    """sin^(order)(x), whose value has no derivative of its own."""
    value = jax.lax.stop_gradient(jnp.sin(x + order * jnp.pi / 2))
    return attach(_sine_changes, order, (value,), (x,))[0]


def _through_layers(phi):
    def network(t):
        def layer(x, weight):
            return phi(weight * x), None

        return jnp.sum(
            jax.lax.scan(layer, jnp.stack([t[0], t[0] * t[1]]), jnp.array([1.1, 0.7, 1.3]))[0]
        )

    return network


DERIVATIVES = {
    "gradient": jax.grad,
    "hessian": jax.hessian,
    "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f)),
    "reverse over forward": lambda f: jax.jacrev(jax.jacfwd(f)),
    "third, forward over hessian": lambda f: jax.jacfwd(jax.hessian(f)),
    "hessian under vmap": lambda f: lambda t: jax.vmap(jax.hessian(f))(jnp.stack([t, 2.0 * t])),
    "hessian of a vmap": lambda f: (
        lambda t: jax.hessian(lambda u: jnp.prod(jax.vmap(f)(u)))(jnp.stack([t, 2.0 * t]))
    ),
}


@pytest.mark.parametrize("derivative", DERIVATIVES.values(), ids=DERIVATIVES)
@pytest.mark.slow_cases(
    "hessian",
    "hessian of a vmap",
    "hessian under vmap",
    "reverse over forward",
    "reverse over reverse",
    "third, forward over hessian",
)
def test_derivatives_are_those_of_the_function(derivative):
    with host_float64():
        t = jnp.array([0.4, 0.6])
        found, expected = (
            np.asarray(jax.jit(derivative(_through_layers(phi)))(t)) for phi in (_sine, jnp.sin)
        )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_derivatives_are_right_without_jit():
    with host_float64():
        t = jnp.array([0.4, 0.6])
        found, expected = (
            np.asarray(jax.grad(_through_layers(phi))(t)) for phi in (_sine, jnp.sin)
        )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
