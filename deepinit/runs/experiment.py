"""What an experiment is: a frozen config with presets, a function from config to cases, and figures of the results."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core import validate
from deepinit.core.errors import SpecError, refusal
from deepinit.core.fingerprint import activation_record, is_builtin, network_record, source_record
from deepinit.core.results import Estimate, Prediction
from deepinit.core.specs import Spec
from deepinit.quantities import BUILTIN
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.record import quantity_record
from deepinit.quantities.routes import chosen_linear_map
from deepinit.runs.user_code import check_experiment, listed

if TYPE_CHECKING:
    import xarray

    from deepinit.runs.report import FigureItem


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One ensemble to measure and what it is compared with.

    Attributes:
        name: lower-case letters, digits, `.`, `_`, `-`; unique in the run, names its blocks and rows.
        spec: the network: a spec, or a `Network` with a label for a quantity of training.
        quantity: what is measured.
        inputs: rows that every network sees, or the `Training` that it goes through.
        num_seeds: number of networks.
        forms: theories to compare with, from `quantity.theories`; None takes all that apply.
        checked: those of them that must agree within 5 standard errors at every layer, or the run ends with exit code 6.
        rejected: those known to be wrong: the verdicts say whether this many networks reject them.
        sample_layers: layers (from 1; the output layer, where it is measured, is the last) whose per-network values are kept.
        kept_networks: networks, from the first, of which everything that the quantity keeps (weights at the recorded steps) is stored.
        linear_map, dtype, precision, key: as for `simulate`.
    """

    name: str
    spec: Any
    quantity: Quantity
    inputs: Any
    num_seeds: int
    forms: tuple[str, ...] | None = None
    checked: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    sample_layers: tuple[int, ...] = ()
    kept_networks: int = 0
    linear_map: str = "auto"
    dtype: str = "float32"
    precision: str = "highest"
    key: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", self.name)):
            raise SpecError(
                f"the case name {str(self.name)[:120]!r}",
                    "1 to 100 lower-case letters, digits, '.', '_', '-'",
                    "Rename the case."
            )
        for theory in (*(self.forms or ()), *self.checked, *self.rejected):
            self.quantity.theory(theory)  # a misspelling is refused before anything is computed
        linear_map = chosen_linear_map(self.spec, self.quantity, self.inputs, self.linear_map)
        plain = {  # Python's own integers and strings, of which identities are made
            "linear_map": linear_map,
            "dtype": validate.choice("dtype", self.dtype, validate.DTYPES),
            "precision": validate.choice("precision", self.precision, validate.PRECISIONS),
            "num_seeds": validate.num_seeds(self.num_seeds),
            "key": validate.integer("key", self.key, 0, "Write key=0.", most=2**32 - 1),
            "kept_networks": validate.integer("kept_networks", self.kept_networks, 0, "Leave it out for none."),
            "sample_layers": _whole_numbers(self.sample_layers),
        }
        for field, value in plain.items():
            object.__setattr__(self, field, value)
        last = self.num_positions
        outside = [layer for layer in self.sample_layers if not 1 <= layer <= last]
        if outside:
            raise SpecError(
                f"sample_layers {outside}", f"layers 1 to {last}", f"The case {self.name} has no more."
            )

    @property
    def num_positions(self) -> int:
        """Layers that are measured, or records of a training run."""
        return self.quantity.measurement.axis(self.spec, self.inputs).length

    @property
    def spec_json(self) -> dict[str, Any]:
        """What tells the network apart, as JSON.

        Raises:
            SpecError: a Network whose label names nothing that another process could find again.
        """
        if isinstance(self.spec, Spec):
            return self.spec.to_json()
        label = getattr(self.spec, "label", "")
        if not label or "<lambda>" in label or "<locals>" in label:
            raise SpecError(
                f"a network with the label {label!r}",
                    "one that tells it apart from others, in this process and the next",
                    "Define activations at the top level of a module, and give from_linen or from_nnx a label."
            )
        return {"network": label}

    @property
    def code(self) -> dict[str, dict[str, str]]:
        """What identifies the functions that deepinit does not define: role -> record (see `core.fingerprint`)."""
        source = getattr(self.spec, "source", self.spec)
        records: dict[str, dict[str, str]] = {}
        if isinstance(source, Spec):
            for field in dataclasses.fields(source):
                value = getattr(source, field.name)
                if isinstance(value, Activation) and not is_builtin(value):
                    records[field.name] = activation_record(value)
        else:
            records["network"] = network_record(self.spec, source, self.inputs.dimension)
        if BUILTIN.get(self.quantity.name) is not self.quantity:
            records["quantity"] = quantity_record(self.quantity, self.spec, self.inputs)
        if not isinstance(getattr(self.inputs, "mode", ""), str):
            records["optimizer"] = source_record(self.inputs.mode)
        return records

    def identity(self) -> dict[str, Any]:
        """Everything this case's numbers depend on, as JSON."""
        code = self.code
        return {
            "name": self.name,
            "spec": self.spec_json,
            "quantity": self.quantity.name,
            "inputs": {"label": self.inputs.label, "sha256": self.inputs.digest},
            "num_seeds": self.num_seeds,
            "sample_layers": list(self.sample_layers),
            **({"kept_networks": self.kept_networks} if self.kept_networks else {}),
            **({"code": code} if code else {}),
            **{name: getattr(self, name) for name in ("linear_map", "dtype", "precision", "key")},
        }

    @property
    def cost(self) -> float:
        """Random numbers per network, or the work of training in that unit, for progress and plans."""
        return self.quantity.measurement.cost(self.spec, self.inputs, self.linear_map)


