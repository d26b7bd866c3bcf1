"""The identity of a run: edited code is another run, and the refusal names what changed."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import deepinit as di
from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.networks.doors.flax import from_linen, from_nnx
from deepinit.networks.network import named, network
from deepinit.runs.experiment import Case
from deepinit.runs.load import load_experiment
from deepinit.store.canonical import differences, identity_hash

Q = di.quantities

EXPERIMENT = """
import dataclasses
import jax.numpy as jnp
import deepinit as di
from deepinit.runs.experiment import Case, Experiment

OFFSET = 0

def act(x):
    return jnp.tanh(x)

def measure(state, inputs):
    found = di.quantities.log_norm.measurement.tap(state, inputs)
    return found._replace(value=OFFSET + found.value)

@dataclasses.dataclass(frozen=True)
class Config:
    pass

log_norm = di.quantities.log_norm
own = log_norm._replace(name="own", measurement=log_norm.measurement._replace(tap=measure))

def cases(config):
    spec = di.MLP((16,) * 2, act, di.normal(1.5))
    return (Case("only", spec, own, di.inputs.points([[1.0, 0.0]]), 64, theories=()),)

PRESETS = {"default": Config()}
EXPERIMENT = Experiment("own", "Own", PRESETS, cases, lambda config, results: [], "", "Is it?")
"""


def identity_of(file, text):
    file.write_text(text)
    experiment = load_experiment(str(file))
    return experiment.cases(experiment.preset(None))[0].identity()


def changed(here, asked):
    return [line.partition(": ")[0] for line in differences(here, asked)]


GOLDEN = {
    "mlp": "feea9a74ff380de5abcaf425f5511ffa8ca8cc0dd8500e8e18fb9101b4dad9ed",
    "leaky": "30177a277d6c84a95a9adcc738d9228699f6989e1c72f6b6a5ca0e34d06f6c14",
    "rounded": "e21ccd9739b2a38849762e695808d2fb796e25b9925c9bbaf5460e5a3bfd0343",
    "resnet": "e975e51cc20701d32a849c835a8f11458541cbf7b5dd194a16f295debd44f359",
    "conv": "3dd238a094c9fd00d6107d6a0cdb6f14e779fb1674f43d80389afce280ccdf61",
    "training": "3984c83070cabaf0ab437013484f0cfd438cac34baaaf6ea3e27041fba16231c",
}


def test_identities_of_what_deepinit_defines_stay():
    law, bias = di.normal(1.5), di.normal(0.1, "absolute")
    points, square = di.inputs.points, di.matrix_normal(np.eye(4), np.eye(4))
    training = di.TrainingConfig(di.targets.two_sines(8), (0, 1, 2), "gd", 0.1)
    mlp = di.MLP((8,) * 3, di.tanh, law, bias_law=bias, output_width=2)
    resnet = di.ResNet(4, 2, block="shallow", weight_law=square)
    cases = (
        Case("mlp", mlp, Q.log_norm, points([[1.0, 2.0]]), 100, theories=()),
        Case(
            "leaky",
            di.MLP((8,) * 3, di.leaky_relu(0.25)),
            Q.log_sin2_angle,
            di.inputs.pair(0.5),
            100,
            theories=(),
        ),
        Case(
            "rounded",
            di.MLP((8,) * 3, di.rounded("tanh", 0.01), law),
            Q.survival,
            di.inputs.ones(4),
            100,
            theories=(),
        ),
        Case("resnet", resnet, Q.nngp, points([[1.0, 2.0, 0, 0]]), 100, theories=()),
        Case(
            "conv",
            di.ConvResNet((4,), 2, 2, inner_activation="tanh"),
            Q.nngp,
            points([[1.0] * 8]),
            100,
            theories=(),
        ),
        Case(
            "training",
            di.MLP((8,), di.tanh, law, output_width=1),
            Q.training_loss,
            training,
            10,
            theories=(),
            num_saved=2,
        ),
    )
    assert {case.name: identity_hash(case.identity()) for case in cases} == GOLDEN
    of_network = Case(
        "training", network(cases[-1].spec), Q.training_loss, training, 10, theories=()
    )
    assert "code" not in of_network.identity()


def test_a11_source_counts_and_layout_does_not(tmp_path):
    file = tmp_path / "own_layout.py"
    first = identity_of(file, EXPERIMENT)
    commented = EXPERIMENT.replace(
        "    return jnp.tanh(x)", '    """Odd."""\n    # tanh\n\n    return (jnp.tanh( x ))'
    )
    assert commented != EXPERIMENT
    assert changed(first, identity_of(file, "# a line more\n" + commented)) == []
    same_values = EXPERIMENT.replace("return jnp.tanh(x)", "return jnp.tanh(x) + 0.0")
    assert changed(first, identity_of(file, same_values)) == [
        "code.activation.deepinit_experiment:act"
    ]


def test_the_name_of_the_file_is_no_part_of_the_identity(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    files = [tmp_path / "own_one.py", tmp_path / "own_two.py", package / "__init__.py"]
    first, renamed, packaged = (identity_of(file, EXPERIMENT) for file in files)
    assert first == renamed == packaged
    assert "deepinit_experiment:act" in first["code"]["activation"]


def test_r05_the_values_of_an_activation_tell_it_apart_without_source():
    space = {}
    exec("import jax.numpy as jnp\ndef act(x):\n    return SCALE * jnp.tanh(x)\nSCALE = 1.0", space)
    records = []
    for scale in (1.0, 1.0 + 1e-12, 1.001):
        space["SCALE"] = scale
        spec = di.MLP((4,), di.from_function(space["act"]), di.normal(1.0))
        case = Case("c", network(spec), Q.training_loss, training_with("gd"), 2, theories=())
        records.append(case.code["activation"]["values"])
    assert records[0] == records[1] != records[2]


def test_r05_a_name_of_deepinit_on_another_function():
    with pytest.raises(SpecError, match="'tanh', which no import can reach"):
        Activation("tanh", jnp.sin).to_json()
    impostor = Activation("tanh", jnp.sin, derivative_fn=jnp.cos)
    first, other = (
        Case(
            "c", di.MLP((4,), act, di.normal(1.0)), Q.log_norm, di.inputs.ones(2), 2, theories=()
        ).identity()
        for act in (di.tanh, impostor)
    )
    assert changed(first, other) == ["code"]


def training_with(mode, **options):
    return di.TrainingConfig(
        di.targets.two_sines(8), (0, 1), mode, 0.1 if mode == "gd" else None, **options
    )


def of_network(net):
    return Case("c", net, Q.training_loss, training_with("gd"), 2, theories=()).identity()


class Gained(linen.Module):
    """A dense layer and a number."""

    gain: float = 1.0

    @linen.compact
    def __call__(self, x):
        return self.gain * linen.Dense(1)(jnp.tanh(x))


class Other(linen.Module):
    gain: float = 1.0

    @linen.compact
    def __call__(self, x):
        return self.gain * linen.Dense(1)(jnp.sin(x))


@pytest.mark.slow
def test_r05_flax_modules_of_one_label():
    nets = [
        from_linen(module, label="net") for module in (Gained(), Gained(), Gained(2.0), Other())
    ]
    first, same, field, body = map(of_network, nets)
    assert changed(first, same) == []
    assert changed(first, field) == ["code.network.it.0.gain", "code.network.values"]
    assert any("Gained.__call__" in name for name in changed(first, body))

    def linear(rngs):
        return nnx.Linear(2, 1, rngs=rngs)

    def without_bias(rngs):
        return nnx.Linear(2, 1, use_bias=False, rngs=rngs)

    first, same, other = (
        of_network(from_nnx(make, label="net")) for make in (linear, linear, without_bias)
    )
    assert changed(first, same) == []
    assert changed(first, other)


def test_r05_networks_of_two_functions():
    def init(key, width):
        return jnp.ones(width)

    first, other = (
        named("net", init, apply)
        for apply in (lambda w, x: jnp.sum(w * x)[None], lambda w, x: jnp.sum(x)[None])
    )
    assert changed(of_network(first), of_network(first)) == []
    assert changed(of_network(first), of_network(other))


def test_targets_and_inputs_count_by_their_numbers():
    digests = [di.targets.examples(np.ones((2, 1)), np.full((2, 1), value)) for value in (1.0, 2.0)]
    first, other = (di.TrainingConfig(examples, (0, 1), "gd", 0.1).digest for examples in digests)
    assert first != other
    assert di.inputs.points([[1.0]], "p").digest != di.inputs.points([[2.0]], "p").digest
