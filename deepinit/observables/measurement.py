"""What an observable returns."""

from typing import NamedTuple

import jax


class Measurement(NamedTuple):
    """One observable of one network at one layer.

    Attributes:
        value: any shape; meaningless where `event` is not 0.
        event: int8, same shape: 0, or the code of why there is no value (`networks.rows.EVENTS`).
    """

    value: jax.Array
    event: jax.Array
