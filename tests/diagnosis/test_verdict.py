"""The fitted model: loaded, checked, and applied."""

import json

import numpy as np
import pytest

from deepinit.core.errors import DamagedError, SpecError
from deepinit.diagnosis import logistic, verdict
from deepinit.diagnosis.estimates import Estimate
from deepinit.diagnosis.features import LABEL_FREE, WORST, features
from deepinit.diagnosis.study import analysis
from deepinit.diagnosis.study.blocks import Blocks
from deepinit.diagnosis.study.model import document
from deepinit.diagnosis.study.rows import rows


def estimates(**means):
    return {name: Estimate(value, 0.1, 1.0, 0) for name, value in means.items()}


GOOD = {"gradient_spread": 0.3, "gradient_slope": 0.1, "collapse": 0.5, "stretch": 0.1}


def expected(scores, labels=False):
    own = verdict.model()["with_labels" if labels else "label_free"]["model"]
    return 1 - float(logistic.from_json(own).probability(features(scores, labels)))


def test_share_label_and_interval():
    found = verdict.verdict(estimates(**GOOD), 64)
    assert found.label == "trains"
    assert found.in_range
    assert found.share == pytest.approx(expected(GOOD))
    low, high = found.interval
    assert 0 <= low <= high <= 1
    assert found.table == verdict.model()["sha256"]
    labelled = GOOD | {"signal_efficiency": 0.6}
    assert verdict.verdict(estimates(**labelled), 64).share == pytest.approx(
        expected(labelled, labels=True)
    )


def test_the_worst_of_the_study_is_said_to_fail():
    given = rows(Blocks())
    names = ("gradient_spread", "gradient_slope", "collapse", "stretch")
    shares = [
        (found.share, found.label, row.fails)
        for row in given
        if (found := verdict.verdict(estimates(**{n: row.scores[n] for n in names}), 64)).in_range
    ]
    assert len(shares) > 0.9 * len(given)
    worst, best = min(shares), max(shares)
    assert worst[1:] == ("fails", True)
    assert best[1:] == ("trains", False)


def test_out_of_range_and_events():
    far = verdict.verdict(estimates(**(GOOD | {"stretch": 5000.0})), 64)
    assert not far.in_range
    assert far.label == "uncertain"
    events = estimates(**GOOD) | {"gradient_spread": Estimate(np.nan, np.nan, np.nan, 64)}
    worst = expected(GOOD | {"gradient_spread": WORST["gradient_spread"]})
    assert verdict.verdict(events, 64).share == pytest.approx(worst)
    with pytest.raises(SpecError, match="without stretch"):
        verdict.verdict(estimates(**{k: v for k, v in GOOD.items() if k != "stretch"}), 64)


def test_damage(monkeypatch):
    changed = verdict.model() | {"networks": 7}
    monkeypatch.setattr(json, "loads", lambda text: changed)
    with pytest.raises(DamagedError, match="checksum"):
        verdict.model.__wrapped__()


@pytest.mark.slow
def test_the_committed_model_is_that_of_the_committed_results():
    known = Blocks()
    own = verdict.model()
    found = json.loads(json.dumps(document(known)))
    assert found["results_sha256"] == own["results_sha256"]
    for name in ("label_free", "with_labels"):
        for part in ("mean", "scale", "weights", "intercept", "largest"):
            expected = own[name]["model"][part]
            np.testing.assert_allclose(found[name]["model"][part], expected, rtol=1e-6)
    given = rows(known)
    share = analysis.predicted("label-free", analysis.fitted("label-free", given), given)
    assert len(LABEL_FREE) == len(own["label_free"]["features"])
    assert analysis.brier(share, given) < 0.2
