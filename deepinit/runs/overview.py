"""Parts of a report from results: tiles, sentences, heat map, details of cases."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from deepinit.comparison.compare import axis_of
from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.core.result_views import with_error
from deepinit.core.results import component_names
from deepinit.core.tables import Table
from deepinit.quantities.theory import INFINITE_WIDTH
from deepinit.quantities.theory_names import MEANINGS
from deepinit.runs.experiment import CaseResult
from deepinit.runs.report_parts import CaseDetails, Cell, HeatMap, Tile
from deepinit.runs.verdicts import (
    AGREES,
    NOT_JUDGED,
    REJECTED,
    UNRESOLVED,
    TheoryVerdict,
    layer_table,
)

_MOST_NAMED = 6
_MOST_FACTS = 400  # characters


def tiles(
    results: Sequence[CaseResult], num_checks: int, num_failed: int, seconds: float | None
) -> list[Tile]:
    """Checks held, networks, time."""
    held = f"{max(num_checks - num_failed, 0)} of {num_checks}" if num_checks else "none"
    judged = f"at {THRESHOLD_SIGMA:g} standard errors" if num_checks else "this run compares"
    state = "bad" if num_failed else "good" if num_checks else "empty"
    networks = sum(result.estimate.num_seeds for result in results)
    cases = f"in {len(results)} case{'s' if len(results) > 1 else ''}"
    found = [Tile("Checks held", held, judged, state), Tile("Networks", f"{networks:,}", cases)]
    if seconds is not None:
        found.append(Tile("Time", duration(seconds), "theory and simulation"))
    return found


def computing_seconds(events: Iterable[Mapping[str, Any]]) -> float | None:
    """Time of all starts in a journal, each from its start to its last block; None for none."""
    begun: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    for event in events:
        if event["event"] in ("start", "block"):
            try:
                time = datetime.fromisoformat(event["time"])
            except (KeyError, ValueError, TypeError):
                continue
            if event["event"] == "start":
                begun[event["start"]] = time
            else:
                ended[event["start"]] = time
    seconds = [(ended[s] - begun[s]).total_seconds() for s in begun if s in ended]
    return sum(max(each, 0.0) for each in seconds) if seconds else None


def duration(seconds: float) -> str:
    """`15 s`, `3 min`, `2.5 h`, `3.1 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def theory_sentences(verdicts: Mapping[str, Sequence[TheoryVerdict]]) -> list[str]:
    """At most three sentences: theories never, sometimes and always rejected.

    `verdicts`: case -> its theories.
    """
    found: dict[str, list[str]] = {}
    for case in verdicts.values():
        for each in case:
            if each.verdict != NOT_JUDGED:
                found.setdefault(each.theory, []).append(each.verdict)
    groups: dict[str, list[str]] = {"agree": [], "some": [], "all": []}
    for name, kinds in found.items():
        rejected, unresolved = kinds.count(REJECTED), kinds.count(UNRESOLVED)
        if not rejected:
            note = f", {unresolved} not resolved" if unresolved else ""
            groups["agree"].append(f"{name} ({_cases(len(kinds))}{note})")
        elif rejected == len(kinds):
            groups["all"].append(f"{name} ({_cases(rejected)})")
        else:
            groups["some"].append(f"{name} ({rejected} of {_cases(len(kinds))})")
    starts = {
        "agree": "In agreement wherever judged",
        "some": "Rejected in some cases",
        "all": "Rejected wherever judged",
    }
    return [f"{starts[key]}: {_named(names)}." for key, names in groups.items() if names]


def _cases(number: int) -> str:
    return f"{number} case{'s' if number > 1 else ''}"


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def heat_map(verdicts: Mapping[str, Sequence[TheoryVerdict]]) -> HeatMap:
    """Worst z of every case and theory, infinite width last."""
    names = dict.fromkeys(each.theory for case in verdicts.values() for each in case)
    ordered = sorted(names, key=lambda name: name == INFINITE_WIDTH)
    rows = {
        case: {each.theory: _cell(each) for each in judged} for case, judged in verdicts.items()
    }
    return HeatMap(tuple(ordered), rows)


def _cell(verdict: TheoryVerdict) -> Cell:
    words = verdict.verdict
    if verdict.is_check and words in (AGREES, REJECTED):
        words = "check held" if words == AGREES else "check failed"
    if verdict.num_heavy and verdict.verdict != NOT_JUDGED:
        words += " where judged"
    rejected = verdict.verdict == REJECTED
    return Cell(verdict.z, words, rejected, rejected and verdict.is_check)


def meanings(
    results: Sequence[CaseResult], names: Iterable[str], own: Mapping[str, str]
) -> dict[str, str]:
    """Sentence on every theory: the experiment's own, the common one, or the prediction's range."""
    predictions = {each.name: each for result in results for each in result.predictions}
    missing = [name for result in results for name in result.not_applicable]
    found = {}
    for name in dict.fromkeys([*names, *missing]):
        sentence = own.get(name) or MEANINGS.get(name)
        if sentence is None and name in predictions:
            prediction = predictions[name]
            sentence = f"Error {prediction.error_order}; valid for {prediction.valid_for}."
        found[name] = sentence or "No description."
    return found


def case_details(result: CaseResult, verdicts: Sequence[TheoryVerdict]) -> CaseDetails:
    """Facts and tables of a case."""
    case, data, estimate = result.case, result.dataset, result.estimate
    counts = [each.verdict for each in verdicts]
    words = [
        f"{counts.count(kind)} {text}"
        for kind, text in {AGREES: "agree", UNRESOLVED: UNRESOLVED, REJECTED: REJECTED}.items()
        if kind in counts
    ]
    remark = ", ".join([f"{estimate.num_seeds:,} networks", *words])
    resolved = float(data["effect_resolved"].values[-1, 0])
    settings = ", ".join(f"{name} {value}" for name, value in estimate.settings.items())
    facts = {
        "network": _short(str(getattr(case.spec, "label", case.spec))),
        "inputs": case.inputs.label,
        "quantity": f"{case.quantity.name}: {case.quantity.symbol}, {case.quantity.label}",
        "settings": settings,
    }
    if np.isfinite(resolved):
        facts["resolved"] = f"differences from {resolved:.2g}, at the last {axis_of(data)}"
    ranges: dict[str, list[str]] = {}
    for each in result.predictions:
        ranges.setdefault(each.valid_for, []).append(each.name)
    facts |= {f"valid: {', '.join(names)}": text for text, names in ranges.items()}
    tables = [*([_theory_table(result, verdicts)] if verdicts else []), layer_table(result)]
    failed = any(each.is_check and each.verdict != AGREES for each in verdicts)
    return CaseDetails(case.name, remark, facts, tables, result.not_applicable, failed)


def _short(text: str) -> str:
    """Text of a spec without absent parts, equal widths counted."""
    text = re.sub(r", \w+=None", "", text)
    equal = r"\((\d+)((?:, \1){3,})\)"
    text = re.sub(equal, lambda found: f"({found[1]},) * {found[2].count(',') + 1}", text)
    return text if len(text) <= _MOST_FACTS else text[: _MOST_FACTS - 3] + "..."


def _theory_table(result: CaseResult, verdicts: Sequence[TheoryVerdict]) -> Table:
    """Every theory at the entry of its worst z."""
    data = result.dataset
    axis = axis_of(data)
    components = component_names([str(name) for name in data["component"].values])
    rows = []
    for each, prediction in zip(verdicts, result.predictions, strict=True):
        place: list[Any] = [None, None, None]
        if np.isfinite(each.z):
            mean, error = (
                float(data[name].values[each.place]) for name in ("mean", "standard_error")
            )
            where = f"{axis} {int(data[axis].values[each.place[0]])}"
            component = components[each.place[1]] if len(components) > 1 else ""
            predicted = f"{float(prediction.mean[each.place]):.5g}"
            place = [
                f"{where}, {component}" if component else where,
                with_error(mean, error),
                predicted,
            ]
        z = each.z if np.isfinite(each.z) else None
        rows.append([each.theory, each.verdict, z, *place, prediction.error_order])
    columns = ["theory", "verdict", "z", "where", "measured", "predicted", "error"]
    return Table("Theories, each at its worst z", columns, rows)
