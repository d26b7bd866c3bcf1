"""From results to words, one Dataset and a report: the last step of a run."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit import store
from deepinit.comparison.compare import GATE, shown_layers, with_error
from deepinit.experiment import CaseResult, Experiment

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
        """The outcome that a finished run directory holds."""
        dataset = store.read_result(path)
        verdicts, failures = (tuple(json.loads(dataset.attrs[name])) for name in ("verdicts", "failures"))
        return cls(path, dataset, verdicts, failures)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"


def conclude(
    experiment: Experiment, config: Any, results: Sequence[CaseResult], handle: store.Run, command: str
) -> Outcome:
    """Writes figures, report and result.nc (last) of a run whose blocks are all there."""
    from deepinit import report

    sentences = [judge(result) for result in results]
    verdicts = tuple(text for verdict, _ in sentences for text in verdict)
    failures = tuple(text for _, failed in sentences for text in failed)
    figures = experiment.figures(config, {result.case.name: result for result in results})
    for number, figure in enumerate(figures, start=1):
        letters = re.sub(r"[^a-z0-9]+", "-", figure.title.lower()).strip("-")
        name = f"figures/{number:02d}-{letters[:60]}"
        if figure.svg is not None:
            store.write_text(handle, f"{name}.svg", figure.svg)
        if figure.png is not None:
            store.write_bytes(handle, f"{name}.png", figure.png)
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
            summary=[experiment.question, headline(failures, results), *verdicts],
            tables=[summary_table(dataset), *(layer_table(result) for result in results)],
            figures=figures,
            provenance=_provenance(handle),
            citation=f"{experiment.citation}\n\n{CITATION}",
            command=command,
        )
    )
    store.write_text(handle, "report.html", html)
    store.write_result(handle, dataset)
    return Outcome(handle.path, dataset, verdicts, failures)


def headline(failures: Sequence[str], results: Sequence[CaseResult]) -> str:
    """All checks held, or which did not."""
    checks = sum(len(result.case.checked) + len(result.case.rejected) for result in results)
    if failures:
        return f"{len(failures)} of {checks} checks FAILED: " + " ".join(failures)
    return f"All {checks} checks held (agreement and rejection are judged at {GATE:g} standard errors)."


def judge(result: CaseResult) -> tuple[list[str], list[str]]:
    """What the comparison says of every route, in words, and the checks that failed."""
    verdicts, failures = [], []
    data = result.dataset
    for index, route in enumerate(str(name) for name in data["route"].values):
        z = data["z"].values[index]
        if not np.isfinite(z).any():
            continue
        worst = np.unravel_index(np.nanargmax(np.abs(z)), z.shape)
        layer = int(data["layer"].values[worst[0]])
        size = abs(float(z[worst]))
        measured = with_error(float(data["mean"].values[worst]), float(data["standard_error"].values[worst]))
        predicted = float(data["predicted"].values[(index, *worst)])
        numbers = f"at layer {layer}: measured {measured}, predicted {predicted:.5g}, z = {float(z[worst]):+.1f}"
        agrees = size < GATE
        word = "agrees with" if agrees else "is rejected by"
        text = f"{result.case.name}: {route} {word} {result.estimate.num_seeds} networks (largest deviation {numbers})."
        verdicts.append(text)
        if (route in result.case.checked and not agrees) or (route in result.case.rejected and agrees):
            failures.append(text)
    return verdicts, failures


def combine(results: Sequence[CaseResult]) -> "xarray.Dataset":
    """One Dataset of all cases; smaller cases are padded with NaN."""
    import xarray

    parts = []
    for result in results:
        part = result.dataset.drop_vars(["closest", "error_order", "valid_for", "reference"])
        part = part.assign({name: value.astype(np.float64) for name, value in part.data_vars.items()})
        part = part.assign_coords(pair=np.arange(part.sizes["pair"]))
        if result.estimate.samples is not None:
            part["samples"] = (("seed", "sample_layer", "pair"), result.estimate.samples)
            part = part.assign_coords(sample_layer=list(result.case.sample_layers))
        part.attrs = {}
        parts.append(part)
    names = [result.case.name for result in results]
    data = xarray.concat(parts, dim="case", join="outer", fill_value=np.nan).assign_coords(case=names)
    records: Mapping[str, list[Any]] = {
        "spec": [json.dumps(result.case.spec.to_json(), sort_keys=True) for result in results],
        "inputs": [result.case.inputs.label for result in results],
        "quantity": [result.case.quantity.name for result in results],
        "num_seeds": [result.case.num_seeds for result in results],
        "linear_map": [result.case.linear_map for result in results],
        "precision": [f"{result.case.dtype}, {result.case.precision}" for result in results],
    }
    return data.assign_coords({name: ("case", values) for name, values in records.items()})


def summary_table(dataset: "xarray.Dataset") -> Any:
    """Every case at its last layer, first pair: measured, and each route with its z."""
    from deepinit.report import Table

    routes = [str(name) for name in dataset["route"].values]
    rows = []
    for index, name in enumerate(dataset["case"].values):
        one = dataset.isel(case=index, pair=0)
        last = int(np.flatnonzero(np.isfinite(one["mean"].values))[-1])
        layer = one.isel(layer=last)
        cells = [str(name), str(int(layer["layer"])), str(int(one["num_seeds"]))]
        cells += [
            with_error(float(layer["mean"]), float(layer["standard_error"])),
            f"{float(layer['variance']) ** 0.5:.4g}",
        ]
        for route in range(len(routes)):
            predicted, z = float(layer["predicted"][route]), float(layer["z"][route])
            cells.append(f"{predicted:.5g} (z {z:+.1f})" if np.isfinite(predicted) else "")
        rows.append(cells)
    columns = ["case", "layer", "networks", "measured mean", "sd", *routes]
    quantity = str(dataset["quantity"].values[0])
    note = "z = (measured - predicted) / standard error of the measured mean; first pair of each case."
    return Table(title=f"{quantity} at the last layer of every case", columns=columns, rows=rows, note=note)


def layer_table(result: CaseResult) -> Any:
    """One case, a spread of its layers, first pair."""
    from deepinit.report import Table

    data = result.dataset.isel(pair=0)
    routes = [str(name) for name in data["route"].values]
    rows = []
    for index in shown_layers(data.sizes["layer"], _LAYERS_IN_TABLE):
        layer = data.isel(layer=index)
        cells = [str(int(layer["layer"])), with_error(float(layer["mean"]), float(layer["standard_error"]))]
        sd_error = float(layer["variance_standard_error"]) / (2 * float(layer["variance"]) ** 0.5)
        cells.append(with_error(float(layer["variance"]) ** 0.5, sd_error))
        cells.append(str(int(layer["num_excluded"])))
        for route in range(len(routes)):
            sd = float(layer["predicted_variance"][route]) ** 0.5
            cells.append(f"{float(layer['predicted'][route]):.5g} ({sd:.4g}), z {float(layer['z'][route]):+.1f}")
        rows.append(cells)
    settings = ", ".join(f"{name} {value}" for name, value in result.estimate.settings.items())
    return Table(
        title=f"{result.case.name}: layer by layer",
        columns=["layer", "measured mean", "measured sd", "excluded", *[f"{route}: mean (sd), z" for route in routes]],
        rows=rows,
        note=f"{result.case.spec}; {result.case.inputs.label}; {result.estimate.num_seeds} networks; {settings}.",
    )


def _provenance(handle: store.Run) -> dict[str, Any]:
    starts = [event["record"] for event in store.read_journal(handle.path) if event["event"] == "provenance"]
    return {"run": handle.identity_hash, "starts": len(starts), **(starts[-1] if starts else {})}
