import numpy as np
import pytest
import xarray as xr

from deepinit.core.errors import ConflictError, DamagedError, SpecError
from deepinit.store import (
    collect,
    has_result,
    load_run,
    open_run,
    quarantine_damaged,
    read_result,
    result_bytes,
    verify,
    write_block,
    write_outputs,
)
from deepinit.store.results import dataset_of

IDENTITY = {"experiment": "test"}


def dataset():
    return xr.Dataset(
        {
            "num_seeds": ("case", np.array([5000, 2**53 + 1], dtype=np.int64)),
            "dead": ("case", np.array([0, 2**32 - 1], dtype=np.uint32)),
            "mean": (("case", "layer"), np.array([[0.1, np.nan, 1e-310], [-np.inf, 1 / 3, 2.0]])),
            "single": ("layer", np.array([0.1, 0.2, 0.3], dtype=np.float32)),
            "exact": ("case", np.array([True, False])),
            "law": ("case", np.array(["normal", "Gauß, orthogonal"])),
            "scalar": ((), 2.5),
            "empty": ("none", np.zeros(0)),
        },
        coords={"layer": [1, 2, 3], "case": ["relu-w64", "tanh-w128"]},
        attrs={
            "title": "angles é",
            "depth": 3,
            "gain": 0.1,
            "widths": [64, 128],
            "references": ["one", "two"],
        },
    )


def test_result_returns_values_dtypes_strings_and_attributes(tmp_path):
    data = dataset()
    data["mean"].attrs["units"] = "rad"
    with open_run(tmp_path / "a run", IDENTITY) as run:
        assert not has_result(run)
        write_outputs(run, {"result.nc": result_bytes(data)})
        assert has_result(run)
    found = read_result(tmp_path / "a run")
    xr.testing.assert_identical(found, data)
    for name in ("num_seeds", "dead", "mean", "single", "exact"):
        assert found[name].dtype == data[name].dtype
    assert found["mean"].values.tobytes() == data["mean"].values.tobytes()


def test_result_is_a_netcdf_file_with_the_same_bytes_each_time(tmp_path):
    for name in ("one", "two"):
        with open_run(tmp_path / name, IDENTITY) as run:
            write_outputs(run, {"result.nc": result_bytes(dataset())})
    assert (tmp_path / "one/result.nc").read_bytes() == (tmp_path / "two/result.nc").read_bytes()
    with xr.open_dataset(tmp_path / "one/result.nc", engine="h5netcdf") as opened:
        xr.testing.assert_identical(opened.load(), dataset())


def test_unfinished_run_has_no_result_and_says_so(tmp_path):
    with open_run(tmp_path, IDENTITY):
        pass
    with pytest.raises(SpecError, match=r"not finished.*original command"):
        read_result(tmp_path)
    with pytest.raises(SpecError, match=r"no spec\.json"):
        read_result(tmp_path / "nowhere")


def test_damaged_result_is_named_and_set_aside(tmp_path):
    with open_run(tmp_path, IDENTITY) as run:
        write_block(run, "0", {"x": np.ones(1)})
        write_outputs(run, {"result.nc": result_bytes(dataset())})
    file = tmp_path / "result.nc"
    whole = file.read_bytes()
    for position in range(0, len(whole), 97):
        for damaged in (
            whole[:position]
            + bytes([whole[position] ^ (1 << position % 8)])
            + whole[position + 1 :],
            whole[:position],
        ):
            file.write_bytes(damaged)
            with pytest.raises(DamagedError, match=r"result\.nc, which does not match.*--repair"):
                read_result(tmp_path)
    assert list(verify(tmp_path).damaged_files) == ["result.nc"]
    assert quarantine_damaged(tmp_path).restored == ("result.nc",)
    assert verify(tmp_path).ok
    assert (tmp_path / "blocks/damaged/result.nc").read_bytes() == damaged
    assert file.read_bytes() == whole
    with open_run(tmp_path, IDENTITY) as run:
        write_outputs(run, {"result.nc": result_bytes(dataset())})
    xr.testing.assert_identical(read_result(tmp_path), dataset())


def test_result_exported_again_replaces_the_first(tmp_path):
    with open_run(tmp_path, IDENTITY) as run:
        write_outputs(run, {"result.nc": result_bytes(dataset())})
        write_outputs(run, {"result.nc": result_bytes(dataset().isel(layer=[0]))})
    assert read_result(tmp_path).sizes["layer"] == 1


def test_dataset_that_netcdf_cannot_hold_is_refused_and_nothing_written(tmp_path):
    with open_run(tmp_path, IDENTITY) as run:
        with pytest.raises(SpecError, match="netCDF cannot hold"):
            write_outputs(
                run, {"result.nc": result_bytes(dataset().assign_attrs(spec={"width": 3}))}
            )
        assert not has_result(run)


def test_report_and_figures_are_written_and_replaced(tmp_path):
    with open_run(tmp_path, IDENTITY) as run:
        write_outputs(run, {"report.html": b"<p>first</p>"})
        write_outputs(run, {"report.html": "<p>naïve</p>".encode()})
        write_outputs(run, {"figures/angles.png": b"\x89PNG"})
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "<p>naïve</p>"
    assert (tmp_path / "figures/angles.png").read_bytes() == b"\x89PNG"


@pytest.mark.parametrize(
    "name",
    [
        "spec.json",
        "journal.jsonl",
        "manifest.json",
        "outputs.zip",
        "provenance.json",
        "blocks/0.npz",
        "blocks",
    ],
)
def test_report_may_not_take_the_place_of_the_runs_own_files(tmp_path, name):
    with open_run(tmp_path, IDENTITY) as run, pytest.raises(SpecError, match="does not use itself"):
        write_outputs(run, {name: b"x"})


@pytest.mark.parametrize(
    "name", ["../report.html", "/report.html", ".lock", "Report.html", "a/b/c.png"]
)
def test_report_names_are_portable_and_stay_inside(tmp_path, name):
    with (
        open_run(tmp_path / "run", IDENTITY) as run,
        pytest.raises(SpecError, match="at most one folder"),
    ):
        write_outputs(run, {name: b"x"})


def test_a_reader_may_not_export(tmp_path):
    with open_run(tmp_path, IDENTITY):
        pass
    run = load_run(tmp_path)
    for attempt in (
        lambda: write_outputs(run, {"result.nc": result_bytes(dataset())}),
        lambda: write_outputs(run, {"report.html": b"x"}),
    ):
        with pytest.raises(ConflictError, match="opened for reading"):
            attempt()


def test_collected_record_is_json_for_the_result_too(tmp_path):
    from deepinit.store import canonical_json

    data = dataset().assign_attrs(provenance=canonical_json(collect({})))
    with open_run(tmp_path, IDENTITY) as run:
        write_outputs(run, {"result.nc": result_bytes(data)})
    xr.testing.assert_identical(read_result(tmp_path), data)


def test_dims_of_earlier_results_have_their_present_names():
    data = xr.Dataset({"z": (("route", "layer", "pair"), np.zeros((1, 2, 3)))})
    assert dataset_of(result_bytes(data))["z"].dims == ("theory", "layer", "component")
