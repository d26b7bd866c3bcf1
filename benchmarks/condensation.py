"""Training of many small networks until they condense, against a PyTorch loop over seeds.

    uv run --with torch python benchmarks/condensation.py [--quick] [--out FILE] [--repeats 3]

100 networks 5-100-1 (tanh, initial standard deviation 1e-5), 80 examples of a sum of sines, 340
steps of full-batch gradient descent or Adam, weights stored every 10 steps. PyTorch: one
`nn.Module` per seed, a few seeds timed and scaled (linearity is measured), the faster of one thread
and the default. Goal: 50 times its speed on two cores. Without PyTorch ours alone is timed. Checked
before: equal initial weights give equal weights at every record up to rounding; the neurons end on
+-v, v = mean of y (x, 1), for gradient descent, on +-sign(v) for Adam.
"""

from collections.abc import Callable
from typing import Any

import harness
import jax
import numpy as np

import deepinit as di
from deepinit import training
from deepinit.core import targets
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.cuts import Blocks
from deepinit.ensembles.keys import root_key
from deepinit.observables.orientations import alignment, input_vectors

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

WIDTH, STD, EVERY = 100, 1e-5, 10
BATCH = 10  # networks computed together on one core: what they keep at hand stays in its cache
GOAL = 50.0
EXAMPLES = targets.sum_of_sines(seed=1)
V = np.mean(np.c_[EXAMPLES.inputs, np.ones(len(EXAMPLES.inputs))] * EXAMPLES.targets, axis=0)
RATES = {"gd": 0.02 / float(np.linalg.norm(V)), "adam": 1e-5}
LIMITS = {"gd": V, "adam": np.sign(V)}  # where the orientations end: these and their opposites
MISALIGNED, ROUNDING = 1e-3, 1e-4


