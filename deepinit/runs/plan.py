"""What a run will do: its cases without JAX; blocks, memory and time from the memory analysis and one block of each, with it."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from deepinit.core.specs import Spec
from deepinit.core.training_config import Training
from deepinit.runs.experiment import Case
from deepinit.store.canonical import canonical_json

COLUMNS = ("case", "network", "inputs", "networks", "linear map", "random numbers")
TIMED_COLUMNS = (
    "case",
    "blocks",
    "networks a block",
    "at a time",
    "memory",
    "on disk",
    "compile",
    "a block",
    "in all",
)


class Timed(NamedTuple):
    """One case, measured.

    Attributes:
        num_blocks: blocks of this shard.
        block_size, batch_size: networks of a block, and drawn together on a device.
        memory_bytes: of a block, on a device and for its statistics, by the compiler's account.
        disk_bytes: of all blocks of this shard.
        compile_seconds: 0 for a case that shares another's program.
        block_seconds: one block, computed and made into statistics.
    """

    num_blocks: int
    block_size: int
    batch_size: int
    memory_bytes: int
    disk_bytes: int
    compile_seconds: float
    block_seconds: float

    @property
    def seconds(self) -> float:
        """Compiling and all blocks."""
        return self.compile_seconds + self.num_blocks * self.block_seconds


def rows(cases: Sequence[Case]) -> list[list[str]]:
    """A row of `COLUMNS` per case."""
    return [
        [
            case.name,
            _in_short(case.spec),
            case.inputs.label,
            str(case.num_seeds),
            case.linear_map,
            f"{case.cost * case.num_seeds:.2g}",
        ]
        for case in cases
    ]


def timed(cases: Sequence[Case], options: Any) -> list[Timed]:
    """Compiles every distinct case, computes its first block in this process, and writes nothing.

    Args:
        cases: of the run.
        options: of the run: block size and shard.
    """
    done: dict[str, tuple[Any, ...]] = {}
    measured = []
    for case in cases:
        shape = canonical_json({**case.identity(), "name": "", "inputs": _shape(case), "key": 0})
        known = shape in done
        if not known:
            done[shape] = _one_block(case, options.block_size)
        cut, memory, block_bytes, compiling, computing = done[shape]
        first, step = options.shard
        count = len(range(first, cut.num_blocks, step))
        seconds = 0.0 if known else compiling
        measured.append(
            Timed(
                count,
                cut.block_size,
                cut.batch_size,
                memory,
                count * block_bytes,
                seconds,
                computing,
            )
        )
    return measured


def _one_block(case: Case, block_size: int | None) -> tuple[Any, ...]:
    from deepinit.ensembles import keys, statistics
    from deepinit.runs.measure import compiled
    from deepinit.quantities.measured import measure_block
    from deepinit.store.blocks import block_bytes

    start = time.perf_counter()
    ensemble = compiled(case, None, block_size)
    ready = time.perf_counter()
    measured = ensemble.block_fn(keys.root_key(case.key), 0)
    part, kept = measure_block(case.quantity, measured, case.sample_layers, case.kept_networks)
    data = block_bytes("0" * 64, "block", {**statistics.to_arrays(part), **kept})
    end = time.perf_counter()
    return ensemble.blocks, ensemble.bytes_needed, len(data), ready - start, end - ready


def _shape(case: Case) -> Any:
    """What the compiled program takes from the inputs: their shape, not their values; all of a training set."""
    if isinstance(case.inputs, Training):
        return case.inputs.digest
    return [type(case.inputs).__name__, case.inputs.num_rows, case.inputs.dimension]


def timed_rows(cases: Sequence[Case], measured: Sequence[Timed]) -> list[list[str]]:
    """A row of `TIMED_COLUMNS` per case."""
    return [
        [
            case.name,
            str(found.num_blocks),
            str(found.block_size),
            str(found.batch_size),
            in_bytes(found.memory_bytes),
            in_bytes(found.disk_bytes),
            f"{found.compile_seconds:.1f} s" if found.compile_seconds else "shared",
            in_time(found.block_seconds),
            in_time(found.seconds),
        ]
        for case, found in zip(cases, measured, strict=True)
    ]


def in_sum(measured: Sequence[Timed], shard: tuple[int, int] = (0, 1)) -> str:
    """One sentence on the whole."""
    part = "" if shard[1] == 1 else f"shard {shard[0]}/{shard[1]}: "
    return (
        f"{part}{sum(found.num_blocks for found in measured)} blocks, "
        f"{in_bytes(max(found.memory_bytes for found in measured))} of memory at most, "
        f"{in_bytes(sum(found.disk_bytes for found in measured))} on disk, "
        f"{in_time(sum(found.seconds for found in measured))} on this machine as busy as it is, before theory, figures and report."
    )


def in_bytes(count: float) -> str:
    """`3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def in_time(seconds: float) -> str:
    """`12 ms`, `3.4 s`, `2.1 min`, `5.0 h`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _in_short(spec: Any) -> str:
    """`relu 64 x 8` of a spec, the label of a Network."""
    if not isinstance(spec, Spec):
        return spec.label
    widths = spec.widths
    shape = f"{widths[0]} x {len(widths)}" if len(set(widths)) == 1 else "-".join(map(str, widths))
    return f"{spec.activation} {shape}"
