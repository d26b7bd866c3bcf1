"""One large ensemble on the present devices, statistics included, and what its memory is.

    python benchmarks/large_ensemble.py [--quick] [--out FILE] [--repeats 2] [--networks N]

ln sin^2 of the angle of two inputs in ReLU networks, `di.simulate`'s engine: blocks on all devices,
statistics on the host. On an accelerator 2^20 networks of width 1024 and depth 10, on a CPU 2^16 of
width 256. Without a goal: networks and normals a second, the share of a block that is the host's,
and the second moments of 2^15 networks at 10 inputs, whose factors are float64. Checked before:
mean against theory (5 standard errors), which rejects infinite width; second moments against their
exact mean.
"""

from typing import Any

import harness
import jax
import numpy as np

import deepinit as di
from deepinit.ensembles import controlled
from deepinit.ensembles.keys import root_key
from deepinit.quantities.measured import measure_block, values_of

ANGLE, NNGP = di.quantities.log_sin2_angle, di.quantities.nngp
PAIR = di.inputs.pair(1.0)
DEPTH = 10


def merged(compiled: Any) -> Any:
    """Statistics of all blocks."""
    root, found = root_key(0), None
    for block in range(compiled.blocks.num_blocks):
        part = measure_block(ANGLE, compiled.block_fn(root, block), ())[0]
        found = part if found is None else controlled.merge(found, part)
    return found


def check_angles(found: Any, width: int) -> None:
    """All layers."""
    estimate = controlled.estimates(ANGLE.name, found, ANGLE.events, samples=None, settings={})[0]
    spec = di.MLP((width,) * DEPTH)
    z = lambda one: float(np.abs((estimate.mean - one.mean) / estimate.standard_error).max())
    harness.check("mean ln sin^2, largest |z|", z(di.predict(spec, ANGLE, PAIR)), 5.0)
    harness.reject("infinite width, largest |z|", z(di.infinite(spec, ANGLE, PAIR)), 5.0)


def angles(report: harness.Report, width: int, num_networks: int, repeats: int) -> None:
    """The large ensemble."""
    spec = di.MLP((width,) * DEPTH)
    compiling, compiled = harness.seconds_of(
        lambda: harness.ensemble(spec, ANGLE, PAIR, "auto", num_networks, block_size=None)
    )
    check_angles(merged(compiled), width)
    root = root_key(0)
    runs = {"all": lambda: merged(compiled), "block": lambda: compiled.block_fn(root, 0)}
    seconds, size = harness.least_seconds(runs, repeats), compiled.blocks.block_size
    shape = {"width": width, "depth": DEPTH, "networks": num_networks, "block_size": size}
    name = f"{num_networks} networks, width {width}, depth {DEPTH}"
    report.add(f"{name}: compilation", compiling, "s", **shape)
    report.add(f"{name}: statistics included", seconds["all"], "s", **shape)
    rate = num_networks / seconds["all"]
    report.add(f"{name}: networks", rate, "a second", **shape)
    report.add(f"{name}: normals", 2 * width * DEPTH * rate / 1e9, "10^9 a second", **shape)
    device = seconds["block"] * compiled.blocks.num_blocks / seconds["all"]
    report.add(f"{name}: share of the devices", device, "", **shape)


def second_moments(report: harness.Report, width: int, num_networks: int, repeats: int) -> None:
    """At 10 inputs."""
    x = np.random.default_rng(0).normal(size=(10, 10))
    spec, inputs = di.MLP((width,) * DEPTH), di.inputs.points(x)
    compiled = harness.ensemble(spec, NNGP, inputs, "conditional", num_networks)
    root = root_key(0)
    values = values_of(NNGP, compiled.block_fn(root, 0))[:num_networks, -1]
    own = np.flatnonzero(np.equal(*np.triu_indices(len(x))))
    exact = di.infinite(spec, NNGP, inputs).mean[-1]  # the mean diagonal at every width
    harness.check_mean("mean second moments", values[:, own].astype(np.float64), exact[own])
    seconds = harness.least_seconds({"block": lambda: compiled.block_fn(root, 0)}, repeats)["block"]
    name = f"second moments, 10 inputs, width {width}, depth {DEPTH}"
    report.add(name, 1e6 * seconds / num_networks, "us per network", networks=num_networks)


def main() -> None:
    """Checks, times, tells."""
    options, report = harness.begin(__doc__, networks="of the large ensemble", repeats=(1, 2))
    is_cpu = jax.default_backend() == "cpu"
    width, networks, few = (256, 2**16, 2**11) if is_cpu else (1024, 2**20, 2**15)
    if options.quick:
        width, networks, few = 32, 2**12, 2**8
    angles(report, width, options.networks or networks, options.repeats)
    second_moments(report, width, few, options.repeats)
    memory = jax.devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in memory:
        report.add("peak memory of a device", memory["peak_bytes_in_use"] / 2**20, "MiB")


if __name__ == "__main__":
    main()
