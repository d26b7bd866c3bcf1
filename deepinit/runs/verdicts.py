"""Verdicts: sentences, failed checks, tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepinit.comparison.compare import NOT_JUDGED, axis_of, judged_z, largest_z, threshold, verdict
from deepinit.comparison.controlled import saved_cell, saved_column
from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.core.result_views import shown_layers, with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import CaseResult

if TYPE_CHECKING:
    import xarray

_LAYERS_IN_TABLE = 6
_MOST_FAILURES = 2  # of the first screen
AGREES, REJECTED, UNRESOLVED = "agrees", "rejected", "not resolved"


def headline(failures: Sequence[str], results: Sequence[CaseResult], num_joint: int = 0) -> str:
    """All checks held, or how many failed and the first of them."""
    checks = num_joint + sum(len(result.case.checked) for result in results)
    if not checks:
        return "Nothing was checked: this run measures and compares."
    if failures:
        rest = len(failures) - _MOST_FAILURES
        more = f" And {rest} more." if rest > 0 else ""
        shown = " ".join(failures[:_MOST_FAILURES])
        return f"{len(failures)} of {checks} checks FAILED: {shown}{more}"
    where = _where_checked(results)
    judged = f"judged at {THRESHOLD_SIGMA:g} standard errors{where}"
    return f"All {checks} checks of agreement held ({judged})."


def _where_checked(results: Sequence[CaseResult]) -> str:
    """Entries with checked theories."""
    routes = [(result.dataset, route) for result in results for route in result.case.checked]
    if not routes:
        return ""
    judged = sum(int(np.isfinite(judged_z(data, route)).sum()) for data, route in routes)
    total = sum(
        int(np.isfinite(data["predicted"].sel(theory=route).values).sum()) for data, route in routes
    )
    if judged < total:
        return f", in {judged} of {total} places: the others have no standard error"
    axes = " or ".join(dict.fromkeys(axis_of(data) for data, _ in routes))
    components = " and component" if any(data.sizes["component"] > 1 for data, _ in routes) else ""
    return f", at every {axes}{components}"


class TheoryVerdict(NamedTuple):
    """One theory in one case.

    Attributes:
        verdict: AGREES, REJECTED, UNRESOLVED (known to be wrong, and not rejected), NOT_JUDGED.
        z: signed, at the entry nearest to or farthest beyond its threshold; NaN if not judged.
        place: this entry, (layer, component) from 0.
        num_heavy: entries that are not judged because of heavy tails.
        is_check: whether it must agree.
    """

    theory: str
    verdict: str
    z: float
    place: tuple[int, ...]
    num_heavy: int
    is_check: bool


def theory_verdicts(result: CaseResult) -> list[TheoryVerdict]:
    """Verdict on every predicted theory of a case."""
    data, case = result.dataset, result.case
    limit = threshold(data["num_used"].values)
    verdicts = []
    for index, route in enumerate(map(str, data["theory"].values)):
        z = judged_z(data, route)
        heavy = int(np.sum(np.isfinite(data["z"].values[index]) & np.isnan(z)))
        verdict, worst = NOT_JUDGED, np.nan
        place: tuple[int, ...] = (-1, 0)
        if np.isfinite(z).any():
            flat = int(np.nanargmax(np.abs(z) / limit))
            place = tuple(map(int, np.unravel_index(flat, z.shape)))
            worst = float(z[place])
            agrees = abs(worst) < limit[place]
            expected = UNRESOLVED if route in case.rejected else AGREES
            verdict = expected if agrees else REJECTED
        verdicts.append(TheoryVerdict(route, verdict, worst, place, heavy, route in case.checked))
    return verdicts


def judge(result: CaseResult) -> tuple[str, list[str]]:
    """Sentence on a case, and failed or unjudged checks."""
    agreeing: list[str] = []
    rejected: list[str] = []
    unresolved: list[str] = []
    unjudged: list[str] = []
    failures: list[str] = []
    data, case = result.dataset, result.case
    routes = [str(name) for name in data["theory"].values]
    num_entries = data["mean"].size
    for index, (route, found, z, place, heavy, checked) in enumerate(theory_verdicts(result)):
        if found == NOT_JUDGED:
            why = _too_heavy(data) if heavy else "without error bars"
            if heavy:
                unjudged.append(f"{route} ({why})")
            if checked:
                failures.append(f"{case.name}: {route} should agree but cannot be judged {why}.")
            continue
        if heavy:
            unjudged.append(f"{route} at {heavy} of {num_entries} entries ({_too_heavy(data)})")
        largest = _deviation(data, index, place)
        if found == REJECTED:
            rejected.append(largest)
        elif found == UNRESOLVED:
            unresolved.append(f"{route} (|z| <= {abs(z):.1f}, to be rejected by more networks)")
        else:
            agreeing.append(f"{route} (|z| <= {abs(z):.1f})")
        if checked and found == REJECTED:
            failures.append(
                f"{case.name}: {route} should agree, but its largest deviation is {largest}."
            )
        elif checked and heavy:
            failures.append(
                f"{case.name}: {route} should agree everywhere, and does where it is judged, "
                f"but {heavy} of {num_entries} entries cannot be judged {_too_heavy(data)}."
            )
    for route in sorted({*case.checked, *case.rejected} - set(routes)):
        failures.append(f"{case.name}: {route} should be judged but was not predicted.")
    resolved, axis = float(data["effect_resolved"].values[-1, 0]), axis_of(data)
    parts = [f"{case.name}, {result.estimate.num_seeds} networks"]
    if np.isfinite(resolved):
        parts[0] += f" (resolving {resolved:.2g} at the last {axis})"
    where = f"{axis} that is judged" if unjudged else axis
    groups = {
        f"in agreement at every {where}": agreeing,
        "not resolved": unresolved,
        "rejected": rejected,
        "not judged": unjudged,
    }
    parts += [f"{name}: {', '.join(group)}" for name, group in groups.items() if group]
    return "; ".join(parts) + ".", failures


def _too_heavy(data: "xarray.Dataset") -> str:
    return (
        f"because tails are too heavy for {data.attrs['num_seeds']} networks; "
        f"compare {data.attrs['light_tailed']}"
    )


def _deviation(data: "xarray.Dataset", route: int, worst: tuple[Any, ...]) -> str:
    """`paper (z +29.1 at layer 16: measured -5.4710 +- 0.0095, predicted -5.7492)`."""
    mean, error = (float(data[name].values[worst]) for name in ("mean", "standard_error"))
    predicted, z = (float(data[name].values[(route, *worst)]) for name in ("predicted", "z"))
    axis = axis_of(data)
    place = f"{axis} {int(data[axis].values[worst[0]])}"
    numbers = f"measured {with_error(mean, error)}, predicted {predicted:.5g}"
    return f"{data['theory'].values[route]} (z {score(z)} at {place}: {numbers})"


def score(z: float) -> str:
    """z with one decimal; order of magnitude from 1e4."""
    return f"{z:+.1f}" if abs(z) < 1e4 else f"{z:+.0e}"


def _score_at(data: "xarray.Dataset", route: int, index: int) -> str:
    """First component's z, or `not judged`."""
    place = {"theory": route, axis_of(data): index, "component": 0}
    z, judged = (float(data[name].isel(place)) for name in ("z", "judged"))
    return NOT_JUDGED if np.isfinite(z) and judged != 1 else score(z)


