"""From results to words, one Dataset and a report: the last step of a run."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit import store
from deepinit.comparison.compare import NOT_JUDGED, axis_of, judged_z, largest_z, shown_layers, threshold, verdict, with_error
from deepinit.core.errors import DamagedError, refusal
from deepinit.core.results import GATE
from deepinit.runs.experiment import CaseResult, Check, Experiment
from deepinit.runs.user_code import listed

if TYPE_CHECKING:
    import xarray

CITATION = """@software{deepinit,
  title  = {deepinit: deep networks at random initialization, at finite width and depth},
  author = {{The deepinit developers}},
  year   = {2026},
}"""

_LAYERS_IN_TABLE = 6


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run.

    Attributes:
        path: its directory.
        dataset: everything measured and predicted, dims case, route, layer, pair (NaN where a case is smaller).
        verdicts: one sentence per comparison.
        failures: the checks that did not hold; empty if all did.
    """

    path: Path
    dataset: "xarray.Dataset"
    verdicts: tuple[str, ...]
    failures: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "Outcome":
        """The outcome that a finished run directory holds.

        Raises:
            SpecError, DamagedError: as `store.read_result`; result.nc is not that of a run.
        """
        dataset = store.read_result(path)
        try:
            verdicts, failures = (_texts(dataset.attrs[name]) for name in ("verdicts", "failures"))
            summary_table(dataset)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
            raise DamagedError(
                f"the result in {path}, which lacks what a result has ({type(error).__name__}: {error})",
                    "the file that the run exported",
                    "Remove result.nc; the run's own command exports it again."
            ) from error
        return cls(path, dataset, verdicts, failures)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"


def conclude(
    experiment: Experiment, config: Any, results: Sequence[CaseResult], handle: store.Run, command: str
) -> Outcome:
    """Writes figures, report, result.nc and their manifest (last) of a run whose blocks are all there."""
    from deepinit.runs import report

    judgements = [judge(result) for result in results]
    by_name = {result.case.name: result for result in results}
    remarks = listed(experiment.remarks(config, by_name), str, "remarks()") if experiment.remarks else ()
    checks = listed(experiment.checks(config, by_name), Check, "checks()") if experiment.checks else ()
    verdicts = (*remarks, *(check.sentence for check in checks), *(sentence for sentence, _ in judgements))
    failures = (
        *(check.sentence for check in checks if not check.held),
        *(failure for _, failed in judgements for failure in failed),
    )
    figures = listed(experiment.figures(config, by_name), report.FigureItem, "figures()")
    files: dict[str, bytes] = {}
    for number, figure in enumerate(figures, start=1):
        letters = re.sub(r"[^a-z0-9]+", "-", figure.title.lower()).strip("-")
        name = f"figures/{number:02d}-{letters[:60]}"
        if figure.svg is not None:
            files[f"{name}.svg"] = figure.svg.encode("utf-8")
        if figure.png is not None:
            files[f"{name}.png"] = figure.png
        if figure.gif is not None:
            files[f"{name}.gif"] = figure.gif
    dataset = combine(results)
    dataset.attrs.update(
        experiment=experiment.name,
        title=experiment.title,
        identity=handle.identity_hash,
        verdicts=json.dumps(verdicts),
        failures=json.dumps(failures),
    )
    html = report.render(
        report.Report(
            title=experiment.title,
            summary=[experiment.question, headline(failures, results, len(checks)), *verdicts],
            tables=[summary_table(dataset), *missing_table(results), *(layer_table(result) for result in results)],
            figures=figures,
            provenance=_provenance(handle),
            citation=f"{experiment.citation}\n\n{CITATION}",
            command=command,
        )
    )
    files["report.html"] = html.encode("utf-8", "backslashreplace")  # of a command line that is no UTF-8
    files["result.nc"] = store.result_bytes(dataset)
    store.export_provenance(handle)
    store.write_outputs(handle, files)
    return Outcome(handle.path, dataset, verdicts, failures)


def _texts(text: str) -> tuple[str, ...]:
    texts = json.loads(text)
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ValueError("sentences that are none")
    return tuple(texts)


