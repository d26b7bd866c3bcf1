"""A block that does not fit into memory."""

import jax
import numpy as np
import pytest
from tiny_runs import TINY, blocks, deepinit

from deepinit import store
from deepinit.ensembles import blocks as engine
from deepinit.ensembles import programs


@pytest.mark.exhaustive
def test_a_block_out_of_memory_is_told_journalled_and_ends_the_same(tmp_path, monkeypatch, capsys):
    short = [TINY, "--block-size", "100"]  # 8 batches of 13
    assert deepinit("run", *short, "--out", tmp_path / "roomy") == 0
    compile_ = engine._compile

    def crowded(form, cut, mesh):
        def exhausted(*arguments):
            raise jax.errors.JaxRuntimeError(
                "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."
            )

        compiled = compile_(form, cut, mesh)
        return compiled if cut.batch_size <= 7 else compiled._replace(executable=exhausted)

    monkeypatch.setattr(engine, "_compile", crowded)
    monkeypatch.setattr(programs, "cached", lambda key, compute: compute())
    capsys.readouterr()
    assert deepinit("run", *short, "--out", tmp_path / "crowded") == 0
    assert (
        "tiny: Out of memory with 13 networks at a time on a device: continuing with 7"
        in capsys.readouterr().err
    )
    retries = [
        event for event in store.read_journal(tmp_path / "crowded") if event["event"] == "retry"
    ]
    assert [(event["case"], event["batch"], event["smaller"]) for event in retries] == [
        ("tiny", 13, 7)
    ]
    here, there = (store.read_result(tmp_path / name) for name in ("crowded", "roomy"))
    assert blocks(tmp_path / "crowded").keys() == blocks(tmp_path / "roomy").keys()
    np.testing.assert_allclose(
        here["samples"].values, there["samples"].values, rtol=1e-4, atol=1e-5
    )
