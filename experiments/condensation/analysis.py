"""Weights, orientations, predictions and exponents from the results of condensation."""

import functools
from typing import Any

import numpy as np

from deepinit.quantities.condensation_theory import attractors
from deepinit.runs.experiment import CaseResult, Results
from deepinit.theory import condensation as theory

from .cases import phase_name, points
from .config import Config


@functools.cache
def _compiled(name: str) -> Any:
    """A compiled function of `observables.orientations`; JAX is imported on first use."""
    import jax

    from deepinit.observables import orientations

    return jax.jit(getattr(orientations, name))


def cosines(vectors: np.ndarray) -> Any:
    """Cosine similarities of input vectors [m, D]."""
    return _compiled("cosine_similarities")(vectors)


def display_order(similarities: np.ndarray) -> np.ndarray:
    """Neurons of equal orientation side by side."""
    from deepinit.observables import orientations

    return orientations.display_order(similarities)


def weights(result: CaseResult, layer: str = "layer 1") -> np.ndarray:
    """Input vectors [records, m, D] of the first network, up to its last step."""
    return np.asarray(result.kept[layer][0][: len(steps(result))], np.float64)


def steps(result: CaseResult) -> np.ndarray:
    """Steps of the records."""
    all_steps = result.kept["step"][0]
    return all_steps[: int(np.argmax(all_steps == all_steps[-1])) + 1]


def losses(result: CaseResult) -> np.ndarray:
    """Loss over initial loss, [records]."""
    loss = result.kept["loss"][0]
    return (loss / loss[0])[: len(steps(result))]


def amplitudes(result: CaseResult) -> np.ndarray:
    """|a_j| |w_j|, [records, m]."""
    outputs = np.asarray(result.kept["layer 2"][0][: len(steps(result)), 0], np.float64)
    return np.abs(outputs) * np.linalg.norm(weights(result), axis=-1)


def angles(vectors: np.ndarray) -> np.ndarray:
    """atan2(bias, weight) of neurons with one input."""
    return np.arctan2(vectors[..., 1], vectors[..., 0])


def predicted(result: CaseResult, geometry: str = ""):
    """Predicted orientations for the optimizer of the case, or for a geometry, l2 or linf."""
    run, spec = result.case.inputs, result.case.spec
    if not geometry:
        return attractors(spec, run)
    return theory.predict_orientations(
        run.examples.inputs, run.examples.targets, spec.activation, geometry=geometry
    )


def other(result: CaseResult):
    """Predicted orientations for the other geometry, sphere or cube."""
    return predicted(result, "l2" if result.case.inputs.mode in ("adam", "sign") else "linf")


def aligned(vectors: np.ndarray, prediction):
    """The alignment of input vectors [m, D] with predicted orientations."""
    directions = prediction.directions.astype(np.float32)
    return _compiled("alignment")(vectors.astype(np.float32), directions)


def ordered_similarities(vectors: np.ndarray) -> np.ndarray:
    """Cosine similarities, neurons of equal orientation side by side."""
    similarities = np.asarray(cosines(vectors.astype(np.float32)), np.float64)
    order = display_order(similarities)
    return similarities[order][:, order]


def chosen(results: Results, start: str, end: str = "") -> dict[str, CaseResult]:
    """The cases whose names start and end with these texts."""
    return {
        name: result
        for name, result in results.items()
        if name.startswith(start) and name.endswith(end)
    }


def phase_slopes(config: Config, results: Results) -> list[tuple[float, float]]:
    """d log RD / d log m between the first and the last width, with its standard error."""
    slopes = []
    low, high = config.phase_widths[0], config.phase_widths[-1]
    for gamma, gamma_prime in points(config):
        ends = [results[phase_name(gamma, gamma_prime, width)].estimate for width in (low, high)]
        logs = [np.log(end.mean[-1, 0]) for end in ends]
        errors = [end.standard_error[-1, 0] / end.mean[-1, 0] for end in ends]
        span = np.log(high / low)
        slopes.append((float(logs[1] - logs[0]) / span, float(np.hypot(*errors)) / span))
    return slopes


def departure(result: CaseResult) -> tuple[float, float]:
    """Largest |loss - linearized loss| over the initial loss, with its standard error."""
    data = result.dataset.isel(component=0)
    difference = np.abs(data["difference"].sel(theory="infinite_width").values)
    start = float(data["predicted"].sel(theory="infinite_width")[0])
    worst = int(difference.argmax())
    return float(difference[worst] / start), float(data["standard_error"].values[worst] / start)
