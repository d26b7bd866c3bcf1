"""The plan of a deferred function: records, text, HTML and Dataset."""

import dataclasses
import html
from typing import TYPE_CHECKING, Literal, NamedTuple

from deepinit.deferral.report_text import cells_of, shape_of, summary, tables

if TYPE_CHECKING:
    import xarray

Kind = Literal["deferred", "explicit", "small", "mask"]


class Row(NamedTuple):
    """A drawn array.

    Attributes:
        copies: arrays of this shape, one in each step of the loops around the draw.
        rows_right, rows_left: that act on each matrix W as X W and as X W^T; the first use is from
            the right. 0 of explicit arrays, but for those whose uses cost more than they.
        drawn: numbers drawn.
        size: numbers of the array, with all copies.
        kind: `small` of vectors and of fewer than 64 numbers, `mask` of uniform numbers that are
            compared; both are explicit.
        why: reason why it is explicit.
        is_costly: explicit because its uses cost more than the array.
        can_be_gaussian: deferred with `gaussianize`.
        weights: arrays of f that are this one, because they are drawn with one key.
        note: what is left out in a deferred array.
    """

    name: str
    shape: tuple[int, ...]
    copies: int
    law: str
    rows_right: int
    rows_left: int
    drawn: int
    size: int
    kind: Kind
    why: str = ""
    is_costly: bool = False
    can_be_gaussian: bool = False
    weights: int = 1
    note: str = ""


@dataclasses.dataclass(frozen=True, repr=False)
class Plan:
    """What `deferred` does with every array that a function draws; prints a table.

    Attributes:
        rows: of the arrays, in the order of drawing.
        gaussianize: as in `deferred`.
        failure: why nothing could be planned; then every array is explicit, and there are no rows.
        random_bits: draws of bits by other functions of `jax.random`, which are explicit.
    """

    rows: tuple[Row, ...]
    gaussianize: bool = False
    failure: str = ""
    random_bits: int = 0

    def of_kind(self, *kinds: Kind) -> tuple[Row, ...]:
        """Rows of these kinds."""
        return tuple(row for row in self.rows if row.kind in kinds)

    @property
    def num_weights(self) -> int:
        """All numbers but masks."""
        return sum(row.size for row in self.of_kind("deferred", "explicit", "small"))

    @property
    def share(self) -> float:
        """Deferred numbers over `num_weights`; 0 if nothing is drawn."""
        return sum(row.size for row in self.of_kind("deferred")) / max(1, self.num_weights)

    def __str__(self) -> str:
        return "\n".join((*summary(self), *tables(self)))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        text = html.escape("\n".join(summary(self)))
        cells = [cells_of(row) for row in self.rows]
        head = "".join(f"<th>{name}</th>" for name in cells[0]) if cells else ""
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row.values()) + "</tr>\n"
            for row in cells
        )
        table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
        return f"<pre>{text}</pre>\n{table}"

    def to_dataset(self) -> "xarray.Dataset":
        """The fields of `Row` along `array`, shapes as text; the share is an attribute."""
        import numpy as np
        import xarray

        numbers = {"copies", "rows_right", "rows_left", "drawn", "size", "weights"}
        columns = {}
        for name in Row._fields[1:]:
            values = [shape_of(row) if name == "shape" else getattr(row, name) for row in self.rows]
            is_flag = name.startswith(("is_", "can_"))
            dtype = bool if is_flag else np.int64 if name in numbers else str
            columns[name] = ("array", np.array(values, dtype))
        names = np.array([row.name for row in self.rows], str)
        attrs = {"share": self.share, "gaussianize": int(self.gaussianize), "failure": self.failure}
        return xarray.Dataset(columns, {"array": names}, attrs)
