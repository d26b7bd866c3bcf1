"""What a scaling check found: rows of exponents, and their verdicts."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

_LARGEST_Z = 4.0
_LARGEST_DIFFERENCE = 0.1
PARTS = {
    "own change": "change by its own matrix, first step",
    "total change": "change by this and earlier layers, first step",
    "size": "size at initialization",
}


class Row(NamedTuple):
    """One quantity of one layer against width.

    Attributes:
        layer: name; `output` for f.
        role: `first`, `hidden`, `readout` or `output`.
        part: `own change`, `total change` or `size`.
        probe: `new input` or `training input`.
        values, errors: [widths] root mean square over neurons and networks.
        exponent, error: power of n at the largest widths; bootstrap over networks.
        local, local_error: [widths] the same from neighbouring widths.
        predicted: exponent; None without a prediction.
        guides: parametrization -> its exponent; empty for total changes.
    """

    layer: str
    role: str
    part: str
    probe: str
    values: np.ndarray
    errors: np.ndarray
    exponent: float
    error: float
    local: np.ndarray
    local_error: np.ndarray
    predicted: float | None = None
    guides: Mapping[str, float] = {}

    @property
    def near(self) -> tuple[str, ...]:
        """Parametrizations whose exponent it has."""
        close = lambda value: is_near(self.exponent, self.error, value)
        return tuple(name for name, value in self.guides.items() if close(value))

    @property
    def like(self) -> tuple[str, ...]:
        """`near`, or ("all",) if it tells none apart."""
        return ("all",) if self.guides and len(self.near) == len(self.guides) else self.near

    @property
    def z(self) -> float:
        """(exponent - predicted) / error; NaN without a prediction."""
        return z_score(self.exponent, self.error, self.predicted)

    @property
    def agrees(self) -> bool | None:
        """Whether |z| <= 4 or the difference is at most 0.1; None without a prediction."""
        if self.predicted is None or not math.isfinite(self.exponent):
            return None
        return is_near(self.exponent, self.error, self.predicted)


@dataclasses.dataclass(frozen=True)
class ScalingCheck:
    """Exponents of width of the first step and of the forward pass; `print` shows a table.

    Attributes:
        widths: in order.
        rows: one per layer, part and probe.
        parametrization: whose exponents are predicted; empty for one's own network.
        optimizer: `sgd`, `adam`, or the name of one's own.
        num_networks: at every width.
        width: at which local exponents are shown.
    """

    widths: tuple[int, ...]
    rows: tuple[Row, ...]
    parametrization: str
    optimizer: str
    num_networks: int
    width: int

    @property
    def agrees(self) -> bool:
        """Whether no row fails."""
        return all(row.agrees is not False for row in self.rows)

    def select(self, part: str, probe: str = "new input") -> tuple[Row, ...]:
        """Rows of a part and probe."""
        return tuple(row for row in self.rows if (row.part, row.probe) == (part, probe))

    def __str__(self) -> str:
        at = int(np.argmin(np.abs(np.log(np.asarray(self.widths) / self.width))))
        local = f"local at {self.widths[at]}"
        head = ["layer", "part", "probe", "exponent", local, "predicted", "z", "like"]
        lines = [head, *(_cells(row, at) for row in self.rows if self._is_shown(row))]
        widest = [max(len(line[column]) for line in lines) for column in range(len(head))]
        text = ["  ".join(map(str.ljust, line, widest)).rstrip() for line in lines]
        return "\n".join([self.title, text[0], *text[1:], self.summary])

    @property
    def title(self) -> str:
        """One line."""
        of = self.parametrization or "own network"
        how = {"sgd": "SGD", "adam": "Adam"}.get(self.optimizer, self.optimizer)
        ends = f"widths {self.widths[0]} to {self.widths[-1]}"
        return f"{of}, first step of {how}: {ends}, {self.num_networks} networks each"

    @property
    def summary(self) -> str:
        """The verdict; of one's own network by layer, at the training input, whose exponents
        are asymptotic at smaller widths.
        """
        if self.parametrization:
            failed = [f"{row.layer} ({row.part})" for row in self.rows if row.agrees is False]
            names = ", ".join(dict.fromkeys(failed))
            return f"differs from {self.parametrization}: {names}" if failed else "as predicted"
        rows = [
            row
            for row in self.rows
            if row.guides and (row.probe == "training input" or row.part == "size")
        ]
        every = dict.fromkeys(name for row in rows for name in row.guides)
        everywhere = [name for name in every if all(name in row.near for row in rows)]
        if everywhere:
            return f"in every layer like {' or '.join(everywhere)}"
        found: dict[str, list[str]] = {}
        for row in rows:
            if row.like != ("all",):
                of = f"{row.layer} at initialization" if row.part == "size" else row.layer
                found.setdefault(" or ".join(row.like) or "none of them", []).append(of)
        return "\n".join(f"like {name}: {', '.join(layers)}" for name, layers in found.items())

    def _is_shown(self, row: Row) -> bool:
        """Total changes of one's own layers stay in `rows`."""
        return bool(self.parametrization or row.guides)


def z_score(exponent: float, error: float, predicted: float | None) -> float:
    """Difference over error; 0 for none at no error."""
    if predicted is None:
        return math.nan
    difference = exponent - predicted
    if abs(difference) < 1e-9:
        return 0.0
    return difference / error if error > 0 else math.copysign(math.inf, difference)


def is_near(exponent: float, error: float, predicted: float) -> bool:
    """The rule of the verdict."""
    z = z_score(exponent, error, predicted)
    return abs(z) <= _LARGEST_Z or abs(exponent - predicted) <= _LARGEST_DIFFERENCE


def _cells(row: Row, at: int) -> list[str]:
    predicted = "" if row.predicted is None else f"{row.predicted:+.2f}"
    z = "" if row.predicted is None else f"{row.z:+.1f}" + ("" if row.agrees else " fails")
    return [
        row.layer,
        row.part,
        row.probe,
        f"{row.exponent:+.2f} +- {row.error:.2f}",
        f"{row.local[at]:+.2f} +- {row.local_error[at]:.2f}",
        predicted,
        z,
        " or ".join(row.like),
    ]
