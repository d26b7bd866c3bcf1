"""Tables by kind of network: the nearest type answers, others are refused by name."""

import pytest

import deepinit as di
from deepinit.core.by_kind import by_kind, kind_text
from deepinit.core.errors import SpecError
from deepinit.core.layers import Layer

DENSE = di.layers.Dense(3)
depth = by_kind("a depth", {di.MLP: lambda net, add=0: net.depth + add, Layer: lambda net: 1})


class Named(di.MLP):
    """A subclass has the functions of its base."""


def test_the_nearest_type_answers():
    assert depth(di.MLP((2, 2)), add=3) == 5
    assert depth(Named((2,))) == 1
    assert depth(DENSE) == 1


def test_object_answers_for_all_others():
    found = by_kind("a name", {di.MLP: lambda net: "MLP", object: lambda net: "other"})
    assert [found(net) for net in (di.MLP((2,)), di.ResNet(2, 1), DENSE, 3)] == [
        "MLP",
        *["other"] * 3,
    ]


def test_other_types_are_refused():
    with pytest.raises(SpecError, match=r"Got a depth of ResNet\. Allowed: MLP and composed"):
        depth(di.ResNet(2, 1))


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ((), ""),
        ((di.MLP,), "MLP"),
        ((di.MLP, di.ResNet, Layer), "MLP, ResNet and composed networks"),
        ((type(DENSE),), "composed networks"),
    ],
)
def test_kinds_in_words(kinds, text):
    assert kind_text(kinds) == text
