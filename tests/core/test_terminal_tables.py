"""Tables of a given width."""

import pytest

from deepinit.core.terminal_tables import panels, to_terminal

COLUMNS = ["case", "layer", "measured mean", "prediction", "predicted", "z", "verdict"]
ROWS = [
    ["transformer-w256", "16", "-7.6751 +- 0.0322", "second_order", "-7.6842", "+0.3", "agrees"],
    ["", "", "", "infinite_width", "-4.9257", "-85.6", "rejected"],
]
KEYS = [0, 3]


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_line_is_longer_than_the_terminal_and_no_cell_is_cut(width):
    text = to_terminal("A title", COLUMNS, ROWS, keys=KEYS, width=width)
    assert max(map(len, text.splitlines())) <= width
    for cell in [*COLUMNS, *ROWS[0], *ROWS[1]]:
        assert cell in text
    assert "…" not in text


def test_columns_that_do_not_fit_follow_beside_the_keys():
    text = to_terminal("A title", COLUMNS, ROWS, keys=KEYS, width=80)
    assert text.count("second_order") == text.count("transformer-w256") == 2
    assert to_terminal("A title", COLUMNS, ROWS, keys=KEYS, width=160).count("second_order") == 1


def test_forty_columns_show_one_column_a_part():
    text = to_terminal("A title", COLUMNS, ROWS, keys=[0], width=40)
    assert max(map(len, text.splitlines())) <= 40
    for cell in [*COLUMNS, *ROWS[0], *ROWS[1]]:
        assert cell in text


@pytest.mark.parametrize("width", [30, 40])
def test_where_no_column_fits_beside_the_keys_rows_are_lists(width):
    text = to_terminal("A title", COLUMNS, ROWS, keys=KEYS, note="A note.", width=width)
    assert max(map(len, text.splitlines())) <= width
    first, second = text.split("\n\n")[1:3]
    for column, cell in zip(COLUMNS, ROWS[0], strict=True):
        assert f"{column}: {cell}" in " ".join(first.split())
    assert "case: transformer-w256\nprediction: infinite_width" in second  # keys are repeated
    assert "layer" not in second
    assert text.endswith("A note.\n")


def test_a_name_longer_than_the_terminal_is_not_cut():
    assert "a" * 50 in to_terminal("", ["name"], [["a" * 50]], width=40)


def test_parts_keep_the_order_of_columns():
    assert panels([5, 5, 5, 5], [2], 27) == [[0, 1, 2], [2, 3]]
    assert panels([5, 90, 5], [0], 40) == [[0, 1], [0, 2]]


def test_long_texts_break_between_words_and_stored_text_is_no_markup():
    question = "How far are means at finite width from infinite width in transformers?"
    text = to_terminal("", ["name", "question"], [["[red]a\x1b[0m", question]], width=60)
    assert "[red]a\\x1b[0m" in text
    assert max(map(len, text.splitlines())) <= 60
    for word in question.split():
        assert word in text
