"""Tables: numbers by column, marked scores, HTML, text, JSON."""

import json
import re

import numpy as np
import pytest
from html_pages import Page

from deepinit.core.errors import SpecError
from deepinit.core.tables import Table


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(SpecError, match="row of 1 cells"):
        Table("rows", ["a", "b"], [(1, 2), (3,)])


def test_scores_beyond_the_gate_are_marked_by_text():
    columns = ["z", "z second order", "size", "zeta"]
    rows = [(4.999, -5.0, 9.0, 9.0), (np.inf, None, 9.0, 9.0)]
    text = Table("T", columns, rows).to_html()
    got = Page(text).texts["td"]
    assert got[0] == "5.00"  # inside: not marked although it rounds to the gate
    assert got[1] == "beyond ±5 −5.00"
    assert got[4] == "beyond ±5 ∞"
    assert got[5] == "–"
    assert got[2] == got[3] == "9.000"
    assert len(re.findall('class="beyond"', text)) == 2


def test_scores_inside_a_text_are_marked_as_they_are_written():
    texts = ["-4.66 (0.5), z -17.2", "1.5 (z +4.9)", "z = 5.0", "z -1e+09"]
    texts += ["size 99, quiz 7", "z or 9"]
    rows = [(text,) for text in texts]
    page = Page(Table("T", ["second order"], rows).to_html())
    marked = [text.startswith("beyond ±5 ") for text in page.texts["td"]]
    assert marked == [True, False, True, True, False, False]
    page = Page(Table("T", ["second order"], [*rows[:2], ("",)]).to_html())
    assert {attrs.get("class") for attrs in page.all("td")} == {"number"}


def test_numbers_are_written_alike_down_a_column_and_aligned_right():
    rows = [
        (1, 12345, 0.5, 1.25e-9, "a", True, "1.2 ± 0.1", np.float32(2.0)),
        (np.int64(2), -7, -12.125, 3.0, "b", np.bool_(False), "−3.4 ± 0.2", np.nan),
        (3, None, None, -np.inf, "c", None, None, 1.0),
    ]
    page = Page(Table("T", list("ABCDEFGH"), rows).to_html())
    got = np.array(page.texts["td"]).reshape(3, 8).T.tolist()
    assert got == [
        ["1", "2", "3"],
        ["12,345", "−7", "–"],
        ["0.500", "−12.125", "–"],
        ["1.25e−09", "3", "−∞"],
        ["a", "b", "c"],
        ["yes", "no", "–"],
        ["1.2 ± 0.1", "−3.4 ± 0.2", "–"],
        ["2.000", "–", "1.000"],
    ]
    right = [attrs.get("class") == "number" for attrs in page.all("td")[:8]]
    assert right == [True, True, True, True, False, False, True, True]
    assert [attrs.get("class") == "number" for attrs in page.all("th")] == right


def test_text_is_ascii_with_the_numbers_of_the_page():
    rows = [(1, -12345, 0.5, "−3 ± 1", None, True), (2, 7, -12.125, "a", np.inf, np.nan)]
    text = Table("T", list("ABCDEF"), rows).to_text()
    assert text == [
        ["1", "-12,345", "0.500", "-3 +- 1", "-", "yes"],
        ["2", "7", "-12.125", "a", "inf", "-"],
    ]
    assert all(cell.isascii() for row in text for cell in row)
    assert Table("T", ["a"], []).to_text() == []


def test_json_round_trip_keeps_the_numbers():
    rows = [(np.int64(3), np.float32(0.1), "x", None), (True, np.bool_(False), np.nan, -np.inf)]
    table = Table("T", ("a", "b", "c", "d"), rows, "A caption.")
    record = json.loads(json.dumps(table.to_json(), allow_nan=False))
    again = Table(**record)
    assert again.rows == [[3, float(np.float32(0.1)), "x", None], [True, False, None, "-inf"]]
    assert (again.title, again.columns, again.caption) == ("T", ["a", "b", "c", "d"], "A caption.")
    assert again.to_json() == record
