"""One process of an ensemble shared by several, for `scaling.py`; no benchmark by itself.

    python benchmarks/worker.py TASK     TASK: a `Task` as JSON

It compiles, prints `ready`, and for every line on stdin computes its blocks: an empty line keeps
statistics in memory, another is the run directory to write to. The answer is JSON: mean and digest
of the merged statistics of its blocks.
"""

import contextlib
import hashlib
import json
import sys
from typing import Any, NamedTuple

import jax
import numpy as np

import deepinit as di
from deepinit import store
from deepinit.ensembles import statistics
from deepinit.ensembles.blocks import Ensemble, compile_ensemble
from deepinit.ensembles.cuts import Blocks
from deepinit.ensembles.keys import root_key
from deepinit.quantities.measured import measure_block
from deepinit.quantities.programs import seed_fn_of

ANGLE = 1.0


class Task(NamedTuple):
    """Angles of one pair in ReLU networks; `shard` [i, n]: blocks i, i + n, ..."""

    width: int
    depth: int
    num_seeds: int
    block_size: int
    batch_size: int
    shard: tuple[int, int] = (0, 1)

    @property
    def blocks(self) -> Blocks:
        """How the ensemble is cut."""
        return Blocks(self.num_seeds, self.block_size, self.batch_size)


def digest(stats: statistics.Statistics) -> str:
    """SHA-256 of every array of the statistics."""
    found = hashlib.sha256()
    for name, array in sorted(statistics.to_arrays(stats).items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def block_name(task: Task, block: int) -> str:
    """As a run names it."""
    first, last = task.blocks.seeds(block)
    return f"angles/{first:09d}-{last - 1:09d}"


def compiled(task: Task) -> Ensemble:
    """On all devices of this process."""
    spec, pair = di.MLP((task.width,) * task.depth), di.inputs.pair(ANGLE)
    seed_fn, _ = seed_fn_of(spec, di.quantities.log_sin2_angle, pair)
    return compile_ensemble(seed_fn, task.num_seeds, blocks=task.blocks)


def compute(task: Task, ensemble: Ensemble, folder: str) -> dict[str, Any]:
    """The blocks of this shard, once."""
    root, merged = root_key(0), None
    with contextlib.ExitStack() as stack:
        handle = (
            stack.enter_context(store.open_run(folder, {"experiment": "scaling"}, shard=task.shard))
            if folder
            else None
        )
        for block in range(task.shard[0], task.blocks.num_blocks, task.shard[1]):
            part, _ = measure_block(
                di.quantities.log_sin2_angle, ensemble.block_fn(root, block), ()
            )
            merged = part if merged is None else statistics.merge(merged, part)
            if handle is not None:
                store.write_block(handle, block_name(task, block), statistics.to_arrays(part))
    assert merged is not None
    mean, devices = float(merged.mean[-1, 0]), jax.device_count()
    return {"digest": digest(merged), "mean": mean, "num_devices": devices}


def merged_digest(task: Task, folder: str) -> str:
    """Digest of the blocks of a run directory, merged in the order of seeds."""
    handle, merged = store.load_run(folder), None
    for block in range(task.blocks.num_blocks):
        part = statistics.from_arrays(store.read_block(handle, block_name(task, block)))
        merged = part if merged is None else statistics.merge(merged, part)
    assert merged is not None
    return digest(merged)


def main() -> None:
    """Compiles, then answers line by line."""
    task = Task(**json.loads(sys.argv[1]))
    ensemble = compiled(task)
    ensemble.block_fn(root_key(0), 0)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(compute(task, ensemble, line.strip())), flush=True)


if __name__ == "__main__":
    main()
