"""What a report says of given verdicts."""

import pytest
from case_results import case_result

from deepinit.runs.overview import (
    case_details,
    computing_seconds,
    duration,
    heat_map,
    meanings,
    theory_sentences,
    tiles,
)
from deepinit.runs.verdicts import judge, theory_verdicts


def results():
    return [
        case_result("w16", {"tapered": 1.0, "paper": 20.0, "infinite_width": -86.0}),
        case_result(
            "w64",
            {"tapered": -2.0, "paper": 3.0, "infinite_width": -19.0},
            case={"checked": ("tapered",), "rejected": ("paper",)},
            exact="it has biases",
        ),
        case_result("bad", {"tapered": 6.0}, case={"checked": ("tapered",)}),
        case_result("none", {}),
    ]


def verdicts():
    return {each.case.name: theory_verdicts(each) for each in results()}


def test_verdicts_are_by_the_worst_entry():
    found = {
        name: {each.theory: (each.verdict, each.z, each.place) for each in case}
        for name, case in verdicts().items()
    }
    assert found["w16"]["paper"] == ("rejected", 20.0, (2, 0))
    assert found["w64"]["tapered"] == ("agrees", -2.0, (2, 0))
    assert found["w64"]["paper"][0] == "not resolved"
    assert found["none"] == {}
    (equal,) = theory_verdicts(case_result("one", {"hybrid": None}))  # last layer not judged
    assert (equal.verdict, equal.z, equal.place) == ("agrees", 0.0, (0, 0))
    (unjudged,) = theory_verdicts(case_result("one", {"hybrid": None}, num_layers=1))
    assert unjudged.verdict == "not judged"


def test_sentence_and_failures_of_a_case_are_by_the_same_verdicts():
    assert "rejected: paper (z +20.0 at layer 3" in judge(results()[0])[0]
    _, failures = judge(results()[2])
    assert failures[0].startswith("bad: tapered should agree, but its largest deviation")


def test_theories_are_told_in_three_sentences():
    assert theory_sentences(verdicts()) == [
        "Rejected in some cases: tapered (1 of 3 cases), paper (1 of 2 cases).",
        "Rejected wherever judged: infinite_width (2 cases).",
    ]
    agreeing = {"w64": verdicts()["w64"]}
    assert theory_sentences(agreeing)[0] == (
        "In agreement wherever judged: tapered (1 case), paper (1 case, 1 not resolved)."
    )
    assert theory_sentences({}) == []


def test_the_heat_map_has_every_verdict_and_infinite_width_last():
    chart = heat_map({**verdicts(), "late": theory_verdicts(case_result("late", {"hybrid": 0.0}))})
    assert chart.theories == ("tapered", "paper", "hybrid", "infinite_width")
    assert chart.rows["w64"]["tapered"].words == "check held"
    assert chart.rows["bad"]["tapered"].words == "check failed"
    assert chart.rows["bad"]["tapered"].failed
    assert chart.rows["w16"]["tapered"].words == "agrees"
    assert chart.rows["w16"]["infinite_width"].z == -86.0
    assert chart.rows["none"] == {}


def test_names_have_own_common_or_derived_sentences():
    found = meanings(results(), ["paper", "mine"], {"paper": "As printed."})
    assert list(found) == ["paper", "mine", "exact"]
    assert found["paper"] == "As printed."
    assert found["mine"] == "No description."
    assert found["exact"] == "Law of the network at every width and depth."
    result = [case_result("one", {"mine": 1.0}, case={"theories": ()})]
    assert meanings(result, ["mine"], {})["mine"] == ("Error O(1/width); valid for wide networks.")


def test_details_have_the_worst_entry_of_every_theory():
    details = case_details(results()[1], verdicts()["w64"])
    theories, layers = details.tables
    assert list(theories.rows[0][:4]) == ["tapered", "agrees", -2.0, "layer 3"]
    assert layers.title == "Layer by layer"
    assert details.facts["network"].startswith("MLP(widths=(8, 8, 8), activation=relu")
    assert details.facts["valid: tapered, paper, infinite_width"] == "wide networks"
    assert details.not_applicable == {"exact": "it has biases"}
    assert not details.failed
    assert case_details(results()[2], verdicts()["bad"]).failed
    assert details.remark == "1,000 networks, 1 agree, 1 not resolved, 1 rejected"


def test_tiles_count_checks_networks_and_time():
    found = tiles(results(), 3, 1, 83.0)
    assert [(tile.value, tile.state) for tile in found] == [
        ("2 of 3", "bad"),
        ("4,000", ""),
        ("83 s", ""),
    ]
    assert tiles(results(), 0, 0, None)[0].value == "none"
    assert len(tiles(results(), 0, 0, None)) == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (89, "89 s"), (150, "2 min"), (9000, "2.5 h"), (3e5, "3.5 days")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_time_is_from_each_start_to_its_last_block():
    def event(kind, start, minute):
        return {"event": kind, "start": start, "time": f"2026-11-30T12:{minute:02d}:00.000+00:00"}

    events = [
        event("start", "a", 0),
        event("block", "a", 2),
        event("start", "b", 10),  # in parallel, or later
        event("block", "a", 5),
        event("block", "b", 11),
        event("start", "c", 20),  # only writes the report again
    ]
    assert computing_seconds(events) == 6 * 60
    assert computing_seconds([]) is None
    assert computing_seconds([{"event": "start", "start": "a", "time": "x"}]) is None
