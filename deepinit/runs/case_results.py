"""Results of cases: predictions, and measurements beside them."""

from typing import Any

from deepinit.core.progress import bar
from deepinit.core.results import Prediction
from deepinit.quantities.routes import evaluate, finished_estimate
from deepinit.runs.experiment import Case, CaseResult
from deepinit.runs.measure import Part, case_control

# Predictions, and theory -> reason where it does not apply.
Theory = tuple[tuple[Prediction, ...], dict[str, str]]


def all_predictions(cases: tuple[Case, ...]) -> list[Theory]:
    """Of every case, with a progress bar."""
    with bar("theory") as report:
        found = []
        for number, case in enumerate(cases):
            report(number, len(cases), f"theory of {case.name}")
            found.append(predictions(case))
        return found


def predictions(case: Case) -> Theory:
    """Every theory of a case that applies."""
    return evaluate(case.spec, case.quantity, case.inputs, case.theories)


def compared(case: Case, theory: Theory, part: Part) -> CaseResult:
    """The estimate from merged blocks beside its predictions."""
    from deepinit.comparison.compare import comparison

    (predicted, not_applicable), (merged, saved) = theory, part
    settings = {name: getattr(case, name) for name in ("linear_map", "dtype", "precision")}
    settings |= _control_setting(case, merged)
    samples = saved.pop("samples", None)
    estimate = finished_estimate(case.spec, case.quantity, case.inputs, merged, samples, settings)
    dataset = comparison(estimate, predicted).dataset
    dataset.attrs.update(label=case.name, symbol=case.quantity.symbol)
    return CaseResult(case, estimate, predicted, dataset, saved, not_applicable)


def _control_setting(case: Case, merged: Any) -> dict[str, str]:
    """Entry `control` of the settings, by what the blocks hold; empty for `none`."""
    from deepinit.ensembles.controlled import Controlled

    if isinstance(merged, Controlled):
        return {"control": "theory"}
    setting = {} if case.control == "none" else case_control(case)[1]
    if setting.get("control") == "theory":
        return {"control": "none: blocks without controls, or with other centres"}
    return setting
