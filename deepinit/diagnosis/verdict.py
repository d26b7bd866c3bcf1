"""The share of networks that train, from scores: a model fitted on the study's networks.

`model.json` has two logistic models, without and with labels, their calibration on families that
they were not fitted on, and the range of scores that they have seen.
"""

import functools
import hashlib
import importlib.resources
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from deepinit.core.errors import DamagedError, SpecError
from deepinit.diagnosis import logistic
from deepinit.diagnosis.features import LABEL_FREE, WITH_LABELS, features, score
from deepinit.store.canonical import canonical_json

TRAINS, FAILS = 0.75, 0.25  # shares


class Verdict(NamedTuple):
    """What the scores say.

    Attributes:
        label: "trains" (share >= 0.75), "fails" (<= 0.25), "uncertain".
        share: of networks like this that reach the study's threshold.
        interval: 95 %, of the observed share among networks of a predicted share like this.
        in_range: whether the scores are within the 99 % point of the fitted networks; outside,
            label is "uncertain".
        networks: fitted ones.
        table: SHA-256 of the model.
    """

    label: str
    share: float
    interval: tuple[float, float]
    in_range: bool
    networks: int
    table: str


def verdict(scores: Mapping[str, Any], num_seeds: int) -> Verdict:
    """Verdict of scores with fields `mean` and `events` (`scores.Scores.scores`).

    With `signal_efficiency` the model with labels decides.
    Raises SpecError: a score that the model needs is missing.
    """
    missing = [name for name in LABEL_FREE if name not in scores]
    if missing:
        given = f"scores without {', '.join(missing)}"
        raise SpecError(given, ", ".join(LABEL_FREE), "Give inputs of real numbers.")
    labels = "signal_efficiency" in scores
    means = {
        name: None if math.isnan(each.mean) else float(each.mean) for name, each in scores.items()
    }
    events = {name: each.events for name, each in scores.items()}
    names = WITH_LABELS if labels else LABEL_FREE
    known = {name: score(means, events, name, num_seeds) for name in names}
    record = model()
    own = record["with_labels" if labels else "label_free"]
    fit, at = logistic.from_json(own["model"]), features(known, labels)
    fails = float(fit.probability(at))
    in_range = bool(fit.distance(at) <= fit.largest)
    interval = interval_of(own, fails)
    share = 1 - fails
    label = "trains" if share >= TRAINS else "fails" if share <= FAILS else "uncertain"
    return Verdict(
        label if in_range else "uncertain",
        share,
        interval,
        in_range,
        fit.networks,
        record["sha256"],
    )


def interval_of(record: Mapping[str, Any], fails: float) -> tuple[float, float]:
    """Of the share that trained, 95 %, among networks of a predicted P(fail) like this."""
    low, high = next(
        each["interval"] for each in record["calibration"] if fails <= each["high"] or each["last"]
    )
    return 1 - high, 1 - low


def calibrated(found: Verdict) -> float:
    """The share, moved into the interval of what was observed among networks like this."""
    low, high = found.interval
    return min(max(found.share, low), high)


@functools.cache
def model() -> dict[str, Any]:
    """`model.json`; DamagedError if its checksum does not match."""
    data = (importlib.resources.files(__package__) / "model.json").read_text("ascii")
    found = json.loads(data)
    if checksum(found) != found.get("sha256"):
        given = "model.json, not matching its checksum"
        raise DamagedError(given, "the committed file", "Restore it.")
    return found


def checksum(record: Mapping[str, Any]) -> str:
    """SHA-256 of the record without its own checksum."""
    rest = {name: value for name, value in record.items() if name != "sha256"}
    return hashlib.sha256(canonical_json(rest).encode("ascii")).hexdigest()
