"""Control variates of every layer kind and activation, at widths 64 and 256.

Their mean is 0; the controlled mean is the first order, which holds mean maps to 1e-4 to 1e-6 of
themselves (x^2 tanh x and attention: 1e-3). `-s` prints a row of every case. All activations:
`-m exhaustive`, 30 s each.
"""

import functools

import numpy as np
import pytest
from controlled_networks import ACTIVATIONS, CASES, drawn, scores

import deepinit as di
from deepinit.core.layers.containers import children
from deepinit.quantities.coverage import coverage
from deepinit.theory.layers import columns, controls
from deepinit.theory.layers.column_means import column_means

NETWORKS = {64: 4000, 256: 2000}
ROUNDING = 1e-6  # of float32 values of order 1

SHORT = ("activations", "gate", "layernorm", "angle", "small_angle")
EVERY = {**CASES, **ACTIVATIONS}
LONG = (*ACTIVATIONS, *(name for name in CASES if name not in SHORT))


@functools.lru_cache
def networks(name, width):
    return drawn(EVERY[name], width, NETWORKS[width])


@functools.lru_cache
def shift(name, width):
    """The prediction's: of attention it has a part of order 1 / (heads x head width)."""
    case, centre = EVERY[name], networks(name, width).centre
    predicted = di.predict(case.network(width), case.quantity, case.inputs, theory="first_order")
    return predicted.mean - centre


def wrong_terms(name, *, of=lambda sample: sample):
    """A in controlled mean - prediction = A / width + B / width^2 of two widths, and its error."""
    differences, errors = [], []
    for width in (64, 256):
        sample = of(networks(name, width)).controlled
        error = np.maximum(sample.std(axis=0) / len(sample) ** 0.5, ROUNDING)
        differences.append(width**2 * (sample.mean(axis=0) - shift(name, width)))
        errors.append(width**2 * error)
    return (differences[1] - differences[0]) / (256 - 64), np.hypot(*errors) / (256 - 64)


def kinds(layer):
    """Of a layer and those inside."""
    return {type(layer).__name__}.union(*(kinds(child) for child in children(layer)))


def test_every_layer_kind_has_a_case():
    seen = set().union(*(kinds(case.network(16)) for case in CASES.values()))
    shipped = {kind for kind in coverage().kinds if hasattr(di.layers, kind)}  # not of other tests
    missing = {kind for kind, route in coverage().missing if route == "first_order"} & shipped
    assert missing == {"Tied"}
    assert shipped - missing <= seen


@pytest.mark.slow
@pytest.mark.exhaustive_cases(*LONG, "layernorm", "gate")
@pytest.mark.parametrize("name", EVERY)
def test_controls_have_mean_zero(name):
    for width in NETWORKS:
        sample = networks(name, width)
        assert scores(sample.mean).max() < 5
        assert scores(sample.square).max() < 5
        assert scores(sample.past).max() < 5
    assert networks(name, 256).resolution[-1].max() < EVERY[name].resolves


@pytest.mark.slow
@pytest.mark.exhaustive_cases(*LONG, "layernorm", "gate")
@pytest.mark.parametrize("name", EVERY)
def test_the_controlled_mean_is_the_first_order(name):
    """width^2 (mean - prediction) is the same at widths 64 and 256."""
    wrong, error = wrong_terms(name)
    z, size = np.abs(wrong) / error, np.max(error) / 256
    print(f"{name:16s} |z| {z.max():.1f}, error of width 256 {size:.0e}")  # noqa: T201
    assert (np.abs(wrong) < 5 * error).all()


@pytest.mark.slow
def test_a_wrong_mean_is_rejected(monkeypatch):
    """E F_a F_b off by 1e-3."""

    def wrong(*given):
        once, twice = column_means(*given)
        return once, 1.001 * twice

    def with_wrong(sample):
        return sample.with_controls_of(sample.control)

    wrong_terms("activations")  # of the right means, before
    compiled = controls._advance, controls._control
    monkeypatch.setattr(columns, "column_means", wrong)
    try:
        for each in compiled:
            each.clear_cache()
        found, error = wrong_terms("activations", of=with_wrong)
    finally:
        for each in compiled:
            each.clear_cache()
    assert (np.abs(found[-1]) > 5 * error[-1]).all()


@pytest.mark.slow
@pytest.mark.exhaustive_cases("skips", "conv")
@pytest.mark.parametrize("name", ["activations", "skips", "conv"])
def test_linear_maps_have_one_controlled_mean(name):
    samples = [
        drawn(CASES[name], 64, 2000, linear_map=linear_map, seed=seed).controlled
        for seed, linear_map in enumerate(("conditional", "explicit"), start=1)
    ]
    gap = np.abs(samples[0].mean(axis=0) - samples[1].mean(axis=0))
    errors = [np.maximum(s.std(axis=0) / len(s) ** 0.5, ROUNDING) for s in samples]
    assert (gap < 5 * np.hypot(*errors)).all()


@pytest.mark.slow
@pytest.mark.parametrize("inputs", [di.inputs.pair(1.0), di.inputs.points(np.eye(2))], ids=repr)
def test_networks_with_a_dead_layer_have_controls(inputs):
    """At width 6 one ReLU row in 64 is dead: 0, or rounding where a displacement is added."""
    options = {"num_seeds": 20_000, "control": "theory", "progress": lambda done, total: None}
    saved = di.simulate(di.MLP((6,) * 3), di.quantities.nngp, inputs, **options).variance_saved
    assert (saved > 10).all()
