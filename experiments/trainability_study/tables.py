"""Tables: gradients of the chosen networks; the committed study."""

from typing import Any

import numpy as np

from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results

from .cases import Config, networks


def study() -> tuple[Any, Any]:
    """Rows of the committed study: networks, and repaired ones."""
    from deepinit.diagnosis.study.blocks import Blocks
    from deepinit.diagnosis.study.rows import repaired_rows, rows

    blocks = Blocks()
    return rows(blocks), repaired_rows(blocks)


def tables(config: Config, results: Results) -> list[Table]:
    """Gradients; outcomes, scores, models, regimes, repairs, registered lines."""
    given, repaired = study()
    return [
        gradient_table(config, results, given),
        outcome_table(given),
        score_table(given),
        model_table(given, repaired),
        regime_table(given),
        repair_table(repaired),
        acceptance_table(given, repaired),
    ]


def gradient_table(config: Config, results: Results, given: Any) -> Table:
    """Measured growth and spread beside theory, and P."""
    from deepinit.diagnosis.study.rows import theory

    outcome = {row.network["id"]: row.performance for row in given}
    rows = []
    for network in networks(config):
        data = results[network["id"]].dataset.isel(component=0)
        hidden = data.isel(layer=slice(0, network["depth"]))
        first, last = hidden.isel(layer=0), hidden.isel(layer=-1)
        slope = 2 * float(first["mean"] - last["mean"])
        error = 2 * float(np.hypot(first["standard_error"], last["standard_error"]))
        own, ratio = theory(network), network["depth"] / network["width"]
        spread = 2 * float(np.sqrt(first["variance"]))
        p = outcome.get(network["id"])
        name = f"{network['id']} ({network['activation']})"
        rows.append([name, ratio, with_error(slope, error), own["slope"], spread, own["spread"], p])
    columns = ["network", "depth/width", "slope", "infinite width", "spread", "order 1/width", "P"]
    caption = (
        "Slope: ln |df/dx_1|^2 - ln |df/dx_L|^2; spread: standard deviation over networks of ln "
        "|df/dx_1|^2. The readout adds about 0.4 to the spread."
    )
    return Table("Gradients of registered MLPs at initialization", columns, rows, caption)


def outcome_table(given: Any) -> Table:
    """Trained and failing networks by family."""
    from deepinit.diagnosis.study.analysis import FAMILIES
    from deepinit.diagnosis.study.registered import configurations

    networks = configurations()["networks"]
    rows = []
    for family in FAMILIES:
        own = [row for row in given if row.network["family"] == family]
        planned = sum(n["family"] == family and n["draw"] != "R" for n in networks)
        rows.append([family, planned, len(own), sum(row.fails for row in own)])
    caption = "Interim while trained < registered: cheap shapes come first."
    return Table("Outcomes", ["family", "registered", "trained", "fail"], rows, caption)


def score_table(given: Any) -> Table:
    """How every score ranks networks."""
    from deepinit.diagnosis.study import analysis

    rows = []
    for name in analysis.SCORES:
        own = analysis.ranking(name, given)
        low, high = own.interval
        span = f"{own.auc:.2f} [{low:.2f}, {high:.2f}]" if np.isfinite(own.auc) else None
        rho = [own.rho[family] for family in analysis.FAMILIES]
        rows.append([name, own.networks, span, own.same_shape, own.mean_rho, *rho])
    columns = ["score", "networks", "AUC", "same shape", "mean rho", *analysis.FAMILIES]
    caption = "AUC: of failing networks. rho: Spearman correlation with -P within a family."
    return Table("Scores", columns, rows, caption)


def model_table(given: Any, repaired: Any) -> Table:
    """Models on families that they have not seen."""
    from deepinit.diagnosis.study import analysis, statistics

    rows, fails = [], [row.fails for row in repaired]
    for name in analysis.MODELS:
        share = analysis.leave_family_out(name, given)
        areas = analysis.family_areas(share, given)
        on = statistics.auc(analysis.leave_family_out(name, given, repaired), fails)
        each = [areas.get(family) for family in analysis.FAMILIES]
        brier = analysis.brier(share, given)
        rows.append([name, analysis.mean_area(areas), brier, on, *each])
    columns = ["model", "mean AUC", "Brier", "repaired", *analysis.FAMILIES]
    return Table("Models, each family left out in turn", columns, rows)


def regime_table(given: Any) -> Table:
    """Plain stacks by depth/width."""
    from deepinit.diagnosis.study import analysis

    rows = [[f"{each.low:g} to {each.high:g}", *each[2:]] for each in analysis.regimes(given)]
    columns = ["depth/width", "networks", "fail", "chi", "slope", "spread", "efficiency"]
    title = "AUC in plain stacks by depth/width"
    return Table(title, [*columns, "50 steps"], rows)


def repair_table(repaired: Any) -> Table:
    """Failing networks that an intervention rescued."""
    from deepinit.diagnosis.study import analysis

    rows = [list(each) for each in analysis.rescues(repaired)]
    return Table("Rescued networks", ["family", "change", "rescued", "tried"], rows)


def acceptance_table(given: Any, repaired: Any) -> Table:
    """The registered lines."""
    from deepinit.diagnosis.study.acceptance import acceptance

    names = {None: "open", True: "hit", False: "miss"}
    rows, final = [], True
    for line in acceptance(given, repaired):
        wanted = f"{line.relation} {line.wanted:g}"
        rows.append([line.name, line.value, wanted, names[line.held], line.note])
        final = line.final
    caption = "" if final else "Interim: the study is not complete."
    columns = ["line", "value", "registered", "result", "note"]
    return Table("Registered lines", columns, rows, caption)
