import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepinit import store
from deepinit.core.errors import ConflictError, SpecError
from deepinit.store import (
    finished_blocks,
    has_block,
    load_run,
    open_run,
    portable_name,
    read_block,
    read_journal,
    write_block,
)
from deepinit.store.blocks import block_bytes

IDENTITY = {"experiment": "test", "config": {"width": 3}}
HASH = "0" * 64
ARRAYS = {
    "mean": np.linspace(0.0, 1.0, 7),
    "counts": np.arange(6, dtype=np.uint32).reshape(2, 3),
    "alive": np.array([True, False]),
    "names": np.array(["relu", "é"]),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 4), np.int64),
    "z": np.array([1 + 2j]),
}


def assert_equal_arrays(found, expected):
    assert set(found) == set(expected)
    for key, array in expected.items():
        assert found[key].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found[key], array)


def test_block_returns_what_was_written_and_numpy_opens_it(tmp_path):
    with open_run(tmp_path / "a run", IDENTITY) as run:
        assert not has_block(run, "relu-w64/000000-000255")
        write_block(run, "relu-w64/000000-000255", ARRAYS)
        write_block(run, "000256", {"x": np.ones(2)})
        assert has_block(run, "relu-w64/000000-000255")
        assert finished_blocks(run) == ["000256", "relu-w64/000000-000255"]
    reader = load_run(tmp_path / "a run")
    assert_equal_arrays(read_block(reader, "relu-w64/000000-000255"), ARRAYS)
    with np.load(tmp_path / "a run/blocks/relu-w64/000000-000255.npz") as archive:
        assert_equal_arrays(dict(archive), ARRAYS)
    event = next(event for event in read_journal(tmp_path / "a run") if event["event"] == "block")
    data = (tmp_path / "a run/blocks/relu-w64/000000-000255.npz").read_bytes()
    assert (event["name"], event["bytes"]) == ("relu-w64/000000-000255", len(data))
    assert event["sha256"] == hashlib.sha256(data).hexdigest()


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=6).filter(
            lambda key: key.isprintable() and "\\" not in key and not key.startswith("/")
        ),
        hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)),
        max_size=4,
    )
)
@pytest.mark.slow
@pytest.mark.exhaustive
def test_any_arrays_return_with_their_dtypes_shapes_and_bytes(tmp_path_factory, arrays):
    with open_run(tmp_path_factory.mktemp("run"), IDENTITY) as run:
        write_block(run, "b", arrays)
        found = read_block(run, "b")
    assert set(found) == set(arrays)
    for key, array in arrays.items():
        assert found[key].dtype == array.dtype
        assert found[key].shape == array.shape
        assert found[key].tobytes() == array.tobytes()


def test_keys_that_look_like_file_names_stay_apart(tmp_path):
    arrays = {
        "a": np.zeros(1),
        "a.npy": np.ones(2),
        "file": np.full(3, 2.0),
        "group/a": np.full(4, 3.0),
    }
    with open_run(tmp_path, IDENTITY) as run:
        write_block(run, "b", arrays)
        assert_equal_arrays(read_block(run, "b"), arrays)


def test_same_arrays_give_the_same_bytes():
    first = block_bytes(HASH, "b", {"a": np.arange(6.0).reshape(2, 3), "b": np.int64(1)})
    second = block_bytes(
        HASH, "b", {"b": np.int64(1), "a": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    )
    assert first == second
    assert first != block_bytes(HASH, "b", {"a": np.arange(6.0).reshape(2, 3), "b": np.int32(1)})


def test_bytes_do_not_depend_on_python_or_numpy_or_the_day():
    # The bytes of the first release of format 1: with others, resumed runs are not bit-identical
    # across machines.
    data = block_bytes(
        HASH, "000000-000255", {"mean": np.arange(4, dtype="<f8"), "n": np.array(3, dtype="<i8")}
    )
    assert (len(data), hashlib.sha256(data).hexdigest()) == (
        663,
        "962f8b1b38c23e0b04aa5683a6d9e4d2a0f40899f42ae8f581515fe59a56f5e6",
    )


def test_missing_block_is_refused(tmp_path):
    with (
        open_run(tmp_path, IDENTITY) as run,
        pytest.raises(SpecError, match=r"block '7', missing in "),
    ):
        read_block(run, "7")


def test_reader_may_not_write(tmp_path):
    with open_run(tmp_path, IDENTITY):
        pass
    with pytest.raises(ConflictError, match="opened for reading"):
        write_block(load_run(tmp_path), "0", ARRAYS)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "a/b/c",
        "../a",
        "a/..",
        ".a",
        "-a",
        "a.",
        "con",
        "nul.x",
        "a b",
        "a\\b",
        "é",
        "x" * 101,
        "/a",
        "a/",
    ],
)
def test_names_that_are_not_portable_are_refused(tmp_path, name):
    with open_run(tmp_path, IDENTITY) as run, pytest.raises(SpecError, match="at most one folder"):
        write_block(run, name, ARRAYS)


