"""The report's sentence on kernels at infinite width."""

import re
import types

import pytest

import deepinit as di
from deepinit.core.errors import ResourceError
from deepinit.infinite_width import agreement as module
from deepinit.runs.cross_check import MOST_COMPARED, neural_tangents_sentence

PAIR = di.inputs.pair(0.5, dimension=4)
RELU, TANH = di.MLP((8,) * 3, "relu"), di.MLP((8,) * 3, "tanh")


def result(name, spec, theories=("second_order", "infinite_width"), inputs=PAIR):
    predictions = [types.SimpleNamespace(name=theory) for theory in theories]
    case = types.SimpleNamespace(name=name, spec=spec, inputs=inputs)
    return types.SimpleNamespace(case=case, predictions=predictions)


@pytest.fixture
def asked(monkeypatch):
    """Networks that were compared; each differs by 1e-9 times its number."""
    specs = []

    def known(spec, inputs):
        specs.append(spec)
        return module.Agreement(1e-9 * len(specs), 0.0, 2)

    monkeypatch.setattr(module, "agreement", known)
    return specs


def test_the_largest_difference_of_one_network_a_kind(asked):
    wide = di.MLP((64,) * 3, "relu")
    sentence = neural_tangents_sentence([result("a", RELU), result("b", wide), result("c", TANH)])
    assert asked == [RELU, TANH]
    assert "at most 2.0e-09 of the diagonal (c, 2 inputs; less in a)" in sentence
    assert "quadrature" not in sentence


def test_a_quadrature_of_the_package_is_named(monkeypatch):
    monkeypatch.setattr(module, "agreement", lambda *_: module.Agreement(5e-4, 1e-5, 2, ("tanh",)))
    sentence = neural_tangents_sentence([result("a", TANH)])
    assert "at most 5.0e-04" in sentence
    assert "neural-tangents integrates tanh by quadrature" in sentence


def test_few_networks_are_compared(asked):
    names = ["relu", "tanh", "erf", "gelu", "silu", "sin"]
    neural_tangents_sentence([result(name, di.MLP((8,) * 2, name)) for name in names])
    assert len(asked) == MOST_COMPARED


def test_nothing_is_said_without_that_theory(asked):
    config = types.SimpleNamespace()
    cases = [result("a", RELU, ("second_order",)), result("b", RELU, inputs=config)]
    assert neural_tangents_sentence(cases) == ""
    assert asked == []


def test_networks_that_it_lacks_are_left_out():
    gated = di.layers.Sequential(di.layers.Dense(8), di.layers.Gate("silu"), di.layers.Dense(1))
    assert neural_tangents_sentence([result("a", gated)]) == ""


def test_where_it_is_not_installed_the_report_says_how_to_get_it(monkeypatch):
    def absent(spec, inputs):
        raise ResourceError("Got no neural-tangents. Install it: `pip install ...`")

    monkeypatch.setattr(module, "agreement", absent)
    sentence = neural_tangents_sentence([result("a", RELU)])
    assert re.search("not compared with neural-tangents.*pip install", sentence)


def test_a_failure_of_the_package_does_not_end_the_run(monkeypatch):
    def broken(spec, inputs):
        raise TypeError("a new JAX")

    monkeypatch.setattr(module, "agreement", broken)
    assert "failed (TypeError)" in neural_tangents_sentence([result("a", RELU)])


@pytest.mark.slow
def test_a_planted_wrong_recursion_changes_the_sentence(monkeypatch):
    stated = lambda: float(
        re.search("at most (.*) of", neural_tangents_sentence([result("a", RELU)]))[1]
    )
    right = stated()
    recursion = module.kernel_layers
    monkeypatch.setattr(
        module, "kernel_layers", lambda spec, rows, **options: recursion(TANH, rows, **options)
    )
    assert right < 1e-7 < 0.1 < stated()
