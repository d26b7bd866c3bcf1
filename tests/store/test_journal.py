import datetime
import fcntl
import itertools
import math
import threading

import numpy as np
import pytest

from deepinit.core.errors import ConflictError, DamagedError, SpecError
from deepinit.store import (
    append_event,
    load_run,
    open_run,
    quarantine_damaged,
    read_block,
    read_journal,
    verify,
    write_block,
)

IDENTITY = {"experiment": "test"}


def events(path):
    return [event["event"] for event in read_journal(path)]


def test_events_stand_in_order_with_start_and_shard(tmp_path):
    with open_run(tmp_path, IDENTITY, shard=(1, 3)) as run:
        append_event(run, "retry", reason="out of memory", batch=64)
        append_event(run, "stop", signal="SIGTERM")
    assert events(tmp_path) == ["start", "retry", "stop"]
    retry = read_journal(tmp_path)[1]
    assert (retry["shard"], retry["start"], retry["batch"]) == ("1/3", run.start, 64)


def test_a_clock_that_goes_backwards_changes_neither_the_order_of_events_nor_a_byte_of_a_block(
    tmp_path, monkeypatch
):
    class Backwards(datetime.datetime):
        hours = itertools.count()

        @classmethod
        def now(cls, tz=None):
            return datetime.datetime(2030, 1, 1, tzinfo=tz) - datetime.timedelta(
                hours=next(cls.hours)
            )

    for folder in ("forwards", "backwards"):
        with open_run(tmp_path / folder, IDENTITY) as run:
            for name in ("0", "1", "2"):
                write_block(run, name, {"x": np.arange(3)})
        monkeypatch.setattr("deepinit.store.journal.datetime", Backwards)
    assert (
        events(tmp_path / "backwards")
        == events(tmp_path / "forwards")
        == ["start", "block", "block", "block"]
    )
    times = [event["time"] for event in read_journal(tmp_path / "backwards")]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 4
    assert verify(tmp_path / "backwards").ok
    for name in ("0", "1", "2"):
        here, there = (
            tmp_path / folder / "blocks" / f"{name}.npz" for folder in ("backwards", "forwards")
        )
        assert here.read_bytes() == there.read_bytes()


def test_an_absent_journal_is_empty(tmp_path):
    assert read_journal(tmp_path) == []


@pytest.mark.parametrize("torn", [b"{", b'{"event":"block","name":"0"}', b"x" * 200_000, b"\0" * 5])
def test_a_torn_last_line_is_passed_over_and_repaired_by_the_next_writer(tmp_path, torn):
    with open_run(tmp_path, IDENTITY):
        pass
    journal = tmp_path / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole + torn)
    assert events(tmp_path) == ["start"]
    assert verify(tmp_path).ok
    with open_run(tmp_path, IDENTITY) as run:
        assert events(tmp_path) == ["start", "start"]
        append_event(run, "stop")
    assert events(tmp_path) == ["start", "start", "stop"]
    assert journal.read_bytes().startswith(whole + b"{")


def test_a_journal_that_is_nothing_but_a_torn_line_is_repaired(tmp_path):
    with open_run(tmp_path, IDENTITY):
        pass
    (tmp_path / "journal.jsonl").write_bytes(b'{"event":"sta')
    with open_run(tmp_path, IDENTITY):
        assert events(tmp_path) == ["start"]


@pytest.mark.parametrize("line", [b"not json", b"[1]", b'{"event":"block"}', b"", b"\xff\xfe"])
def test_damage_inside_the_journal_is_named_and_repaired(tmp_path, line):
    with open_run(tmp_path, IDENTITY) as run:
        write_block(run, "0", {"x": np.ones(1)})
    journal = tmp_path / "journal.jsonl"
    first, second = journal.read_bytes().splitlines()
    damaged = first + b"\n" + line + b"\n" + second + b"\n"
    journal.write_bytes(damaged)
    with pytest.raises(DamagedError, match=r"line 2 of .*journal\.jsonl.*--repair"):
        read_journal(tmp_path)
    with pytest.raises(DamagedError), open_run(tmp_path, IDENTITY):
        pass
    report = verify(tmp_path)
    assert (report.intact, list(report.damaged_files), report.ok) == (
        ("0",),
        ["journal.jsonl"],
        False,
    )
    quarantine_damaged(tmp_path)
    assert verify(tmp_path).ok
    assert events(tmp_path) == ["start", "block", "discarded"]
    assert (tmp_path / "blocks/damaged/journal.jsonl").read_bytes() == damaged
    with open_run(tmp_path, IDENTITY) as run:
        assert read_block(run, "0")["x"] == 1


def test_a_writer_waits_for_another_in_the_middle_of_a_line(tmp_path):
    with (
        open_run(tmp_path, IDENTITY, shard=(0, 2)) as run,
        (tmp_path / "journal.jsonl").open("r+b", buffering=0) as other,
    ):
        line = (tmp_path / "journal.jsonl").read_bytes()
        fcntl.flock(other, fcntl.LOCK_EX)
        other.seek(0, 2)
        other.write(line[:20])
        writer = threading.Thread(target=append_event, args=(run, "note"))
        writer.start()
        writer.join(0.2)
        assert writer.is_alive()
        other.write(line[20:])
        fcntl.flock(other, fcntl.LOCK_UN)
        writer.join(10)
    assert events(tmp_path) == ["start", "start", "note"]


def test_fields_that_json_cannot_say_or_the_journal_uses_are_refused(tmp_path):
    with open_run(tmp_path, IDENTITY) as run:
        with pytest.raises(SpecError, match="nan at loss"):
            append_event(run, "note", loss=math.nan)
        with pytest.raises(SpecError, match=r"\['time'\]"):
            append_event(run, "note", time="now")
        assert events(tmp_path) == ["start"]


def test_a_reader_may_not_append(tmp_path):
    with open_run(tmp_path, IDENTITY):
        pass
    with pytest.raises(ConflictError, match="opened for reading"):
        append_event(load_run(tmp_path), "note")
