"""Measurements that have an exact law."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.layers import Layer
from deepinit.quantities.kinds.axis import Axis, Parts, Settings
from deepinit.quantities.kinds.forward import Forward


class ExactLaw(NamedTuple):
    """A tap on the forward pass; `linear_map="chi_square"` draws its exact law.

    `sampler`: `(spec, inputs, dtype) -> (key -> Measurement)` [layers, entries], or SpecError.
    """

    forward: Forward
    sampler: Callable[[Any, Any, str], Callable[[Any], Any]]
    statistic: None = None

    @property
    def accepts(self) -> type:
        """Type of the inputs."""
        return self.forward.accepts

    def why_not(self, spec: Any, inputs: Any) -> str | None:
        """The refusal, or None."""
        return self.forward.why_not(spec, inputs)

    def linear_map(self, spec: Any, inputs: Any, name: str) -> str:
        """Resolves `auto`."""
        if name == "chi_square" and not isinstance(spec, Layer):
            return name
        return self.forward.linear_map(spec, inputs, name)

    def parts(self, spec: Any, inputs: Any, settings: Settings, keep: bool = False) -> Parts:
        """Of `key -> Measurement`."""
        if settings["linear_map"] != "chi_square":
            return self.forward.parts(spec, inputs, settings, keep)
        make = lambda spec, _, inputs: self.sampler(spec, inputs, settings["dtype"])
        return Parts((), make, shares_numbers=False)

    def axis(self, spec: Any, inputs: Any) -> Axis:
        """Layers from 1."""
        return self.forward.axis(spec, inputs)

    def cost(self, spec: Any, inputs: Any, linear_map: str) -> float:
        """Random numbers."""
        if linear_map == "chi_square":
            return 4.0 * spec.depth
        return self.forward.cost(spec, inputs, linear_map)

    def bytes(self, spec: Any, inputs: Any, settings: Settings) -> int:
        """Working memory."""
        if settings["linear_map"] == "chi_square":
            return np.dtype(settings["dtype"]).itemsize * spec.depth
        return self.forward.bytes(spec, inputs, settings)
