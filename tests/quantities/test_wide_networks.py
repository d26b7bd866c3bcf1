"""Simulations at width 4096 against infinite-width limits, over the networks of the battery."""

import dataclasses

import jax
import numpy as np
import pytest
from battery import DIMENSION, POINTS, SPECS

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities
WIDTH, FEW, MANY = 4096, 12, 60
INPUTS = {
    **{
        name: POINTS["component"] for name in ("nngp", "log_norm", "log_sin2_angle", "log_distance")
    },
    **{name: POINTS["component"] for name in ("output_kurtosis", "ntk", "bias_ntk")},
    "log_volume": di.frames.random(dimension=DIMENSION, size=2),
    "length_distortion": di.curves.sampled(di.curves.circle(dimension=DIMENSION)),
}
KERNELS = ("nngp", "ntk", "bias_ntk")  # compared at the scale of their largest entry
TANGENT = ("ntk", "bias_ntk")


def widened(spec):
    """The spec at width 4096 and with an embedding; None for networks that cannot be widened."""
    if isinstance(spec, di.MLP) and min(spec.widths) >= 40:
        return dataclasses.replace(spec, widths=(WIDTH,) * spec.depth)
    if isinstance(spec, di.ResNet):
        law = spec.embedding_law or di.normal(1.0)
        return dataclasses.replace(spec, width=WIDTH, embedding_law=law)
    return None


WIDE = [*dict.fromkeys(wide for wide in map(widened, SPECS[::5]) if wide is not None)]


def misses(name, spec, simulated, limit):
    """Is a deviation beyond 5 standard errors and the order depth / width of the limit?"""
    scale = (np.abs(limit).max() or 1.0) if name in KERNELS else 1.0
    allowed = 5.0 * simulated.standard_error / scale + 10.0 * spec.depth / WIDTH
    return bool(np.any(np.abs(simulated.mean - limit) / scale > allowed))


def rival_limit(name, spec):
    """The limit of another activation or variance; of a kurtosis, which is 0, at width 64."""
    if name == "log_sin2_angle":
        rival = dataclasses.replace(spec, activation=di.softplus)
    elif name == "output_kurtosis":
        narrow = dataclasses.replace(spec, widths=(64,) * spec.depth)
        return di.predict(narrow, Q.output_kurtosis, INPUTS[name]).mean
    else:
        law = dataclasses.replace(spec.weight_law, variance=1.3 * spec.weight_law.variance)
        rival = dataclasses.replace(spec, weight_law=law)
    return di.infinite(rival, getattr(Q, name), INPUTS[name]).mean


def test_the_battery_has_every_kind_of_wide_network():
    assert len(WIDE) >= 15
    assert {type(spec) for spec in WIDE} == {di.MLP, di.ResNet}
    assert {spec.weight_law.name for spec in WIDE} == {"normal", "uniform", "orthogonal"}


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("nngp", 10),
        ("log_norm", 10),
        ("log_sin2_angle", 7),
        ("log_distance", 10),
        ("log_volume", 5),
        ("output_kurtosis", 7),
        ("length_distortion", 9),
        ("ntk", 3),
        ("bias_ntk", 3),
    ],
)
def test_limits_are_the_means_of_wide_networks(name, at_least):
    quantity, inputs, compared = getattr(Q, name), INPUTS[name], 0
    for spec in WIDE:
        if name in TANGENT and not isinstance(spec, di.MLP):
            continue
        try:
            limit = di.infinite(spec, quantity, inputs).mean
        except SpecError:
            continue  # no limit, or no meaning: see the battery
        num_seeds = FEW if name in TANGENT else MANY
        simulated = di.simulate(spec, quantity, inputs, num_seeds=num_seeds)
        assert not misses(name, spec, simulated, limit), spec
        if compared == 0:
            assert misses(name, spec, simulated, rival_limit(name, spec)), spec
        compared += 1
        jax.clear_caches()  # each network is a program of its own
    assert compared >= at_least
