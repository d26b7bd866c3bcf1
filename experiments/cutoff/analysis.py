"""Survival curves and relaxation from the results of cutoff."""

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr, ndtri

from deepinit.runs.experiment import CaseResult
from deepinit.theory import cutoff as theory

from .cases import UNIFORM, Config

Results = Mapping[str, CaseResult]
_QUARTILE = float(ndtri(0.75))


def curve(result: CaseResult) -> np.ndarray:
    """Measured survival S(0), ..., S(depth)."""
    return np.concatenate([[1.0], result.dataset["mean"].values[:, 0]])


def predicted(result: CaseResult, theory_name: str) -> np.ndarray:
    """Predicted survival S(0), ..., S(depth)."""
    values = result.dataset["predicted"].sel(theory=theory_name).values[:, 0]
    return np.concatenate([[1.0], values])


def exact_curves(config: Config) -> dict[float, np.ndarray]:
    """rho -> exact survival of the paper's first curve, 32 layers."""
    return {
        mesh: theory.scalar_survival("tanh", UNIFORM, mesh, "truncate", 32).survival
        for mesh in config.meshes
    }


def underflow_curves(config: Config, depth: int, dtype: str) -> dict[int, np.ndarray]:
    """width -> predicted survival under underflow."""
    rho, rounding = {"float32": (2.0**-126, "flush"), "float16": (2.0**-24, "nearest")}[dtype]
    return {
        width: theory.rounded_survival(width, 3.0**-0.5, rho, rounding, depth)
        for width in config.underflow_widths
    }


def length_shift(result: CaseResult) -> np.ndarray:
    """[layers]: distance of the mean of log |x| from its last value, in stationary deviations."""
    data = result.dataset.isel(component=0)
    mean, variance = data["mean"].values, data["variance"].values
    return np.abs(mean - mean[-6:].mean()) / np.sqrt(variance[-6:].mean())


def overlap_shift(result: CaseResult) -> np.ndarray:
    """Distance of the mean cosine from 0 by layer, in stationary deviations.

    From the fraction of networks with |cos| above its stationary median m. The stationary law is
    symmetric, m = 0.674 deviations; a normal law at distance d has
    P(|cos| > m) = Phi(d - 0.674) + Phi(-d - 0.674), solved for d. Moments would not do: the
    variance peaks on the way.
    """
    samples = result.estimate.samples
    assert samples is not None
    squares = -np.expm1(samples[:, :, 0])
    above = np.mean(squares > np.median(squares[:, -10:]), axis=0)
    shifts = np.linspace(0.0, 5.0, 2001)
    return np.interp(above, ndtr(shifts - _QUARTILE) + ndtr(-shifts - _QUARTILE), shifts)


def half_distance_layer(shift: np.ndarray) -> float:
    """The layer at which normal laws this many deviations apart have total variation 1/2.

    That is at 1.349 deviations, interpolated in logarithms. A histogram would bias the distance.
    """
    level = 2.0 * _QUARTILE
    after = int(np.flatnonzero(shift < level)[0])
    if after == 0:
        return float("nan")
    before, here = np.log(shift[after - 1] / level), np.log(level / max(shift[after], 1e-3))
    return after + float(before / (before + here))
