"""The registered file is the draw, with the formulas of the code."""

import collections
import json

import pytest

from deepinit.core.errors import DamagedError
from deepinit.diagnosis.study import register, registered
from deepinit.diagnosis.study.draw import LONG_PER_FAMILY
from deepinit.diagnosis.study.repairs import repairs


@pytest.mark.slow
def test_the_draw_gives_the_registered_file():
    found = json.loads(json.dumps(register.document()))
    own = dict(registered.configurations())
    assert found.pop("data_sha256").keys() == own.pop("data_sha256").keys()
    assert found.pop("python")  # texts are of one version of Python
    assert own.pop("python")
    assert found == own


def test_counts():
    drawn = [n for n in registered.configurations()["networks"] if n["draw"] != "R"]
    counts = collections.Counter(network["family"] for network in drawn)
    assert counts == {
        "mlp": 90,
        "layernorm": 30,
        "residual": 40,
        "conv": 50,
        "transformer": 70,
        "gated": 20,
    }
    assert sum(network["long"] for network in drawn) == LONG_PER_FAMILY * 6
    assert sum(network["sgd"] for network in drawn) == 75
    plain = [n for n in drawn if n["family"] in ("mlp", "layernorm")]
    shares = [network["depth"] / network["width"] for network in plain]
    assert [sum(a < s <= b for s in shares) for a, b in ((0, 0.25), (0.25, 0.8), (0.8, 9))] == [
        40,
        40,
        40,
    ]


def test_a_changed_file_is_damage(monkeypatch):
    monkeypatch.setattr(registered, "SHA256", "0" * 64)
    with pytest.raises(DamagedError, match="registered 0000"):
        registered.configurations.__wrapped__()


def test_repairs_change_what_they_name():
    network = next(n for n in registered.configurations()["networks"] if n["family"] == "mlp")
    changed = repairs(network | {"activation": "gelu", "depth": 16})
    assert changed["critical"]["weight"] == pytest.approx(1.98306, abs=1e-5)
    assert changed["critical"]["first"] == pytest.approx(3.38863, abs=1e-5)
    assert changed["residual"]["alpha"] == 0.25
    assert changed["residual"]["skip"] == 1.0
    assert changed["norm"]["weight"] == network["weight"]
    assert "critical" not in repairs(network | {"activation": "softplus"})
    assert "norm" not in repairs(network | {"norm": "layer"})
