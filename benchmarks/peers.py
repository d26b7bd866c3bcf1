"""Peers of `kernel_corrections.py`: Monte Carlo tangent kernels by neural-tangents."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec

from deepinit.infinite_width.empirical import IMPLEMENTATIONS
from deepinit.infinite_width.neural_tangents import neural_tangents

NUM_INPUTS = 10

Run = Callable[[], np.ndarray]


def points() -> np.ndarray:
    """[10, 10], norms 2.2 to 4.2."""
    return np.random.default_rng(0).normal(size=(NUM_INPUTS, NUM_INPUTS))


def stax_network(width: int, depth: int) -> tuple[Any, Any]:
    """(init_fn, apply_fn) of the same network."""
    stax = neural_tangents().stax
    hidden = [
        layer for _ in range(depth) for layer in (stax.Dense(width, W_std=2.0**0.5), stax.Relu())
    ]
    init_fn, apply_fn, _ = stax.serial(*hidden, stax.Dense(1, W_std=1.0))
    return init_fn, apply_fn


def peer_runs(
    width: int, depth: int, num_networks: int, *, every: bool
) -> dict[tuple[str, str], Run]:
    """Mean kernels [10, 10] by `monte_carlo_kernel_fn`, by implementation and options."""
    nt, x = neural_tangents(), jnp.asarray(points(), jnp.float32)
    init_fn, apply_fn = stax_network(width, depth)

    def run(implementation: str, **options: Any) -> Run:
        kernel_fn = nt.monte_carlo_kernel_fn(
            init_fn,
            apply_fn,
            jax.random.PRNGKey(1),
            num_networks,
            implementation=nt.NtkImplementation[implementation],
            **options,
        )
        return lambda: np.asarray(kernel_fn(x, None, "ntk"))

    options = [{"vmap_axes": None, "device_count": 0}, {"vmap_axes": 0, "device_count": 0}]
    if jax.device_count() > 1 and NUM_INPUTS % jax.device_count() == 0:
        options.append({"vmap_axes": None, "device_count": -1})
    options = options if every else options[:1]
    names = [", ".join(f"{name}={value}" for name, value in chosen.items()) for chosen in options]
    return {
        (implementation, name): run(implementation, **chosen)
        for implementation in IMPLEMENTATIONS
        for name, chosen in zip(names, options, strict=True)
    }


def by_hand(width: int, depth: int, num_networks: int) -> Run:
    """The mean of `empirical_ntk_fn` over networks, in one compiled loop."""
    nt, x = neural_tangents(), jnp.asarray(points(), jnp.float32)
    init_fn, apply_fn = stax_network(width, depth)
    implementation = nt.NtkImplementation.STRUCTURED_DERIVATIVES
    kernel_fn = nt.empirical_ntk_fn(apply_fn, implementation=implementation)
    mesh = jax.make_mesh((jax.device_count(),), ("networks",), axis_types=(AxisType.Auto,))
    over = PartitionSpec("networks")

    def local(keys: jax.Array) -> jax.Array:
        kernels = jax.lax.map(lambda key: kernel_fn(x, None, init_fn(key, x.shape)[1]), keys)
        return jnp.mean(kernels, axis=0, keepdims=True)

    run = jax.jit(jax.shard_map(local, mesh=mesh, in_specs=over, out_specs=over, check_vma=False))
    keys = jax.random.split(jax.random.PRNGKey(2), -(-num_networks // mesh.size) * mesh.size)
    return lambda: np.asarray(run(keys)).mean(axis=0)
