"""Last step of a run."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit import store
from deepinit.comparison.compare import axis_of
from deepinit.comparison.controlled import SAVED, with_controls
from deepinit.core.errors import DamagedError
from deepinit.core.tables import Table
from deepinit.runs import overview, report, tidy
from deepinit.runs.cross_check import neural_tangents_sentence
from deepinit.runs.experiment import CaseResult, Check, Experiment
from deepinit.runs.user_code import listed
from deepinit.runs.verdicts import headline, judge, summary_table, theory_verdicts

if TYPE_CHECKING:
    import xarray

CITATION = """@software{deepinit,
  title  = {deepinit: deep networks at random initialization, at finite width and depth},
  author = {{The deepinit developers}},
  year   = {2026},
}"""

_FILES = {
    tidy.FILE: "every comparison: a row for each case, theory, layer and component",
    "result.nc": "the same with variances, quantiles and samples; xarray.open_dataset reads it",
    "provenance.json": "versions, machine and command of every start",
}

_MALFORMED = (
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
MOST_DETAILED = 60  # cases; reports of more have tables, figures and the heat map


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run.

    `dataset`: dims case, route, layer, pair; padded with NaN. `tables`: of the experiment.
    `verdicts`: a sentence per joint check and case. `failures`: failed checks.
    """

    path: Path
    dataset: "xarray.Dataset"
    tables: tuple[Table, ...]
    verdicts: tuple[str, ...]
    failures: tuple[str, ...]

    @classmethod
    def load(cls, path: Path) -> "Outcome":
        """Outcome of a finished run; errors as `store.read_result`."""
        dataset = store.read_result(path)
        try:
            verdicts, failures = (_texts(dataset.attrs[name]) for name in ("verdicts", "failures"))
            records = json.loads(dataset.attrs.get("tables", "[]"))  # runs of older versions: none
            tables = tuple(Table(**record) for record in records)
            summary_table(dataset)
        except _MALFORMED as error:
            what = f"{type(error).__name__}: {error}"
            raise DamagedError(
                f"the result in {path}, which lacks what a result has ({what})",
                "the file that the run exported",
                "Remove result.nc; the run's own command exports it again.",
            ) from error
        return cls(path, dataset, tables, verdicts, failures)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"


def conclude(
    experiment: Experiment,
    config: Any,
    results: Sequence[CaseResult],
    handle: store.Run,
    command: str,
) -> Outcome:
    """Write figures, report, result.nc, then their manifest."""
    judgements = [judge(result) for result in results]
    by_name = {result.case.name: result for result in results}

    def part(name: str, kind: type) -> tuple[Any, ...]:
        function = getattr(experiment, name)
        return listed(function(config, by_name), kind, f"{name}()") if function else ()

    tables, checks = part("tables", Table), part("checks", Check)
    tables = tuple(table for table in tables if table.rows)
    verdicts = (*(check.sentence for check in checks), *(sentence for sentence, _ in judgements))
    failures = (
        *(check.sentence for check in checks if not check.held),
        *(failure for _, failed in judgements for failure in failed),
    )
    figures = part("figures", report.FigureItem)
    dataset = combine(results)
    dataset.attrs.update(
        experiment=experiment.name,
        title=experiment.title,
        identity=handle.identity_hash,
        tables=json.dumps([table.to_json() for table in tables]),
        verdicts=json.dumps(verdicts),
        failures=json.dumps(failures),
    )
    page = dataclasses.replace(
        _report(experiment, results, checks, failures, figures),
        findings=tables,
        tables=[summary_table(dataset)],
        files=_FILES,
        provenance=_provenance(handle),
        command=command,
    )
    seconds = overview.computing_seconds(store.read_journal(handle.path))
    num_checks = len(checks) + sum(len(result.case.checked) for result in results)
    page = dataclasses.replace(
        page, tiles=overview.tiles(results, num_checks, len(failures), seconds)
    )
    files = _figure_files(figures)
    # a command line need not be UTF-8
    files["report.html"] = report.render(page).encode("utf-8", "backslashreplace")
    files[tidy.FILE] = tidy.comparison_csv(results)
    files["result.nc"] = store.result_bytes(dataset)
    store.export_provenance(handle)
    store.write_outputs(handle, files)
    return Outcome(handle.path, dataset, tables, verdicts, failures)


