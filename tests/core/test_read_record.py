"""Records that are no network are refused by a sentence."""

import pytest

import deepinit as di

LAW = {"architecture": "MLP", "widths": [3]}


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({**LAW, "foo": 1}, "unexpected keyword argument 'foo'"),
        ({"architecture": "MLP"}, "missing a required argument: 'widths'"),
        ({"type": "Dense"}, "missing a required argument: 'width'"),
        ({"type": "Dense", "width": 3, "x": 2}, "unexpected keyword argument 'x'"),
        ({**LAW, "weight_law": 3}, "3 as a law"),
        (
            {**LAW, "weight_law": {"name": "normal", "std": 1.0}},
            "unexpected keyword argument 'std'",
        ),
        ("{", "no JSON"),
        ("[]", "as a network"),
        (None, "as a network"),
    ],
)
def test_records_that_are_no_network(record, sentence):
    with pytest.raises(ValueError, match=sentence) as refusal:
        di.spec_from_json(record)
    assert "Allowed: " in str(refusal.value)
