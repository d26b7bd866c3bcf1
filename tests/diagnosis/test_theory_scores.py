"""Scores by theory against simulation of wide networks."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.layers import shape_of
from deepinit.diagnosis.default_inputs import usual_rows
from deepinit.diagnosis.features import LABEL_FREE
from deepinit.diagnosis.fixes import applied, fixes
from deepinit.diagnosis.judgement import is_decided
from deepinit.diagnosis.score_inputs import arranged, batch_of
from deepinit.diagnosis.scores import Score, Scores, scores
from deepinit.diagnosis.theory_scores import predictions

ROWS = np.random.default_rng(1).normal(size=(8, 200))
ROWS /= np.sqrt(np.mean(ROWS**2, axis=1, keepdims=True))
SCORES = ("collapse", "gradient_slope", "stretch")


@pytest.mark.slow
@pytest.mark.parametrize("change", ["residual", "norm", "critical"])
@pytest.mark.parametrize("phi", ["gelu", "tanh"])
def test_stacks_of_layers(phi, change):
    inputs = di.inputs.points(ROWS)
    spec = di.MLP((200,) * 10, phi, di.normal(1.3), output_width=10)
    net = applied(change, spec, inputs)
    theory = predictions(net, ROWS)
    found = scores(net, inputs, num_seeds=32, parts="states").scores
    tolerance = lambda name: 5 * found[name].standard_error + 0.15  # 0.15: depth/width
    for name in SCORES:
        assert abs(theory[name] - found[name].mean) < tolerance(name), name
    # the loss adds its own, 2 / (rows x outputs) in square
    spread = np.hypot(theory["gradient_spread"], (2 / (8 * 10)) ** 0.5)
    assert 0.5 < found["gradient_spread"].mean / spread < 1.3
    other = predictions(spec, ROWS)  # a rival: the network before the change
    assert any(abs(other[name] - found[name].mean) > tolerance(name) for name in SCORES)


def test_no_theory_of_other_networks():
    L = di.layers
    net = L.Sequential(L.Dense(8), L.Gate("silu"), L.Dense(8), L.Dense(2))
    assert predictions(net, ROWS) == {}
    assert predictions(di.MLP((8, 8), "relu", di.orthogonal(2.0), output_width=2), ROWS) == {}


@pytest.mark.slow
def test_the_best_change_by_theory_is_measured():
    inputs = usual_rows(di.MLP((8,)), 64).inputs
    spec = di.MLP((16,) * 20, "relu", di.normal(0.7), output_width=10)
    found = fixes(spec, inputs, 16, 0)
    assert [fix.source for fix in found] == ["simulated", "theory", "theory"]
    measured, predicted = found[0], found[1]
    assert measured.id == "residual"
    assert predicted.scores["gradient_slope"].predicted is not None
    again = scores(predicted.network, inputs, num_seeds=32, parts="states").scores
    slope = again["gradient_slope"]
    theory = predicted.scores["gradient_slope"].predicted
    assert abs(slope.mean - theory) < 5 * slope.standard_error + 1


def test_a_label_is_decided_if_no_error_changes_it():
    def judge(found):
        label = "fails" if found.scores["gradient_slope"].mean > 1 else "trains"
        return type("Judged", (), {"label": label})

    def measured(mean):
        own = {name: Score(mean, 0.1, 1.0, 0, None) for name in LABEL_FREE}
        return Scores(own, {}, (), 32, "layers")

    assert is_decided(measured(1.4), judge)
    assert is_decided(measured(0.6), judge)
    assert not is_decided(measured(1.2), judge)


@pytest.mark.slow
def test_one_linearization_gives_the_scores_of_separate_passes():
    import functools

    import jax

    from deepinit.diagnosis.doors.layers import layers_probe
    from deepinit.diagnosis.one_network import measured, step_scores

    net = di.MLP((12,) * 3, "gelu", output_width=3, bias_law=di.normal(0.1, "absolute"))
    own, shown = arranged(net, di.inputs.points(ROWS))
    probe, batch = layers_probe(net, shape_of(own)), batch_of(shown, None)
    run = lambda function: jax.jit(functools.partial(function, probe, batch))(jax.random.key(3))
    quick, whole = run(step_scores), run(functools.partial(measured, kernel=False))
    assert quick.keys() == whole.keys()
    for name in quick:
        np.testing.assert_allclose(quick[name], whole[name], rtol=1e-4, atol=1e-4)
