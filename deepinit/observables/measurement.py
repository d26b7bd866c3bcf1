"""What an observable returns."""

from typing import Any, NamedTuple

import jax


class Measurement(NamedTuple):
    """One observable of one network at one layer, or at one step of its training.

    Attributes:
        value: any shape; meaningless where `event` is not 0.
        event: int8, same shape: 0, or the code of why there is no value: 1 for the first of the quantity's events.
        kept: arrays that go with the value, for networks that are shown; None for none.
        log_scale: same shape: the measured value is exp(log_scale) * value, formed in float64 on the host; None for value itself.
    """

    value: jax.Array
    event: jax.Array
    kept: Any = None
    log_scale: Any = None
