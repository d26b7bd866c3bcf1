"""Bad input: one paragraph, the right exit code, no traceback, nothing lost."""

import json
import resource

import jax
import pytest
from paths import TINY_EXPERIMENT

from deepinit import store
from deepinit.cli import main
from deepinit.store.journal import checked_line

TINY = str(TINY_EXPERIMENT)
ANGLES = "vanishing_angles"


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in ("journal.jsonl", ".lock", "provenance.json")
    }


@pytest.mark.parametrize(
    ("options", "given", "help_"),
    [
        (["--config.widths", "0"], "width 0 at layer 1", "integers >= 1"),
        (["--config.widths", "-5"], "width -5 at layer 1", "integers >= 1"),
        (["--config.angles", "4.0"], "theta=4.0", "[0, pi]"),
        (["--config.angles", "-0.1"], "theta=-0.1", "[0, pi]"),
        (["--config.angles", "nan"], "theta=nan", "[0, pi]"),
        (["--config.activations", "nosuch"], "the activation 'nosuch'", "softplus, softsign"),
        (["--config.activations", "rleu"], "the activation 'rleu'", "relu"),
        (["--config.num-seeds", "0"], "num_seeds=0", "integers from 1"),
        (["--config.num-seeds", "-7"], "num_seeds=-7", "integers from 1"),
        (["--config.histogram-layers", "99"], "sample_layers [99]", "layers 1 to 16"),
        (
            ["--config.num-seedz", "100"],
            "the option --config.num-seedz",
            "Did you mean --config.num-seeds",
        ),
        (["--outt", "there"], "the option --outt", "Did you mean --out?"),
        (
            ["--activation-widht", "3"],
            "the option --activation-widht",
            "Did you mean --config.activation-width",
        ),
        (["--preset", "nosuch"], "the preset 'nosuch' of vanishing_angles", "smoke, paper, full"),
        (["--shard", "3/2"], "--shard 3/2", "0 <= i < n"),
        (["--shard", "half"], "--shard half", "i/n"),
        (["--block-size", "0"], "--block-size=0", "integers >= 1"),
        (["--block-size", "-7"], "--block-size=-7", "integers >= 1"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.slow_cases("True-options0-width 0 at layer 1-integers >= 1")
def test_bad_options_of_an_experiment(refused, tmp_path, options, given, help_, dry_run):
    message = refused(
        2, "run", ANGLES, "--out", tmp_path / "run", *options, *(["--dry-run"] if dry_run else [])
    )
    assert f"Got {given}" in message
    assert help_ in message
    assert not (tmp_path / "run").exists()


def test_no_layers(refused, tmp_path):
    message = refused(2, "run", TINY, "--out", tmp_path / "run", "--config.depth", "0")
    assert "Got no layers (widths is empty). Allowed: at least one hidden layer." in message


def test_a_conditional_map_of_a_law_that_is_not_gaussian(refused, tmp_path):
    options = ["--config.law", "uniform", "--config.linear-map", "conditional"]
    message = refused(2, "run", TINY, "--out", tmp_path / "run", *options)
    assert "Got linear_map='conditional' with the weight law 'uniform'" in message
    assert "Take linear_map='explicit'" in message


def test_an_experiment_that_is_not_there(refused):
    assert "the experiment 'no_such_experiment', which is no file" in refused(
        2, "run", "no_such_experiment"
    )


def test_a_file_that_is_no_experiment(refused):
    assert "without EXPERIMENT" in refused(2, "run", __file__)


@pytest.mark.exhaustive
def test_options_that_a_command_does_not_have(refused, finished):
    assert "Got the arguments --frobnicate" in refused(2, "show", finished, "--frobnicate")


def test_showing_what_is_no_run(refused, tmp_path):
    assert "which has no spec.json" in refused(2, "show", tmp_path)
    assert "which has no spec.json" in refused(2, "verify", tmp_path / "nowhere")


def test_a_wrong_type_names_the_option(capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", ANGLES, "--dry-run", "--config.num-seeds", "many"])
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert "--config.num-seeds" in message
    assert "Traceback" not in message


@pytest.mark.slow
def test_a_directory_of_another_config(refused, copied):
    before = contents(copied)
    message = refused(
        3, "run", TINY, "--out", copied, "--block-size", "100", "--config.num-seeds", "500"
    )
    assert "which holds another run" in message
    assert "num_seeds" in message
    assert "400" in message
    assert "500" in message
    assert contents(copied) == before


def test_a_directory_of_another_experiment(refused, copied):
    before = contents(copied)
    message = refused(3, "run", ANGLES, "--out", copied)
    assert "a directory of another experiment ('tiny' here, 'vanishing_angles' asked)" in message
    assert contents(copied) == before


def test_a_directory_with_other_files(refused, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert "which holds 'thesis.tex' and is no run directory" in refused(
        3, "run", TINY, "--out", tmp_path
    )
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_directory_of_a_newer_version(refused, copied):
    record = json.loads((copied / "spec.json").read_text())
    newer = {"format_version": store.FORMAT_VERSION + 1, "identity": record["identity"]}
    newer["sha256"] = store.identity_hash(newer)
    (copied / "spec.json").write_text(store.canonical_json(newer) + "\n")
    before = contents(copied)
    for command in (["run", TINY, "--block-size", "100", "--out"], ["show"], ["verify"]):
        message = refused(3, *command, copied)
        assert "by a newer deepinit" in message
        assert "Update deepinit" in message
    assert contents(copied) == before


def test_a_second_writer(refused, finished, tmp_path):
    identity = store.load_run(finished).identity
    with store.open_run(tmp_path / "held", identity):
        message = refused(3, "run", TINY, "--block-size", "100", "--out", tmp_path / "held")
    assert "another" in message


def test_other_versions_go_on_only_when_asked(refused, copied):
    events = store.read_journal(copied)
    events[0]["environment"]["backend"] = "tpu"
    (copied / "journal.jsonl").write_bytes(
        b"".join(checked_line(event) + b"\n" for event in events)
    )
    message = refused(3, "run", TINY, "--block-size", "100", "--out", copied)
    assert "backend tpu" in message
    assert "--allow-mixed" in message
    with pytest.raises(SystemExit) as end:
        main(["run", TINY, "--block-size", "100", "--out", str(copied), "--allow-mixed"])
    assert end.value.code == 0


def flip(file, position=1000):
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)


@pytest.mark.slow
def test_a_flipped_bit_is_named_and_mended(refused, copied, finished, capsys):
    (copied / "result.nc").unlink()
    flip(copied / "blocks" / "tiny" / "000000100-000000199.npz")
    message = refused(4, "run", TINY, "--block-size", "100", "--out", copied)
    assert "tiny/000000100-000000199" in message
    assert "deepinit verify" in message
    assert "--repair" in message
    with pytest.raises(SystemExit) as end:
        main(["verify", str(copied)])
    assert end.value.code == 4
    said = capsys.readouterr().out
    assert "damaged: tiny/000000100-000000199" in said
    assert "repair with: deepinit verify" in said
    with pytest.raises(SystemExit) as end:
        main(["verify", str(copied), "--repair"])
    assert end.value.code == 0
    with pytest.raises(SystemExit) as end:
        main(["run", TINY, "--block-size", "100", "--out", str(copied)])
    assert end.value.code == 0
    damaged = copied / "blocks" / "damaged" / "tiny"
    assert [file.name for file in damaged.iterdir()] == ["000000100-000000199.npz"]
    for file in finished.glob("blocks/tiny/*.npz"):
        assert (copied / "blocks" / "tiny" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_repair_in_one_command(copied, finished):
    flip(copied / "blocks" / "tiny" / "plan.npz", 200)
    flip(copied / "result.nc")
    with pytest.raises(SystemExit) as end:
        main(["run", TINY, "--block-size", "100", "--out", str(copied), "--repair"])
    assert end.value.code == 0
    assert store.verify(copied).ok
    assert (copied / "result.nc").read_bytes() == (finished / "result.nc").read_bytes()


def test_a_damaged_result_is_named(refused, copied):
    flip(copied / "result.nc")
    assert "result.nc" in refused(4, "show", copied)
    assert "result.nc" in refused(4, "run", TINY, "--block-size", "100", "--out", copied)


@pytest.mark.slow
def test_a_torn_line_of_the_journal_is_passed_over_and_the_run_goes_on(copied, finished):
    (copied / "result.nc").unlink()
    with (copied / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"event":"block","name":"tiny/0000')
    assert list(store.verify(copied).damaged_files) == ["result.nc"]
    with pytest.raises(SystemExit) as end:
        main(["run", TINY, "--block-size", "100", "--out", str(copied)])
    assert end.value.code == 0
    assert store.verify(copied).ok
    assert (copied / "result.nc").read_bytes() == (finished / "result.nc").read_bytes()


@pytest.mark.exhaustive
def test_a_full_disk_keeps_earlier_blocks(refused, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    run = ["run", TINY, "--block-size", "20", "--out", tmp_path / "full"]
    patience = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update(
        "jax_persistent_cache_min_compile_time_secs", 1e9
    )  # no file of the cache is to be cut off
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (5_000, hard)
    )  # the journal outgrows it after some blocks
    try:
        message = refused(5, *run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", patience)
    assert "blocks are kept" in message
    report = store.verify(tmp_path / "full")
    assert report.ok
    assert 5 < len(report.intact) < 21
    kept = contents(tmp_path / "full")
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in run])
    assert end.value.code == 0
    assert kept.items() <= contents(tmp_path / "full").items()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_theory_that_fails_is_a_failed_check(tmp_path, capsys):
    out = tmp_path / "checked"
    for arguments in (
        ["run", TINY, "--config.checked", "infinite_width", "--out", str(out)],
        ["show", str(out)],
    ):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 6
        said = capsys.readouterr().out
        failed = [line for line in said.splitlines() if line.startswith("CHECK FAILED: tiny")]
        assert len(failed) == 1
        assert "infinite_width" in failed[0]


def test_another_block_size_is_refused_with_the_reason_and_the_way_round(refused, copied):
    before = contents(copied)
    for command in ("run", "merge"):
        message = refused(3, command, TINY, "--out", copied, "--block-size", "50")
        assert "--block-size 50" in message
        assert "which was begun with --block-size 100" in message
        assert "Continue with --block-size 100, or choose another --out" in message
        assert "Got no --block-size" in refused(3, command, TINY, "--out", copied)
    assert contents(copied) == before


@pytest.mark.exhaustive
def test_a_huge_block_size_is_one_block(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["run", TINY, "--out", str(tmp_path), "--block-size", str(10**30)])
    assert end.value.code == 0
    assert store.finished_blocks(store.load_run(tmp_path)) == [
        "tiny/000000000-000000399",
        "tiny/plan",
    ]
    assert "memory has no room" not in capsys.readouterr().err
