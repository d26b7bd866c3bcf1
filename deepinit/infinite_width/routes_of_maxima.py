"""Places of the maxima over windows of sampled columns."""

from typing import Any, NamedTuple

import jax.numpy as jnp


class Routes(NamedTuple):
    """Places [..., W] of the maxima of samples [..., P]; None: all P numbers go on."""

    places: Any

    def __call__(self, part: Any) -> Any:
        """Numbers [..., P] at the places."""
        if self.places is None:
            return part
        shape = (*self.places.shape[:-1], part.shape[-1])
        return jnp.take_along_axis(jnp.broadcast_to(part, shape), self.places, axis=-1)

    @property
    def flat(self) -> "Routes":
        """The same, [N, W]."""
        return Routes(
            None if self.places is None else self.places.reshape(-1, self.places.shape[-1])
        )


def routes(samples: Any, windows: Any) -> Routes:
    """Routes of maxima over windows [W, size]; None for no windows."""
    if windows is None:
        return Routes(None)
    inside = jnp.argmax(samples[..., windows], axis=-1)
    return Routes(jnp.asarray(windows)[jnp.arange(len(windows)), inside])


def weighted(left: Any, right: Any, matrix: Any, first: Routes, second: Routes) -> Any:
    """sum_n left_ni right_nj matrix_(place i, place j): [W, W'] of [N, W], [N, W'] and [P, P']."""
    if first.places is None or second.places is None:
        return left.T @ right * matrix
    entries = matrix[first.places[:, :, None], second.places[:, None]]
    return jnp.einsum("ni,nj,nij->ij", left, right, entries)
