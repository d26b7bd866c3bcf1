import enum
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepinit.core.errors import SpecError
from deepinit.store import canonical_json, differences, identity_hash

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values)
def test_text_returns_the_value_and_is_its_own_canonical_form(value):
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(max_size=8), json_values, min_size=2, max_size=6))
@pytest.mark.slow
def test_hash_does_not_see_the_order_of_keys(identity):
    assert identity_hash(identity) == identity_hash(dict(reversed(identity.items())))


@given(json_values, json_values)
def test_differences_are_empty_exactly_when_the_texts_agree(here, asked):
    assert bool(list(differences(here, asked))) == (canonical_json(here) != canonical_json(asked))


def test_known_text_and_hash():
    # SHA-256 of the 26 characters {"a":[1,0.1,true],"b":"é"} in ASCII escapes, by sha256sum.
    assert canonical_json({"b": "é", "a": (1, 0.1, True)}) == '{"a":[1,0.1,true],"b":"\\u00e9"}'
    assert identity_hash({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_one_and_one_point_zero_and_true_are_three_values():
    assert len({identity_hash({"x": value}) for value in (1, 1.0, True)}) == 3


def test_numpy_floats_and_enumerated_integers_are_written_as_plain_numbers():
    class Level(enum.IntEnum):
        high = 3

    assert canonical_json([np.float64(0.1), Level.high]) == "[0.1,3]"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"config": {"law": [1.0, math.nan]}}, "nan at config.law[1]"),
        ({"scale": -math.inf}, "-inf at scale"),
        ({"sizes": {3: "x"}}, "the key 3 at sizes"),
        ({"width": np.int64(3)}, "a int64 at width"),
        ({"mode": {"a", "b"}}, "a set at mode"),
        (b"x", "a bytes at the top"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(value, said):
    with pytest.raises(SpecError, match="Allowed: None, booleans") as error:
        canonical_json(value)
    assert said in str(error.value)


def test_differences_name_nested_places():
    here = {"config": {"width": 64, "depths": [1, 2], "law": "normal", "gain": 1}}
    asked = {"config": {"width": 128, "depths": [1, 3, 4], "gain": 1.0}, "block": 256}
    assert list(differences(here, asked)) == [
        "block: absent here, 256 asked",
        "config.depths[1]: 2 here, 3 asked",
        "config.depths[2]: absent here, 4 asked",
        "config.gain: 1 here, 1.0 asked",
        'config.law: "normal" here, absent asked',
        "config.width: 64 here, 128 asked",
    ]
