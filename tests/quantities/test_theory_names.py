"""Every theory has a sentence and a colour of its own."""

import re

import pytest
from paths import ROOT

from deepinit.plots.style import route_styles
from deepinit.quantities import BUILTIN
from deepinit.quantities.theory_names import MEANINGS


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_every_theory_of_a_quantity_has_its_sentence_and_colour(name):
    theories = [theory.name for theory in BUILTIN[name].theories]
    assert [each for each in theories if each not in MEANINGS] == []
    colours = [style.colour for style in route_styles(theories).values()]
    assert len(set(colours)) == len(theories)


def test_no_sentence_is_left_over_and_each_is_one():
    known = {theory.name for quantity in BUILTIN.values() for theory in quantity.theories}
    assert set(MEANINGS) == known
    assert all(re.fullmatch(r"[A-Z].*[a-z0-9]\.", text) for text in MEANINGS.values())


def test_the_glossary_has_the_same_sentences():
    text = (ROOT / "docs/glossary.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert rows == MEANINGS
