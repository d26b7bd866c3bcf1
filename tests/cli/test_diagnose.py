"""The command diagnose: arguments, files, exit codes, refusals."""

import json

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.cli import main
from deepinit.cli.diagnose import INITS, as_network, sizes
from deepinit.core.errors import SpecError

MODELS = """
import deepinit as di
import flax.linen as nn
import jax.numpy as jnp

net = di.MLP((6, 6), "tanh", output_width=2)
broken = 3


def make_model():
    return nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(3)])


def fails():
    return 1 / 0


class Branching(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x) if float(x.sum()) > 0 else x
"""


@pytest.fixture
def models(tmp_path):
    file = tmp_path / "models.py"
    file.write_text(MODELS)
    return file


@pytest.fixture
def rows(tmp_path):
    file = tmp_path / "rows.npy"
    np.save(file, np.random.default_rng(0).normal(size=(8, 12)).astype("float32"))
    return file


def said(capsys, code, *arguments):
    with pytest.raises(SystemExit) as end:
        main(["diagnose", *map(str, arguments)])
    assert end.value.code == code
    return capsys.readouterr().out


def test_words_are_explained(capsys):
    assert "sqrt(depth/width)" in said(capsys, 0, "--explain", "lottery")
    said(capsys, 2, "--explain", "magic")


@pytest.mark.parametrize("word", ["chaos", "gradient_slope", "residual", "share"])
def test_every_word_of_the_screen_has_its_text(word):
    from deepinit.diagnosis.interventions import INTERVENTIONS
    from deepinit.diagnosis.scores import NAMES
    from deepinit.diagnosis.words import WORDS, explained

    assert explained(word).startswith(f"{word}: ")
    assert {*NAMES, *INTERVENTIONS} <= WORDS.keys()


def test_sizes():
    assert sizes("784,100x3,10") == (784, 100, 100, 100, 10)
    assert sizes("2, 3 ,4") == (2, 3, 4)
    for wrong in ("", "784", "784,10", "784,0x3,10", "784,ax3,10", "784;3;10", "1,2,-3", "1,2x,3"):
        with pytest.raises(SpecError, match="--widths"):
            sizes(wrong)


@pytest.mark.parametrize("name", INITS)
def test_initializations_by_name(name):
    from deepinit.cli.arguments import Diagnose
    from deepinit.cli.diagnose import _network

    network, title, dimension = _network(
        Diagnose(widths="12,8x3,2", activation="gelu", init=name), None
    )
    assert dimension == 12
    assert title == f"MLP 12, 8 x 3, 2   gelu, init {name}"
    places = di.init.places(network, 12)
    assert [place.rows for place in places] == [8, 8, 8, 2]
    assert places[0].fan_in == 12
    assert network != di.MLP((8,) * 3, "gelu", output_width=2)


def test_models_of_files(models):
    scope = {}
    exec(compile(MODELS, "models.py", "exec"), scope)
    assert as_network(scope["net"]) is scope["net"]
    assert isinstance(as_network(scope["make_model"]), di.Network)
    for wrong in (3, "net", lambda a, b: None):
        with pytest.raises(SpecError, match="a model of type"):
            as_network(wrong)


def test_functions_of_rngs_and_of_key():
    nnx = pytest.importorskip("flax.nnx")

    def make_nnx(rngs):
        return nnx.Linear(4, 2, rngs=rngs)

    net = as_network(make_nnx)
    assert isinstance(net, di.Network)
    drawn = net.batch.init(jax.random.key(0), np.zeros((2, 4), "float32"))[0]
    assert sum(leaf.size for leaf in jax.tree.leaves(drawn)) == 10


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "no network"),
        (("gpt2", "--widths", "4,4,4"), "a network and --widths"),
        (("gpt3",), "the network 'gpt3'"),
        (("--widths", "784,10"), "--widths"),
        (("--widths", "8,4x2,2", "--activation", "relv"), "relv"),
        (("--widths", "8,4x2,2", "--init", "magic"), "--init magic"),
        (("gpt2", "--init", "he"), "--init without --widths"),
        (("--widths", "8,4x2,2", "--apply", "magic"), "apply"),
        (("--widths", "8,4x2,2", "--num-seeds", "1"), "num_seeds"),
        (("missing.py:net",), "missing.py"),
    ],
)
def test_refused_arguments(refused, arguments, text):
    assert text in refused(2, "diagnose", *arguments)


def test_refused_files(refused, models, rows, tmp_path):
    assert "without nothing" in refused(2, "diagnose", f"{models}:nothing")
    assert "ZeroDivisionError" in refused(2, "diagnose", f"{models}:fails")
    assert "a model of type int" in refused(2, "diagnose", f"{models}:broken")
    assert "without inputs" in refused(2, "diagnose", f"{models}:make_model")
    traced = refused(2, "diagnose", f"{models}:Branching", "--inputs", rows)
    assert "cannot be traced" in traced
    widths = ("--widths", "9,4x2,2")
    assert "12 numbers" in refused(2, "diagnose", *widths, "--inputs", rows)
    text = tmp_path / "text.npy"
    text.write_text("no array")
    assert "no array of numbers" in refused(2, "diagnose", *widths, "--inputs", text)
    constant = tmp_path / "constant.npy"
    np.save(constant, np.ones((8, 9)))
    assert "constant inputs" in refused(2, "diagnose", *widths, "--inputs", constant)
    assert "No such file" in refused(2, "diagnose", *widths, "--inputs", tmp_path / "none.npy")


@pytest.mark.slow
def test_the_screen_the_record_and_the_page(capsys, rows, tmp_path):
    page = tmp_path / "page.html"
    arguments = ("--widths", "12,64x2,3", "--inputs", rows, "--num-seeds", 8)
    text = said(capsys, 0, *arguments, "--html", page)
    assert "VERDICT    trains" in text
    assert "exit 0" in text
    assert len(text.splitlines()) <= 24
    assert "data:image/png;base64," in page.read_text()
    assert "gradient_spread" in page.read_text()
    assert "max-width:100%" in page.read_text()  # figures fit any window
    assert "e-1" not in page.read_text().split("<table>")[1]  # rounding is not shown as theory
    record = json.loads(said(capsys, 0, *arguments, "--json"))
    assert record["exit_code"] == 0
    assert record["inputs"]["rows"] == 8
    assert record["verdict"]["label"] == "trains"


@pytest.mark.slow
def test_a_flax_module_is_read(capsys, models, rows):
    record = json.loads(
        said(capsys, 0, f"{models}:make_model", "--inputs", rows, "--json", "--num-seeds", 8)
    )
    assert record["network"]["source"] == "read"
    assert record["verdict"]["calibration"]["family"] == "mlp"


@pytest.mark.parametrize("code", [0, 6, 10, 11])
def test_the_exit_code_is_that_of_the_verdict(capsys, monkeypatch, code):
    class Found:
        exit_code = code

        def __str__(self):
            return "VERDICT"

    monkeypatch.setattr(di, "diagnose", lambda *given, **options: Found())
    assert said(capsys, code, "--widths", "8,4x2,2") == "VERDICT\n"