def ensemble_of(mode: str, num_seeds: int, num_steps: int) -> Callable[[], Any]:
    """Weights of all networks at the records, by one compiled call on all devices."""
    network = training.perceptron(training.small_mlp((WIDTH,), di.tanh, std=STD))
    steps = range(0, num_steps + 1, EVERY)
    seed_fn = training.training_seed_fn(
        network, EXAMPLES, mode=mode, rate=RATES[mode], record_steps=steps
    )
    devices = jax.device_count()
    rounds = -(-num_seeds // (BATCH * devices))
    batch = -(-num_seeds // (rounds * devices))
    ensemble = compile_ensemble(
        seed_fn, num_seeds, blocks=Blocks(num_seeds, rounds * devices * batch, batch)
    )
    root = root_key(0)
    return lambda: ensemble.block_fn(root, 0).values


def torch_run(mode: str, seed: int, num_steps: int, start: Any = None) -> list[list[Any]]:
    """One network in PyTorch: copies of (weights, biases, output weights) every EVERY steps."""
    torch.manual_seed(seed)
    x, y = (
        torch.tensor(values, dtype=torch.float32) for values in (EXAMPLES.inputs, EXAMPLES.targets)
    )
    net = torch.nn.Sequential(
        torch.nn.Linear(5, WIDTH), torch.nn.Tanh(), torch.nn.Linear(WIDTH, 1, bias=False)
    )
    parameters = list(net.parameters())
    for index, parameter in enumerate(parameters):
        torch.nn.init.normal_(parameter, 0.0, STD)
        if start is not None:
            parameter.data = torch.tensor(start[index])
    loss_fn = torch.nn.MSELoss()
    if mode == "gd":  # MSELoss is twice our loss
        optimizer: Any = torch.optim.SGD(parameters, lr=RATES[mode] / 2)
    else:
        optimizer = torch.optim.Adam(parameters, lr=RATES[mode], eps=1e-30)
    copies = []
    for step in range(num_steps + 1):
        if step % EVERY == 0:
            copies.append([parameter.detach().clone() for parameter in parameters])
        loss = loss_fn(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return copies


def check_orientations(mode: str, values: Any) -> None:
    """Half of all neurons are aligned up to MISALIGNED; every network has both orientations."""
    last = values[0]["weights"][:, -1], values[0]["biases"][:, -1]
    limits = np.stack([LIMITS[mode], -LIMITS[mode]])
    found = jax.vmap(lambda weights, biases: alignment(input_vectors(weights, biases), limits))(
        *last
    )
    harness.check(
        f"{mode}, 1 - median cosine with the predicted orientations",
        1 - float(np.median(found.best)),
        MISALIGNED,
    )
    harness.check(
        f"{mode}, networks that miss an orientation", float(np.sum(~np.asarray(found.visited))), 0.0
    )


def check_trajectory(mode: str, values: Any, num_steps: int) -> None:
    """Weights at every record against PyTorch's from one start, relative to the largest."""
    ours = [
        np.asarray(leaf[0])
        for leaf in (values[0]["weights"], values[0]["biases"], values[1]["weights"])
    ]
    theirs = torch_run(mode, 0, num_steps, start=[leaf[0] for leaf in ours])
    gaps = [
        np.abs(leaf[record] - copies[index].numpy()).max() / np.abs(leaf[record]).max()
        for record, copies in enumerate(theirs)
        for index, leaf in enumerate(ours)
    ]
    harness.check(f"{mode}, weights against PyTorch's at every record", float(max(gaps)), ROUNDING)


def torch_loop(mode: str, num_seeds: int, num_steps: int, num_threads: int) -> Callable[[], None]:
    """The loop over seeds."""

    def loop() -> None:
        torch.set_num_threads(num_threads)
        for seed in range(num_seeds):
            torch_run(mode, seed, num_steps)

    return loop


def measure(
    report: harness.Report,
    mode: str,
    num_seeds: int,
    torch_seeds: tuple[int, int],
    num_steps: int,
    repeats: int,
) -> None:
    """Checks and times of one mode."""
    with_compilation, (ours, values) = harness.seconds_of(
        lambda: (run := ensemble_of(mode, num_seeds, num_steps), run())
    )
    check_orientations(mode, values)
    runs: dict[str, Callable[[], Any]] = {"deepinit": ours}
    if torch is not None:
        check_trajectory(mode, values, num_steps)
        few, more = torch_seeds
        runs |= {
            "few": torch_loop(mode, few, num_steps, 1),
            "one thread": torch_loop(mode, more, num_steps, 1),
        }
        runs["default threads"] = torch_loop(mode, few, num_steps, DEFAULT_THREADS)
    seconds = harness.least_seconds(runs, repeats)
    work = harness.least_processor_seconds(runs, repeats)
    shape = {
        "num_seeds": num_seeds,
        "num_steps": num_steps,
        "width": WIDTH,
        "torch_seeds": torch_seeds,
    }
    per_step = 1e6 / (num_seeds * num_steps)
    report.add(
        f"{mode}: deepinit", per_step * seconds["deepinit"], "us per step and network", **shape
    )
    name = f"{mode}: deepinit, processor time of all cores"
    report.add(name, per_step * work["deepinit"], "us per step and network", **shape)
    report.add(
        f"{mode}: {num_seeds} networks, compilation included", with_compilation, "s", **shape
    )
    if torch is None:
        return
    per_seed = {
        "one thread": seconds["one thread"] / more,
        "default threads": seconds["default threads"] / few,
    }
    for name, value in per_seed.items():
        report.add(
            f"{mode}: PyTorch, {name}", 1e6 * value / num_steps, "us per step and network", **shape
        )
    linear = per_seed["one thread"] / (seconds["few"] / few)
    report.add(f"{mode}: PyTorch, a seed among {more} / among {few}", linear, "x", **shape)
    whole = num_seeds * min(per_seed.values())  # scaled
    busy = num_seeds * work["one thread"] / more / work["deepinit"]
    report.add(f"{mode}: PyTorch / deepinit, processor time", busy, "x", **shape)
    ratio, peer = whole / seconds["deepinit"], f"PyTorch loop, training ({mode})"
    report.add(f"{mode}: PyTorch / deepinit", ratio, "x", (">=", GOAL), peer=peer, **shape)
    report.add(
        f"{mode}: PyTorch / deepinit, compilation included", whole / with_compilation, "x", **shape
    )


DEFAULT_THREADS = 1 if torch is None else torch.get_num_threads()


def main() -> None:
    """Runs the benchmark."""
    options, report = harness.begin(__doc__)
    jax.config.update("jax_enable_compilation_cache", False)  # what compilation costs is measured
    harness.note_torch(report, torch)
    for mode in RATES:
        sizes = (4, (1, 2)) if options.quick else (100, (2, 5))
        measure(report, mode, *sizes, 340, options.repeats)


if __name__ == "__main__":
    main()
