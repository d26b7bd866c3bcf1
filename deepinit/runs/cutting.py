"""Blocks of every case: cut before anything is compiled, written once, followed by all."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from deepinit import store
from deepinit.core.specs import NetworkSpec
from deepinit.quantities.controls import Control
from deepinit.quantities.programs import programs_of
from deepinit.runs.experiment import Case
from deepinit.runs.inspect import plan_name, read_plan
from deepinit.runs.work import Work, block_sizes

_LEAST_COST = {"cpu": 1e7}  # of a block worth its overhead of some 10 ms, in random numbers
_ACCELERATOR_LEAST_COST = 1e9
_ITEM_BYTES = 16  # of a measured value: value, event, exponent and scale
_CONTROL_COLUMNS = 4  # values recorded for control variates, over measured ones: a guess


class Device(NamedTuple):
    """Where blocks are computed: platform (cpu, gpu, tpu), and devices that share a block."""

    platform: str
    number: int


def device() -> Device:
    """Devices of this process, or of all joined ones."""
    import jax

    return Device(jax.default_backend(), jax.device_count())


def cut(cases: Sequence[Case], block_size: int | None, workers: int, where: Device) -> list[Any]:
    """`Blocks` of every case, of a given size or by cost; smaller where memory has no room.

    On CPUs independent of the number of devices; independent of up to 16 workers.
    """
    from deepinit.ensembles import cuts

    if block_size is None:
        least = _LEAST_COST.get(where.platform, _ACCELERATOR_LEAST_COST)
        sizes = block_sizes(cases, workers, least)
    else:
        sizes = [min(block_size, case.num_seeds) for case in cases]
    return [
        cuts.cut_to_size(
            case.num_seeds,
            min(size, _room(case, size)),
            fitting_batch(case, where.platform),
            where.platform,
            where.number if block_size is None else None,
        )
        for case, size in zip(cases, sizes, strict=True)
    ]


def works(cases: Sequence[Case], plans: Sequence[Any]) -> list[Work]:
    """The list of work, for `work.shares`."""
    return [
        Work(plan.num_blocks, plan.block_size * max(case.cost, 1.0))
        for case, plan in zip(cases, plans, strict=True)
    ]


def fitting_batch(case: Case, platform: str) -> int:
    """Networks computed together on a device."""
    from deepinit.ensembles import cuts

    if not isinstance(case.spec, NetworkSpec):
        return 1
    settings = {name: getattr(case, name) for name in ("linear_map", "dtype", "precision")}
    return cuts.fitting_batch(
        platform, case.quantity.measurement.bytes(case.spec, case.inputs, settings)
    )


def _room(case: Case, size: int) -> int:
    """Networks whose measured arrays fit half of the memory budget; traced only where many."""
    from deepinit.ensembles import blocks, cuts

    axis = case.quantity.measurement.axis(case.spec, case.inputs)
    items = axis.length * len(axis.entries) * (_CONTROL_COLUMNS if case.control != "none" else 1)
    room = cuts.room(_ITEM_BYTES * items)
    if size < room / 4 and not case.num_saved:
        return room
    return cuts.room(blocks.output_bytes(blocks.chosen_form(case_programs(case))))


def case_programs(case: Case, control: Control | None = None) -> Any:
    """Programs of one network of a case, the most general first."""
    found, _ = programs_of(
        case.spec,
        case.quantity,
        case.inputs,
        linear_map=case.linear_map,
        dtype=case.dtype,
        precision=case.precision,
        keep=case.num_saved > 0,
        control=control,
    )
    return found


def stored_plan(handle: store.Run | None, case: Case) -> Any:
    """`Blocks` of a case; None where the run has none yet."""
    from deepinit.ensembles import cuts

    if handle is None or not store.has_block(handle, plan_name(case.name)):
        return None
    return cuts.Blocks(*read_plan(handle, case.name, case.num_seeds))


def settled(
    handle: store.Run, cases: Sequence[Case], block_size: int | None, workers: int, where: Device
) -> list[Any]:
    """Plans of all cases: those of the first start, which writes them."""
    found = [stored_plan(handle, case) for case in cases]
    if None in found:
        for case, plan, known in zip(
            cases, cut(cases, block_size, workers, where), found, strict=True
        ):
            if known is None:  # another shard may have written it meanwhile: its plan stands
                store.create_block(handle, plan_name(case.name), {"plan": np.array(plan, np.int64)})
        found = [stored_plan(handle, case) for case in cases]
    return found
