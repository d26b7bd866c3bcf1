"""Files of a finished run with valid checksums and hostile contents, at random."""

import hashlib
import io
import json
import random
import zipfile

import numpy as np

from deepinit import store
from deepinit.store.blocks import block_bytes
from deepinit.store.canonical import canonical_json, identity_hash
from deepinit.store.journal import checked_line

BLOCKS = ("plan", "000000000-000000099", "000000300-000000399")


def nested(levels):
    value = 0
    for _ in range(levels):
        value = [value]
    return value


VALUES = (
    None, True, -1, 0, 2**63, 10**400, 1e308, 0.5, "", "x" * 10_000,
    "\x1b]0;owned\x07\x9b31m", "\ud800", "²/3", "0/0", "../../x", "report.html/x", "a\nb",
    [], {}, [None], {"": None}, nested(40), nested(60), nested(900), [[0, 1]] * 3,
)  # fmt: skip


def changed(value, chance):
    """A JSON value with one thing in it replaced, removed or added."""
    items = (
        list(value)
        if isinstance(value, dict)
        else list(range(len(value)))
        if isinstance(value, list)
        else []
    )
    if not items or chance.random() < 0.15:
        return chance.choice(VALUES)
    copy = dict(value) if isinstance(value, dict) else list(value)
    key = chance.choice(items)
    what = chance.random()
    if what < 0.1:
        del copy[key]
    elif what < 0.15 and isinstance(copy, dict):
        copy[chance.choice(("x", "\x1b[2J", "../x", "files"))] = chance.choice(VALUES)
    else:
        copy[key] = changed(copy[key], chance)
    return copy


