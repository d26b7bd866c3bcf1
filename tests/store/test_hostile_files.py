"""Files of a run directory that anybody may have written: what is refused in them."""

import io

import numpy as np
import pytest

from deepinit import store


def test_a08_numbers_of_a_result_stand_in_its_own_bytes(tmp_path):
    import h5py
    import xarray as xr

    from deepinit.store.results import dataset_of

    secret = tmp_path / "secret"
    secret.write_bytes(b"12345678")
    whole = store.result_bytes(xr.Dataset({"x": ("seed", np.ones(3))}))
    assert dataset_of(whole)["x"].size == 3

    def outside(file):
        file["y"] = h5py.ExternalLink(str(secret), "/")

    def soft(file):
        file["y"] = h5py.SoftLink("/x")

    def stored_elsewhere(file):
        file.create_dataset("y", (8,), "u1", external=[(str(secret), 0, 8)])

    def virtual(file):
        layout = h5py.VirtualLayout((8,), "u1")
        layout[:] = h5py.VirtualSource(str(secret), "x", (8,))
        file.create_virtual_dataset("y", layout)

    def huge(file):
        file.create_dataset("y", (10**13,), "f8", chunks=(10**6,), compression="gzip")

    def group(file):
        file.create_group("y")

    for change in (outside, soft, stored_elsewhere, virtual, huge, group):
        buffer = io.BytesIO(whole)
        with h5py.File(buffer, "a") as file:
            change(file)
        with pytest.raises(ValueError, match=r"is a link|no variable of its own|bytes of numbers"):
            dataset_of(buffer.getvalue())


@pytest.mark.parametrize(
    "text", ["NaN", "[-Infinity]", "[1e999]", "[" * 60 + "]" * 60, "[" * 9999, "x", "1" * 5000]
)
def test_a08_json_that_is_never_written_is_refused(text):
    from deepinit.store.canonical import loads

    with pytest.raises(ValueError):  # noqa: PT011 (json's own, too)
        loads(text)
    assert loads('{"a":[1,2.5,null]}') == {"a": [1, 2.5, None]}


@pytest.mark.parametrize("name", ["../x", "/x", "figures/../../x", "a//b", "."])
def test_a04_no_recorded_name_leads_out_of_the_directory(tmp_path, name):
    from deepinit.core.errors import DamagedError
    from deepinit.store.entries import read_own
    from deepinit.store.journal import is_checks

    (tmp_path / "x").write_bytes(b"secret")
    (tmp_path / "run" / "figures").mkdir(parents=True)
    with pytest.raises(DamagedError, match="no name of a file in it"):
        read_own(tmp_path / "run", name)
    assert not is_checks({name: {"bytes": 6, "sha256": ""}})


def test_a08_halves_of_surrogate_pairs_can_be_printed():
    from deepinit.core.terminal import printable

    assert printable("a\ud800b\u202e").encode("utf-8") == b"a\\xd800b\\x202e"