@dataclasses.dataclass(frozen=True, eq=False)
class CaseResult:
    """A case, measured and compared.

    Attributes:
        case: what was asked.
        estimate: what was measured; `samples` holds the case's `sample_layers`.
        predictions: finite-width forms in order, then infinite width.
        dataset: the comparison's Dataset (see `comparison.Comparison`).
        kept: name -> [kept networks, ...], what the quantity keeps beside its value.
        not_applicable: theory -> why it does not apply to this case.
    """

    case: Case
    estimate: Estimate
    predictions: tuple[Prediction, ...]
    dataset: "xarray.Dataset"
    kept: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    not_applicable: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Check(NamedTuple):
    """What several cases must show together.

    Attributes:
        sentence: what was compared and found, for the report.
        held: does it hold? If not the run ends with exit code 6.
    """

    sentence: str
    held: bool


@dataclasses.dataclass(frozen=True)
class Experiment:
    """One paper's experiment: declarative, no engine code.

    Attributes:
        name: as in the file name.
        title: heading of the report.
        presets: name -> config, a frozen dataclass; the first is the default.
        cases: `config -> cases`.
        figures: `(config, results by case name) -> figures of the report`.
        citation: BibTeX of what the experiment reproduces.
        question: one sentence that the report opens with.
        remarks: `(config, results by case name) -> sentences` that open the verdicts; None for none.
        checks: `(config, results by case name) -> Checks` of several cases together; None for none.
    """

    name: str
    title: str
    presets: Mapping[str, Any]
    cases: Callable[[Any], tuple[Case, ...]]
    figures: Callable[[Any, Mapping[str, CaseResult]], list["FigureItem"]]
    citation: str
    question: str
    remarks: Callable[[Any, Mapping[str, CaseResult]], list[str]] | None = None
    checks: Callable[[Any, Mapping[str, CaseResult]], list[Check]] | None = None

    def __post_init__(self) -> None:
        check_experiment(self)

    def preset(self, name: str | None) -> Any:
        """The config of a preset; the first one for None.

        Raises:
            SpecError: no such preset.
        """
        if name is None:
            return next(iter(self.presets.values()))
        if name not in self.presets:
            raise SpecError(
                f"the preset {name!r} of {self.name}",
                    ", ".join(self.presets),
                    f"Write --preset {next(iter(self.presets))}."
            )
        return self.presets[name]


def _whole_numbers(layers: Any) -> tuple[int, ...]:
    found = [validate.whole_number(layer) for layer in (layers if np.iterable(layers) else [None])]
    if None in found:
        raise SpecError(f"sample_layers={layers!r}", "a tuple of layers, from 1", "Write (1, 2).")
    return tuple(layer for layer in found if layer is not None)


def checked_cases(experiment: Experiment, config: Any) -> tuple[Case, ...]:
    """The cases of a config; their names tell them apart on disk.

    Raises:
        SpecError: no case, or two of one name.
    """
    cases = listed(experiment.cases(config), Case, "cases()")
    names = [case.name for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not cases:
        raise SpecError(
            f"two cases called {', '.join(twice)}" if twice else f"a config of {experiment.name} without any case",
                "one case or more, each with a name of its own",
                "Give every width and activation once." if twice else "Ask for at least one width or activation."
        )
    return cases
