"""result.nc: Dataset of a finished run."""

import io
import os
from typing import TYPE_CHECKING

from deepinit.core.errors import DamagedError, SpecError
from deepinit.store.atomic import system_refusals
from deepinit.store.entries import has_own, read_own
from deepinit.store.layout import MARKER, RESULT, Run, repair_remedy
from deepinit.store.outputs import output_fault, recorded_outputs
from deepinit.store.runs import load_run

if TYPE_CHECKING:
    import xarray

_FORMER_DIMS = {"route": "theory", "pair": "component"}  # of results before the rename


def read_result(path: str | os.PathLike[str]) -> "xarray.Dataset":
    """Dataset of a finished run, in memory; else SpecError."""
    run = load_run(path)
    if not has_result(run):
        given = f"{run.path}, whose run is not finished: it has no {RESULT}"
        raise SpecError(given, "a finished run", "Rerun the original command to finish it.")
    fault = output_fault(run, RESULT, (recorded_outputs(run) or {}).get(RESULT))
    if fault:
        raise _damaged(run, fault)
    try:
        return dataset_of(read_own(run.path, RESULT))
    except Exception as error:
        raise _damaged(run, f"is no netCDF file ({type(error).__name__}: {error})") from error


def dataset_of(data: bytes) -> "xarray.Dataset":
    """Dataset of netCDF-4 bytes; others raise any exception."""
    import xarray

    _refuse_foreign(data)
    dataset = xarray.open_dataset(io.BytesIO(data), engine="h5netcdf").load()
    return dataset.rename({old: new for old, new in _FORMER_DIMS.items() if old in dataset.dims})


def _refuse_foreign(data: bytes) -> None:
    """Refuse links, external data, and more declared data than bytes."""
    import h5py

    size = 0
    with h5py.File(io.BytesIO(data), "r") as file:
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name} is a link")
            variable = file[name]
            if not isinstance(variable, h5py.Dataset) or variable.external or variable.is_virtual:
                raise ValueError(f"{name} is no variable of its own")
            size += variable.size * variable.dtype.itemsize
    if size > 2 * len(data) + 10**6:  # dimensions without values take no room
        raise ValueError(f"{size:,} bytes of numbers in {len(data):,} bytes")


def has_result(run: Run) -> bool:
    """Whether result.nc exists."""
    with system_refusals(run.path, 0):
        return has_own(run.path, RESULT) and not has_own(run.path, MARKER)


def result_bytes(dataset: "xarray.Dataset") -> bytes:
    """netCDF-4 file of a Dataset; SpecError for unsupported types.

    Made in memory: HDF5 on a full disk can end the process or write zeros.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    buffer = io.BytesIO()
    try:
        with h5netcdf.File(buffer, "w") as file:
            dataset.dump_to_store(H5NetCDFStore(file))
    except (TypeError, ValueError) as error:
        raise SpecError(
            f"a Dataset that netCDF cannot hold ({error})",
            "booleans, numbers and strings, and attributes of these or lists of them",
            "Convert the variable or the attribute first.",
        ) from error
    return buffer.getvalue()


def _damaged(run: Run, fault: str) -> DamagedError:
    given, remedy = f"{run.path / RESULT}, which {fault}", repair_remedy(run.path)
    return DamagedError(given, "the file that the run exported", remedy)
