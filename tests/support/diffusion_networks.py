"""Shallow residual networks with a limit of infinite depth, and draws of functions of a key."""

import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di


def shallow(width, depth, weight_var, bias_var=0.0, activation=di.tanh, **more):
    """Variances are those of the limit; without a bias law where bias_var is 0."""
    bias_law = di.normal(bias_var, "depth") if bias_var else None
    weight_law = di.normal(weight_var, "depth")
    return di.ResNet(
        width, depth, None, activation, weight_law, None, bias_law, block="shallow", **more
    )


def sampled(fn, num_seeds, key=0):
    """[num_seeds, ...] of fn at keys folded from one."""
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(
        jnp.arange(num_seeds, dtype=jnp.uint32)
    )
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(fn))(keys))
