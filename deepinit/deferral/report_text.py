"""The plan of a deferred function in a terminal: a summary and two tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepinit.deferral.report import Plan, Row

_COLUMNS = 100
_MOST_ROWS = 40
_WIDEST_REASON = 44
_NARROWEST_NAME = 12

# Weights of another law against Gaussian ones of the same variance, two inputs: difference of the
# mean log-norm, and ratio of its standard deviations.
_MEASURED = {
    "truncated normal": "mean log-norm -0.005 / +0.0018 / 0.000, sd ratio 0.999 / 0.983 / 0.997",
    "uniform": "mean log-norm +0.014 / +0.0053 / +0.022, sd ratio 0.986 / 0.990 / 0.988",
}
_MEASURED_ON = (
    "measured, 8 layers of width 64, relu / tanh / gelu (standard errors .008 / .0012 / .014):"
)
_MEASURED_MEANS = "too small for most studies; not for 1/width corrections (tanh, 64 to 256: 0.013)"


def summary(plan: "Plan") -> list[str]:
    """What share is deferred, and what would defer more."""
    if plan.failure:
        return _wrapped(f"nothing is deferred: {plan.failure}", "every array is drawn")
    if not plan.rows:
        return ["nothing to defer: jax.random draws no normal, uniform or truncated normal array"]
    deferred, explicit = plan.of_kind("deferred"), plan.of_kind("explicit")
    lines = [
        f"deferred {len(deferred)} of {len(deferred) + len(explicit)} arrays,"
        f" {100 * plan.share:.3g} % of {count(plan.num_weights)} weights;"
        f" {count(sum(row.drawn for row in plan.rows))} numbers drawn"
    ]
    if plan.gaussianize:
        lines.append("surrogate law: uniform and truncated normal arrays are Gaussian")
    if not deferred:
        lines.append("nothing is deferred: values are those of the function itself")
    lines += _ways_out([row for row in explicit if row.can_be_gaussian])
    costly = [row for row in explicit if row.is_costly]
    if costly:
        most = max(row.rows_right + row.rows_left for row in costly)
        lines += [
            f"{_several(costly)} explicit: up to {most} rows act on them ({_first(costly)});",
            "  with fewer rows (inputs, positions, examples) the law of each row is the same",
        ]
    for row in plan.rows:
        if row.weights > 1:
            lines.append(f"one array: {row.weights} equal draws with one key ({_first([row])})")
    for note in dict.fromkeys(row.note for row in deferred if row.note):
        own = [row for row in deferred if row.note == note]
        lines += _wrapped(f"{_several(own)} ({_first(own)}): {note}")
    return lines


def _ways_out(rows: "Sequence[Row]") -> list[str]:
    """Of initializers that are not Gaussian."""
    if not rows:
        return []
    laws = sorted({row.law.replace("_", " ") for row in rows})
    return [
        f"{_several(rows)} explicit: {' and '.join(laws)} law. Two ways out:",
        "  1. a Gaussian initializer: normal(...), variance_scaling(..., 'normal'): exact",
        f"  2. gaussianize=True: defers {len(rows)} more; relative errors of order 1/width",
        f"     {_MEASURED_ON}",
        *(f"     {law}: {_MEASURED[law]}" for law in laws),
        f"     {_MEASURED_MEANS}",
    ]


def tables(plan: "Plan") -> list[str]:
    """Deferred and explicit arrays; numbers of the others."""
    return [
        *_deferred(plan.of_kind("deferred")),
        *_explicit(plan.of_kind("explicit")),
        *_rest(plan),
    ]


def _deferred(rows: "Sequence[Row]") -> list[str]:
    columns = {
        "deferred": [row.name for row in rows],
        "shape": [shape_of(row) for row in rows],
        "law": [_law(row) for row in rows],
        "X W": [str(row.rows_right) for row in rows],
        "X W^T": [str(row.rows_left) for row in rows],
        "drawn": [count(row.drawn) for row in rows],
        "of": [count(row.size) for row in rows],
    }
    return _table(columns, "<<<>>>>") if rows else []


def _explicit(rows: "Sequence[Row]") -> list[str]:
    columns = {
        "explicit": [row.name for row in rows],
        "shape": [shape_of(row) for row in rows],
        "law": [_law(row) for row in rows],
        "X W": [str(row.rows_right) if row.is_costly else "" for row in rows],
        "X W^T": [str(row.rows_left) if row.is_costly else "" for row in rows],
        "drawn": [count(row.size) for row in rows],
        "why": [row.why for row in rows],
    }
    if not any(row.is_costly for row in rows):
        del columns["X W"], columns["X W^T"]
        return _table(columns, "<<<><") if rows else []
    return _table(columns, "<<<>>><")


def _rest(plan: "Plan") -> list[str]:
    lines = []
    for text, rows in (
        ("small (vectors, fewer than 64 numbers)", plan.of_kind("small")),
        ("uniform numbers that are compared (dropout)", plan.of_kind("mask")),
    ):
        numbers = count(sum(row.size for row in rows))
        lines += [f"{text}: {_several(rows)}, {numbers} numbers"] if rows else []
    if plan.random_bits:
        lines.append(f"random bits (randint, permutation, ...): drawn {plan.random_bits} times")
    return ["", *lines] if lines else []


def _table(columns: dict[str, list[str]], aligned: str) -> list[str]:
    """Columns as wide as their cells; names take what is left of a line."""
    lines = [tuple(columns), *list(zip(*columns.values(), strict=True))]
    hidden = len(lines) - 1 - _MOST_ROWS
    lines = lines[: _MOST_ROWS + 1]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    if "why" in columns:
        widths[-1] = min(widths[-1], _WIDEST_REASON)
    rest = _COLUMNS - sum(widths[1:]) - 2 * (len(widths) - 1)
    widths[0] = max(_NARROWEST_NAME, min(widths[0], rest))
    found = [""]
    for line in lines:
        cells = zip(line, widths, aligned, strict=True)
        text = "  ".join(f"{shortened(cell, width):{side}{width}}" for cell, width, side in cells)
        found.append(text[:_COLUMNS].rstrip())
    return [*found, *([f"... and {hidden} more: plan.to_dataset()"] if hidden > 0 else [])]


def cells_of(row: "Row") -> dict[str, str]:
    """A row of the table of all arrays."""
    return {
        "array": row.name,
        "shape": shape_of(row),
        "law": _law(row),
        "rows X W": str(row.rows_right),
        "rows X W^T": str(row.rows_left),
        "drawn": count(row.drawn),
        "of": count(row.size),
        "": row.kind,
        "why": row.why or row.note,
    }


def shape_of(row: "Row") -> str:
    """With the number of copies."""
    shape = str(list(row.shape))
    return shape if row.copies == 1 else f"{row.copies} x {shape}"


def _law(row: "Row") -> str:
    return row.law.replace("truncated_normal", "truncated")


def _several(rows: "Sequence[Row]") -> str:
    return f"{len(rows)} arrays" if len(rows) > 1 else "1 array"


def _first(rows: "Sequence[Row]") -> str:
    return shortened(rows[0].name, 30) + (", ..." if len(rows) > 1 else "")


def count(number: int) -> str:
    """Three digits, with an exponent that is a multiple of 3."""
    if number < 10_000:
        return str(number)
    exponent = 3 * ((len(str(number)) - 1) // 3)
    text = f"{number / 10**exponent:.3g}"
    return f"{float(text):g}e{exponent}"


def shortened(text: str, width: int) -> str:
    """In the middle."""
    if len(text) <= width:
        return text
    first = (width - 2) // 2
    return f"{text[:first]}..{text[len(text) - (width - 2 - first) :]}"


def _wrapped(*texts: str) -> list[str]:
    import textwrap

    return [line for text in texts for line in textwrap.wrap(text, _COLUMNS)]
