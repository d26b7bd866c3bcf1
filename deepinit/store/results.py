"""What a finished run is exported to: result.nc, the report, the figures. Each whole or absent."""

import hashlib
import io
import os
from typing import TYPE_CHECKING

from deepinit.core.errors import DamagedError, SpecError, refusal
from deepinit.store.atomic import make_folder, replace_file
from deepinit.store.journal import append_event, read_journal
from deepinit.store.layout import (
    BLOCKS,
    JOURNAL,
    PROVENANCE,
    RESULT,
    SPEC,
    Run,
    checked_name,
    repair_remedy,
    require_writable,
)
from deepinit.store.runs import load_run

if TYPE_CHECKING:
    import xarray


def write_result(run: Run, dataset: "xarray.Dataset") -> None:
    """Export a Dataset to result.nc (netCDF-4).

    Raises:
        SpecError: the Dataset holds something that netCDF has no word for.
        ConflictError: the run was opened for reading.
        ResourceError: no room or no permission; an earlier result.nc is untouched.
    """
    require_writable(run)
    data = _netcdf_bytes(dataset)
    # The journal first: a result.nc that stands under its name always has its check on record.
    append_event(run, "result", bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    replace_file(run.path / RESULT, data, run.shard)


def read_result(path: str | os.PathLike[str]) -> "xarray.Dataset":
    """The Dataset of a finished run, in memory.

    Raises:
        SpecError: no run directory, or a run that is not finished.
        DamagedError: result.nc is not what was written.
    """
    import xarray

    run = load_run(path)
    fault = result_fault(run)
    if fault:
        raise DamagedError(
            refusal(
                f"{run.path / RESULT}, which {fault}",
                "the file that the run exported",
                f"{repair_remedy(run.path)} The blocks are untouched.",
            )
        )
    if not has_result(run):
        raise SpecError(
            refusal(
                f"{run.path}, whose run is not finished: it has no {RESULT}",
                "a finished run",
                "The run's own command goes on where it stopped and exports it.",
            )
        )
    return xarray.open_dataset(io.BytesIO((run.path / RESULT).read_bytes()), engine="h5netcdf").load()


def has_result(run: Run) -> bool:
    """Whether the run has been exported."""
    return (run.path / RESULT).is_file()


def result_fault(run: Run) -> str | None:
    """What is wrong with result.nc; None if nothing is or if there is none."""
    try:
        data = (run.path / RESULT).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    written = [event.get("sha256") for event in read_journal(run.path) if event["event"] == "result"]
    if hashlib.sha256(data).hexdigest() not in written:
        return f"does not match the SHA-256 in the journal ({len(data):,} bytes on disk)"
    return None


def write_text(run: Run, name: str, text: str) -> None:
    """Write a text file beside the result, in UTF-8: `report.html`, `figures/angles.svg`.

    Raises:
        SpecError: a name that is not portable, or one of the run's own files.
        ConflictError: the run was opened for reading.
        ResourceError: no room or no permission; an earlier file of that name is untouched.
    """
    write_bytes(run, name, text.encode("utf-8"))


def write_bytes(run: Run, name: str, data: bytes) -> None:
    """Write a file beside the result: `figures/angles.png`.

    Raises:
        SpecError, ConflictError, ResourceError: as `write_text`.
    """
    require_writable(run)
    checked_name(name, "file")
    if name.split("/")[0] in (SPEC, JOURNAL, PROVENANCE, RESULT, BLOCKS):
        raise SpecError(refusal(f"the file name {name!r}", "any name that the run does not use itself", "Rename it."))
    path = run.path / name
    make_folder(path.parent)
    replace_file(path, data, run.shard)


def _netcdf_bytes(dataset: "xarray.Dataset") -> bytes:
    """A netCDF-4 file in memory: HDF5 writing to a full disk can end the process or leave zeros in place of data."""
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    buffer = io.BytesIO()
    try:
        with h5netcdf.File(buffer, "w") as file:
            dataset.dump_to_store(H5NetCDFStore(file))
    except (TypeError, ValueError) as error:
        raise SpecError(
            refusal(
                f"a Dataset that netCDF cannot hold ({error})",
                "booleans, numbers and strings, and attributes of these or lists of them",
                "Convert the variable or the attribute first.",
            )
        ) from error
    return buffer.getvalue()
