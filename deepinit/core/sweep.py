"""Networks that differ in some of their fields."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from deepinit.core.addresses import with_field
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.layer import law_text
from deepinit.core.specs import NetworkSpec

_INPUTS = "inputs."
_GRID = 'Write di.Sweep(net, over={"weight_law.variance": [1.0, 2.0]}).'


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """A network at many values of its fields, for `di.simulate`, `di.predict` and `di.infinite`.

    Attributes:
        base: the network.
        over: name -> values; every combination is a point, the last name fastest.
        points: name -> value at every point, instead of `over`.
        networks: of the points.

    Names are fields of the network (`weight_law.variance`, `widths`, `activation.negative_slope`;
    of composed networks by the paths of `net.summary`: `block.mlp.branch.dense_1.law.variance`).
    `inputs.angle` is the argument `angle` of a function given as inputs:

        sweep = di.Sweep(net, over={"weight_law.variance": [1, 2], "inputs.angle": [0.1, 0.2]})
        di.simulate(sweep, di.quantities.log_sin2_angle, di.inputs.pair)

    All points have the same keys: network i of every point draws from `fold_in(key, i)`, so that
    differences between points have less noise, and a point is what `di.simulate` gives there.

    Raises SpecError: a name that does not exist (with the closest ones), a value that its field
    refuses, no values, both or neither of `over` and `points`.
    """

    networks: ClassVar[tuple[NetworkSpec, ...]]

    base: NetworkSpec
    over: Mapping[str, Sequence[Any]] | None = None
    points: Sequence[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.base, NetworkSpec):
            given = f"a Sweep of {type(self.base).__name__}"
            raise SpecError(given, "an architecture or layers", _GRID)
        if (self.over is None) == (self.points is None):
            raise SpecError("over and points", "one of the two", _GRID)
        if self.over is not None:
            object.__setattr__(self, "over", _checked_grid(self.over))
        else:
            object.__setattr__(self, "points", _checked_points(self.points))
        networks = tuple(self._network(number) for number in range(len(self)))
        object.__setattr__(self, "networks", networks)

    @property
    def names(self) -> tuple[str, ...]:
        """The swept names."""
        return tuple(self.over if self.over is not None else self.points[0])  # type: ignore[index]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid; of a list of points its length."""
        if self.over is None:
            return (len(self.points),)  # type: ignore[arg-type]
        return tuple(len(values) for values in self.over.values())

    def __len__(self) -> int:
        return math.prod(self.shape)

    def __repr__(self) -> str:
        sizes = " x ".join(
            f"{name} ({len({*map(_hashable, self.values(name))})})" for name in self.names
        )
        return f"Sweep of {len(self)} points: {sizes}"

    def values(self, name: str) -> list[Any]:
        """Of one name: along its dim, or at every point."""
        if self.over is not None:
            return list(self.over[name])
        return [point[name] for point in self.points]  # type: ignore[union-attr]

    def at(self, number: int) -> dict[str, Any]:
        """Name -> value of a point."""
        if self.points is not None:
            return dict(self.points[number])
        assert self.over is not None
        places = np.unravel_index(number, self.shape)
        return {
            name: values[int(place)]
            for (name, values), place in zip(self.over.items(), places, strict=True)
        }

    def _network(self, number: int) -> NetworkSpec:
        network: Any = self.base
        for name, value in self.at(number).items():
            if not name.startswith(_INPUTS):
                network = self.saying(number, with_field, network, name, value)
        return network

    def inputs(self, number: int, inputs: Any) -> Any:
        """The inputs of a point: those given, or made by the function given."""
        own = {
            name.removeprefix(_INPUTS): value
            for name, value in self.at(number).items()
            if name.startswith(_INPUTS)
        }
        if callable(inputs):
            return self.saying(number, _made, inputs, own)
        if own:
            given = f"a sweep over {_INPUTS}{next(iter(own))} at inputs of fixed values"
            remedy = "Write inputs=di.inputs.pair, or lambda angle: di.inputs.pair(angle, 64)."
            raise SpecError(given, "a function of that argument as inputs", remedy)
        return inputs

    def saying(self, number: int, call: Callable[..., Any], *arguments: Any) -> Any:
        """`call(*arguments)`, whose SpecError names the point."""
        try:
            return call(*arguments)
        except SpecError as error:
            raise SpecError(f"{error} This is the point {self.text(number)}.") from error

    def text(self, number: int) -> str:
        """A point as `name = value, ...`."""
        return ", ".join(f"{name} = {value}" for name, value in self.at(number).items())


def _made(inputs: Callable[..., Any], own: dict[str, Any]) -> Any:
    try:
        return inputs(**own)
    except TypeError as error:
        given = f"inputs of the arguments {', '.join(own) or 'none'} ({error})"
        raise SpecError(given, "a function of the swept `inputs.` names", _GRID) from error


def _checked_grid(over: Any) -> dict[str, tuple[Any, ...]]:
    if not isinstance(over, Mapping) or not over:
        raise SpecError(f"over={over!r:.80}", "a dictionary of name: values", _GRID)
    grid = {}
    for name, values in over.items():
        if isinstance(values, str) or not np.iterable(values) or not len(tuple(values)):
            raise SpecError(f"over[{name!r}]={values!r:.80}", "a list of values", _GRID)
        grid[str(name)] = tuple(_plain(value) for value in values)
    return grid


def _checked_points(points: Any) -> tuple[dict[str, Any], ...]:
    remedy = 'Write points=[{"weight_law.variance": 1.0}, ...].'
    if not isinstance(points, Sequence) or not points:
        raise SpecError(f"points={points!r:.80}", "a list of dictionaries", remedy)
    for point in points:
        if not isinstance(point, Mapping) or {*point} != {*points[0]} or not point:
            raise SpecError(f"the point {point!r:.80}", "the same names at every point", remedy)
    return tuple({str(name): _plain(value) for name, value in each.items()} for each in points)


def _plain(value: Any) -> Any:
    """NumPy numbers as Python's."""
    return value.item() if isinstance(value, np.generic) else value


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def coordinate(values: Sequence[Any]) -> np.ndarray:
    """Values along a dim: numbers, else text (`64 x 64` of widths)."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return np.array(values)
    return np.array([_label(value) for value in values])


def _label(value: Any) -> str:
    if isinstance(value, tuple | list):
        groups = [(each, len(list(run))) for each, run in itertools.groupby(value)]
        return ", ".join(f"{each}" if count == 1 else f"{each} x {count}" for each, count in groups)
    return law_text(value) if isinstance(value, Law) else str(value)
