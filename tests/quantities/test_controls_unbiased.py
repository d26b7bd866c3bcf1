"""Means of control variates over a million networks: 0; not 0 where a mean map is off by 1e-3.

Plain and controlled means of the same networks differ by the mean of the control. 20 minutes;
`-s` prints the largest z of every network.
"""

from typing import Any

import numpy as np
import pytest

import deepinit as di
from deepinit.ensembles import blocks, keys
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.programs import seed_fn_of
from deepinit.theory.layers import columns, controls
from deepinit.theory.layers.column_means import column_means

NETWORKS, BLOCK = 1_000_000, 50_000
QUANTITIES = ("nngp", "log_sin2_angle", "log_norm")
INPUTS = {
    "nngp": di.inputs.points(np.linalg.cholesky([[2.0, 0.6], [0.6, 1.4]])),
    "log_sin2_angle": di.inputs.pair(1.0),
    "log_norm": di.inputs.points([[1.0, 0.3], [-0.4, 0.8]]),
}
GATE = 4.0

pytestmark = pytest.mark.exhaustive


def scores(activation: str, width: int, quantity: str, networks: int = NETWORKS) -> Any:
    """|mean| of controls over standard errors, of f, square and past: [3, layers, entries]."""
    spec = di.MLP((width,) * 3, activation)
    arguments = spec, getattr(di.quantities, quantity), INPUTS[quantity]
    control, _ = choose_control(*arguments, "theory")
    seed_fn, _ = seed_fn_of(*arguments, control=control)
    ensemble = blocks.compile_ensemble(seed_fn, networks, block_size=BLOCK)
    total, squares = 0.0, 0.0
    for block in range(ensemble.blocks.num_blocks):
        measured = ensemble.block_fn(keys.root_key(0), block)
        found = np.stack(control.of_block(measured.columns))
        total, squares = total + found.sum(axis=1), squares + (found**2).sum(axis=1)
    variance = squares / networks - (total / networks) ** 2
    error = np.sqrt(variance / networks)
    found = np.abs(total / networks) / np.where(error > 0, error, np.inf)  # no past of layer 1
    own, square, past = found.max(axis=(1, 2))
    text = f"{activation} {width} {quantity}: |z| {own:.2f}, square {square:.2f}, past {past:.2f}"
    print(text)  # noqa: T201
    return found


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_the_mean_of_a_million_controls_is_zero(activation, width, quantity):
    found = scores(activation, width, quantity)
    assert found.max() < GATE


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_a_mean_map_off_by_a_thousandth_is_rejected(activation, monkeypatch):
    """E F_a F_b, at width 64."""

    def wrong(*given):
        once, twice = column_means(*given)
        return once, 1.001 * twice

    compiled = controls._advance, controls._control
    monkeypatch.setattr(columns, "column_means", wrong)
    try:
        for each in compiled:
            each.clear_cache()
        found = scores(activation, 64, "nngp")
    finally:
        for each in compiled:
            each.clear_cache()
    assert found[0].max() > GATE
