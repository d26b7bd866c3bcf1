"""Order 1/width of composed networks, per site."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Layer, outline, output_shape, shape_of, sites
from deepinit.core.layers.containers import mixes_batch
from deepinit.core.layers.program import has_own_masks
from deepinit.core.layers.raw_inputs import check_raw
from deepinit.core.results import Prediction
from deepinit.quantities.theory import Theory, always

FIRST_ORDER = "first_order"
_REFERENCE = "layer rules: deepinit.theory.layers.rules"
_HYPOTHESES = "Gaussian weights and biases; order 1/width at the network's own widths"
_LEAST_SIN2 = 1e-6  # below it 1 - cos^2 and its derivatives lose more than three digits
_SMALL, _LARGE = 0.1, 1.0  # second over first order of the variance: mean only, neither


class Expanded(NamedTuple):
    """[sites, entries] at infinite width, and of order 1/width."""

    infinite: np.ndarray
    shift: np.ndarray
    variance: np.ndarray
    ratio: np.ndarray


def expansion(
    of_layers: Callable[[Any, Any], Expanded],
    conditions: Callable[[Any, Any], str | None] = always,
    num_inputs: int = 1,
) -> Theory:
    """The first order of composed networks, by `of_layers(network, inputs)`.

    `num_inputs`: of a function; all of them with batch norms.
    """

    def why_not(network: Any, inputs: Any) -> str | None:
        reason = conditions(network, inputs)
        if reason is not None:
            return reason
        from deepinit.theory.layers import check

        try:
            own = inputs.num_rows if mixes_batch(network) else min(inputs.num_rows, num_inputs)
            check(_program(network, inputs), own)
        except SpecError as error:
            return str(error)
        return None

    def predict(network: Any, inputs: Any) -> Prediction:
        found = of_layers(network, inputs)
        paths = outline(network, shape_of(inputs)).paths or ()
        wrong = ~np.isfinite(found.infinite + found.shift) | (found.variance < 0)
        if wrong.any():
            place = paths[int(np.flatnonzero(wrong.any(axis=1))[0])]
            given = f"{place}: an expansion that is not finite (parallel, equal or zero rows)"
            allowed = "rows that differ in direction, of sizes from 1e-75 to 1e75"
            raise SpecError(given, allowed, "Simulate.")
        variance = np.where(found.ratio <= _LARGE, found.variance, np.nan)
        return Prediction(
            quantity="",
            name=FIRST_ORDER,
            mean=found.infinite + found.shift,
            variance=variance,
            error_order="O(1 / width^2)",
            valid_for=f"{_HYPOTHESES}; {_range(paths, found.ratio)}",
            reference=_REFERENCE,
        )

    return Theory(FIRST_ORDER, why_not, predict, covers=(Layer,))


def with_expansion(
    found: tuple[Theory, ...], of_layers: Callable[[Any, Any], Expanded], num_inputs: int = 1
) -> tuple[Theory, ...]:
    """Theories of architectures; that of first order covers composed networks too."""
    composed = expansion(of_layers, num_inputs=num_inputs)
    return tuple(_either(one, composed) if one.name == FIRST_ORDER else one for one in found)


def _either(own: Theory, composed: Theory) -> Theory:
    def choose(spec: Any) -> Theory:
        return composed if isinstance(spec, Layer) else own

    return Theory(
        FIRST_ORDER,
        lambda spec, inputs: choose(spec).conditions(spec, inputs),
        lambda spec, inputs: choose(spec).predict(spec, inputs),
        tuple(dict.fromkeys((*own.covers, Layer))),
    )


def _range(paths: tuple[str, ...], ratio: np.ndarray) -> str:
    """Layers from which second-order terms are large, as text."""
    largest, words = ratio.max(axis=1), []
    for bound, what in ((_SMALL, "variance"), (_LARGE, "mean and variance")):
        beyond = np.flatnonzero(largest > bound)
        if len(beyond):
            words.append(f"{what} unreliable from {paths[beyond[0]]} on")
    return "; ".join(words) or f"reliable at every site (largest ratio {largest.max():.2g})"


def _program(network: Any, inputs: Inputs) -> Any:
    net = outline(network, shape_of(inputs)).program
    check_raw(net)
    return net


@functools.lru_cache(maxsize=16)
def _expanded(network: Any, inputs: Inputs, functions: Any, places: tuple[Any, ...]) -> Expanded:
    """Functions [m] of the rows of the inputs at `places`, tuples of one length.

    Returns:
        `Expanded` [sites, places, m].
    """
    from deepinit.theory.layers import first_order

    rows, of_rows = np.concatenate([inputs.points, inputs.partners]), functions
    if mixes_batch(network):
        rows, of_rows = rows[None], InBatch(functions, places, inputs.num_rows)
    else:
        rows = rows[np.array(places)]
    found = first_order(_program(network, inputs), rows, of_rows)
    # variances below 0 by more than rounding: the derivatives of f have lost their digits
    rounding = 1e-9 * (found.infinite**2 + found.shift**2)
    variance = np.where(np.abs(found.variance) < rounding * 1e-9, 0.0, found.variance)
    sound = (found.second_variance >= -1e-9 * np.abs(variance)) & ~np.isnan(found.ratio)
    ratio = np.where(sound, np.maximum(found.ratio, 0.0), np.inf)
    parts = (found.infinite, found.shift, variance, ratio)
    return Expanded(*(part.reshape(len(part), len(places), -1) for part in parts))


class InBatch(NamedTuple):
    """Functions [m] of the inputs at `places`, of all rows of a batch: [places m]."""

    functions: Callable[[Any, Any], Any]
    places: tuple[Any, ...]
    num_inputs: int

    def __call__(self, gram: Any, mean: Any) -> Any:
        """Of products [k, k] and means [k] of the batch."""
        import jax.numpy as jnp

        rows = np.arange(len(mean)).reshape(self.num_inputs, -1)
        own = [rows[list(place)].ravel() for place in self.places]
        return jnp.concatenate([self.functions(gram[np.ix_(a, a)], mean[a]) for a in own])


def _single(network: Any, inputs: Inputs, functions: Any, places: tuple[Any, ...]) -> Expanded:
    """The same of a single function: [sites, places]."""
    found = _expanded(network, inputs, functions, places)
    return Expanded(*(part[:, :, 0] for part in found))


def overlap(gram: Any, mean: Any) -> Any:
    """<x, x'> / size of products between two inputs, or within one: [1]."""
    import jax.numpy as jnp

    del mean
    return jnp.mean(jnp.diagonal(gram), keepdims=True)


