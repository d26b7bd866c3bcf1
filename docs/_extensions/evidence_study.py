"""The page on which networks train, from the study's committed results."""

from collections.abc import Sequence

from deepinit.diagnosis.study import acceptance, analysis
from deepinit.diagnosis.study.blocks import Blocks
from deepinit.diagnosis.study.registered import configurations
from deepinit.diagnosis.study.report import report
from deepinit.diagnosis.study.rows import Row, repaired_rows, rows

HEAD = """# Trainability

`deepinit diagnose` and `di.diagnose` read their shares from this study: networks were drawn and
scored, then trained; rules, formulas and the lines below were registered before any training
([definitions](../diagnosis.md)). The tables are computed from the committed results when this page
is built; `python -m deepinit.diagnosis.study report` prints them.

"""
SCORES = """## Scores at initialization

AUC: the share of pairs of a network that fails and one that trains in which the score puts the
first above the second; 0.5 for a guess; in brackets the range of 95 %. Same shape: within pairs of
one shape. rho: rank correlation with the loss reached, within families.

"""
REPAIRS = """## Changes

Failing networks that train after one change, of those tried.

"""
LINES = """## Registered lines

Written down before the training, each a hit or a miss, in brackets while networks are missing.

"""


def page() -> str:
    """Text of the page, of the committed results only."""
    blocks = Blocks()
    given, repaired = rows(blocks), repaired_rows(blocks)
    parts = [HEAD + outcomes(given)]
    if 0 < sum(row.fails for row in given) < len(given):
        lines = map(_line, acceptance.acceptance(given, repaired))
        parts += [SCORES + rankings(given), REPAIRS + changes(repaired)]
        parts.append(LINES + _table(("line", "value", "registered", "", "note"), list(lines)))
    text = report(blocks)
    parts.append(f":::{{dropdown}} Everything, as the command prints it\n```text\n{text}\n```\n:::")
    return "\n\n".join(parts) + "\n"


def outcomes(given: list[Row]) -> str:
    """Trained networks by family, and what is missing."""
    planned = [each for each in configurations()["networks"] if each["draw"] != "R"]
    found = []
    for family in analysis.FAMILIES:
        own = [row for row in given if row.network["family"] == family]
        registered = sum(each["family"] == family for each in planned)
        found.append((family, registered, len(own), sum(row.fails for row in own)))
    total, fails = len(given), sum(row.fails for row in given)
    found.append(("**all**", len(planned), total, fails))
    text = _table(("family", "registered", "trained", "fail"), found)
    if total < len(planned):
        text += f"\n\nInterim: {total} of {len(planned)} networks; cheap shapes come first."
    return text


def rankings(given: list[Row]) -> str:
    """Scores by their AUC."""
    found = sorted(
        (analysis.ranking(name, given) for name in analysis.SCORES), key=lambda r: -r.auc
    )
    cells = [
        (
            f"`{each.name}`",
            f"{each.auc:.2f} [{each.interval[0]:.2f}, {each.interval[1]:.2f}]",
            f"{each.same_shape:.2f}",
            f"{each.mean_rho:.2f}",
            each.networks,
        )
        for each in found
    ]
    return _table(("score", "AUC", "same shape", "rho", "networks"), cells)


def changes(repaired: list[Row]) -> str:
    """Rescued networks by family and change."""
    found = analysis.rescues(repaired)
    names = list(dict.fromkeys(each.repair for each in found))
    cell = {(each.family, each.repair): f"{each.rescued} of {each.tried}" for each in found}
    families = list(dict.fromkeys(each.family for each in found))
    lines = [(family, *(cell.get((family, name), "") for name in names)) for family in families]
    return _table(("family", *names), lines)


def _line(line: acceptance.Line) -> tuple[str, ...]:
    verdict = str(line).split()[0]
    wanted = f"{line.relation} {line.wanted:g}"
    return (f"`{line.name}`", f"{line.value:.3f}", wanted, verdict, line.note)


def _table(head: Sequence[str], cells: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *cells]
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
