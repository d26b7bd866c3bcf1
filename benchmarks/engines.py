"""Time per network at two inputs: our linear maps, loops in NumPy and PyTorch, neural-tangents.

    python benchmarks/engines.py [--quick] [--out FILE] [--repeats 5] [--part 256 1024]

He-normal ReLU networks, two inputs at angle 1, ten layers. Goals: conditional maps at least 100
times faster than any other at width 256, 400 times at 1024, and at most 1.3 times the time of
`jax.random.normal` for their numbers. Checked before: mean ln sin^2 of the last angle against the
second-order theory (5 standard errors), neural-tangents' kernel against E[K] on the diagonal (5
standard deviations). Slow engines get few networks. PyTorch is optional.
"""

import math
from collections.abc import Callable
from typing import Any

import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.infinite_width.neural_tangents import neural_tangents
from deepinit.theory import angles

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

ANGLE = 1.0
SPEEDUP_GOALS = {256: 100.0, 1024: 400.0}
NORMALS_GOAL = 1.3
DEPTH = 10

PEERS = {
    "numpy": "NumPy loop",
    "torch": "PyTorch loop",
    "neural_tangents": "neural-tangents, Monte Carlo NNGP",
}

Run = Callable[[], np.ndarray]  # ln sin^2 after the last layer, one per network


def ensemble_run(width: int, depth: int, num_seeds: int, linear_map: str) -> Run:
    """The engine of `di.simulate`, as compiled for many blocks."""
    quantity, pair = di.quantities.log_sin2_angle, di.inputs.pair(ANGLE)
    run = harness.run_of(di.MLP((width,) * depth), quantity, pair, linear_map, num_seeds)
    return lambda: run()[:, -1, 0]


def normals_run(width: int, depth: int, num_seeds: int) -> Run:
    """`jax.random.normal` alone: the numbers of the conditional engine, and their sums."""

    def seed_fn(key: jax.Array) -> jax.Array:
        def layer(carry: None, layer: jax.Array) -> tuple[None, jax.Array]:
            weight_key = jax.random.fold_in(jax.random.fold_in(key, layer), 0)
            return carry, jnp.sum(jax.random.normal(weight_key, (2, width)))

        return jax.lax.scan(layer, None, 1 + jnp.arange(depth, dtype=jnp.uint32))[1]

    # batches as large as the conditional engine's
    ensemble = compile_ensemble(seed_fn, num_seeds, seed_bytes=2 * width * 4, block_size=num_seeds)
    root = root_key(0)
    return lambda: ensemble.block_fn(root, 0)


def two_inputs() -> np.ndarray:
    """[dimension, 2], float32."""
    inputs = di.inputs.pair(ANGLE)
    return np.concatenate([inputs.points, inputs.partners]).T.astype(np.float32)


def log_sin2(h: np.ndarray) -> float:
    """Of the angle between two columns."""
    a, b = h.T.astype(np.float64)
    residual = b - (a @ b) / (a @ a) * a
    return float(np.log((residual @ residual) / (b @ b)))


def numpy_run(width: int, depth: int, num_seeds: int) -> Run:
    """A plain loop over networks that draws every matrix, float32."""
    start = two_inputs()

    def one(rng: np.random.Generator) -> float:
        h = start
        for _ in range(depth):
            weights = rng.standard_normal((width, len(h)), dtype=np.float32) * np.float32(
                math.sqrt(2 / len(h))
            )
            h = np.maximum(weights @ h, 0)
        return log_sin2(h)

    def run() -> np.ndarray:
        rng = np.random.default_rng(0)
        return np.array([one(rng) for _ in range(num_seeds)])

    return run