def test_the_folder_of_damaged_blocks_is_reserved(tmp_path):
    with open_run(tmp_path, IDENTITY) as run, pytest.raises(SpecError, match="Quarantined blocks"):
        write_block(run, "damaged/0", ARRAYS)


@pytest.mark.parametrize(
    "array", [np.array([object()]), np.array([(1, 2)], dtype="i4,i4"), np.array(["a", None])]
)
def test_arrays_that_npz_cannot_keep_are_refused(tmp_path, array):
    with open_run(tmp_path, IDENTITY) as run:
        with pytest.raises(SpecError, match="'x' of block 'b'"):
            write_block(run, "b", {"x": array})
        assert finished_blocks(run) == []


def test_bfloat16_is_refused_since_npz_files_lose_its_name(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with open_run(tmp_path, IDENTITY) as run, pytest.raises(SpecError, match="bfloat16"):
        write_block(run, "b", {"x": np.zeros(2, ml_dtypes.bfloat16)})


def test_jax_arrays_are_taken_over_as_numpy_arrays(tmp_path):
    import jax.numpy as jnp

    with open_run(tmp_path, IDENTITY) as run:
        write_block(run, "b", {"x": jnp.arange(3, dtype=jnp.float32)})
        assert_equal_arrays(read_block(run, "b"), {"x": np.arange(3, dtype=np.float32)})


@pytest.mark.parametrize("key", ["", "/x", "a\\b", "a\nb"])
def test_array_names_that_zip_would_change_are_refused(tmp_path, key):
    with open_run(tmp_path, IDENTITY) as run, pytest.raises(SpecError, match="array named"):
        write_block(run, "b", {key: np.zeros(1)})


@given(st.text(), st.text())
@pytest.mark.slow
def test_portable_names_are_portable_and_tell_texts_apart(one, other):
    for text in (one, other):
        assert portable_name(portable_name(text)) == portable_name(text)
    assert (portable_name(one) == portable_name(other)) == (one == other)


def test_portable_name_keeps_what_is_portable():
    assert portable_name("relu-w64") == "relu-w64"
    assert portable_name("ReLU, width 64").startswith("relu-width-64-")
    assert portable_name("ReLU") != portable_name("relu")


def test_block_bytes_are_a_zip_file_that_other_tools_open():
    import zipfile

    with zipfile.ZipFile(io.BytesIO(block_bytes(HASH, "b", ARRAYS))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(f"{key}.npy" for key in ARRAYS)


def test_a_block_is_created_once_and_kept(tmp_path):
    with open_run(tmp_path, {"seeds": 3}) as run:
        assert store.create_block(run, "case/plan", {"plan": np.arange(3)})
        assert not store.create_block(run, "case/plan", {"plan": np.zeros(3)})
        np.testing.assert_array_equal(store.read_block(run, "case/plan")["plan"], np.arange(3))
    events = [event for event in store.read_journal(tmp_path) if event["event"] == "block"]
    assert [event["name"] for event in events] == ["case/plan"]
    assert store.verify(tmp_path).ok


def test_a_worker_writes_into_a_run_that_another_process_holds(tmp_path):
    with open_run(tmp_path, {"seeds": 3}) as holder:
        worker = store.writing(store.load_run(tmp_path), holder.start)
        store.write_block(worker, "a", {"x": np.ones(2)})
        store.write_provenance(worker, store.collect({"worker": 1}))
        assert store.has_block(holder, "a")
    assert store.verify(tmp_path).ok


def test_the_backend_of_a_later_start_counts_where_the_first_knew_none(tmp_path):
    with open_run(tmp_path, {"seeds": 3}):
        pass
    with open_run(tmp_path, {"seeds": 3}, backend="cpu"):
        pass
    with pytest.raises(ConflictError, match="backend cpu then, gpu now"):
        open_run(tmp_path, {"seeds": 3}, backend="gpu").__enter__()