def headline(failures: Sequence[str], results: Sequence[CaseResult], num_joint: int = 0) -> str:
    """All checks held, or which did not; `num_joint` are of several cases together."""
    checks = num_joint + sum(len(result.case.checked) for result in results)
    if not checks:
        return "Nothing was checked: this run measures and compares."
    if failures:
        return f"{len(failures)} of {checks} checks FAILED: " + " ".join(failures)
    return f"All {checks} checks of agreement held (judged at {GATE:g} standard errors{_where_checked(results)})."


def _where_checked(results: Sequence[CaseResult]) -> str:
    """Where the routes that should agree were judged: everywhere, or in so many places."""
    routes = [(result.dataset, route) for result in results for route in result.case.checked]
    if not routes:
        return ""
    judged = sum(int(np.isfinite(judged_z(data, route)).sum()) for data, route in routes)
    total = sum(int(np.isfinite(data["predicted"].sel(route=route).values).sum()) for data, route in routes)
    if judged < total:
        return f", in {judged} of {total} places: the others have no standard error"
    axes = " or ".join(dict.fromkeys(axis_of(data) for data, _ in routes))
    entries = " and component" if any(data.sizes["pair"] > 1 for data, _ in routes) else ""
    return f", at every {axes}{entries}"


def judge(result: CaseResult) -> tuple[str, list[str]]:
    """One sentence on every route of a case, and the checks that failed (or could not be judged)."""
    agreeing: list[str] = []
    rejected: list[str] = []
    unresolved: list[str] = []
    unjudged: list[str] = []
    failures: list[str] = []
    data = result.dataset
    routes = [str(name) for name in data["route"].values]
    for index, route in enumerate(routes):
        z = judged_z(data, route)
        heavy = int(np.sum(np.isfinite(data["z"].values[index]) & np.isnan(z)))  # entries of heavy tails
        checked = route in result.case.checked
        if not np.isfinite(z).any():
            why = _too_heavy(data) if heavy else "without error bars"
            if heavy:
                unjudged.append(f"{route} ({why})")
            if checked:
                failures.append(f"{result.case.name}: {route} should agree but cannot be judged {why}.")
            continue
        if heavy:
            unjudged.append(f"{route} at {heavy} of {z.size} entries ({_too_heavy(data)})")
        limit = threshold(data["num_used"].values)
        worst = np.unravel_index(np.nanargmax(np.abs(z) / limit), z.shape)
        agrees = abs(float(z[worst])) < limit[worst]
        described = _described(data, index, worst)
        if agrees and route in result.case.rejected:
            unresolved.append(f"{route} (|z| <= {abs(float(z[worst])):.1f}, to be rejected by more networks)")
        elif agrees:
            agreeing.append(f"{route} (|z| <= {abs(float(z[worst])):.1f})")
        else:
            rejected.append(described)
        if checked and not agrees:
            failures.append(f"{result.case.name}: {route} should agree, but its largest deviation is {described}.")
        elif checked and heavy:
            failures.append(
                f"{result.case.name}: {route} should agree everywhere, and does where it is judged, "
                f"but {heavy} of {z.size} entries cannot be judged {_too_heavy(data)}."
            )
    for route in sorted({*result.case.checked, *result.case.rejected} - set(routes)):
        failures.append(f"{result.case.name}: {route} should be judged but was not predicted.")
    resolved = float(data["effect_resolved"].values[-1, 0])
    axis = axis_of(data)
    parts = [f"{result.case.name}, {result.estimate.num_seeds} networks"]
    if np.isfinite(resolved):
        parts[0] += f" (resolving {resolved:.2g} at the last {axis})"
    if agreeing:
        parts.append(f"in agreement at every {axis}{' that is judged' if unjudged else ''}: " + ", ".join(agreeing))
    if unresolved:
        parts.append("not resolved: " + ", ".join(unresolved))
    if rejected:
        parts.append("rejected: " + ", ".join(rejected))
    if unjudged:
        parts.append("not judged: " + ", ".join(unjudged))
    return "; ".join(parts) + ".", failures


