"""The routes at every point of a sweep."""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.progress import bar, callback
from deepinit.core.results import Estimate
from deepinit.core.specs import NetworkSpec
from deepinit.core.sweep import Sweep
from deepinit.core.sweep_results import SweepResult, of_points
from deepinit.quantities.measured import block_statistics
from deepinit.quantities.programs import programs_of
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.validate import apply_statistic, check_kinds


class _Point(NamedTuple):
    number: int
    spec: Any
    inputs: Any
    form: Any
    axis: Any
    settings: dict[str, str]


class _Group(NamedTuple):
    """Points of one program, and the fields of their statistics [points, layers, entries]."""

    points: list[_Point]
    fields: dict[str, np.ndarray]


def simulate(
    sweep: Sweep,
    quantity: Quantity,
    inputs: Any,
    *,
    num_seeds: int,
    key: Any,
    progress: Callable[[float, float], None] | None = None,
    **options: Any,
) -> SweepResult:
    """`di.simulate` at every point; points of one structure run in one program."""
    from deepinit.ensembles import keys

    validate.num_seeds(num_seeds)
    root = keys.root_key(key)
    groups: dict[Any, list[_Point]] = {}
    for number in range(len(sweep)):
        point = _point(sweep, number, quantity, inputs, options)
        groups.setdefault(number if point.form.key is None else point.form.key, []).append(point)
    if len(groups) > 1:
        _say_once(sweep, len(groups))
    done, found = 0, []
    with bar("points") if progress is None else callback(progress) as report:

        def advance(points: int) -> None:
            nonlocal done
            done += points
            report(done, len(sweep))

        for points in groups.values():
            found.append(_simulated(sweep, quantity, points, num_seeds, root, advance))
    every: list[Any] = [None] * len(sweep)
    for group in found:
        for at, point in enumerate(group.points):
            fields = {name: values[at] for name, values in group.fields.items()}
            every[point.number] = point.axis, fields
    attributes = {
        "quantity": quantity.name,
        "num_seeds": num_seeds,
        "num_programs": len(groups),
        **found[0].points[0].settings,
    }
    return of_points(sweep, every, attributes, symbol=quantity.symbol)


def _point(
    sweep: Sweep, number: int, quantity: Quantity, inputs: Any, options: dict[str, Any]
) -> _Point:
    from deepinit.ensembles import blocks

    spec, own = sweep.networks[number], sweep.inputs(number, inputs)
    sweep.saying(number, check_kinds, spec, quantity, own)
    call = lambda: programs_of(spec, quantity, own, **options)
    variants, settings = sweep.saying(number, call)
    form = sweep.saying(number, blocks.chosen_form, variants)
    return _Point(number, spec, own, form, quantity.measurement.axis(spec, own), settings)


def _say_once(sweep: Sweep, programs: int) -> None:
    names = ", ".join(sweep.names)
    text = f"{programs} programs are compiled for {len(sweep)} points: {names} change more than "
    warnings.warn(text + "numbers (shapes, laws, signs).", UserWarning, stacklevel=4)


def _simulated(
    sweep: Sweep,
    quantity: Quantity,
    points: list[_Point],
    num_seeds: int,
    root: Any,
    advance: Callable[[int], None],
) -> _Group:
    from deepinit.ensembles import statistics, sweeps

    first = points[0]
    compiled = sweeps.compile_sweep(
        [point.form for point in points],
        num_seeds,
        seed_bytes=quantity.measurement.bytes(first.spec, first.inputs, first.settings),
        batch_size_one=not isinstance(first.spec, NetworkSpec),
        check=lambda number, call: sweep.saying(points[number].number, call),
    )
    estimates = []
    for start in range(0, len(points), compiled.cut.points):
        chosen = range(start, min(start + compiled.cut.points, len(points)))
        merged: Any = None
        for seed in range(0, num_seeds, compiled.cut.seeds):
            count = min(compiled.cut.seeds, num_seeds - seed)
            measured = compiled.run(root, chosen, seed)
            part = block_statistics(quantity, _flat(measured, count), histogram=False)
            merged = part if merged is None else statistics.merge(merged, part)
        estimate = statistics.estimate(quantity.name, merged, quantity.events)
        estimates.append(_fields(quantity, estimate, points[start : chosen.stop]))
        advance(len(chosen))
    names = estimates[0]
    fields = {name: np.concatenate([each[name] for each in estimates]) for name in names}
    return _Group(points, fields)


def _flat(measured: Any, count: int) -> Any:
    """[seeds, points, layers, entries] with the layers of all points as one axis."""
    import jax

    join = lambda leaf: leaf[:count].reshape(count, -1, *leaf.shape[3:])
    return jax.tree.map(join, measured)


_FIELDS = (
    *("mean", "standard_error", "variance", "variance_standard_error"),
    *("skewness", "minimum", "maximum", "num_excluded"),
)


def _fields(quantity: Quantity, estimate: Estimate, points: list[_Point]) -> dict[str, np.ndarray]:
    """Statistics [points, layers, entries], of the quantity's own statistic."""
    of = lambda one: {
        name: np.asarray(getattr(one, name)).reshape(-1, *_shape(points[0])) for name in _FIELDS
    }
    fields = of(estimate)
    if quantity.measurement.statistic is None:
        return fields
    own = []
    for at, point in enumerate(points):
        each = apply_statistic(quantity, point.spec, _at(estimate, at, _shape(point)))
        own.append(of(each))
    return {name: np.concatenate([each[name] for each in own]) for name in _FIELDS}


def _shape(point: _Point) -> tuple[int, int]:
    return point.axis.length, len(point.axis.entries)


def _at(estimate: Estimate, at: int, shape: tuple[int, int]) -> Estimate:
    """The Estimate of one point."""
    rows = slice(at * shape[0], (at + 1) * shape[0])
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(estimate):
        value = getattr(estimate, field.name)
        if isinstance(value, np.ndarray):
            changed[field.name] = value[:, rows] if field.name == "quantiles" else value[rows]
    events = {name: counts[rows] for name, counts in estimate.events.items()}
    return dataclasses.replace(estimate, events=events, **changed)


def predict(
    sweep: Sweep, quantity: Quantity, inputs: Any, route: Callable[..., Any]
) -> SweepResult:
    """`di.predict` or `di.infinite` at every point."""
    every, names = [], []
    for number in range(len(sweep)):
        spec, own = sweep.networks[number], sweep.inputs(number, inputs)
        prediction = sweep.saying(number, route, spec, quantity, own)
        variance = np.nan if prediction.variance is None else prediction.variance
        fields = {
            "mean": prediction.mean,
            "variance": np.broadcast_to(variance, prediction.mean.shape),
        }
        every.append((quantity.measurement.axis(spec, own), fields))
        names.append(prediction.name)
    attributes = {"quantity": quantity.name, "name": ", ".join(dict.fromkeys(names))}
    return of_points(sweep, every, attributes, symbol=quantity.symbol)


def refuse_options(control: str, keep_samples: bool, block_size: int | None) -> None:
    """SpecError for options that a sweep does not have."""
    for name, given in (
        ("control", control != "none"),
        ("keep_samples", keep_samples),
        ("block_size", block_size is not None),
    ):
        if given:
            remedy = "Leave it out, or simulate the points one by one: sweep.networks[0]."
            raise SpecError(f"{name} of a sweep", "its default", remedy)
