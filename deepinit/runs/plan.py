"""Plan of a run: cases; with JAX also blocks, memory, time."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from deepinit.core.layers import Layer
from deepinit.core.layers.containers import leaves
from deepinit.core.specs import Spec
from deepinit.core.training_config import TrainingConfig
from deepinit.runs.cutting import cut, device, works
from deepinit.runs.experiment import Case
from deepinit.runs.work import shares
from deepinit.store.canonical import canonical_json

COLUMNS = ("case", "network", "inputs", "networks", "linear map", "random numbers")
TIMED_COLUMNS = (
    "case",
    "blocks",
    "networks per block",
    "batch",
    "memory",
    "on disk",
    "compile",
    "per block",
    "total",
)


class TimedCase(NamedTuple):
    """Blocks, memory and time of one case.

    Attributes:
        num_blocks, disk_bytes: of this shard.
        block_size, batch_size: networks; those drawn together on a device.
        memory_bytes: of a block and its statistics on a device, by XLA.
        compile_seconds, block_seconds: 0 for a shared program; with statistics.
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
        """Compilation and all blocks."""
        return self.compile_seconds + self.num_blocks * self.block_seconds


def rows(cases: Sequence[Case]) -> list[list[str]]:
    """A row of `COLUMNS` per case."""
    return [
        [
            case.name,
            _network(case.spec),
            case.inputs.label,
            str(case.num_seeds),
            case.linear_map,
            f"{case.cost * case.num_seeds:.2g}",
        ]
        for case in cases
    ]


def timed(cases: Sequence[Case], options: Any) -> list[TimedCase]:
    """Compile distinct cases and time their first block; writes nothing."""
    programs: dict[str, tuple[Any, ...]] = {}
    results = []
    plans = cut(cases, options.block_size, options.shard[1], device())
    counts = dict.fromkeys(range(len(cases)), 0)
    for part in shares(works(cases, plans), options.shard[1])[options.shard[0]]:
        counts[part.case] += part.last - part.first
    for number, (case, blocks) in enumerate(zip(cases, plans, strict=True)):
        key = {**case.identity(), "name": "", "inputs": _shape(case), "key": 0, "cut": blocks}
        shape = canonical_json(key)
        shared = shape in programs
        if not shared:
            programs[shape] = _one_block(case, blocks)
        memory, block_bytes, compile_seconds, block_seconds = programs[shape]
        count = counts[number]
        results.append(
            TimedCase(
                count,
                blocks.block_size,
                blocks.batch_size,
                memory,
                count * block_bytes,
                0.0 if shared else compile_seconds,
                block_seconds,
            )
        )
    return results


def _one_block(case: Case, blocks: Any) -> tuple[Any, ...]:
    from deepinit.ensembles import controlled, keys
    from deepinit.quantities.measured import measure_block
    from deepinit.runs.measure import case_control, compiled
    from deepinit.store.blocks import block_bytes

    start = time.perf_counter()
    control, _ = case_control(case)
    ensemble = compiled(case, blocks, control=control)
    ready = time.perf_counter()
    values = ensemble.block_fn(keys.root_key(case.key), 0)
    part, saved = measure_block(case.quantity, values, case.sample_layers, case.num_saved, control)
    data = block_bytes("0" * 64, "block", {**controlled.to_arrays(part), **saved})
    end = time.perf_counter()
    return ensemble.bytes_needed, len(data), ready - start, end - ready


def _shape(case: Case) -> Any:
    """What a program depends on: input shapes, training values."""
    if isinstance(case.inputs, TrainingConfig):
        return case.inputs.digest
    return [type(case.inputs).__name__, case.inputs.num_rows, case.inputs.dimension]


def timed_rows(cases: Sequence[Case], results: Sequence[TimedCase]) -> list[list[str]]:
    """A row of `TIMED_COLUMNS` per case."""
    return [
        [
            case.name,
            str(result.num_blocks),
            str(result.block_size),
            str(result.batch_size),
            format_bytes(result.memory_bytes),
            format_bytes(result.disk_bytes),
            f"{result.compile_seconds:.1f} s" if result.compile_seconds else "shared",
            format_duration(result.block_seconds),
            format_duration(result.seconds),
        ]
        for case, result in zip(cases, results, strict=True)
    ]


def total(results: Sequence[TimedCase], shard: tuple[int, int] = (0, 1)) -> str:
    """One line: blocks, memory, disk, time."""
    part = "" if shard[1] == 1 else f"shard {shard[0]}/{shard[1]}: "
    return (
        f"{part}{sum(result.num_blocks for result in results)} blocks, "
        f"at most {format_bytes(max(result.memory_bytes for result in results))} of memory, "
        f"{format_bytes(sum(result.disk_bytes for result in results))} on disk, "
        f"estimated {format_duration(sum(result.seconds for result in results))} "
        "at the current load, excluding theory, figures and report"
    )


def format_bytes(count: float) -> str:
    """`3.4 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"


def format_duration(seconds: float) -> str:
    """`12 ms`, `3.4 s`, `2.1 min`, `5.0 h`."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _network(spec: Any) -> str:
    """`relu 64 x 8`, or a label."""
    if isinstance(spec, Layer):
        return " ".join(dict.fromkeys(type(leaf).__name__ for leaf in leaves(spec)))
    if not isinstance(spec, Spec):
        return spec.label
    widths = spec.widths
    shape = f"{widths[0]} x {len(widths)}" if len(set(widths)) == 1 else "-".join(map(str, widths))
    return f"{spec.activation} {shape}"
