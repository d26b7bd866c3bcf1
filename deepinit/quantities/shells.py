"""Inputs inside a program that is shared by inputs: shapes without values."""

import dataclasses
from typing import Any

import numpy as np

from deepinit.core.frames import Frames
from deepinit.core.inputs import Inputs
from deepinit.core.targets import Examples
from deepinit.core.training_config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Withheld:
    """An array of inputs: its shape alone."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("a program that is shared by inputs has no values of theirs")

    __iter__ = __getitem__ = __bool__ = __array__


class Shell(Inputs):
    """Inputs whose sizes are traced."""

    log_norms: Any = None
    log_distances: Any = None


SIZES = ("log_norms", "log_distances")
# the type inside, and the field that programs do not depend on
_SHELLS: dict[type, tuple[type, str]] = {
    Inputs: (Shell, "label"),
    Frames: (Frames, "label"),
    Examples: (Examples, "label"),
    TrainingConfig: (TrainingConfig, "rate"),
}


def sizes_of(inputs: Any) -> tuple[np.ndarray, ...]:
    """Arrays that are traced inside a shell."""
    return tuple(getattr(inputs, name) for name in SIZES) if type(inputs) is Inputs else ()


def shell_of(inputs: Any) -> Any:
    """Inputs without their numbers; others unchanged."""
    if type(inputs) not in _SHELLS:
        return inputs
    kind, left_out = _SHELLS[type(inputs)]
    fields = {field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs)}
    for name, value in fields.items():
        is_array = isinstance(value, np.ndarray)
        fields[name] = Withheld(value.shape, value.dtype) if is_array else shell_of(value)
    return replaced(object.__new__(kind), {**fields, left_out: None})


def without_rate(inputs: Any) -> Any:
    """Inputs with constant numbers, except the learning rate, which stays an argument."""
    return replaced(inputs, {"rate": None}) if isinstance(inputs, TrainingConfig) else inputs


def replaced(inputs: Any, changed: dict[str, Any]) -> Any:
    """A copy with other fields, unchecked."""
    copy = object.__new__(type(inputs))
    copy.__dict__.update(inputs.__dict__, **changed)
    return copy


def is_shell(inputs: TrainingConfig) -> bool:
    """Whether a training run has no values."""
    return isinstance(inputs.examples.inputs, Withheld)
