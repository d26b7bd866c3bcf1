"""Return value of an observable."""

from typing import Any, NamedTuple

import jax


class Measurement(NamedTuple):
    """One observable of one network at one layer, or at one training step.

    Attributes:
        value: any shape; meaningless where `event` is not 0.
        event: int8, same shape: 0, or the code of the reason for no value, from 1 in the order of
            the quantity's events.
        kept: arrays stored with the value, for networks that are shown; None for none.
        log_scale: same shape: the measured number is exp(log_scale) 2^exponent value, formed in
            float64 on the host; exp(log_scale) is the scale of rounding. None for 0 and the value's
            own size.
        exponent: same shape, integers; None for 0.
    """

    value: jax.Array
    event: jax.Array
    kept: Any = None
    log_scale: Any = None
    exponent: Any = None
