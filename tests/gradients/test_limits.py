"""A limit at infinite width that is not finite is refused with the reason."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core import curves, frames, targets
from deepinit.core.errors import SpecError
from deepinit.infinite_width import (
    angles,
    kernels,
    lengths,
    norms,
    recursion,
    residual,
    training,
    training_kernels,
)
from deepinit.infinite_width import norm_growth as stretch
from deepinit.infinite_width.validate import checked_limit

LARGE = di.normal(1e200)
NET = di.MLP((4, 4, 4), weight_law=LARGE, output_width=2, output_law=LARGE)
SMOOTH = di.MLP((4, 4), "tanh", weight_law=LARGE, output_width=2, output_law=LARGE)
RESIDUAL = di.ResNet(
    4, 4, weight_law=LARGE, branch_law=LARGE, embedding_law=di.normal(1.0), output_width=1
)
X = np.eye(4)[:2]
CURVE = curves.line(X[0], X[1])
EXAMPLES = targets.examples(X, np.ones((2, 2)))

FAST = {
    "mean squares": lambda: norms.mean_squares(NET, X),
    "length": lambda: stretch.mean_lengths(NET, CURVE),
    "stream": lambda: residual.residual_layers(RESIDUAL, X),
}
SLOW = {
    "NNGP": lambda: recursion.kernel_layers(NET, X),
    "last layer": lambda: recursion.kernel_layers(NET, X, last_only=True),
    "residual": lambda: recursion.kernel_layers(RESIDUAL, X),
    "positions": lambda: residual.position_kernels(RESIDUAL, X),
    "velocity": lambda: lengths.velocity_kernel(NET, CURVE, np.linspace(0.0, 1.0, 3)),
    "length moments": lambda: lengths.curve_length_moments(NET, CURVE, 4),
    "training kernels": lambda: training_kernels.standard_kernels(NET, X),
    "training": lambda: training.ntk_training(NET, EXAMPLES, [0.0, 1.0]),
    "neural-tangents": lambda: kernels.nngp_and_ntk(NET, X),
}
CASES = [pytest.param(call, id=name) for name, call in FAST.items()]
CASES += [pytest.param(call, id=name, marks=pytest.mark.slow) for name, call in SLOW.items()]


@pytest.mark.parametrize("call", CASES)
@pytest.mark.slow_cases("stream")
@pytest.mark.exhaustive_cases("last layer", "velocity")
def test_a_limit_beyond_float64_is_refused(call):
    with pytest.raises(SpecError, match=r"not finite.*exceeds the range of float64"):
        call()


def test_the_refusal_names_the_layer():
    limit = np.array([[1.0, 2.0], [3.0, np.inf], [np.nan, np.nan]])
    with pytest.raises(
        SpecError, match="whose kernel at infinite width is not finite from layer 2 on"
    ):
        checked_limit(limit, "kernel", along="layer")


def test_logarithms_may_be_minus_infinity_but_not_nan():
    limit = np.array([[0.0, -np.inf]])
    assert checked_limit(limit, "ln of a volume", is_log=True) is limit
    for wrong in (np.inf, np.nan):
        with pytest.raises(SpecError, match="ln of a volume"):
            checked_limit(np.array([[0.0, wrong]]), "ln of a volume", is_log=True)
    with pytest.raises(SpecError, match="not finite"):
        checked_limit(limit, "mean")


@pytest.mark.slow
@pytest.mark.parametrize("variance", [1e200, 1e-200])
def test_logarithms_have_limits_where_kernels_have_none(variance):
    net = di.MLP((4, 4, 4), weight_law=di.normal(variance))
    assert np.isfinite(stretch.log_volumes(net, frames.random(4))).all()
    pair = di.inputs.pair(0.5)
    expected = angles.log_sin2_angles(di.MLP((4, 4, 4)), pair)
    np.testing.assert_allclose(
        angles.log_sin2_angles(net, pair), expected, rtol=1e-12
    )  # no scale in a ReLU network
