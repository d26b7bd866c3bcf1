"""Outcomes of training: P, 1 for the reference model and 0 for the best constant answer."""

from typing import Any

import numpy as np

THRESHOLD = 0.75  # below: the network fails
LEAST = 10  # failing and training networks of a family, else its reserve is drawn on
FINAL, EARLY = 20, (40, 50)  # last steps; steps 41 to 50
_WORST = -1.0  # P of a network that diverges at every rate


def summary(losses: np.ndarray) -> dict[str, Any]:
    """Mean losses [rates][seeds] of the last 20 steps and of steps 41 to 50; None: diverged."""
    return {"final": _rounded(losses[-FINAL:]), "early": _rounded(losses[slice(*EARLY)])}


def _rounded(losses: np.ndarray) -> list[list[float | None]]:
    means = losses.mean(axis=0)
    return [[float(f"{x:.5g}") if np.isfinite(x) else None for x in row] for row in means]


def best(losses: Any, seeds: slice = slice(None)) -> float:
    """Mean over seeds at the rate where it is least; infinite if all diverge."""
    table = np.array([[np.inf if x is None else x for x in row] for row in losses])[:, seeds]
    return float(np.min(table.mean(axis=1)))


def performance(losses: Any, trivial: float, reference: float, seeds: slice = slice(None)) -> float:
    """P = (trivial - loss) / (trivial - reference), at least -1."""
    return max((trivial - best(losses, seeds)) / (trivial - reference), _WORST)


def is_short(fails: list[bool]) -> bool:
    """Whether a family has fewer than 10 failing, or fewer than 10 training, networks."""
    return min(sum(fails), len(fails) - sum(fails)) < LEAST
