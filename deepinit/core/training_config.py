"""A training run as an input of quantities: what is learned, how, and when the network is looked at."""

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.targets import Examples
from deepinit.core.training_options import check_end_time, check_options

MODES = ("gd", "sgd", "adam", "sign", "flow", "neuron_flow")
LOSSES = ("mse", "cross_entropy")
GEOMETRIES = ("l2", "linf")


@dataclasses.dataclass(frozen=True, eq=False)
class Training:
    """A training run, in every respect but the network and its key.

    Attributes:
        examples: the training set, from `di.targets`.
        record_steps: increasing step numbers >= 0 at which the network is measured; the last one ends the run.
        mode: one of MODES, or an optax transformation, which then needs a `name`; see `training.training_seed_fn`.
        rate: learning rate or relative step; only the flows have a default.
        loss: `mse` or `cross_entropy`.
        stop_drop: stop once the loss has dropped by this fraction of its initial value; None for never.
        batch_size: examples of a minibatch; None for all.
        test: examples that are not trained on, for the test accuracy; None for none.
        initial_stage: refuse initializations whose outputs are not small against the targets.
        tolerance: of `flow`, relative error of a layer in one step.
        name: of the optimizer, in tables and in a run's identity; None takes the mode.
        end_time: of `flow`, the time at which it stands still, > 0; None for never.
        geometry: of an optax transformation, `l2` (steps along the gradient, with or without momentum) or `linf` (steps of one size in every
            coordinate, as Adam's from tiny weights): decides where theory says that neurons turn. None where no orientations are predicted.

    Raises:
        SpecError: examples that are none, test examples of another kind, an unknown mode, loss or geometry, targets that the loss cannot take, an optax transformation without
            a name, numbers that are none, steps that do not increase, options out of range or of another mode (a batch
            size of a flow, an end time of gd).
    """

    examples: Examples
    record_steps: Sequence[int]
    mode: Any = "gd"
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
        for role, given in (("examples", self.examples), ("test", self.test)):
            if not isinstance(given, Examples) and not (role == "test" and given is None):
                remedy = "Write di.targets.examples(inputs, targets)."
                raise SpecError(f"{role} of type {type(given).__name__}", "Examples", remedy)
        if self.test is not None:
            _check_alike(self.examples, self.test)
        object.__setattr__(self, "record_steps", checked_steps(self.record_steps))
        for option in ("rate", "stop_drop", "tolerance", "end_time"):
            object.__setattr__(self, option, _checked_number(option, getattr(self, option)))
        remedy = "A loss of your own goes to training.training_seed_fn."
        object.__setattr__(self, "loss", validate.choice("loss", self.loss, LOSSES, remedy))
        if self.batch_size is not None:
            size = validate.integer(
                "batch_size", self.batch_size, 1, "Leave it out for all examples."
            )
            object.__setattr__(self, "batch_size", size)
        if not isinstance(self.initial_stage, bool | np.bool_):
            given = f"initial_stage={self.initial_stage!r}"
            raise SpecError(
                given, "True or False", "True refuses initializations that are not small."
            )
        object.__setattr__(self, "initial_stage", bool(self.initial_stage))
        check_targets(self.examples, self.loss)
        named = isinstance(self.mode, str)
        if named and self.mode not in MODES:
            allowed = ", ".join(MODES) + ", or an optax transformation"
            raise SpecError(f"mode={self.mode!r}", allowed, "Check the spelling.")
        if not (self.name is None or isinstance(self.name, str)):
            raise SpecError(f"name={self.name!r}", "text", "Leave it out for the name of the mode.")
        if not named and not self.name:
            raise SpecError(
                "an optax transformation without a name",
                "name='...'",
                "Tables and runs have to call it something.",
            )
        if self.geometry not in ((None,) if named else (None, *GEOMETRIES)):
            allowed = "l2 or linf, beside an optax transformation only"
            raise SpecError(
                f"geometry={self.geometry!r}",
                allowed,
                "Leave it out for a mode, which has its own.",
            )
        number = len(self.examples.inputs)
        check_options(self.mode, self.rate, self.stop_drop, self.batch_size, self.tolerance, number)
        check_end_time(self.mode, self.end_time)
        if named and self.name in (
            None,
            *MODES,
        ):  # dataclasses.replace hands on the name of the former mode
            object.__setattr__(self, "name", self.mode)

    @property
    def dimension(self) -> int:
        """Number of input coordinates."""
        return self.examples.dimension

    @property
    def label(self) -> str:
        """What is trained on and how."""
        rate = "" if self.rate is None else f" at rate {self.rate:.3g}"
        return f"{self.examples.label}, {self.name}{rate}, {self.record_steps[-1]} steps"

    @property
    def digest(self) -> str:
        """A hash of all fields but an optax transformation: part of a run directory's identity.

        Of a transformation it holds the name alone; its source and its constants are a part of the
        identity of their own (`Case.code`). The labels of the examples do not count.
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
    """Refuses classes for the mse, and numbers for the cross-entropy."""
    if loss == "mse" and examples.are_classes:
        raise SpecError(
            "classes as targets of the mse",
            "numbers [n, outputs]",
            "Take loss='cross_entropy', or floats.",
        )
    if loss == "cross_entropy" and not examples.are_classes:
        raise SpecError(
            f"targets of shape {examples.targets.shape} for the cross-entropy",
            "classes [n], integers",
            "Give integer labels, or take loss='mse'.",
        )


def checked_steps(record_steps: Any) -> tuple[int, ...]:
    """The record steps as a tuple; refuses what does not increase."""
    steps = tuple(record_steps) if isinstance(record_steps, Sequence | np.ndarray) else ()
    for step in steps:
        validate.integer("a record step", step, 0, "Steps are numbered from 0.", most=2**31 - 1)
    if not steps or any(b <= a for a, b in itertools.pairwise(steps)):
        raise SpecError(
            f"record_steps={record_steps!r}",
            "increasing integers >= 0",
            "Write log_spaced_steps(1000).",
        )
    return tuple(int(step) for step in steps)


def _checked_number(option: str, value: Any) -> float | None:
    """A number as a float of Python's, of which identities can be made; None remains."""
    if value is None:
        return None
    number = validate.real_number(value)
    if number is None or not math.isfinite(number):
        raise SpecError(
            f"{option}={value!r}", "a finite number", "Leave it out for the default, if it has one."
        )
    return number


def _check_alike(examples: Examples, test: Examples) -> None:
    """Refuses test examples that a network of the training examples cannot take."""
    if test.dimension != examples.dimension or test.are_classes != examples.are_classes:
        words = [
            f"{'classes' if given.are_classes else 'numbers'} at inputs of dimension {given.dimension}"
            for given in (test, examples)
        ]
        raise SpecError(
            f"test examples with {words[0]} beside examples with {words[1]}",
            "the same dimension, and classes or numbers in both",
            "Split one set in two.",
        )
