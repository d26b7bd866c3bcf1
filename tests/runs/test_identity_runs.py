"""Edited code is another run: to continue or merge it is refused, with the changed names."""

import sys

import pytest

from deepinit.cli import main
from deepinit.runs.execute import identity
from deepinit.runs.load import load_experiment
from deepinit.store import open_run

HELPER = """
GAIN = 1.0

def shifted(value):
    return GAIN * value
"""

TEXT = """
import dataclasses
import functools
import numpy as np
import optax
import jax.numpy as jnp
from flax import linen
import deepinit as di
import own_helper
from deepinit.runs.experiment import Case, Experiment
from deepinit.networks.doors.flax import from_linen

RATE = 0.1

@dataclasses.dataclass(frozen=True)
class Swollen:
    power: float = 1.0

    def __call__(self, x):
        return jnp.tanh(x) * (1 + 0 * self.power * x)

def doubled(measure):
    @functools.wraps(measure)
    def inner(state, inputs):
        found = measure(state, inputs)
        return found._replace(value=2.0 * found.value)
    return inner

@doubled
def measure(state, inputs, offset=0.0):
    found = di.quantities.log_norm.measurement.tap(state, inputs)
    return found._replace(value=offset + own_helper.shifted(found.value))

class Net(linen.Module):
    scale: float = 1.0

    @linen.compact
    def __call__(self, x):
        return linen.Dense(1)(jnp.tanh(self.scale * linen.Dense(2)(x)))

def target(x):
    return np.sin(3.0 * x)

def rows():
    return [[1.0, 0.0]]

@dataclasses.dataclass(frozen=True)
class Config:
    pass

own = di.quantities.log_norm._replace(
    name="own", measurement=di.quantities.log_norm.measurement._replace(tap=measure), theories=()
)

def cases(config):
    spec = di.MLP((4,) * 2, Swollen(), di.normal(1.5))
    x = np.linspace(-1.0, 1.0, 5)
    examples = di.targets.examples(x, target(x))
    mode = optax.sgd(RATE)
    training = di.TrainingConfig(examples, (0, 1), mode, name="own sgd", geometry="l2")
    net = from_linen(Net(), label="net")
    return (
        Case("own", spec, own, di.inputs.points(rows()), 8, theories=()),
        Case("net", net, di.quantities.training_loss, training, 8, theories=()),
    )

PRESETS = {"default": Config()}
EXPERIMENT = Experiment("own", "Own", PRESETS, cases, lambda config, results: [], "", "Is it?")
"""

EDITS = {
    "activation": (
        "jnp.tanh(x) * (1",
        "jnp.sin(x) * (1",
        ("cases[0].code.activation.", "Swollen", "values"),
    ),
    "field of an activation": (
        "power: float = 1.0",
        "power: float = 2.0",
        (".activation.", "power"),
    ),
    "default of measure": ("offset=0.0", "offset=1.0", (".quantity.", "measure", "__defaults__")),
    "decorator of measure": ("2.0 * found", "3.0 * found", (".quantity.", "doubled")),
    "module": (
        "jnp.tanh(self",
        "jnp.sin(self",
        ("cases[1].code.network.", "Net.__call__", "network.values"),
    ),
    "field of a module": ("scale: float = 1.0", "scale: float = 1.5", (".network.", "scale")),
    "target": ("np.sin(3.0 * x)", "np.sin(3.1 * x)", ("cases[1].inputs.sha256",)),
    "inputs": ("[[1.0, 0.0]]", "[[1.0, 0.5]]", ("cases[0].inputs.sha256",)),
    "rate": ("RATE = 0.1", "RATE = 0.2", ("code.optimizer.", '"-0.1" here, "-0.2" asked')),
    "helper": (
        "GAIN = 1.0",
        "GAIN = 3.0",
        ('code.quantity.own_helper:GAIN: "1.0" here, "3.0" asked',),
    ),
    "helper's body": ("GAIN * value", "GAIN + value", ("code.quantity.own_helper:shifted",)),
}


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(list(map(str, arguments)))
    return end.value.code


def write(folder, old="", new=""):
    sys.modules.pop("own_helper", None)
    sys.dont_write_bytecode = True
    for name, text in (("own_helper.py", HELPER), ("own_runs.py", TEXT)):
        (folder / name).write_text(text.replace(old, new) if old else text)
    return folder / "own_runs.py"


def preset(file):
    experiment = load_experiment(str(file))
    return experiment, experiment.preset(None)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder with the directory of a run that was begun by the code as it stands."""
    folder = tmp_path_factory.mktemp("own")
    with open_run(folder / "run", identity(*preset(write(folder)), 4)):
        pass
    yield folder
    sys.modules.pop("own_helper", None)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.slow_cases("activation", "default of measure", "helper", "helper's body", "inputs")
def test_r05_a11_edited_code_neither_continues_nor_merges(begun, edit, capsys):
    old, new, names = EDITS[edit]
    assert (HELPER + TEXT).count(old) == 1
    file = write(begun, old, new)
    arguments = (file, "--out", begun / "run", "--block-size", 4)
    capsys.readouterr()
    for command in (("run", *arguments, "--shard", "1/2"), ("merge", *arguments)):
        assert run(*command) == 3
        error = capsys.readouterr().err
        assert "holds another run: " in error
        assert all(name in error for name in names), error


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_same_code_continues_and_merges(tmp_path):
    arguments = (tmp_path / "own_runs.py", "--out", tmp_path / "run", "--block-size", 4)
    write(tmp_path)
    assert run("run", *arguments, "--shard", "0/2") == 0
    write(tmp_path, "RATE = 0.1\n", "# of the optimizer\nRATE = 0.1\n\n")
    assert run("run", *arguments, "--shard", "1/2") == 0
    assert run("merge", *arguments) == 0