def _too_heavy(data: "xarray.Dataset") -> str:
    return f"because tails are too heavy for {data.attrs['num_seeds']} networks; compare {data.attrs['light_tailed']}"


def _described(data: "xarray.Dataset", route: int, worst: tuple[Any, ...]) -> str:
    """A route and its largest deviation: `paper (z +29.1 at layer 16: measured -5.4710 +- 0.0095, predicted -5.7492)`."""
    measured = with_error(float(data["mean"].values[worst]), float(data["standard_error"].values[worst]))
    predicted, z = float(data["predicted"].values[(route, *worst)]), float(data["z"].values[(route, *worst)])
    axis = axis_of(data)
    name, layer = str(data["route"].values[route]), int(data[axis].values[worst[0]])
    return f"{name} (z {score(z)} at {axis} {layer}: measured {measured}, predicted {predicted:.5g})"


def score(z: float) -> str:
    """A z-score with one decimal, or its order of magnitude where that is all that matters."""
    return f"{z:+.1f}" if abs(z) < 1e4 else f"{z:+.0e}"


def _score_at(data: "xarray.Dataset", route: int, index: int) -> str:
    """z of the first entry at one place of the first axis, or that it is not judged."""
    z, judged = (float(data[name].isel({"route": route, axis_of(data): index, "pair": 0})) for name in ("z", "judged"))
    return NOT_JUDGED if np.isfinite(z) and judged != 1 else score(z)


def combine(results: Sequence[CaseResult]) -> "xarray.Dataset":
    """One Dataset of all cases; smaller cases are padded with NaN. Cases by layer and cases by step share the dim `row` (see coord `axis`)."""
    import xarray

    parts = []
    axes = [axis_of(result.dataset) for result in results]
    shared = axes[0] if len(set(axes)) == 1 else "row"
    sampled = any(result.estimate.samples is not None for result in results)
    for result in results:
        part = result.dataset.drop_vars(["closest", "error_order", "valid_for", "reference"])
        part = part.rename({axis_of(part): shared}) if axis_of(part) != shared else part
        part = part.assign({name: value.astype(np.float64) for name, value in part.data_vars.items()})
        part = part.assign_coords(pair=np.arange(part.sizes["pair"]))
        if sampled:
            samples, layers = result.estimate.samples, list(result.case.sample_layers)
            if samples is None:  # xarray wants the variable in every part
                samples, layers = np.zeros((0, 0, part.sizes["pair"])), []
            part["samples"] = (("seed", "sample_layer", "pair"), samples)
            seeds = np.arange(len(samples))  # cases differ in the number of networks
            part = part.assign_coords(sample_layer=np.array(layers, np.int64), seed=seeds)
        part.attrs = {}
        parts.append(part)
    names = [result.case.name for result in results]
    data = xarray.concat(parts, dim="case", join="outer", fill_value=np.nan).assign_coords(case=names)
    routes = dict.fromkeys(str(name) for part in parts for name in part["route"].values)
    data = data.sel(route=sorted(routes, key=lambda name: (name == "infinite_width", list(routes).index(name))))
    records: Mapping[str, list[Any]] = {
        "spec": [json.dumps(result.case.spec_json, sort_keys=True) for result in results],
        "axis": axes,
        "inputs": [result.case.inputs.label for result in results],
        "quantity": [result.case.quantity.name for result in results],
        "num_seeds": [result.case.num_seeds for result in results],
        "linear_map": [result.case.linear_map for result in results],
        "precision": [f"{result.case.dtype}, {result.case.precision}" for result in results],
    }
    return data.assign_coords({name: ("case", values) for name, values in records.items()})


