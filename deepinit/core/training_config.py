"""Configuration of a training run."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.targets import Examples
from deepinit.core.training_options import check_end_time, check_options

if TYPE_CHECKING:
    import optax  # type: ignore[import-untyped]

MODES = ("gd", "sgd", "adam", "sign", "flow", "neuron_flow")
LOSSES = ("mse", "cross_entropy")
GEOMETRIES = ("l2", "linf")


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingConfig:
    """Training run, apart from the network and its key.

    Attributes:
        examples: training set, from `di.targets`.
        record_steps: measured steps >= 0, increasing; the last ends the run.
        mode: one of MODES, or an optax transformation; see `training.training_seed_fn`.
        rate: learning rate or relative step; default for flows only.
        loss: `mse` or `cross_entropy`.
        stop_drop: fraction of the loss to lose before stopping, or None.
        batch_size: of minibatches; None for all examples.
        test: for the test accuracy, or None.
        initial_stage: refuse initial outputs not small against the targets.
        tolerance: of `flow`, relative error per layer and step.
        name: of the optimizer, in a run's identity; None for the mode, required for optax.
        end_time: of `flow`, > 0, or None.
        geometry: of optax, for predicted orientations: `l2` (steps along the gradient, also with
            momentum), `linf` (equal steps in all coordinates, as Adam from tiny weights) or None.

    Raises SpecError: mismatched `examples` and `test`, targets of the wrong kind for the loss,
        optax without a name, options out of range or of another mode.
    """

    examples: Examples
    record_steps: Sequence[int]
    mode: "str | optax.GradientTransformation" = "gd"
    rate: float | None = None
    loss: str = "mse"
    stop_drop: float | None = None
    batch_size: int | None = None
    test: Examples | None = None
    initial_stage: bool = False
    tolerance: float = 1e-6
    name: str | None = None
    geometry: str | None = None
    end_time: float | None = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)
        remedy = "Write di.targets.examples(inputs, targets)."
        validate.instance("examples", self.examples, Examples, "Examples", remedy)
        validate.instance("test", self.test, Examples | None, "Examples", remedy)
        if self.test is not None:
            _check_alike(self.examples, self.test)
        put("record_steps", checked_steps(self.record_steps))
        for option in ("rate", "stop_drop", "tolerance", "end_time"):
            if getattr(self, option) is not None:
                put(option, validate.real(option, getattr(self, option)))
        remedy = "A loss of your own goes to training.training_seed_fn."
        put("loss", validate.choice("loss", self.loss, LOSSES, remedy))
        if self.batch_size is not None:
            put("batch_size", validate.integer("batch_size", self.batch_size, 1))
        put("initial_stage", validate.flag("initial_stage", self.initial_stage))
        check_targets(self.examples, self.loss)
        self._check_optimizer()
        number = len(self.examples.inputs)
        check_options(self.mode, self.rate, self.stop_drop, self.batch_size, self.tolerance, number)
        check_end_time(self.mode, self.end_time)
        if isinstance(self.mode, str) and self.name in (None, *MODES):
            put("name", self.mode)  # dataclasses.replace passes the name of the former mode

    def _check_optimizer(self) -> None:
        """Raise SpecError for mismatched mode, name and geometry."""
        named = isinstance(self.mode, str)
        if named and self.mode not in MODES:
            allowed = ", ".join(MODES) + ", or an optax transformation"
            raise SpecError(f"mode={self.mode!r}", allowed, "Check the spelling.")
        if not (self.name is None or isinstance(self.name, str)):
            raise SpecError(f"name={self.name!r}", "text", "Leave it out for the name of the mode.")
        if not named and not self.name:
            remedy = "Tables and runs need its name."
            raise SpecError("an optax transformation without a name", "name='...'", remedy)
        if self.geometry not in ((None,) if named else (None, *GEOMETRIES)):
            allowed = "l2 or linf, beside an optax transformation only"
            raise SpecError(f"geometry={self.geometry!r}", allowed, "A mode has its own.")

    @property
    def dimension(self) -> int:
        """Input dimension."""
        return self.examples.dimension

    @property
    def label(self) -> str:
        """Examples, optimizer, rate, number of steps."""
        rate = "" if self.rate is None else f" at rate {self.rate:.3g}"
        return f"{self.examples.label}, {self.name}{rate}, {self.record_steps[-1]} steps"

    @property
    def digest(self) -> str:
        """SHA-256 for a run's identity: optax by name (source in `Case.code`), examples without
        labels.
        """
        options = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("examples", "test", "mode", "geometry", "end_time")
        }
        if isinstance(self.mode, str) and self.mode != self.name:
            options["mode"] = self.mode
        if self.geometry is not None:
            options["geometry"] = self.geometry
        if self.end_time is not None:
            options["end_time"] = self.end_time
        parts = [json.dumps(options, sort_keys=True).encode()]
        for examples in (self.examples, self.test):
            for array in () if examples is None else (examples.inputs, examples.targets):
                kind = "f" if array.dtype.kind == "f" else "i"
                parts += [repr((array.shape, kind)).encode(), array.astype(f"<{kind}8").tobytes()]
        return hashlib.sha256(b"".join(parts)).hexdigest()


def check_targets(examples: Examples, loss: str) -> None:
    """Raise SpecError for classes with mse, numbers with cross-entropy."""
    if loss == "mse" and examples.are_classes:
        remedy = "Take loss='cross_entropy', or floats."
        raise SpecError("classes as targets of the mse", "numbers [n, outputs]", remedy)
    if loss == "cross_entropy" and not examples.are_classes:
        given = f"targets of shape {examples.targets.shape} for the cross-entropy"
        remedy = "Give integer labels, or take loss='mse'."
        raise SpecError(given, "classes [n], integers", remedy)


def checked_steps(record_steps: Any) -> tuple[int, ...]:
    """Increasing steps >= 0 as a tuple."""
    steps = tuple(record_steps) if isinstance(record_steps, Sequence | np.ndarray) else ()
    for step in steps:
        validate.integer("a record step", step, 0, "Steps are numbered from 0.", most=2**31 - 1)
    if not steps or any(b <= a for a, b in itertools.pairwise(steps)):
        remedy = "Write log_spaced_steps(1000)."
        raise SpecError(f"record_steps={record_steps!r}", "increasing integers >= 0", remedy)
    return tuple(int(step) for step in steps)


def _check_alike(examples: Examples, test: Examples) -> None:
    """Raise SpecError for another dimension or kind of target."""
    if test.dimension != examples.dimension or test.are_classes != examples.are_classes:
        kind = lambda given: "classes" if given.are_classes else "numbers"
        at = lambda given: f"{kind(given)} at inputs of dimension {given.dimension}"
        given = f"test examples with {at(test)} beside examples with {at(examples)}"
        allowed = "the same dimension, and classes or numbers in both"
        raise SpecError(given, allowed, "Split one set in two.")