def overlaps_of_pair(gram: Any, mean: Any) -> Any:
    """<x, x>, <x, x'>, <x', x'> over size, of two inputs [3]."""
    import jax.numpy as jnp

    half = len(gram) // 2
    blocks = (gram[:half, :half], gram[:half, half:], gram[half:, half:])
    return jnp.concatenate([overlap(block, mean) for block in blocks])


def half_log_norm(gram: Any, mean: Any) -> Any:
    """ln |x| / sqrt(size) [1]."""
    import jax.numpy as jnp

    return 0.5 * jnp.log(overlap(gram, mean))


def log_sin2_of_pair(gram: Any, mean: Any) -> Any:
    """ln sin^2 of the angle [1]."""
    import jax.numpy as jnp

    first, cross, second = overlaps_of_pair(gram, mean)
    return jnp.log(1.0 - cross**2 / (first * second))[None]


def mean_cosine(gram: Any, mean: Any) -> Any:
    """Mean over s < t of the cosine of rows s and t [1]; NaN at one position."""
    import jax.numpy as jnp

    del mean
    size = jnp.sqrt(jnp.diagonal(gram))
    first, second = np.triu_indices(len(gram), 1)
    return jnp.mean((gram / jnp.outer(size, size))[first, second], keepdims=True)


def nngp(network: Any, inputs: Inputs) -> Expanded:
    """Entries i <= j."""
    first, second = np.triu_indices(inputs.num_rows)
    rows = np.concatenate([inputs.points, inputs.partners])
    same = (rows[first] == rows[second]).all(axis=1)
    if has_own_masks(network):
        same &= first == second
    entries = np.stack([first, second], axis=1)
    pairs = tuple(map(tuple, entries[~same].tolist()))
    mixed = _expanded(network, inputs, overlaps_of_pair, pairs) if pairs else None
    parts = []
    for (i, j), alone in zip(entries.tolist(), same, strict=True):
        if not alone:
            group, function = pairs.index((i, j)), 1
        else:
            group = next((number for number, pair in enumerate(pairs) if i in pair), -1)
            function = 2 if group >= 0 and pairs[group][1] == i else 0
        if group >= 0:
            assert mixed is not None
            parts.append([part[:, group, function] for part in mixed])
        else:  # all inputs are equal
            one = _expanded(network, inputs, overlap, ((i,),))
            parts.append([part[:, 0, 0] for part in one])
    return Expanded(*(np.stack(columns, axis=1) for columns in zip(*parts, strict=True)))


def log_norm(network: Any, inputs: Inputs) -> Expanded:
    """ln |x_l| / |x_0| of points."""
    found = _single(network, inputs, half_log_norm, _points(inputs))
    net = outline(network, shape_of(inputs)).program
    places = sites(net.body, net.body_shape)
    sizes = np.array([[output_shape(site.layer, site.shape).size] for site in places])
    offset = 0.5 * np.log(sizes / np.sum(inputs.points**2, axis=1))
    return found._replace(infinite=found.infinite + offset)


def log_sin2_angle(network: Any, inputs: Inputs) -> Expanded:
    """ln sin^2 of the angle of every pair."""
    partners = len(inputs.points) + np.arange(inputs.num_pairs)
    pairs = tuple(zip(map(int, inputs.bases), partners.tolist(), strict=True))
    found = _single(network, inputs, log_sin2_of_pair, pairs)
    if (small := ~(found.infinite > math.log(_LEAST_SIN2))).any():
        paths = outline(network, shape_of(inputs)).paths or ()
        given = f"{paths[int(np.flatnonzero(small.any(axis=1))[0])]}: an angle below 1e-3"
        allowed = "larger angles: 1 - cos^2 cancels in float64"
        raise SpecError(given, allowed, "Simulate, or take di.MLP without biases.")
    return found


def token_cosine(network: Any, inputs: Inputs) -> Expanded:
    """Mean cosine between the positions of points."""
    return _single(network, inputs, mean_cosine, _points(inputs))


def output_kurtosis(network: Any, inputs: Inputs) -> Expanded:
    """3 Var q / (E q)^2, q = |x|^2 / size."""
    own = _single(network, inputs, overlap, tuple((i,) for i in range(inputs.num_rows)))
    if not ((own.infinite > 1e-150) & (own.infinite < 1e150)).all():
        given = "mean squares outside 1e-150 to 1e150"
        raise SpecError(given, "mean squares with squares in float64", "Rescale the inputs.")
    value, zero = 3.0 * own.variance / (own.infinite + own.shift) ** 2, np.zeros_like(own.infinite)
    return Expanded(zero, value, np.full_like(value, np.nan), own.ratio)


def _points(inputs: Inputs) -> tuple[tuple[int], ...]:
    return tuple((number,) for number in range(len(inputs.points)))