def summary_table(dataset: "xarray.Dataset") -> Table:
    """Per case and theory: last layer's first component, largest z."""
    rows = []
    axis = axis_of(dataset)
    several = len(set(dataset["quantity"].values)) > 1
    for index, name in enumerate(dataset["case"].values):
        case = dataset.isel(case=index)
        # smaller cases are padded with NaN
        last = int(np.flatnonzero(np.isfinite(case["num_excluded"].values[:, 0]))[-1])
        layer = case.isel({axis: last, "component": 0})
        measured = with_error(float(layer["mean"]), float(layer["standard_error"]))
        quantity = [str(dataset["quantity"].values[index])] if several else []
        networks = str(int(case["num_seeds"]))
        cells = [
            str(name),
            *quantity,
            str(int(layer[axis])),
            networks,
            measured,
            *saved_cell(layer),
        ]
        for route, theory in enumerate(map(str, dataset["theory"].values)):
            predicted = float(layer["predicted"][route])
            if np.isfinite(predicted):
                z = judged_z(case, theory)
                unjudged = int(np.sum(np.isfinite(case["z"].values[route]) & np.isnan(z)))
                largest = largest_z(z)
                partly = f", {unjudged} {NOT_JUDGED}" if unjudged and np.isfinite(largest) else ""
                scores = [_score_at(case, route, last), score(largest).lstrip("+")]
                rows.append(
                    [
                        *cells,
                        theory,
                        f"{predicted:.5g}",
                        *scores,
                        verdict(z, case["num_used"].values) + partly,
                    ]
                )
                cells = [""] * len(cells)
        if cells[0]:
            rows.append([*cells, "", "", "", "", ""])
    first = ["case", *(["quantity"] if several else []), axis, "networks", "measured mean"]
    first += saved_column(dataset)
    quantity = dataset["quantity"].values[0]
    return Table(
        f"Every case at its last {axis}"
        if several
        else f"{quantity} at the last {axis} of every case",
        [*first, "prediction", "predicted", "z", "z, largest", "verdict"],
        rows,
        f"z = (measured - predicted) / standard error, at the last {axis} of the first component. "
        f"z, largest: over all {axis}s and components that are judged. Rejected from "
        f"{THRESHOLD_SIGMA:g} on, by Student's t with few networks. "
        "Not judged: no standard error, or tails too heavy for it.",
    )


def layer_table(result: CaseResult) -> Table:
    """First component at some layers."""
    data = result.dataset.isel(component=0)
    routes = [str(name) for name in data["theory"].values]
    rows = []
    axis = axis_of(data)
    for index in shown_layers(data.sizes[axis], _LAYERS_IN_TABLE):
        layer = data.isel({axis: index})
        sd = float(layer["variance"]) ** 0.5
        sd_error = float(layer["variance_standard_error"]) / (2 * sd) if sd > 0 else 0.0
        cells = [
            str(int(layer[axis])),
            with_error(float(layer["mean"]), float(layer["standard_error"])),
            *saved_cell(layer),
            with_error(sd, sd_error),
            str(int(layer["num_excluded"])),
        ]
        for route in range(len(routes)):
            sd = float(layer["predicted_variance"][route]) ** 0.5
            spread = f" ({sd:.4g})" if np.isfinite(sd) else ""
            z = _score_at(result.dataset, route, index)
            z = z if z == NOT_JUDGED else f"z {z}"
            cells.append(f"{float(layer['predicted'][route]):.5g}{spread}, {z}")
        rows.append(cells)
    theories = [f"{route}: mean (sd), z" for route in routes]
    columns = [axis, "measured mean", *saved_column(data), "measured sd", "excluded", *theories]
    return Table(f"{axis.capitalize()} by {axis}", columns, rows)
