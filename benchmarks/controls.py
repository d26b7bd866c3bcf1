"""What control variates save at width 256, and what they cost.

    python benchmarks/controls.py [--quick] [--out FILE] [--repeats N]

Controlled and plain means of the same networks, means of other networks: they agree. A control with
a wrong mean map is rejected. Then: standard errors, plain over controlled, and seconds of a second
call, controlled over plain.

Two busy cores, 8192 networks of width 256, standard errors and seconds:

    relu, depth 5, log_sin2_angle     36 times smaller     2.0 times the processor time
    relu, depth 32, log_sin2_angle    33                   2.0
    tanh, depth 6, nngp               372, goal 300        2.1

Of the keys 0 to 3 tanh has 372, 338, 313, 369, of the keys 4 to 11 317 to 355: the product of two
inputs, whose remainder has heavy tails (kurtosis 10 to 130); squares have 514 to 563. With the
weight 1 instead of the fitted one (`ensembles.fitted`) it has 297, 271, 258, 295. The fit costs 1 %
of the controls' time.

The gain is in proportion to the width: tanh 59, 154, 372, 792 and relu of depth 5 9.2, 19, 36, 71
at widths 64, 128, 256, 512. It is limited by cubes of one average (`theory.layers.controls`).
"""

from typing import Any, NamedTuple

import harness
import jax
import numpy as np

import deepinit as di
from deepinit.theory.layers import column_means, columns


class Job(NamedTuple):
    """A network, a quantity, and the least ratio of standard errors at the last layer."""

    activation: str
    depth: int
    quantity: Any
    goal: float


PAIR = di.inputs.pair(1.0)
JOBS = (
    Job("relu", 5, di.quantities.log_sin2_angle, 20.0),
    Job("relu", 32, di.quantities.log_sin2_angle, 20.0),
    Job("tanh", 6, di.quantities.nngp, 300.0),
)
MOST_TIME = 2.0


def run(job: Job, width: int, networks: int, control: str, key: int = 0) -> di.Estimate:
    """One ensemble."""
    net = di.MLP((width,) * job.depth, getattr(di, job.activation))
    options = {"num_seeds": networks, "key": key, "progress": lambda done, total: None}
    return di.simulate(net, job.quantity, PAIR, control=control, **options)


def largest_z(first: Any, second: Any, errors: Any) -> float:
    """Over layers and entries."""
    return float(np.max(np.abs(first - second) / errors))


def check(job: Job, width: int, networks: int) -> None:
    """Controlled against plain means of other networks, and a planted wrong mean."""
    controlled = run(job, width, networks, "theory")
    other = run(job, width, networks, "none", key=1)
    error = np.hypot(controlled.standard_error, other.standard_error)
    name = f"{job.activation}, depth {job.depth}: controlled against plain means, largest |z|"
    harness.check(name, largest_z(controlled.mean, other.mean, error), 5.0)


def planted(width: int, networks: int) -> None:
    """E F_a F_b off by 1 % moves the controlled mean."""
    job, exact = JOBS[2], column_means.column_means
    right = run(job, width, networks, "theory")
    wrong_means = lambda *arguments: (exact(*arguments)[0], 1.01 * exact(*arguments)[1])
    columns.column_means = wrong_means
    jax.clear_caches()  # rules are compiled with what they call
    try:
        wrong = run(job._replace(depth=job.depth - 1), width, networks, "theory")
    finally:
        columns.column_means = exact
        jax.clear_caches()
    error = right.standard_error[-2]
    harness.reject("mean maps off by 1 %", largest_z(wrong.mean[-1], right.mean[-2], error), 5.0)


def main() -> None:
    """Checks, then ratios."""
    options, report = harness.begin(__doc__, devices="one")
    width, networks = (64, 2000) if options.quick else (256, 8192)
    for job in JOBS:
        check(job, width, networks)
    planted(width, networks)
    for job in JOBS:
        shape = {"width": width, "depth": job.depth, "networks": networks}
        found = run(job, width, networks, "theory")
        ratio = float(np.sqrt(np.min(found.variance_saved[-1])))
        name = f"{job.activation}, depth {job.depth}: standard errors, plain / controlled"
        report.add(name, ratio, "x", (">=", job.goal), **shape)
        times = harness.least_seconds(seconds(job, width, networks), options.repeats)
        name = f"{job.activation}, depth {job.depth}: seconds of a block, controlled / plain"
        report.add(name, times["theory"] / times["none"], "x", ("<=", MOST_TIME), **shape)


def seconds(job: Job, width: int, networks: int) -> dict[str, Any]:
    """() -> one block and its statistics, compiled, by control."""
    from deepinit.ensembles.blocks import compile_ensemble
    from deepinit.ensembles.keys import root_key
    from deepinit.quantities.controls import control_of
    from deepinit.quantities.measured import measure_block
    from deepinit.quantities.programs import seed_fn_of

    net = di.MLP((width,) * job.depth, getattr(di, job.activation))
    arguments, root, calls = (net, job.quantity, PAIR), root_key(0), {}
    for name, control in {"none": None, "theory": control_of(*arguments)}.items():
        seed_fn = seed_fn_of(*arguments, control=control)[0]
        block_fn = compile_ensemble(
            seed_fn, networks, seed_bytes=8 * width, block_size=networks
        ).block_fn

        def call(block_fn: Any = block_fn, control: Any = control) -> Any:
            return measure_block(job.quantity, block_fn(root, 0), (), control=control)

        calls[name] = call
    return calls


if __name__ == "__main__":
    main()
