"""The experiment through the real command: the smoke preset, and every case and figure of the full one in small."""

import html
import json
import re

import pytest

from deepinit import cli, store

EXPERIMENT = "vanishing_angles"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, *arguments])
    return ended.value.code, capsys.readouterr().out


@pytest.mark.exhaustive
def test_smoke_prints_a_table_and_its_report_says_in_words_that_the_papers_correction_is_rejected(
    tmp_path, capsys
):
    out = tmp_path / "smoke"
    code, printed = run(capsys, "--out", str(out))
    assert code == 0
    assert printed.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert "relu-w64" in printed
    text = re.sub(
        r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", (out / "report.html").read_text()))
    )
    assert "At width 64 the paper's correction rho(n) is rejected, by" in text
    assert "in agreement are tapered, hybrid, second_order, first_order" in text
    assert "Angle between real images, layer by layer" in text
    assert "KS distance" in text
    assert "jakub2024depth" in text
    assert len(list((out / "figures").iterdir())) == 8
    data = store.read_result(out)
    z = abs(data["z"].sel(case="relu-w64"))
    assert float(z.sel(route="second_order").max()) < 5
    assert float(z.sel(route="paper").max()) > 5
    assert float(z.sel(route="infinite_width").max()) > 5


@pytest.mark.slow
@pytest.mark.exhaustive
def test_every_case_of_full_runs_in_small(tmp_path, capsys):
    small = "--config.num-seeds 400 --config.depth 3 --config.widths 16 64 --config.histogram-width 64 --config.activation-width 32"
    out = tmp_path / "full"
    code, printed = run(
        capsys,
        *("--preset", "full", "--json", "--out", str(out)),
        *small.split(),
        *("--config.unequal", "64-32-64", "--config.activations", "leaky_relu", "gelu"),
        *("--config.histogram-layers", "1", "3", "--config.image-pairs", "2"),
    )
    record = json.loads(printed)
    assert code == 0, record["failures"]
    data = store.read_result(out)
    assert list(data["case"].values) == [
        "relu-w16",
        "relu-w64",
        "relu-64-32-64",
        "leaky_relu",
        "gelu",
        "images",
    ]
    assert data.sizes["pair"] == 4
    assert len(list((out / "figures").iterdir())) >= 9


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--config.widths", "16", "16"), "two cases called relu-w16"),
        (("--config.activations", "tanh", "tanh"), "two cases called tanh"),
        (("--config.unequal", "64x32"), "the widths '64x32'"),
        (("--config.depth", "0"), "no layers"),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, "--dry-run", *option])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
