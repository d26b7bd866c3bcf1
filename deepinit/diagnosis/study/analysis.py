"""The registered analysis: scores, models, calibration, regimes, repairs."""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.diagnosis import logistic
from deepinit.diagnosis.study import statistics
from deepinit.diagnosis.study.outcomes import THRESHOLD
from deepinit.diagnosis.study.rows import Row, parameters

FAMILIES = ("mlp", "layernorm", "residual", "conv", "transformer", "gated")
PLAIN = ("mlp", "layernorm")
LEAST = 3  # failing and training networks of a family, for an area under its curve
BINS = (0.0, 0.125, 0.25, 0.5, 0.75, 1.0)
REGIMES = ((0.0, 0.25), (0.25, 0.8), (0.8, np.inf))

Score = Callable[[Row], float]

SCORES: dict[str, Score] = {
    "gradient_spread": lambda row: row.scores["gradient_spread"],
    "|gradient_slope|": lambda row: abs(row.scores["gradient_slope"]),
    "max(collapse, |stretch|)": lambda row: max(row.scores["collapse"], abs(row.scores["stretch"])),
    "collapse": lambda row: row.scores["collapse"],
    "|stretch|": lambda row: abs(row.scores["stretch"]),
    "-signal_efficiency": lambda row: -row.scores["signal_efficiency"],
    "ntk_condition": lambda row: row.scores["ntk_condition"],
    "-ntk_centred": lambda row: -row.scores["ntk_centred"],
    "token_cosine": lambda row: row.scores.get("token_cosine", np.nan),
    "-attention_entropy": lambda row: -row.scores.get("attention_entropy", np.nan),
    "forward_range": lambda row: row.scores["forward_range"],
    "|gradient_floor|": lambda row: abs(row.scores["gradient_floor"]),
    "|first_step|": lambda row: abs(row.scores["first_step"]),
    "theory: spread": lambda row: row.theory.get("spread", np.nan),
    "depth": lambda row: row.network["depth"],
    "depth/width": lambda row: row.ratio,
    "-parameters": lambda row: -parameters(row.network),
    "infinite: |sum ln chi|": lambda row: abs(row.theory.get("slope", np.nan)),
    "infinite: |stretch|": lambda row: abs(row.theory.get("stretch", np.nan)),
    "50 training steps": lambda row: -row.early,
    "50 training steps, 1 seed": lambda row: -row.early_one,
}
MODELS: dict[str, Callable[[Row], np.ndarray]] = {
    "label-free": lambda row: row.features(),
    "with labels": lambda row: row.features(labels=True),
    "depth, width, chi": lambda row: row.baseline(),
    "spread alone": lambda row: row.features()[:1],
    "50 training steps": lambda row: np.array([row.early]),
}


class Ranking(NamedTuple):
    """One line of the table of scores.

    Attributes:
        auc, interval: over all networks with the score.
        same_shape: over pairs of equal shape.
        rho: family -> Spearman correlation with -P; NaN of fewer than 4 networks.
    """

    name: str
    networks: int
    auc: float
    interval: list[float]
    same_shape: float
    rho: dict[str, float]

    @property
    def mean_rho(self) -> float:
        """Over families."""
        known = [value for value in self.rho.values() if np.isfinite(value)]
        return float(np.mean(known)) if known else np.nan


def ranking(name: str, given: list[Row]) -> Ranking:
    """How well a score ranks networks."""
    pairs = [(row, value) for row in given if np.isfinite(value := float(SCORES[name](row)))]
    kept, values = [row for row, _ in pairs], np.array([value for _, value in pairs])
    fails = np.array([row.fails for row in kept], bool)
    families = [row.network["family"] for row in kept]
    area = lambda own: statistics.auc(values[own], fails[own])
    samples = statistics.resamples(families) if kept else []
    rho = {}
    for family in FAMILIES:
        own = np.array([each == family for each in families], bool)
        low = [-row.performance for row in kept if row.network["family"] == family]
        rho[family] = statistics.spearman(values[own], low) if own.sum() >= 4 else np.nan
    same = statistics.same_shape_auc(values, fails, [row.shape for row in kept])[0]
    whole = statistics.auc(values, fails) if kept else np.nan
    return Ranking(name, len(kept), whole, statistics.interval(area, samples), same, rho)


def fitted(model: str, given: list[Row]) -> logistic.Logistic:
    """The model fitted on these networks."""
    features = np.array([MODELS[model](row) for row in given])
    return logistic.fit(features, [row.fails for row in given])


def predicted(model: str, fit: logistic.Logistic, given: list[Row]) -> np.ndarray:
    """P(fail)."""
    return fit.probability(np.array([MODELS[model](row) for row in given]))


def leave_family_out(model: str, given: list[Row], others: list[Row] | None = None) -> np.ndarray:
    """P(fail) of `others` (None: of the networks) by the model fitted without their family."""
    wanted = given if others is None else others
    found = np.full(len(wanted), np.nan)
    for family in {row.network["family"] for row in wanted}:
        rest = [row for row in given if row.network["family"] != family]
        if 0 < sum(row.fails for row in rest) < len(rest):
            own = [number for number, row in enumerate(wanted) if row.network["family"] == family]
            found[own] = predicted(model, fitted(model, rest), [wanted[number] for number in own])
    return found


def family_areas(share: np.ndarray, given: list[Row], own: Any = slice(None)) -> dict[str, float]:
    """family -> AUC of predicted shares, of families with 3 failing and 3 training networks."""
    found, chosen = {}, np.arange(len(given))[own]
    for family in FAMILIES:
        mine = [number for number in chosen if given[number].network["family"] == family]
        fails = [given[number].fails for number in mine]
        if min(sum(fails), len(fails) - sum(fails)) >= LEAST:
            found[family] = statistics.auc(share[mine], fails)
    return found