def text_of(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def line_of(event, chance):
    """A line with a valid checksum, also of what canonical JSON does not write."""
    text = text_of(event) if isinstance(event, dict) and event else b'{"event":0}'
    raw = chance.choice(
        (b"NaN", b"-Infinity", b"1e999", b'0,"event":"start"', None, None, None, None)
    )
    if raw is not None:
        text = text[:-1] + b',"x":' + raw + b"}"
    digest = hashlib.sha256(text).hexdigest()[:16].encode()
    return text[:-1] + b',"check":"' + digest + b'"}'


def events_of(folder):
    return [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]


def check(data):
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def sealed(folder, lines=None, manifest=lambda record: record):
    """Writes the checksums anew: journal lines, records of outputs, manifest."""
    events = [
        {key: item for key, item in event.items() if key != "check"} for event in events_of(folder)
    ]
    for event in events:
        if event["event"] == "concluded":
            event["files"] = {name: check((folder / name).read_bytes()) for name in event["files"]}
    lines = lines or [checked_line(event) for event in events]
    (folder / "journal.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    journal = check((folder / "journal.jsonl").read_bytes())
    record = manifest({"files": events[-1]["files"], "journal": journal})
    try:
        data = canonical_json({**record, "sha256": identity_hash(record)}).encode()
    except (ValueError, TypeError, RecursionError):
        data = text_of(record)
    (folder / "manifest.json").write_bytes(data + b"\n")


def hostile_spec(folder, chance):
    identity = changed(json.loads((folder / "spec.json").read_bytes())["identity"], chance)
    record = {
        "format_version": chance.choice((2, 2, 2, 1, 0, -1, True, 1.0, "2")),
        "identity": identity,
    }
    try:
        data = canonical_json({**record, "sha256": identity_hash(record)}).encode()
        mark = identity_hash(identity)
    except (ValueError, TypeError, AttributeError, RecursionError):
        data, mark = text_of(record), "0" * 64
    for file in (folder / "blocks" / "tiny").iterdir():
        with np.load(file) as arrays:
            file.write_bytes(block_bytes(mark, f"tiny/{file.stem}", dict(arrays)))
    (folder / "spec.json").write_bytes(data + b"\n")


def hostile_journal(folder, chance):
    events = [
        {key: item for key, item in event.items() if key != "check"} for event in events_of(folder)
    ]
    number = chance.randrange(len(events))
    lines = [checked_line(event) for event in events]
    lines[number] = line_of(changed(events[number], chance), chance)
    if chance.random() < 0.3:
        lines.append(lines[number])
    sealed(folder, lines)


def hostile_provenance(folder, chance):
    record = changed(json.loads((folder / "provenance.json").read_bytes())[0], chance)
    lines = []
    for event in events_of(folder):
        event.pop("check")
        if event["event"] == "provenance":
            event["record"] = record
        lines.append(line_of(event, random.Random(8)))
    (folder / "provenance.json").write_bytes(text_of([record]) + b"\n")
    sealed(folder, lines)


def hostile_manifest(folder, chance):
    sealed(folder, manifest=lambda record: changed(record, chance))


def hostile_copy(folder, chance):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("report.html", "../../x", "/x", "result.nc"):
            archive.writestr(name, bytes(chance.choice((0, 10, 10**7))))
    data = bytearray(buffer.getvalue())
    for _ in range(chance.randrange(3)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    (folder / "outputs.zip").write_bytes(
        bytes(data[: chance.choice((len(data), len(data) // 2, 0))])
    )
    sealed(folder)
    if chance.random() < 0.7:
        (folder / chance.choice(("report.html", "result.nc"))).unlink()


def hostile_arrays(arrays, chance):
    key = chance.choice(sorted(arrays))
    array = arrays[key]
    shape = array.shape
    others = (
        np.zeros(0), np.zeros((2, 2, 2, 2)), np.array("text"), np.zeros(shape, "M8[s]"),
        array.astype("S8"), np.full(shape, np.nan), np.full(shape, np.inf), np.full(shape, -1),
        np.full(shape, 2**62), np.full(shape, 2**64 - 1, np.uint64),
        array[..., :1] if array.ndim else array, array[:1] if array.ndim else array,
        array.astype(complex), np.zeros((3, 0)), np.ones(shape, bool),
        array * 0 if array.dtype.kind in "iuf" else array,
    )  # fmt: skip
    copy = {**arrays, chance.choice((key, key, key, "kept.x", "../x")): chance.choice(others)}
    if chance.random() < 0.15:
        del copy[key]
    return copy


def hostile_block(folder, chance):
    """A block of other arrays, or of bytes that NumPy cannot have written; no result yet."""
    file = folder / f"blocks/tiny/{chance.choice(BLOCKS)}.npz"
    mark = store.load_run(folder).identity_hash
    with np.load(file) as loaded:
        arrays = dict(loaded)
    if chance.random() < 0.7:
        data = block_bytes(mark, f"tiny/{file.stem}", hostile_arrays(arrays, chance))
    else:
        whole = bytearray(file.read_bytes()[:-64])
        label = canonical_json({"block": f"tiny/{file.stem}", "identity": mark}).encode()
        for _ in range(chance.randrange(1, 4)):
            whole[chance.randrange(len(whole) - len(label))] ^= 1 << chance.randrange(8)
        data = bytes(whole) + hashlib.sha256(whole).hexdigest().encode()
    if chance.random() < 0.5:
        file.write_bytes(data)
    else:  # one fault in all blocks alike
        for other in (folder / "blocks/tiny").glob("0*.npz"):
            with np.load(other) as loaded:
                arrays = hostile_arrays(dict(loaded), random.Random(len(data)))
            other.write_bytes(block_bytes(mark, f"tiny/{other.stem}", arrays))
    for name in ("result.nc", "manifest.json"):
        (folder / name).unlink()


def hostile_result(folder, chance):
    """A netCDF file of other variables, shapes and attributes."""
    data = store.read_result(folder)
    name = chance.choice([*data.variables, "verdicts", "failures"])
    others = ("\x1b[2J", np.nan, np.inf, -1, 2**62, b"x", "")
    if name in data.attrs:
        data.attrs[name] = chance.choice(
            ("[", "3", "[3]", '["\\u001b[2J"]', "[" * 900 + "]" * 900, "NaN", 3, "")
        )
    elif chance.random() < 0.3 and name not in data.dims:
        data = data.drop_vars(name)
    elif chance.random() < 0.3:
        dim = chance.choice(list(data.dims))
        data = data.isel({dim: chance.choice(([], [0], [0, 0], slice(0, 1)))})
    elif chance.random() < 0.5:
        data = data.rename({name: "other"})
    else:
        value = chance.choice(others)
        data = data.drop_vars(name).assign(
            {name: (data[name].dims, np.full(data[name].shape, value))}
        )
    try:
        (folder / "result.nc").write_bytes(store.result_bytes(data))
    except Exception:  # noqa: BLE001 (nothing that netCDF holds)
        return
    sealed(folder)


KINDS = [
    hostile_spec, hostile_journal, hostile_provenance, hostile_manifest, hostile_copy,
    hostile_block, hostile_result,
]  # fmt: skip
