"""Gradients of the infinite-width kernels: a value with its gradient over the value alone.

    python benchmarks/gradients.py [--quick] [--out FILE] [--repeats 3]

Mean NTK of 8 inputs after 3 layers, `kernel_scan` under `jax.value_and_grad` in inputs, weight and
bias variances: six further Gaussian moments a pair and layer (Price's theorem), from the
quadrature of the value. Goal: at most 4. Checked before: the derivative along a random direction
equals a central difference to 1e-7.
"""

from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_scan

GOAL = 4.0
DEPTH = 3


def arguments(num: int) -> tuple[Any, ...]:
    """Inputs [num, 10], and the variances of the layers."""
    x = np.random.default_rng(0).standard_normal((num, 10))
    return jnp.asarray(x), jnp.full(DEPTH, 1.5), jnp.full(DEPTH, 0.1)


def main() -> None:
    """Checks, times, tells."""
    options, report = harness.begin(__doc__, devices="one")
    num = 4 if options.quick else 8
    for activation in (di.tanh,) if options.quick else (di.tanh, di.selu):

        def mean_ntk(*parts: Any, activation: Any = activation) -> Any:
            return jnp.mean(kernel_scan(activation, *parts).ntk[-1])

        with host_float64():
            parts = arguments(num)
            value = jax.jit(mean_ntk).lower(*parts).compile()
            both = jax.jit(jax.value_and_grad(mean_ntk, (0, 1, 2))).lower(*parts).compile()
            way = [np.random.default_rng(1).uniform(0.5, 1.0, part.shape) for part in parts]
            ahead, behind = (
                value(*(p + sign * 1e-5 * w for p, w in zip(parts, way, strict=True)))
                for sign in (1, -1)
            )
            slope = sum(float(jnp.sum(g * w)) for g, w in zip(both(*parts)[1], way, strict=True))
            error = abs(slope / (float(ahead - behind) / 2e-5) - 1.0)
            harness.check(f"derivative along a direction, {activation.name}", error, 1e-7)
            runs = {
                name: lambda run=run, parts=parts: jax.block_until_ready(run(*parts))
                for name, run in (("value", value), ("gradient", both))
            }
            times = harness.least_seconds(runs, options.repeats)
        shape = {"inputs": num, "depth": DEPTH}
        report.add(f"value, {activation.name}", times["value"], "s", **shape)
        report.add(f"value and gradient, {activation.name}", times["gradient"], "s", **shape)
        goal = None if options.quick else ("<=", GOAL)
        ratio = times["gradient"] / times["value"]
        report.add(f"ratio, {activation.name}", ratio, "x", goal, peer="value", **shape)


if __name__ == "__main__":
    main()
