"""The registered acceptance lines, each a hit or a miss; in brackets while the run goes on."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.diagnosis.study import analysis, statistics
from deepinit.diagnosis.study.outcomes import is_short
from deepinit.diagnosis.study.registered import configurations
from deepinit.diagnosis.study.repairs import repairs
from deepinit.diagnosis.study.rows import Row


class Line(NamedTuple):
    """A registered line.

    Attributes:
        value: measured; NaN if there are too few networks.
        relation, wanted: as registered.
        held: None if there are too few networks.
        note: interval, or counts.
        final: whether the study is complete; else the line is interim.
    """

    name: str
    value: float
    relation: str
    wanted: float
    held: bool | None
    note: str
    final: bool

    def __str__(self) -> str:
        verdict = {None: "open", True: "hit", False: "MISS"}[self.held]
        verdict = verdict if self.final or self.held is None else f"({verdict.lower()})"
        value = f"{self.value:.3f} {self.relation} {self.wanted:g}"
        return f"{verdict:<6} {self.name:<46} {value:<16} {self.note}".rstrip()


def acceptance(given: list[Row], repaired: list[Row]) -> list[Line]:
    """Every line, in the registered order."""
    registered, measured = configurations()["acceptance"], _measured(given, repaired)
    final, found = is_complete(given, repaired), []
    for name, line in registered.items():
        if not isinstance(line, list):
            continue
        value, note, further = measured[name]
        relation, wanted = line[0], line[1]
        held: bool | None = None
        if np.isfinite(value):
            held = bool((value >= wanted if relation == ">=" else value <= wanted) and further)
        found.append(Line(name, value, relation, wanted, held, note, final))
    return found


def is_complete(given: list[Row], repaired: list[Row]) -> bool:
    """Whether every registered network is trained, the reserve where it is needed, and every
    failing one repaired.
    """
    trained = {row.network["id"] for row in given}
    missing = [n for n in configurations()["networks"] if n["id"] not in trained]
    of = lambda family: [row.fails for row in given if row.network["family"] == family]
    if any(n["draw"] != "R" or is_short(of(n["family"])) for n in missing):
        return False
    failing = {row.network["id"] for row in given if row.fails and repairs(row.network)}
    return failing <= {row.network["id"] for row in repaired}


def _measured(given: list[Row], repaired: list[Row]) -> dict[str, tuple[float, str, bool]]:
    """name -> (value, note, further condition)."""
    free, labels = (
        analysis.leave_family_out(name, given) for name in ("label-free", "with labels")
    )
    areas = analysis.family_areas(free, given)
    many = [f for f in areas if _fails(given, f) >= 10]
    held, held_labels, held_rows = _held_out(given)
    fails = [row.fails for row in held_rows]
    difference, between = analysis.over_baseline(given)
    on_repaired, between_repaired = analysis.over_baseline(given, repaired)
    rankings = {name: analysis.ranking(name, given).mean_rho for name in ("depth", *_RANKED)}
    best = max(_RANKED, key=lambda name: np.nan_to_num(rankings[name], nan=-1.0))
    bins = [each for each in analysis.calibration(free, given) if each.networks >= 20]
    errors = [abs(each.predicted - each.observed) for each in bins]
    working, failing, _ = analysis.best_repairs(given, repaired)
    low, high = (analysis.critical_rescues(repaired, *span) for span in ((0.0, 0.5), (1.0, np.inf)))
    other = [row for row in repaired if row.repair != "residual"]
    shares = analysis.leave_family_out("label-free", given, other)
    same = statistics.same_shape_auc(held, fails, [row.shape for row in held_rows])
    text = lambda span: f"[{span[0]:.3f}, {span[1]:.3f}]"
    return {
        "leave_family_out_mean": (analysis.mean_area(areas), _text(areas), True),
        "leave_family_out_each_with_10_fails": (
            min((areas[family] for family in many), default=np.nan),
            ", ".join(many),
            True,
        ),
        "held_out_auc": (statistics.auc(held, fails), f"{len(fails)} networks", True),
        "held_out_same_shape": (same[0], f"{same[1]} pairs", True),
        "labels_held_out_auc": (statistics.auc(held_labels, fails), "", True),
        "labels_brier": (analysis.brier(labels, given), "leave-family-out", True),
        "over_baseline_leave_family_out": (difference, text(between), bool(between[0] > 0)),
        "over_baseline_repaired": (on_repaired, text(between_repaired), True),
        "mean_rho_within_family": (rankings[best], best, True),
        "mean_rho_over_depth": (rankings[best] - rankings["depth"], best, True),
        "calibration_largest_error_bins_of_20": (
            max(errors, default=np.nan),
            f"{len(bins)} bins",
            True,
        ),
        "best_predicted_repair": _share(working, failing),
        "critical_alone_depth_over_width_at_most_half": _share(*low),
        "critical_alone_depth_over_width_at_least_1": _share(*high),
        "non_residual_repairs_auc": (
            statistics.auc(shares, [row.fails for row in other]),
            f"{len(other)} networks",
            True,
        ),
    }


# Of one score at a time, label-free; the best of them is compared.
_RANKED = ("gradient_spread", "|gradient_slope|", "max(collapse, |stretch|)", "collapse")


def _held_out(given: list[Row]) -> tuple[np.ndarray, np.ndarray, list[Row]]:
    """P(fail) of draw B by both models fitted on the others."""
    own = [row for row in given if row.network["draw"] == "B"]
    rest = [row for row in given if row.network["draw"] != "B"]
    if not own or not 0 < sum(row.fails for row in rest) < len(rest):
        return np.zeros(0), np.zeros(0), []
    shares = [
        analysis.predicted(name, analysis.fitted(name, rest), own)
        for name in ("label-free", "with labels")
    ]
    return shares[0], shares[1], own


def _fails(given: list[Row], family: str) -> int:
    return sum(row.fails for row in given if row.network["family"] == family)


def _share(count: int, of: int) -> tuple[float, str, bool]:
    return (count / of if of else np.nan), f"{count}/{of}", True


def _text(areas: dict[str, Any]) -> str:
    return ", ".join(f"{family} {area:.2f}" for family, area in areas.items())
