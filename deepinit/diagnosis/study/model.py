"""The fitted model that `deepinit.diagnosis.verdict` loads."""

import hashlib
from typing import Any

from deepinit.diagnosis import logistic
from deepinit.diagnosis.features import LABEL_FREE, WITH_LABELS
from deepinit.diagnosis.study import analysis, statistics
from deepinit.diagnosis.study.blocks import Blocks, lines
from deepinit.diagnosis.study.registered import SHA256
from deepinit.diagnosis.study.rows import Row, rows
from deepinit.diagnosis.verdict import checksum


def document(blocks: Blocks) -> dict[str, Any]:
    """The models as JSON, fitted on every network, calibrated on families left out."""
    given = rows(blocks)
    found: dict[str, Any] = {
        "configurations_sha256": SHA256,
        "results_sha256": hashlib.sha256(lines(blocks.known).encode("ascii")).hexdigest(),
        "networks": len(given),
        "families": {
            family: sum(row.network["family"] == family for row in given)
            for family in analysis.FAMILIES
        },
    }
    for name, kind, columns in (
        ("label_free", "label-free", LABEL_FREE),
        ("with_labels", "with labels", WITH_LABELS),
        ("after_50_steps", "50 training steps", ("progress",)),
    ):
        share = analysis.leave_family_out(kind, given)
        areas = analysis.family_areas(share, given)
        found[name] = {
            "features": list(columns),
            "model": logistic.to_json(analysis.fitted(kind, given)),
            "calibration": _calibration(share, given),
            "auc_of_left_out_families": areas,
        }
    return found | {"sha256": checksum(found)}


def _calibration(share: Any, given: list[Row]) -> list[dict[str, Any]]:
    found = []
    for number, each in enumerate(analysis.calibration(share, given)):
        fails = round(each.observed * each.networks) if each.networks else 0
        found.append(
            {
                "high": analysis.BINS[number + 1],
                "count": each.networks,
                "fails": fails,
                "interval": statistics.wilson(fails, each.networks),
                "last": number == len(analysis.BINS) - 2,
            }
        )
    return found
