"""Infinite-width limits of composed networks, per site."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Layer, outline, output_shape, shape_of, sites
from deepinit.core.layers.raw_inputs import check_raw
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP, ConvResNet, ResNet
from deepinit.quantities.row_functions import different_pairs
from deepinit.quantities.theory import Theory, always, limit, limit_prediction

_REFERENCE = "layer rules: deepinit.infinite_width.rules"
_VALID_FOR = "all widths (channels, heads and head widths) to infinity at fixed depth"
_LEAST_SHARE = 1e-8  # sin^2 or squared distance over squared norms: a smaller one has few digits


def layers_limit(
    of_layers: Callable[[Any, Any], np.ndarray],
    conditions: Callable[[Any, Any], str | None] = always,
) -> Theory:
    """The limit of composed networks, by `of_layers(network, inputs) -> mean` [sites, entries]."""
    predict = lambda spec, inputs: _prediction(of_layers(spec, inputs))
    return limit(predict, conditions, covers=(Layer,))


def _prediction(mean: np.ndarray) -> Prediction:
    return limit_prediction("", mean, _VALID_FOR, _REFERENCE, error_order="O(1 / width)")


def composed_limit(
    predict: Callable[[Any, Any], Prediction],
    of_layers: Callable[[Any, Any], np.ndarray],
    covers: tuple[type, ...] = (MLP, ResNet, ConvResNet),
) -> Theory:
    """The limit of architectures (`covers`) by `predict`, of composed networks by `of_layers`.

    `of_layers`: `(network, inputs) -> mean` [sites, entries].
    """

    def either(spec: Any, inputs: Any) -> Prediction:
        if not isinstance(spec, Layer):
            return predict(spec, inputs)
        return _prediction(of_layers(spec, inputs))

    return limit(either, covers=(*covers, Layer))


@functools.lru_cache(maxsize=8)
def limits(network: Any, inputs: Inputs, *, ntk: bool = False) -> Any:
    """`infinite_width.interpreter.Limit` at points, then partners."""
    from deepinit.infinite_width.interpreter import interpret

    rows = np.concatenate([inputs.points, inputs.partners])
    net = outline(network, shape_of(inputs)).program
    check_raw(net)
    return interpret(net, rows, ntk=ntk, at_sites=not ntk)


def overlaps(network: Any, inputs: Inputs) -> np.ndarray:
    """<x, x'> / size after every site [sites, inputs, inputs]: means over positions."""
    found = limits(network, inputs).sites
    return np.stack([np.einsum("abpp->ab", site.cov) / site.cov.shape[-1] for site in found])


def nngp(network: Any, inputs: Inputs) -> np.ndarray:
    """Entries i <= j."""
    first, second = np.triu_indices(inputs.num_rows)
    return overlaps(network, inputs)[:, first, second]


def ntk(network: Any, inputs: Inputs) -> np.ndarray:
    """Entries i <= j, of the last position."""
    first, second = np.triu_indices(inputs.num_rows)
    return limits(network, inputs, ntk=True).output.ntk[None, first, second, -1, -1]


def output_kurtosis(network: Any, inputs: Inputs) -> np.ndarray:
    """0."""
    return np.zeros((outline(network, shape_of(inputs)).num_sites, inputs.num_rows))


def log_norm(network: Any, inputs: Inputs) -> np.ndarray:
    """ln |x_l| / |x_0| of points, at the network's own sizes."""
    squares = np.diagonal(overlaps(network, inputs), axis1=1, axis2=2)[:, : len(inputs.points)]
    start = np.sum(inputs.points**2, axis=1)
    with np.errstate(divide="ignore"):
        return 0.5 * np.log(_sizes(network, inputs) * squares / start)


def cosine(network: Any, inputs: Inputs) -> np.ndarray:
    """Of all pairs."""
    return cosines(overlaps(network, inputs), inputs)


def cosines(kernels: np.ndarray, inputs: Inputs) -> np.ndarray:
    """Of all pairs i < j, of <x, x'> [sites, inputs, inputs]."""
    first, second = different_pairs(inputs)
    size = np.sqrt(np.diagonal(kernels, axis1=1, axis2=2))
    return kernels[:, first, second] / (size[:, first] * size[:, second])


def log_sin2_angle(network: Any, inputs: Inputs) -> np.ndarray:
    """ln sin^2 of the angle of every pair."""
    first, second, cross = _pairs(network, inputs)
    sin2 = 1.0 - cross**2 / (first * second)
    _require_digits(sin2, "an angle")
    return np.log(sin2)


def log_distance(network: Any, inputs: Inputs) -> np.ndarray:
    """ln |x_l - x'_l| / |x_0 - x'_0| of every pair, at the network's own sizes."""
    first, second, cross = _pairs(network, inputs)
    squares = first + second - 2.0 * cross
    _require_digits(squares / (first + second), "a distance")
    start = np.sum(inputs.displacements**2, axis=1)
    return 0.5 * np.log(_sizes(network, inputs) * squares / start)


def token_cosine(network: Any, inputs: Inputs) -> np.ndarray:
    """Mean over positions s < t of the cosine of rows s and t, of points; NaN at one position."""
    means = []
    for site in limits(network, inputs).sites:
        gram = np.einsum("aapq->apq", site.cov)[: len(inputs.points)]
        size = np.sqrt(np.einsum("app->ap", gram))
        first, second = np.triu_indices(gram.shape[-1], 1)
        cosines = (gram / (size[:, :, None] * size[:, None]))[:, first, second]
        means.append(cosines.mean(axis=1) if cosines.size else np.full(len(gram), np.nan))
    return np.stack(means)


def _pairs(network: Any, inputs: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean squares of points and partners, and their overlaps [sites, pairs]."""
    kernels = overlaps(network, inputs)
    bases, partners = list(inputs.bases), len(inputs.points) + np.arange(inputs.num_pairs)
    squares = np.diagonal(kernels, axis1=1, axis2=2)
    return squares[:, bases], squares[:, partners], kernels[:, bases, partners]


def _require_digits(share: np.ndarray, name: str) -> None:
    if not np.all(share > _LEAST_SHARE):
        given = f"a pair with {name} of relative size {max(float(share.min()), 0) ** 0.5:.1g}"
        allowed = f"above {_LEAST_SHARE**0.5:g}, which kernels resolve"
        raise SpecError(f"{given} at infinite width", allowed, "Simulate it.")


def _sizes(network: Any, inputs: Inputs) -> np.ndarray:
    """Entries of one input after every site [sites, 1]."""
    net = outline(network, shape_of(inputs)).program
    places = sites(net.body, net.body_shape)
    return np.array([[output_shape(site.layer, site.shape).size] for site in places])
