"""What an observable returns."""

from typing import Any, NamedTuple

import jax


class Measurement(NamedTuple):
    """One observable of one network at one layer, or at one step of its training.

    Attributes:
        value: any shape; meaningless where `event` is not 0.
        event: int8, same shape: 0, or the code of why there is no value: 1 for the first of the quantity's events.
        kept: arrays that go with the value, for networks that are shown; None for none.
        log_scale: same shape: the number measured is exp(log_scale) 2^exponent value, formed in float64 on the host. exp(log_scale) is
            the size of what the value was computed from, which rounding is relative to. None for 0 and the value's own size.
        exponent: same shape, integers; None for 0.
    """

    value: jax.Array
    event: jax.Array
    kept: Any = None
    log_scale: Any = None
    exponent: Any = None
