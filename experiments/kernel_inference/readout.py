"""Networks with a trained readout: the posterior of the last layer, to first order in 1 / width.

Features h of one hidden layer, K = h h^T / width, a mean over independent neurons,
f_* = K_* (K + noise)^{-1} y. With P = (K_inf + noise)^{-1}, a = P y, and delta the kernel of one
neuron minus its mean:
    E f_* = K_* a - (1/width) E[(delta_* - K_* P delta) P delta a] + O(1/width^2),
    Var f_* = (1/width) Var[(delta_* - K_* P delta) a] + O(1/width^2).
Inputs lie in the plane: expectations over a neuron's two weights are Gauss-Hermite sums.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

import deepinit as di
from deepinit.core.results import Prediction
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import limit, theories
from deepinit.runs.experiment import CaseResult

Results = Mapping[str, CaseResult]
NUM_TRAIN = 6
NOISE = 0.1
NODES = 80  # per dimension: erf of variance 2, to rounding
WEIGHT_VAR = 4.0  # of the hidden layer


def inputs() -> di.inputs.Inputs:
    """Six training points on the unit circle, then three test points."""
    angles = np.concatenate([np.linspace(0.0, 5.0, NUM_TRAIN), [0.4, 2.5, 5.6]])
    radii = np.array([1.0] * NUM_TRAIN + [1.0, 0.7, 1.3])
    return di.inputs.points(
        radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1), "points on a circle"
    )


def targets(rows: np.ndarray) -> np.ndarray:
    """Targets at the training points."""
    return np.sin(2.0 * np.arctan2(rows[:NUM_TRAIN, 1], rows[:NUM_TRAIN, 0])) + rows[:NUM_TRAIN, 0]


def network(width: int) -> di.MLP:
    """One hidden layer of erf."""
    return di.MLP((width,), "erf", di.normal(WEIGHT_VAR))


def weakly_trained(results: Results) -> Results:
    """The cases with a trained readout."""
    return {name: result for name, result in results.items() if name.startswith("readout-")}


def _names(spec: Any, rows: di.inputs.Inputs) -> tuple[str, ...]:
    del spec
    return tuple(f"f at ({x:.2f}, {y:.2f})" for x, y in rows.points[NUM_TRAIN:])


def _solve(matrix: Any, right: Any) -> Any:
    """Gauss-Jordan elimination of a small positive definite system, without pivots."""
    import jax.numpy as jnp

    augmented = jnp.concatenate([matrix, right[:, None]], axis=1)
    for row in range(len(matrix)):
        pivot = augmented[row] / augmented[row, row]
        augmented = (augmented - augmented[:, row : row + 1] * pivot).at[row].set(pivot)
    return augmented[:, -1]


def _measure(state: Any, rows: di.inputs.Inputs) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement

    after = state.postactivations
    features = jnp.exp(after.point_scales)[:, None] * after.points
    kernel = jnp.matmul(features, features[:NUM_TRAIN].T, precision="highest") / features.shape[1]
    right = jnp.asarray(targets(rows.points), kernel.dtype)
    dual = _solve(kernel[:NUM_TRAIN] + NOISE * jnp.eye(NUM_TRAIN, dtype=kernel.dtype), right)
    value = kernel[NUM_TRAIN:] @ dual
    return Measurement(value, jnp.zeros(value.shape, jnp.int8))


def _infinite(spec: Any, rows: di.inputs.Inputs) -> Prediction:
    train, test = rows.points[:NUM_TRAIN], rows.points[NUM_TRAIN:]
    network = di.MLP(
        spec.widths, spec.activation, spec.weight_law, output_width=1, output_law=di.normal(1.0)
    )
    posterior = di.inference.posterior(
        *di.inference.kernel_for(network, train, test).nngp, targets(train), NOISE
    )
    return _prediction("infinite_width", posterior.mean, np.zeros(len(test)), "O(1 / width)")


def _predict(spec: Any, rows: di.inputs.Inputs, form: str) -> Prediction:
    mean, bias, variance = first_order(rows.points)
    return _prediction(
        form, mean + bias / spec.widths[0], variance / spec.widths[0], "O(1 / width^2)"
    )


def _prediction(name: str, value: np.ndarray, variance: np.ndarray, order: str) -> Prediction:
    return Prediction(
        "readout_prediction",
        name,
        value[None],
        variance[None],
        order,
        "one hidden layer, only the readout trained",
        "derived in the module docstring",
    )


def first_order(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At the test points: posterior mean, width times its bias, width times its variance."""
    from scipy.special import erf

    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    first, second = np.meshgrid(nodes, nodes)
    probabilities = np.outer(weights, weights).ravel() / (2.0 * np.pi)
    normal = np.stack([first.ravel(), second.ravel()], axis=1)
    features = erf((WEIGHT_VAR / points.shape[1]) ** 0.5 * normal @ points.T)  # [neurons, points]
    kernel = (features.T * probabilities) @ features
    train, cross = kernel[:NUM_TRAIN, :NUM_TRAIN], kernel[NUM_TRAIN:, :NUM_TRAIN]
    inverse = np.linalg.inv(train + NOISE * np.eye(NUM_TRAIN))
    dual = inverse @ targets(points)
    seen, new = features[:, :NUM_TRAIN], features[:, NUM_TRAIN:]
    residual = new - seen @ (inverse @ cross.T)  # phi_* - K_* P phi, neuron by neuron
    moved = (seen * (seen @ dual)[:, None] - train @ dual) @ inverse  # P delta a
    middle = cross - cross @ inverse @ train  # its mean, subtracted from delta_* - K_* P delta
    against = residual * np.sum(seen * moved, axis=1)[:, None] - moved @ middle.T
    linear = residual * (seen @ dual)[:, None] - middle @ dual
    return cross @ dual, -probabilities @ against, probabilities @ linear**2


READOUT = Quantity(
    name="readout_prediction",
    symbol=r"$f_*$",
    label="prediction of a network with a trained readout",
    measurement=di.quantities.Forward(_measure, entries=_names),
    theories=(
        *theories(
            ("first_order",),
            lambda spec, *_: None if spec.depth == 1 else "it needs one hidden layer",
            _predict,
        ),
        limit(_infinite),
    ),
    transform="none: a bounded function of the features",
    reference="arXiv 1711.00165 (the limit); first order derived here",
)