def summary_table(dataset: "xarray.Dataset") -> Any:
    """Every case at its last layer, first component: measured, then a row per route with its z over all layers and components."""
    from deepinit.runs.report import Table

    rows = []
    axis = axis_of(dataset)
    several = len(set(dataset["quantity"].values)) > 1
    for index, name in enumerate(dataset["case"].values):
        case = dataset.isel(case=index)
        last = int(
            np.flatnonzero(np.isfinite(case["num_excluded"].values[:, 0]))[-1]
        )  # smaller cases are padded with NaN
        layer = case.isel({axis: last, "pair": 0})
        mean, error = float(layer["mean"]), float(layer["standard_error"])
        quantity = [str(dataset["quantity"].values[index])] if several else []
        cells = [str(name), *quantity, str(int(layer[axis])), str(int(case["num_seeds"])), with_error(mean, error)]
        for route in range(dataset.sizes["route"]):
            predicted, name = float(layer["predicted"][route]), str(dataset["route"].values[route])
            if np.isfinite(predicted):
                z = judged_z(case, name)
                unjudged = int(np.sum(np.isfinite(case["z"].values[route]) & np.isnan(z)))
                largest = largest_z(z)
                found = verdict(z, case["num_used"].values) + (f", {unjudged} {NOT_JUDGED}" if unjudged and np.isfinite(largest) else "")
                scores = [_score_at(case, route, last), score(largest).lstrip("+")]
                rows.append([*cells, name, f"{predicted:.5g}", *scores, found])
                cells = [""] * len(cells)
        if cells[0]:
            rows.append([*cells, "", "", "", "", ""])
    columns = [
        "case",
        *(["quantity"] if several else []),
        axis,
        "networks",
        "measured mean",
        "prediction",
        "predicted",
        "z",
        "z, largest",
        "verdict",
    ]
    title = (
        f"Every case at its last {axis}"
        if several
        else f"{dataset['quantity'].values[0]} at the last {axis} of every case"
    )
    note = (
        f"z = (measured - predicted) / standard error of the measured mean, at the last {axis} of the first component; "
        f"z, largest: over all {axis}s and components that are judged. Rejected from {GATE:g} on, by Student's t with few networks. Not judged: no standard error, or tails too heavy for it."
    )
    return Table(title=title, columns=columns, rows=rows, note=note)


def missing_table(results: Sequence[CaseResult]) -> list[Any]:
    """The theories that do not apply, with the reason; no table where all do."""
    from deepinit.runs.report import Table

    rows = [[result.case.name, name, reason] for result in results for name, reason in result.not_applicable.items()]
    return [Table("Theories that do not apply", ["case", "theory", "why not"], rows)] if rows else []


def layer_table(result: CaseResult) -> Any:
    """One case, a spread of its layers, first component."""
    from deepinit.runs.report import Table

    data = result.dataset.isel(pair=0)
    routes = [str(name) for name in data["route"].values]
    rows = []
    axis = axis_of(data)
    for index in shown_layers(data.sizes[axis], _LAYERS_IN_TABLE):
        layer = data.isel({axis: index})
        cells = [str(int(layer[axis])), with_error(float(layer["mean"]), float(layer["standard_error"]))]
        sd = float(layer["variance"]) ** 0.5
        cells.append(with_error(sd, float(layer["variance_standard_error"]) / (2 * sd) if sd > 0 else 0.0))
        cells.append(str(int(layer["num_excluded"])))
        for route in range(len(routes)):
            sd = float(layer["predicted_variance"][route]) ** 0.5
            spread = f" ({sd:.4g})" if np.isfinite(sd) else ""
            z = _score_at(result.dataset, route, index)
            cells.append(f"{float(layer['predicted'][route]):.5g}{spread}, {z if z == NOT_JUDGED else 'z ' + z}")
        rows.append(cells)
    settings = ", ".join(f"{name} {value}" for name, value in result.estimate.settings.items())
    return Table(
        title=f"{result.case.name}: {axis} by {axis}",
        columns=[axis, "measured mean", "measured sd", "excluded", *[f"{route}: mean (sd), z" for route in routes]],
        rows=rows,
        note=f"{getattr(result.case.spec, 'label', result.case.spec)}; {result.case.inputs.label}; {result.estimate.num_seeds} networks; {settings}.",
    )


def _provenance(handle: store.Run) -> dict[str, Any]:
    starts = [event["record"] for event in store.read_journal(handle.path) if event["event"] == "provenance"]
    return {"run": handle.identity_hash, "starts": len(starts), **(starts[-1] if starts else {})}
