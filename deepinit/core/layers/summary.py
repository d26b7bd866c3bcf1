"""Table of a network: paths, shapes, laws, parameters, draws of linear maps."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.layer import Layer, Shape, law_text, output_shape
from deepinit.core.layers.outline import is_conditional
from deepinit.core.layers.parameters import PARAMETERS, Leaf, Parameter, placed_leaves
from deepinit.core.matrix_laws import MatrixLaw


class SummaryRow(NamedTuple):
    """One layer of a network; a Repeat's layers once.

    `output`: shape after the layer. `laws`: by parameter. `num_parameters`: of all `times` copies;
    None without a rule. `drawn`: `conditional` or `explicit` with the reason, by matrix; empty
    without matrices, and for named architectures, which choose once for all layers.
    """

    path: str
    layer: str
    output: Shape
    laws: str
    num_parameters: int | None
    times: int
    drawn: str


class Summary(NamedTuple):
    """Rows of `summary`; prints as a table."""

    rows: tuple[SummaryRow, ...]
    num_rows: int

    @property
    def num_parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(row.num_parameters or 0 for row in self.rows)

    def __repr__(self) -> str:
        header = ("path", "layer", "output", "laws", "parameters", "drawn")
        cells = [
            (row.path, row.layer, str(row.output), row.laws, _count(row), row.drawn)
            for row in self.rows
        ]
        total = f"{self.num_parameters:,} parameters; {_rows_text(self.num_rows)} per network"
        return text_table([header, *cells]) + f"\n{total}"


def summary(network: Any, inputs: Any, num_rows: int | None = None) -> Summary:
    """Layers of a network with output shapes, laws, parameters and draws.

    Args:
        inputs: `Inputs`, or the `Shape` of one.
        num_rows: rows that pass together; None for the inputs' number, 1 for a shape.

    Raises SpecError: an input that does not fit; names the layer by its path.
    """
    if isinstance(inputs, Shape) and (inputs.positions is None or inputs.width is None):
        raise SpecError(f"{inputs!r}", "known positions and width", "Write Shape((), 784).")
    if num_rows is None:
        num_rows = 1 if isinstance(inputs, Shape) else inputs.num_rows
    num_rows = validate.integer("num_rows", num_rows, 1)
    chosen_by = num_rows if isinstance(network, Layer) else None
    leaves = placed_leaves(network, inputs)
    return Summary(tuple(_row(leaf, chosen_by) for leaf in leaves), num_rows)


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Cells as aligned text, the first row as header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _row(leaf: Leaf, num_rows: int | None) -> SummaryRow:
    rule = PARAMETERS.get(leaf.layer)
    own = () if rule is None else rule(leaf.layer, leaf.shape)
    count = None if rule is None else leaf.times * sum(parameter.size for parameter in own)
    laws = [(_law_text(parameter.law), parameter.name) for parameter in own if parameter.law]
    draws = [
        (_draw_text(parameter, num_rows * leaf.uses * parameter.positions), parameter.name)
        for parameter in own
        if num_rows is not None and parameter.positions is not None
    ]
    output = output_shape(leaf.layer, leaf.shape, leaf.path)
    text = _layer_text(leaf.layer)
    return SummaryRow(leaf.path, text, output, _grouped(laws), count, leaf.times, _grouped(draws))


def _draw_text(parameter: Parameter, num_rows: int) -> str:
    law, fan_in = parameter.law, parameter.shape[1]
    assert law is not None
    if is_conditional(law, num_rows, fan_in):
        return f"conditional: {_rows_text(num_rows)} <= {fan_in} / 4"
    if is_conditional(law, 0, fan_in):
        return f"explicit: {_rows_text(num_rows)} > {fan_in} / 4"
    return f"explicit: law {law.name}"


def _grouped(texts: list[tuple[str, str]]) -> str:
    """Equal neighbours once, behind their names; a single text without its name."""
    if len(texts) == 1:
        return texts[0][0]
    groups = itertools.groupby(texts, key=lambda pair: pair[0])
    return "; ".join(f"{', '.join(name for _, name in pairs)} {text}" for text, pairs in groups)


def _law_text(law: Law | MatrixLaw) -> str:
    return law_text(law) if isinstance(law, Law) else law.name


def _layer_text(layer: Layer) -> str:
    """repr without laws."""
    fields = dataclasses.fields(layer)  # type: ignore[arg-type]
    laws = {
        field.name: layer.default_laws.get(field.name)
        for field in fields
        if isinstance(getattr(layer, field.name), Law | MatrixLaw)
    }
    return repr(dataclasses.replace(layer, **laws) if laws else layer)  # type: ignore[type-var]


def _rows_text(num_rows: int) -> str:
    return "1 row" if num_rows == 1 else f"{num_rows} rows"


def _count(row: SummaryRow) -> str:
    if row.num_parameters is None:
        return "?"
    if row.times == 1 or not row.num_parameters:
        return f"{row.num_parameters:,}"
    return f"{row.times} x {row.num_parameters // row.times:,}"
