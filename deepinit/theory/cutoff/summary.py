"""Fall of a curve of survival or total variation."""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Plain, Real


class CutoffSummary(NamedTuple):
    """Position and width of the fall of a curve S(t), t = 0, 1, ..., in layers.

    Attributes:
        t_mix: min{t: S(t) <= 1/4}, or None.
        t75, t50, t25: first crossings of 0.75, 0.50, 0.25, interpolated linearly; or nan.
        window, ratio: t25 - t75; window / t50, which tends to 0 along a family with a cut-off.
    """

    t_mix: int | None
    t75: float
    t50: float
    t25: float
    window: float
    ratio: float


def summary(S: Real[Array, "layers"] | Plain) -> CutoffSummary:
    """Position and sharpness of the fall of a curve from 1 to 0 along the depth.

    S is between 0 and 1 (else SpecError), not necessarily monotone; nan for a level above its
    start, or not reached. A step has window 1/2: near it, report S at the two layers around the
    jump. Reference: arXiv:2104.10727 (t_mix at level 1/4).
    """
    curve = validate.array("S", S, ("layers",), "It is a probability, one per layer from 0 on.")
    if not ((curve >= -1e-9) & (curve <= 1.0 + 1e-9)).all():
        given = f"S from {curve.min():.3g} to {curve.max():.3g}"
        raise SpecError(given, "numbers between 0 and 1", "Normalize S to maximum 1.")
    t75, t50, t25 = (_crossing(curve, level) for level in (0.75, 0.5, 0.25))
    mixed = np.flatnonzero(curve <= 0.25)
    ratio = (t25 - t75) / t50 if t50 > 0.0 else math.nan
    return CutoffSummary(int(mixed[0]) if mixed.size else None, t75, t50, t25, t25 - t75, ratio)


def _crossing(curve: np.ndarray, level: float) -> float:
    below = np.flatnonzero(curve <= level)
    if not below.size or (below[0] == 0 and curve[0] < level):
        return math.nan
    after = int(below[0])
    if curve[after] == level:
        return float(after)
    before = curve[after - 1]
    return after - 1 + float((before - level) / (before - curve[after]))
