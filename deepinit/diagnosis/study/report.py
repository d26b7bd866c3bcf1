"""The study's tables as text."""

import numpy as np

from deepinit.diagnosis.study import acceptance, analysis
from deepinit.diagnosis.study.blocks import Blocks
from deepinit.diagnosis.study.registered import configurations
from deepinit.diagnosis.study.rows import Row, other_outcomes, repaired_rows, rows


def report(blocks: Blocks) -> str:
    """Every table, with what is missing."""
    given, repaired = rows(blocks), repaired_rows(blocks)
    parts = [_outcomes(given)]
    if len(given) > 20 and 0 < sum(row.fails for row in given) < len(given):
        parts += [
            _rankings(given),
            _models(given, repaired),
            _calibration(given),
            _regimes(given),
            _rescues(given, repaired),
            _others(blocks, given),
            _acceptance(given, repaired),
        ]
    return "\n\n".join(parts)


def _outcomes(given: list[Row]) -> str:
    lines = ["family        draws A, B  trained  fail"]
    networks = configurations()["networks"]
    for family in analysis.FAMILIES:
        planned = sum(n["family"] == family and n["draw"] != "R" for n in networks)
        own = [row for row in given if row.network["family"] == family]
        fails = sum(row.fails for row in own)
        lines.append(f"{family:<13} {planned:>10} {len(own):>8} {fails:>5}")
    total = sum(network["draw"] != "R" for network in networks)
    if len(given) < total:
        lines.append(f"interim: {len(given)} of {total} networks; cheap shapes come first")
    return "\n".join(lines)


def _rankings(given: list[Row]) -> str:
    short = [family[:5] for family in analysis.FAMILIES]
    lines = [f"{'score':<28} {'AUC':>5} {'[95 %]':>12} {'same':>5} {'rho':>5}  " + " ".join(short)]
    for name in analysis.SCORES:
        own = analysis.ranking(name, given)
        span = f"[{own.interval[0]:.2f},{own.interval[1]:.2f}]"
        rho = " ".join(f"{own.rho[family]:5.2f}" for family in analysis.FAMILIES)
        head = f"{name:<28} {own.auc:5.2f} {span:>12} {own.same_shape:5.2f} {own.mean_rho:5.2f}"
        lines.append(f"{head}  {rho}".replace("nan", "  -"))
    return "\n".join(lines)


def _models(given: list[Row], repaired: list[Row]) -> str:
    lines = ["model: leave-family-out AUC (mean), Brier; on repaired networks"]
    for name in analysis.MODELS:
        share = analysis.leave_family_out(name, given)
        areas = analysis.family_areas(share, given)
        each = ", ".join(f"{family} {area:.2f}" for family, area in areas.items())
        mean, brier = analysis.mean_area(areas), analysis.brier(share, given)
        line = f"{name:<18} {mean:.3f} ({each}), {brier:.3f}"
        if repaired:
            from deepinit.diagnosis.study.statistics import auc

            on = analysis.leave_family_out(name, given, repaired)
            line += f"; {auc(on, [row.fails for row in repaired]):.3f}"
        lines.append(line)
    return "\n".join(lines)


def _calibration(given: list[Row]) -> str:
    bins = analysis.calibration(analysis.leave_family_out("label-free", given), given)
    shown = [f"{each.predicted:.2f} -> {each.observed:.2f} ({each.networks})" for each in bins]
    return "calibration, predicted -> observed (networks): " + ", ".join(shown)


def _regimes(given: list[Row]) -> str:
    lines = [
        "depth/width   networks  fail   chi  slope spread  effic  50 steps (AUC, plain stacks)"
    ]
    for each in analysis.regimes(given):
        span = f"{each.low:g}-{each.high:g}"
        areas = (each.chi, each.slope, each.spread, each.efficiency, each.steps)
        lines.append(
            f"{span:<13} {each.networks:>8} {each.fails:>5} " + " ".join(f"{a:6.2f}" for a in areas)
        )
    return "\n".join(lines)


def _rescues(given: list[Row], repaired: list[Row]) -> str:
    shown = [
        f"{each.family} {each.repair} {each.rescued}/{each.tried}"
        for each in analysis.rescues(repaired)
    ]
    spans = ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, np.inf))
    by_ratio = []
    for low, high in spans:
        rescued, tried = analysis.critical_rescues(repaired, low + 1e-9, high)
        by_ratio.append(f"{low:g}-{high:g}: {rescued}/{tried}")
    working, networks, rescuable = analysis.best_repairs(given, repaired)
    return "\n".join(
        [
            "rescued: " + ", ".join(shown),
            "critical variances in MLPs by depth/width: " + ", ".join(by_ratio),
            f"best predicted repair works: {working}/{rescuable}; {networks} failing networks, "
            f"{rescuable} rescued by one repair or more",
        ]
    )


def _others(blocks: Blocks, given: list[Row]) -> str:
    lines = []
    for stage, name in (("sgd", "SGD with momentum"), ("long", "4000 steps of Adam")):
        own = analysis.other(given, other_outcomes(blocks, stage))
        text = f"{own.fails}/{own.networks} fail, {own.same} as in the main training; AUC "
        lines.append(f"{name}: {text}{own.auc:.2f} (label-free), {own.steps:.2f} (50 steps)")
    return "\n".join(lines)


def _acceptance(given: list[Row], repaired: list[Row]) -> str:
    return "\n".join(["registered lines", *map(str, acceptance.acceptance(given, repaired))])