def mean_area(areas: dict[str, float]) -> float:
    """Over families."""
    return float(np.mean(list(areas.values()))) if areas else np.nan


def brier(share: np.ndarray, given: list[Row]) -> float:
    """Mean squared error of shares."""
    fails = np.array([row.fails for row in given], float)
    return float(np.nanmean((share - fails) ** 2)) if len(given) else np.nan


class Bin(NamedTuple):
    """Networks by predicted P(fail): mean prediction, observed share, and their number."""

    predicted: float
    observed: float
    networks: int


def calibration(share: np.ndarray, given: list[Row]) -> list[Bin]:
    """Predicted against observed shares of failure."""
    fails, found = np.array([row.fails for row in given], float), []
    for number, (low, high) in enumerate(itertools.pairwise(BINS)):
        last = number == len(BINS) - 2
        own = (share >= low) & ((share <= high) if last else (share < high))
        means = (share[own].mean(), fails[own].mean()) if own.any() else (np.nan, np.nan)
        found.append(Bin(float(means[0]), float(means[1]), int(own.sum())))
    return found


def over_baseline(given: list[Row], others: list[Row] | None = None) -> tuple[float, list[float]]:
    """AUC of label-free less that of depth, width and chi, leave-family-out; paired interval.

    Of all networks the mean over families; of repaired ones (`others`) pooled.
    """
    wanted = given if others is None else others
    ours, theirs = (
        leave_family_out(name, given, others) for name in ("label-free", "depth, width, chi")
    )
    fails = np.array([row.fails for row in wanted], bool)

    def difference(own: Any) -> float:
        if others is not None:
            return statistics.auc(ours[own], fails[own]) - statistics.auc(theirs[own], fails[own])
        areas = (mean_area(family_areas(share, wanted, own)) for share in (ours, theirs))
        return next(areas) - next(areas)

    samples = statistics.resamples([row.network["family"] for row in wanted]) if wanted else []
    every = np.arange(len(wanted))
    return (difference(every) if wanted else np.nan), statistics.interval(difference, samples)


class Regime(NamedTuple):
    """Plain stacks in a range of depth/width."""

    low: float
    high: float
    networks: int
    fails: int
    chi: float
    slope: float
    spread: float
    efficiency: float
    steps: float


def regimes(given: list[Row]) -> list[Regime]:
    """AUC of five scores in every regime."""
    found = []
    names = (
        "infinite: |sum ln chi|",
        "|gradient_slope|",
        "gradient_spread",
        "-signal_efficiency",
        "50 training steps",
    )
    for low, high in REGIMES:
        own = [r for r in given if r.network["family"] in PLAIN and low < r.ratio <= high]
        fails = [row.fails for row in own]
        areas = [statistics.auc([SCORES[name](row) for row in own], fails) for name in names]
        found.append(Regime(low, high, len(own), sum(fails), *areas))
    return found


class Rescue(NamedTuple):
    """Networks that an intervention rescued, of those it was tried on."""

    family: str
    repair: str
    rescued: int
    tried: int


def rescues(repaired: list[Row]) -> list[Rescue]:
    """By family and intervention."""
    found = []
    for family in FAMILIES:
        for name in ("critical", "residual", "norm"):
            own = [r for r in repaired if r.network["family"] == family and r.repair == name]
            if own:
                found.append(Rescue(family, name, sum(not row.fails for row in own), len(own)))
    return found


def critical_rescues(repaired: list[Row], low: float, high: float) -> tuple[int, int]:
    """(rescued, tried): critical variances in MLPs with low <= depth/width <= high."""
    own = [
        row
        for row in repaired
        if row.network["family"] == "mlp" and row.repair == "critical" and low <= row.ratio <= high
    ]
    return sum(not row.fails for row in own), len(own)


def best_repairs(given: list[Row], repaired: list[Row]) -> tuple[int, int, int]:
    """(working, networks, rescuable): the repair of least predicted failure, leave-family-out."""
    share = leave_family_out("label-free", given, repaired)
    by_network: dict[str, list[tuple[float, bool]]] = {}
    for value, row in zip(share, repaired, strict=True):
        by_network.setdefault(row.network["id"], []).append((float(value), not row.fails))
    rescuable = {name: found for name, found in by_network.items() if any(ok for _, ok in found)}
    working = sum(min(found)[1] for found in rescuable.values())
    return working, len(by_network), len(rescuable)


class Other(NamedTuple):
    """Outcomes of another training of the same networks.

    Attributes:
        networks, fails: trained so, and failing so.
        same: with the verdict of the main training.
        auc, steps: of the label-free model (families left out) and of 50 steps of the main
            training, for these outcomes.
    """

    networks: int
    fails: int
    same: int
    auc: float
    steps: float


def other(given: list[Row], outcomes: dict[str, float]) -> Other:
    """Of P by network id."""
    share = leave_family_out("label-free", given)
    own = [number for number, row in enumerate(given) if row.network["id"] in outcomes]
    rows = [given[number] for number in own]
    fails = [outcomes[row.network["id"]] < THRESHOLD for row in rows]
    same = sum(row.fails == now for row, now in zip(rows, fails, strict=True))
    areas = (statistics.auc(score, fails) for score in (share[own], [-row.early for row in rows]))
    return Other(len(rows), sum(fails), same, *areas)
