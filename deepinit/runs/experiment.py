"""Experiments as data."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.fingerprint import activation_record, is_builtin, network_record, source_record
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Layer
from deepinit.core.layers.outline import activations
from deepinit.core.results import Estimate, Prediction
from deepinit.core.specs import NetworkSpec, Spec
from deepinit.ensembles import DRAW_SCHEME
from deepinit.quantities import BUILTIN
from deepinit.quantities.controlled import checked_control
from deepinit.quantities.own.record import record
from deepinit.quantities.programs import chosen_linear_map
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.record import quantity_record
from deepinit.runs.user_code import check_experiment, listed

if TYPE_CHECKING:
    import xarray

    from deepinit.core.tables import Table
    from deepinit.runs.report import FigureItem


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One ensemble, and the theories to compare it with.

    Attributes:
        name: lower-case letters, digits, `.`, `_`, `-`; unique in the run.
        spec: of the network, or a labelled `Network`.
        inputs: rows that every network sees, or a `TrainingConfig`.
        theories: names to compare with; None takes all that apply.
        checked: must agree within 5 standard errors at every layer; else exit code 6.
        rejected: known to be wrong; verdicts list those not rejected.
        sample_layers: layers (from 1, output last) with stored values.
        num_saved: first networks with stored extra arrays (weights at recorded steps).
        linear_map, dtype, precision, key, control: as for `simulate`.
    """

    name: str
    spec: Any
    quantity: Quantity
    inputs: Any
    num_seeds: int
    theories: tuple[str, ...] | None = None
    checked: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    sample_layers: tuple[int, ...] = ()
    num_saved: int = 0
    linear_map: str = "auto"
    dtype: str = "float32"
    precision: str = "highest"
    key: int = 0
    control: str = "none"

    def __post_init__(self) -> None:
        name = self.name if isinstance(self.name, str) else ""
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", name):
            allowed = "1 to 100 lower-case letters, digits, '.', '_', '-'"
            raise SpecError(f"the case name {str(self.name)[:120]!r}", allowed, "Rename the case.")
        for theory in (*(self.theories or ()), *self.checked, *self.rejected):
            self.quantity.theory(theory)
        linear_map = chosen_linear_map(self.spec, self.quantity, self.inputs, self.linear_map)
        kept = validate.integer("num_saved", self.num_saved, 0, "Leave it out for none.")
        plain = {  # Python's own integers and strings, which identities consist of
            "linear_map": linear_map,
            "dtype": validate.choice("dtype", self.dtype, validate.DTYPES),
            "precision": validate.choice("precision", self.precision, validate.PRECISIONS),
            "num_seeds": validate.num_seeds(self.num_seeds),
            "key": validate.integer("key", self.key, 0, "Write key=0.", most=2**32 - 1),
            "num_saved": kept,
            "control": checked_control(self.quantity, self.control),
            "sample_layers": _whole_numbers(self.sample_layers),
        }
        for field, value in plain.items():
            object.__setattr__(self, field, value)
        last = self.num_positions
        outside = [layer for layer in self.sample_layers if not 1 <= layer <= last]
        if outside:
            given = f"sample_layers {outside} of the case {self.name}"
            raise SpecError(given, f"layers 1 to {last}", "The network has no more.")

    @property
    def num_positions(self) -> int:
        """Number of layers or training records."""
        return self.quantity.measurement.axis(self.spec, self.inputs).length

    @property
    def spec_json(self) -> dict[str, Any]:
        """Identity of the network, as JSON.

        SpecError: a Network without a label, or labelled by a lambda or local function.
        """
        if isinstance(self.spec, NetworkSpec):
            return self.spec.to_json()
        label = self.spec.label
        if not label or "<lambda>" in label or "<locals>" in label:
            allowed = "a label that tells it apart in every process"
            remedy = "Define activations at the top level of a module; give from_linen a label."
            raise SpecError(f"a network with the label {label!r}", allowed, remedy)
        chosen = {"layers": self.spec.layers, "gaussianize": self.spec.gaussianize or None}
        return {"network": label, **{name: value for name, value in chosen.items() if value}}

    @property
    def code(self) -> dict[str, dict[str, str]]:
        """User functions: role -> `core.fingerprint` record."""
        source = getattr(self.spec, "source", self.spec)
        records: dict[str, dict[str, str]] = {}
        if isinstance(source, Layer):
            for number, function in enumerate(activations(source)):
                if not is_builtin(function):
                    records[f"activation {number}"] = activation_record(function)
        elif isinstance(source, Spec):
            for field in dataclasses.fields(source):
                value = getattr(source, field.name)
                if isinstance(value, Activation) and not is_builtin(value):
                    records[field.name] = activation_record(value)
        else:
            measured = isinstance(self.inputs, Inputs)
            records["network"] = (
                record(self.spec, self.inputs)
                if measured
                else network_record(self.spec, source, self.inputs.dimension)
            )
        if BUILTIN.get(self.quantity.name) is not self.quantity:
            records["quantity"] = quantity_record(self.quantity, self.spec, self.inputs)
        if not isinstance(getattr(self.inputs, "mode", ""), str):
            records["optimizer"] = source_record(self.inputs.mode)
        return records

    def identity(self) -> dict[str, Any]:
        """Everything that determines the numbers, as JSON."""
        code = self.code
        return {
            "name": self.name,
            "spec": self.spec_json,
            "quantity": self.quantity.name,
            "inputs": {"label": self.inputs.label, "sha256": self.inputs.digest},
            "num_seeds": self.num_seeds,
            "sample_layers": list(self.sample_layers),
            **({"kept_networks": self.num_saved} if self.num_saved else {}),
            **({"code": code} if code else {}),
            "linear_map": self.linear_map,
            "dtype": self.dtype,
            "precision": self.precision,
            "key": self.key,
            **({"control": self.control} if self.control != "none" else {}),
        }

    @property
    def cost(self) -> float:
        """Work per network, in random numbers."""
        return self.quantity.measurement.cost(self.spec, self.inputs, self.linear_map)


