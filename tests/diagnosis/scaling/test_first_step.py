import numpy as np
import pytest

import deepinit as di
from deepinit.diagnosis.scaling import maps
from deepinit.diagnosis.scaling.first_step import step_of
from deepinit.diagnosis.scaling.measure import measured_stack, stack_of
from deepinit.diagnosis.scaling.parametrizations import OPTIMIZERS, PARAMETRIZATIONS

INPUTS = di.inputs.points(np.random.default_rng(0).standard_normal((3, 6)))
PAIRS = [(name, optimizer) for name in PARAMETRIZATIONS for optimizer in OPTIMIZERS]


def squares(engine, name, optimizer, width=48, count=300, activation="tanh", key=0):
    spec = di.MLP((width,) * 3, activation, di.normal(1.3), di.normal(0.1, "absolute"))
    scheme = PARAMETRIZATIONS[name]
    return measured_stack(spec, width, scheme, optimizer, INPUTS, count, engine, key)


def z_scores(a, b):
    error = np.hypot(a.std(axis=0), b.std(axis=0)) / np.sqrt(len(a))
    return (a.mean(axis=0) - b.mean(axis=0)) / error


def all_z(key=0):
    found = []
    for number, (name, optimizer) in enumerate(PAIRS):
        for activation, width in (("tanh", 48), ("relu", 32)):
            given, own = (name, optimizer, width, 300, activation), key + 2 * number
            one, other = squares("conditional", *given, own), squares("explicit", *given, own + 1)
            found.append(z_scores(one.squares, other.squares))
    return np.concatenate(found)


@pytest.mark.slow
def test_the_conditional_law_is_that_of_explicit_matrices():
    z = all_z()
    assert len(z) >= 200
    assert np.abs(z).max() < 4.5
    assert 0.7 < z.std() < 1.3


@pytest.mark.parametrize("term", ["again", "backward"])
def test_a_law_that_forgets_is_rejected(term, monkeypatch):
    def forgets_backward(rng, known, v):
        return maps._again(rng, known._replace(noise=0 * known.noise), v)

    def forgets_forward(rng, known, d):
        return maps._backward(rng, known._replace(images=0 * known.images), d)

    wrong = {
        "again": maps.conditional._replace(again=forgets_backward),
        "backward": maps.conditional._replace(backward=forgets_forward),
    }[term]
    few = dict(width=8, count=1500)
    right = squares("conditional", "standard", "sgd", **few).squares
    monkeypatch.setitem(maps.ENGINES, "conditional", wrong)
    z = z_scores(squares("conditional", "standard", "sgd", key=1, **few).squares, right)
    assert np.abs(z).max() > 6


def test_three_uses_of_a_matrix_by_their_covariances():
    rng, n, m, std = np.random.default_rng(0), 7, 5, 0.6
    x, v = rng.standard_normal((n, 2)), rng.standard_normal((n, 1))
    moments = {}
    for name, engine in maps.ENGINES.items():
        rows = []
        for _ in range(8_000):
            z, memory = engine.forward(rng, std, x, m)
            back, memory = engine.backward(rng, memory, np.tanh(z[:, :1]))
            again = engine.again(rng, memory, v + 0.5 * back)
            rows.append([z[0, 0] * back[0, 0], back[1, 0] * again[2, 0], z[1, 1] * again[1, 0],
                         again[0, 0] ** 2, back[0, 0] ** 2])  # fmt: skip
        moments[name] = np.array(rows)
    z = z_scores(moments["conditional"], moments["explicit"])
    assert np.abs(z).max() < 5
    assert abs(moments["explicit"].mean(axis=0)[2]) > 0.05  # dependent


def test_the_sign_of_a_gradient_without_its_matrix():
    rng = np.random.default_rng(1)
    for batch in (1, 3):
        delta, h, probes = (rng.standard_normal(s) for s in ((40, batch), (30, batch), (30, 2)))
        direct = np.sign(delta @ h.T) @ probes
        assert step_of(delta, h, probes, True) == pytest.approx(direct, abs=1e-4)
        assert step_of(delta, h, probes, False) == pytest.approx(delta @ h.T @ probes)


def test_networks_do_not_depend_on_their_number():
    few, many = (squares("conditional", "mup", "sgd", count=n).squares for n in (2, 5))
    assert np.array_equal(few, many[:2])


def test_stacks_are_read_from_specs_and_layers():
    spec = di.MLP((16, 8), "gelu", di.normal(2.0), output_width=1)
    stack = stack_of(spec, INPUTS, 1.0)
    assert stack.widths == (16, 8)
    assert stack.stds == pytest.approx(((2 / 6) ** 0.5, (2 / 16) ** 0.5))
    assert stack.readout_std == pytest.approx(8**-0.5)
    assert stack_of(di.init.apply(spec, di.init.glorot("normal"), 6), INPUTS, 1.0).stds == (
        pytest.approx(((2 / 22) ** 0.5, (2 / 24) ** 0.5))
    )
    for refused in (
        di.MLP((8, 8), weight_law=di.uniform(1.0)),
        di.ResNet(6, 3),
        di.layers.Sequential(di.layers.Dense(4), di.layers.LayerNorm(), di.layers.Dense(1)),
    ):
        with pytest.raises(di.core.errors.SpecError):
            stack_of(refused, INPUTS, 1.0)
