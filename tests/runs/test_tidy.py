"""comparison.csv against the Dataset."""

import csv
import io

from case_results import case_result

from deepinit.runs.tidy import comparison_csv


def rows_of(*results):
    return list(csv.DictReader(io.StringIO(comparison_csv(results).decode())))


def test_a_row_for_every_case_theory_layer_and_component():
    one = case_result("one", {"second_order": 0.3, "infinite_width": -17.25})
    rows = rows_of(one, case_result("two", {}))
    assert " ".join(rows[0]) == (
        "case quantity theory layer component mean standard_error predicted z judged"
    )
    assert len(rows) == 2 * 3 + 3
    frame = one.dataset
    for row in rows[:6]:
        entry = frame.sel(theory=row["theory"], layer=int(row["layer"])).isel(component=0)
        for name in ("mean", "standard_error", "predicted", "z"):
            assert float(row[name]) == float(entry[name])
        assert row["judged"] == "1"
    assert {row["theory"] for row in rows[6:]} == {""}
    assert {row["predicted"] + row["z"] + row["judged"] for row in rows[6:]} == {""}


def test_what_is_not_a_number_is_empty_and_not_judged():
    rows = rows_of(case_result("one", {"second_order": None}))
    assert [row["z"] for row in rows] == ["0.0", "0.0", ""]
    assert [row["judged"] for row in rows] == ["1", "1", "0"]


def test_numbers_are_written_in_full():
    result = case_result("one", {"second_order": 1 / 3})
    assert float(rows_of(result)[2]["predicted"]) == -1 / 3


def test_equal_results_give_equal_bytes():
    results = [case_result("one", {"paper": 2.0})]
    assert comparison_csv(results) == comparison_csv(results)
