"""A second call of `simulate`, other values of a variance, and a sweep.

    python benchmarks/again.py [--quick] [--out FILE] [--repeats 5] [--part call values sweep]

One compilation serves all networks of one structure. Goals: a second call takes at most 1.2 of its
blocks' own time; 20 values of a variance compile once; 10 000 points of an MLP of 16 layers of 64
neurons (and of 64 of 16) with 100 networks each in 120 s. Checked before: a point of a sweep
against `simulate` there, and a shared program against one of constants.
"""

import time
from typing import Any

import harness
import jax
import numpy as np

import deepinit as di
from deepinit.ensembles import blocks, keys, programs
from deepinit.quantities.programs import programs_of

Q = di.quantities
SESSION = di.MLP(widths=(256,) * 32)
PAIR = di.inputs.pair(0.1)
_COMPILED = "/jax/core/compile/backend_compile_duration"


def check_answers() -> None:
    """Sweep against simulate, arguments against constants."""
    net = di.MLP((32,) * 4)
    sweep = di.Sweep(net, over={"weight_law.variance": [0.7, 2.0], "inputs.angle": [0.1, 1.0]})
    found = di.simulate(sweep, Q.log_sin2_angle, di.inputs.pair, num_seeds=50)
    errors = []
    for number in range(len(sweep)):
        inputs = sweep.inputs(number, di.inputs.pair)
        alone = di.simulate(sweep.networks[number], Q.log_sin2_angle, inputs, num_seeds=50)
        error = found.dataset.sel(sweep.at(number))["mean"] - alone.mean
        errors.append(float(np.abs(error).max()))
    harness.check("a point of a sweep against simulate there", max(errors), 1e-5)
    variants = programs_of(net, Q.log_sin2_angle, PAIR)[0]
    shared, fixed = (
        blocks.compile_ensemble((program,), 50, block_size=50).block_fn(keys.root_key(0), 0).value
        for program in (variants[0], variants[-1])
    )
    harness.check("a shared program against constants", float(np.abs(shared - fixed).max()), 1e-4)


def second_call(report: Any, repeats: int, num_seeds: int) -> None:
    """`simulate` over its compiled blocks."""
    call = lambda: di.simulate(SESSION, Q.log_sin2_angle, PAIR, num_seeds=num_seeds)
    first = harness.seconds_of(call)[0]
    variants, settings = programs_of(SESSION, Q.log_sin2_angle, PAIR)
    size = Q.log_sin2_angle.measurement.bytes(SESSION, PAIR, settings)
    ensemble, root = blocks.compile_ensemble(variants, num_seeds, seed_bytes=size), keys.root_key(0)

    def own() -> None:
        for block in range(ensemble.blocks.num_blocks):
            ensemble.block_fn(root, block)

    times = np.array(
        [[harness.seconds_of(each)[0] for each in (call, own)] for _ in range(repeats)]
    )
    second, alone = times.min(axis=0)
    shape = {"widths": "256 x 32", "networks": num_seeds}
    report.add("simulate, first call", first, "s", **shape)
    report.add("simulate, second call", 1e3 * second, "ms", **shape)
    report.add("its blocks alone", 1e3 * alone, "ms", **shape)
    report.add("second call / its blocks", second / alone, "x", ("<=", 1.2), **shape)


def values(report: Any) -> None:
    """Compilations of 20 values of a variance."""
    programs.clear_programs()
    found: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: found.append(event)
    )
    run = lambda variance: di.simulate(
        di.MLP((64,) * 8, weight_law=di.normal(variance)), Q.nngp, PAIR, num_seeds=100
    )
    run(2.0)
    first = found.count(_COMPILED)
    seconds, _ = harness.seconds_of(lambda: [run(v) for v in np.linspace(0.5, 2.5, 20).tolist()])
    report.add("compilations of 20 more variances", found.count(_COMPILED) - first, "", ("<=", 0))
    report.add("20 more variances", seconds, "s", widths="64 x 8", networks=100)


def swept(report: Any, side: int) -> None:
    """Wall and CPU seconds of a grid."""
    over = {
        "weight_law.variance": np.linspace(1.0, 3.0, side).tolist(),
        "inputs.angle": np.linspace(0.05, 1.5, side).tolist(),
    }
    for width, depth in ((64, 16), (16, 64)):
        programs.clear_programs()
        start, cpu = time.perf_counter(), time.process_time()
        sweep = di.Sweep(di.MLP((width,) * depth), over=over)
        di.simulate(sweep, Q.log_sin2_angle, di.inputs.pair, num_seeds=100)
        shape = {"points": side * side, "networks": 100}
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        goal = ("<=", 120.0) if side == 100 else None
        report.add(f"sweep of {width} x {depth}", wall, "s", goal, **shape)
        report.add(f"sweep of {width} x {depth}, CPU", cpu, "s", **shape)


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(__doc__, ("call", "values", "sweep"))
    jax.config.update("jax_enable_compilation_cache", False)
    check_answers()
    if "call" in options.part:
        second_call(report, options.repeats, 200 if options.quick else 1000)
    if "values" in options.part:
        values(report)
    if "sweep" in options.part:
        swept(report, 10 if options.quick else 100)


if __name__ == "__main__":
    main()