def torch_run(width: int, depth: int, num_seeds: int) -> Run:
    """The same loop in PyTorch, on its own default device and number of threads."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = torch.tensor(two_inputs(), device=device)

    def run() -> np.ndarray:
        torch.manual_seed(0)
        values = []
        for _ in range(num_seeds):
            h = start
            for _ in range(depth):
                h = torch.relu(
                    torch.randn(width, len(h), device=device) * math.sqrt(2 / len(h)) @ h
                )
            values.append(log_sin2(h.cpu().numpy()))
        return np.array(values)

    return run


def neural_tangents_run(width: int, depth: int, num_seeds: int) -> Run:
    """`monte_carlo_kernel_fn`, NNGP of the two inputs; returns the mean kernel, not angles."""
    nt = neural_tangents()
    dense = nt.stax.Dense(width, W_std=math.sqrt(2.0))
    init_fn, apply_fn, _ = nt.stax.serial(
        dense, *[nt.stax.serial(nt.stax.Relu(), dense)] * (depth - 1)
    )
    kernel_fn = nt.monte_carlo_kernel_fn(init_fn, apply_fn, jax.random.PRNGKey(0), num_seeds)
    inputs = di.inputs.pair(ANGLE)
    x = jnp.asarray(np.concatenate([inputs.points, inputs.partners]), jnp.float32)
    return lambda: np.asarray(kernel_fn(x, None, "nngp"))


def check_angles(name: str, values: np.ndarray, width: int, depth: int) -> None:
    """Mean ln sin^2 of the last layer against the second-order walk."""
    walk = angles.log_sin2_propagation(ANGLE, (width,) * depth)
    name = f"{name}, width {width}, depth {depth}, mean ln sin^2"
    harness.check_mean(name, values[np.isfinite(values)], walk.mean[-1], walk.variance[-1])


def check_kernel(name: str, kernel: np.ndarray, width: int, depth: int, num_seeds: int) -> None:
    """On the diagonal E K = 1, Var K = (1 + 5/width)^(depth - 1) (1 + 2/width) - 1."""
    variance = (1 + 5 / width) ** (depth - 1) * (1 + 2 / width) - 1
    off = np.max(np.abs(np.diag(kernel) - 1))
    name = f"{name}, NNGP diagonal of {num_seeds} networks"
    harness.check(name, float(off), 5 * math.sqrt(variance / num_seeds))


def compare_engines(
    report: harness.Report, width: int, counts: dict[str, int], repeats: int
) -> None:
    """All engines at one width, depth 10."""
    runs: dict[str, Any] = {
        "conditional": ensemble_run(width, DEPTH, counts["conditional"], "conditional"),
        "normals": normals_run(width, DEPTH, counts["conditional"]),
    }
    slow: dict[str, Any] = {
        "explicit": ensemble_run(width, DEPTH, counts["explicit"], "explicit"),
        "numpy": numpy_run(width, DEPTH, counts["numpy"]),
        "neural_tangents": neural_tangents_run(width, DEPTH, counts["neural_tangents"]),
    }
    if torch is not None:
        slow["torch"] = torch_run(width, DEPTH, counts["numpy"])
        counts = counts | {"torch": counts["numpy"]}
    for name, run in (runs | slow).items():
        if name not in ("normals", "neural_tangents"):
            check_angles(name, run(), width, DEPTH)
    count = counts["neural_tangents"]
    check_kernel(f"neural_tangents, width {width}", slow["neural_tangents"](), width, DEPTH, count)

    seconds = harness.least_seconds(runs, 2 * repeats + 1) | harness.least_seconds(
        slow, max(1, repeats // 2)
    )
    per_network = {
        name: seconds[name] / counts.get(name, counts["conditional"]) for name in seconds
    }
    shape = {"width": width, "depth": DEPTH, "counts": counts}
    for name, value in per_network.items():
        report.add(f"width {width}: {name}", 1e6 * value, "us per network", **shape)
    for name in slow:
        goal = (">=", SPEEDUP_GOALS[width]) if width in SPEEDUP_GOALS else None
        ratio = per_network[name] / per_network["conditional"]
        more = {"peer": f"{PEERS[name]}, width {width}", **shape} if name in PEERS else shape
        report.add(f"width {width}: {name} / conditional", ratio, "x", goal, **more)
    normal = 1e9 * per_network["normals"] / (2 * width * DEPTH)
    report.add(f"width {width}: a normal", normal, "ns", **shape)
    ratio = per_network["conditional"] / per_network["normals"]
    goal = ("<=", NORMALS_GOAL) if width in SPEEDUP_GOALS else None
    report.add(f"width {width}: conditional / normals alone", ratio, "x", goal, **shape)


def deep_networks(
    report: harness.Report, width: int, depth: int, num_seeds: int, repeats: int
) -> None:
    """The conditional engine alone, in deep networks."""
    runs = {
        "conditional": ensemble_run(width, depth, num_seeds, "conditional"),
        "normals": normals_run(width, depth, num_seeds),
    }
    check_angles("conditional", runs["conditional"](), width, depth)
    seconds = harness.least_seconds(runs, repeats)
    shape = {"width": width, "depth": depth, "num_seeds": num_seeds}
    name = f"width {width}, depth {depth}: conditional"
    report.add(name, 1e6 * seconds["conditional"] / num_seeds, "us per network", **shape)
    report.add(f"{name} / normals alone", seconds["conditional"] / seconds["normals"], "x", **shape)


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(__doc__, ("64", "256", "1024", "4096", "deep"), repeats=(1, 5))
    harness.note_torch(report, torch)
    if options.quick:
        counts = {"conditional": 256, "explicit": 16, "numpy": 16, "neural_tangents": 4}
        compare_engines(report, 32, counts, options.repeats)
        deep_networks(report, 32, 40, 64, options.repeats)
    else:
        # networks of each engine: about half a second each, and never fewer than two
        for width in (int(part) for part in options.part if part != "deep"):
            small = max(2, 2**22 // width**2)
            conditional = min(4096, max(1024, 2**20 // width))
            counts = {"conditional": conditional, "explicit": small, "numpy": small}
            compare_engines(
                report, width, counts | {"neural_tangents": max(2, min(16, small))}, options.repeats
            )
        for depth, num_seeds in ((100, 1024), (1000, 256)) if "deep" in options.part else ():
            for width in (64, 256):
                deep_networks(report, width, depth, num_seeds, options.repeats)


if __name__ == "__main__":
    main()