@dataclasses.dataclass(frozen=True, eq=False)
class CaseResult:
    """Measurement of a case and its comparison with theories.

    Attributes:
        estimate: with samples at the case's `sample_layers`.
        predictions: finite width in order, then infinite width.
        dataset: see `comparison.Comparison`.
        kept: name -> extra arrays [num_saved, ...].
        not_applicable: theory -> reason.
    """

    case: Case
    estimate: Estimate
    predictions: tuple[Prediction, ...]
    dataset: "xarray.Dataset"
    kept: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    not_applicable: Mapping[str, str] = dataclasses.field(default_factory=dict)


Results = Mapping[str, CaseResult]


class Check(NamedTuple):
    """A check of several cases: sentence for the report, and result; exit code 6 if failed."""

    sentence: str
    held: bool


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment, declared as data.

    Attributes:
        name, title: of its package; of the report.
        presets: name -> config, a frozen dataclass; the first is the default.
        cases: `config -> cases`.
        figures: `(config, results by case name) -> figures`.
        citation: BibTeX of the reproduced paper.
        question: first sentence of the report.
        minutes: preset -> minutes on two quiet CPU cores, as measured.
        tables, checks: `(config, results by case name) -> tables` or `Checks`; tables with rows
            precede figures and are printed.
        headline: title of the figure on the report's first screen; the first one without.
        meanings: name of an own theory -> sentence for the report.
    """

    name: str
    title: str
    presets: Mapping[str, Any]
    cases: Callable[[Any], tuple[Case, ...]]
    figures: Callable[[Any, Results], list["FigureItem"]]
    citation: str
    question: str
    tables: Callable[[Any, Results], list["Table"]] | None = None
    checks: Callable[[Any, Results], list[Check]] | None = None
    minutes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    headline: str = ""
    meanings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_experiment(self)

    @property
    def preset_texts(self) -> tuple[str, ...]:
        """Presets with their minutes: `smoke (1 min)`."""
        return tuple(
            f"{name} ({self.minutes[name]:g} min)" if name in self.minutes else name
            for name in self.presets
        )

    def preset(self, name: str | None) -> Any:
        """Config by name; None takes the first. SpecError for unknown names."""
        if name is None:
            return next(iter(self.presets.values()))
        if name not in self.presets:
            first, names = next(iter(self.presets)), ", ".join(self.presets)
            given = f"the preset {name!r} of {self.name}"
            raise SpecError(given, names, f"Write --preset {first}.")
        return self.presets[name]


def _whole_numbers(layers: Any) -> tuple[int, ...]:
    found = [validate.whole_number(layer) for layer in (layers if np.iterable(layers) else [None])]
    if None in found:
        raise SpecError(f"sample_layers={layers!r}", "a tuple of layers, from 1", "Write (1, 2).")
    return tuple(layer for layer in found if layer is not None)


def checked_cases(experiment: Experiment, config: Any) -> tuple[Case, ...]:
    """Cases, with unique names; else SpecError."""
    cases = listed(experiment.cases(config), Case, "cases()")
    names = [case.name for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not cases:
        given = f"a config of {experiment.name} without any case"
        raise SpecError(given, "one case or more", "Ask for at least one width or activation.")
    if twice:
        given = f"two cases called {', '.join(twice)}"
        raise SpecError(given, "cases with unique names", "Give every width and activation once.")
    return cases


def identity(experiment: Experiment, config: Any, block_size: int | None = None) -> dict[str, Any]:
    """A run's computation as JSON, whose hash names the run. Needs no JAX."""
    return {
        "experiment": experiment.name,
        "config": dataclasses.asdict(config),
        "cases": [case.identity() for case in checked_cases(experiment, config)],
        "draw_scheme": DRAW_SCHEME,
        "block_size": block_size,
    }
