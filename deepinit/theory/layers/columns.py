"""Laws of one column of k rows, and their moments up to the fourth.

A column is the product of independent factors: phi(z), z ~ N(0, R), and masks of dropout. Moments
of a product are products of moments.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers.column_means import column_means
from deepinit.theory.layers.entries import matrix_of, polynomial, wick
from deepinit.theory.layers.norm_means import norm_means
from deepinit.theory.layers.normed import Norm, normed_terms
from deepinit.theory.layers.quadrature import function_moments
from deepinit.theory.layers.tape import Tape
from deepinit.theory.numerics.entries import count_rows, entries

# Applied from the first to the last; () for the identity. A norm over rows comes first.
Chain = tuple[Any, ...]


class Mask(NamedTuple):
    """A factor mask / keep, 1 with probability `keep`.

    Attributes:
        ids: [k], rows of one number share a mask.
    """

    keep: float
    ids: tuple[int, ...]


class ColumnLaw(NamedTuple):
    """The law of a column given R.

    Attributes:
        functions: one independent z ~ N(0, R) each.
        masks: of dropout.
        scale: constant factor.
    """

    functions: tuple[Chain, ...] = ((),)
    masks: tuple[Mask, ...] = ()
    scale: float = 1.0

    @property
    def is_gaussian(self) -> bool:
        """Whether the column is z, or scale z."""
        return self.functions == ((),) and not self.masks

    @property
    def norm(self) -> Norm | None:
        """The norm over rows that comes first."""
        first = self.functions[0][:1]
        return first[0] if first and isinstance(first[0], Norm) else None

    @property
    def channels(self) -> int:
        """Number of columns that depend on each other."""
        return self.norm.channels if self.norm is not None else 1


class Moments(NamedTuple):
    """E F_a [k], E F_a F_b [p], E F_a F_b F_c [p, k], E F_a F_b F_c F_d [p, p].

    The first two have derivatives by R up to the second.
    """

    first: Any
    second: Any
    third: Any
    fourth: Any

    def times(self, other: "Moments") -> "Moments":
        """Moments of the product of two independent columns."""
        return Moments(*(a * b for a, b in zip(self, other, strict=True)))

    def covariance(self) -> Any:
        """[p + k, p + k], of (F_a F_b, F_a)."""
        where = entries(self.first.shape[0])
        pair = self.second[where.at]
        mixed = self.third - jnp.outer(self.second, self.first)
        low = pair - jnp.outer(self.first, self.first)
        high = self.fourth - jnp.outer(self.second, self.second)
        return jax.lax.stop_gradient(jnp.block([[high, mixed], [mixed.T, low]]))


def tuple_moments(variance: Any, law: ColumnLaw, tape: Tape) -> tuple[Any, Any]:
    """Mean and covariance of (F_a F_b, F_a), of their means over columns normed together."""
    if law.channels == 1:
        moments = column_moments(variance, law, tape)
        return jnp.concatenate([moments.second, moments.first]), moments.covariance()
    ((norm, *chain),) = law.functions
    if tape.only_means:
        first, second = norm_means(norm, tuple(chain), variance)
        size = len(second) + len(first)
        return jnp.concatenate([second, first]), jnp.zeros((size, size))
    terms = tape.jet(lambda: normed_terms(norm, tuple(chain), variance, tape))
    mean = terms.mean(variance)
    return mean, terms.products - jnp.outer(mean, mean)


def column_moments(variance: Any, law: ColumnLaw, tape: Tape) -> Moments:
    """Moments of a column, R = variance [p]."""
    return product(factors(variance, law, tape), law.scale)


def factors(variance: Any, law: ColumnLaw, tape: Tape) -> list[Moments]:
    """Of the functions, then of the masks."""
    parts = [_of_chain(variance, chain, tape) for chain in law.functions]
    return parts + [mask_moments(mask, len(parts[0].first)) for mask in law.masks]


def product(parts: list[Moments], scale: float) -> Moments:
    """Moments of a scaled product of independent factors."""
    result = parts[0]
    for part in parts[1:]:
        result = result.times(part)
    if scale == 1.0:
        return result
    return Moments(*(scale**order * part for order, part in enumerate(result, start=1)))


def haar_means(variance: Any, law: ColumnLaw, dimensions: int) -> Any:
    """[p + k], E F_a F_b and E F_a of columns of a Haar frame; NaN where they are not known."""
    size, rows = len(variance), count_rows(variance.shape[0])
    if len(law.functions) > 1:  # neurons of one frame, not independent
        return jnp.full(size + rows, jnp.nan)
    first, second = jnp.zeros(rows), variance
    if law.functions[0]:
        first, second = column_means(law.functions[0], variance, dimensions)
    masks = [mask_moments(mask, rows) for mask in law.masks]
    found = product([_means_alone(first, second), *masks], law.scale)
    return jnp.concatenate([found.second, found.first])


def _means_alone(first: Any, second: Any) -> Moments:
    size = len(second)
    return Moments(first, second, jnp.zeros((size, len(first))), jnp.zeros((size, size)))


def _of_chain(variance: Any, chain: Chain, tape: Tape) -> Moments:
    if chain and tape.only_means:
        if isinstance(chain[0], Norm):
            return _means_alone(*norm_means(chain[0], chain[1:], variance))
        return _means_alone(*column_means(chain, variance))
    if chain and isinstance(chain[0], Norm):
        terms = tape.jet(lambda: normed_terms(chain[0], chain[1:], variance, tape))
        mean, size = terms.mean(variance), len(variance)
        third, fourth = terms.products[:size, size:], terms.products[:size, :size]
        return Moments(mean[size:], mean[:size], third, fourth)
    if chain:
        found = tape.jet(lambda: function_moments(chain, variance, tape))
        where = entries(count_rows(variance.shape[0]))
        own, near = variance[where.diagonal][:, None], variance[where.neighbours]
        first, second = (polynomial(at, *jet) for at, jet in zip((own, near), found, strict=False))
        return Moments(first, second, *found[2:])
    matrix = jax.lax.stop_gradient(matrix_of(variance))
    pairs = jax.lax.stop_gradient(variance)
    size = matrix.shape[0]
    zero = jnp.zeros(size, variance.dtype)
    third = jnp.zeros((len(pairs), size), variance.dtype)
    return Moments(zero, variance, third, wick(matrix) + jnp.outer(pairs, pairs))


def mask_moments(mask: Mask, size: int) -> Moments:
    """Of k = size rows: keep^(different masks) / keep^(order)."""
    where, ids = entries(size), np.asarray(mask.ids)
    pairs = [{ids[a], ids[b]} for a, b in zip(where.rows, where.columns, strict=True)]
    keep = mask.keep
    power = lambda seen, order: keep ** (len(seen) - order)
    return Moments(
        np.ones(size),
        np.array([power(pair, 2) for pair in pairs]),
        np.array([[power(pair | {one}, 3) for one in ids] for pair in pairs]),
        np.array([[power(pair | other, 4) for other in pairs] for pair in pairs]),
    )
