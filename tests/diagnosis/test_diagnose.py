"""Verdict, causes and changes of small networks; the screen and the record."""

import json

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diagnosis.screen import COLUMNS, LINES

L = di.layers
ROWS = np.random.default_rng(3).normal(size=(8, 20))


def screen_of(found):
    lines = str(found).splitlines()
    assert len(lines) <= LINES == 24
    assert max(map(len, lines)) <= COLUMNS == 100
    return "\n".join(lines)


def record_of(found):
    return json.loads(json.dumps(found.to_json(), allow_nan=False))


@pytest.fixture(scope="module")
def narrow():
    return di.diagnose(di.MLP((8,) * 50, "relu", output_width=10), ROWS, num_seeds=32)


@pytest.fixture(scope="module")
def shallow():
    return di.diagnose(di.MLP((256,) * 2, "relu", output_width=10), ROWS, num_seeds=32)


@pytest.mark.slow
def test_a_deep_narrow_relu_network_fails_and_residual_branches_change_it(narrow):
    assert narrow.verdict.label == "fails"
    assert narrow.exit_code == 10
    assert {"lottery"} <= {cause.id for cause in narrow.causes}
    assert len(narrow.causes) <= 3
    best = narrow.fixes[0]
    assert best.id == "residual"
    assert best.label == "trains"
    shares = [fix.share for fix in narrow.fixes if fix.share is not None]
    assert shares == sorted(shares, reverse=True)
    assert len(narrow.fixes) <= 3
    again = di.diagnose(best.network, ROWS, num_seeds=32)
    assert again.verdict.share == pytest.approx(best.share, abs=0.01)  # re-measured, not promised


@pytest.mark.slow
def test_the_screen_and_the_record_of_a_failing_network(narrow):
    text = screen_of(narrow)
    for head in ("VERDICT", "WHY", "FIX", "layer", "precision", "not seen", "exit 10"):
        assert f"\n{head}" in text
    assert "will train" not in text
    assert "optimal" not in text
    assert "28 of family mlp" in text or "of family mlp" in text
    assert "labels: the model without labels decides" in text
    record = record_of(narrow)
    assert record["schema"] == 1
    assert record["verdict"]["share"] == pytest.approx(narrow.verdict.share)
    assert len(record["layers"]) == 50
    assert [fix["id"] for fix in record["fixes"]] == [fix.id for fix in narrow.fixes]


@pytest.mark.slow
def test_a_shallow_wide_he_network_trains(shallow):
    assert shallow.verdict.label == "trains"
    assert shallow.exit_code == 0
    assert shallow.causes == ()
    assert shallow.fixes == ()
    assert "no score is large" in screen_of(shallow)
    assert shallow.scores.scores["gradient_spread"].mean < 0.5
