"""Return value of an observable."""

from typing import NamedTuple

import jax

from deepinit.core.typing import Float, Int, PyTree, Shaped


class Measurement(NamedTuple):
    """One observable of one network at one layer or training step; arrays of one shape.

    Attributes:
        value: meaningless where `event` is not 0.
        event: 0, or the code from 1 of the quantity's event.
        kept: arrays stored with the value, for networks that are shown, or None.
        log_scale: the number is exp(log_scale) 2^exponent value, formed in float64 on the host;
            exp(log_scale) is the scale of rounding. None: 0 and the value's own size.
        exponent: integers; None for 0.
        columns: what control variates are formed from, [length] at one layer, or None.
    """

    value: Shaped[jax.Array, "*shape"]
    event: Int[jax.Array, "*shape"]
    kept: PyTree = None
    log_scale: Float[jax.Array, "*shape"] | None = None
    exponent: Int[jax.Array, "*shape"] | None = None
    columns: PyTree = None