def _report(
    experiment: Experiment,
    results: Sequence[CaseResult],
    checks: Sequence[Check],
    failures: Sequence[str],
    figures: Sequence[report.FigureItem],
) -> report.Report:
    """The report's part that does not depend on the run directory."""
    verdicts = {result.case.name: theory_verdicts(result) for result in results}
    chart = overview.heat_map(verdicts)
    of_cases = [text for text in failures if text not in {check.sentence for check in checks}]
    first = next((item for item in figures if item.title == experiment.headline), None)
    first = first or (figures[0] if figures else None)
    summary = [experiment.question, headline(failures, results, len(checks))]
    detailed = results if len(results) <= MOST_DETAILED else ()
    return report.Report(
        title=experiment.title,
        name=experiment.name,
        summary=[*summary, *overview.theory_sentences(verdicts)],
        headline=first,
        heat_map=chart,
        cross_check=neural_tangents_sentence(results),
        meanings=overview.meanings(results, chart.theories, experiment.meanings),
        checks=[*checks, *((text, False) for text in of_cases)],
        figures=[item for item in figures if item is not first],
        cases=[overview.case_details(result, verdicts[result.case.name]) for result in detailed],
        citation=f"{experiment.citation}\n\n{CITATION}",
    )


def _figure_files(figures: Sequence[report.FigureItem]) -> dict[str, bytes]:
    """`figures/01-title.svg` and so on."""
    files: dict[str, bytes] = {}
    for number, figure in enumerate(figures, start=1):
        letters = re.sub(r"[^a-z0-9]+", "-", figure.title.lower()).strip("-")
        name = f"figures/{number:02d}-{letters[:60]}"
        svg = None if figure.svg is None else figure.svg.encode("utf-8")
        formats = {"svg": svg, "png": figure.png, "gif": figure.gif}
        files |= {f"{name}.{kind}": data for kind, data in formats.items() if data is not None}
    return files


def _texts(text: str) -> tuple[str, ...]:
    texts = json.loads(text)
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ValueError("not a list of sentences")
    return tuple(texts)


def combine(results: Sequence[CaseResult]) -> "xarray.Dataset":
    """One Dataset of all cases, padded with NaN.

    Layers and steps share the dim `row`; coordinate `axis` tells which.
    """
    import xarray

    parts = []
    axes = [axis_of(result.dataset) for result in results]
    shared = axes[0] if len(set(axes)) == 1 else "row"
    controlled = any(SAVED in result.dataset for result in results)
    sampled = any(result.estimate.samples is not None for result in results)
    for result in results:
        part = result.dataset.drop_vars(["closest", "error_order", "valid_for", "reference"])
        part = part.rename({axis_of(part): shared}) if axis_of(part) != shared else part
        part = with_controls(part) if controlled else part
        part = part.assign(
            {name: value.astype(np.float64) for name, value in part.data_vars.items()}
        )
        part = part.assign_coords(component=np.arange(part.sizes["component"]))
        if sampled:
            samples, layers = result.estimate.samples, list(result.case.sample_layers)
            if samples is None:  # xarray wants the variable in every part
                samples, layers = np.zeros((0, 0, part.sizes["component"])), []
            part["samples"] = (("seed", "sample_layer", "component"), samples)
            seeds = np.arange(len(samples))  # cases differ in the number of networks
            part = part.assign_coords(sample_layer=np.array(layers, np.int64), seed=seeds)
        part.attrs = {}
        parts.append(part)
    names = [result.case.name for result in results]
    data = xarray.concat(parts, dim="case", join="outer", fill_value=np.nan).assign_coords(
        case=names
    )
    routes = dict.fromkeys(str(name) for part in parts for name in part["theory"].values)
    data = data.sel(
        theory=sorted(routes, key=lambda name: (name == "infinite_width", list(routes).index(name)))
    )
    records: Mapping[str, list[Any]] = {
        "spec": [json.dumps(result.case.spec_json, sort_keys=True) for result in results],
        "axis": axes,
        "inputs": [result.case.inputs.label for result in results],
        "quantity": [result.case.quantity.name for result in results],
        "num_seeds": [result.case.num_seeds for result in results],
        "linear_map": [result.case.linear_map for result in results],
        "precision": [f"{result.case.dtype}, {result.case.precision}" for result in results],
    }
    if any(result.case.control != "none" for result in results):
        control = [result.estimate.settings.get("control", "none") for result in results]
        records = {**records, "control": control}
    return data.assign_coords({name: ("case", values) for name, values in records.items()})


def _provenance(handle: store.Run) -> dict[str, Any]:
    starts = [
        event["record"]
        for event in store.read_journal(handle.path)
        if event["event"] == "provenance"
    ]
    return {"run": handle.identity_hash, "starts": len(starts), **(starts[-1] if starts else {})}
