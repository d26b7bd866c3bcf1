"""Control variates of a quantity: theory of the columns that a simulation draws."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Layer, outline, shape_of
from deepinit.core.layers.containers import mixes_batch
from deepinit.core.layers.raw_inputs import check_raw
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.row_functions import Target, grouped, rows_of

_HALF = 84  # steps of quadratures of the expansion, which costs no bias
_CHUNK = 1024  # networks computed together


class Controls(NamedTuple):
    """Of one block [seeds, layers, entries], of mean 0 over networks.

    Attributes:
        mean: of the value f.
        square: of (f - centre)^2.
        past: the part of `mean` of the layers before, whose weight is fitted; None for none.
    """

    mean: np.ndarray
    square: np.ndarray
    past: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Columns:
    """`LayerState -> [length]`, the record of a site; hashable.

    `layout`: (layer of a site, what its record holds).
    """

    layout: "tuple[tuple[Layer, tuple[_Part, ...]], ...]"
    length: int

    def __call__(self, state: Any) -> Any:
        """The record, padded by zeros."""
        return _record(state.watch, dict(self.layout)[state.watch.site], self.length)


class Control(NamedTuple):
    """Control variates of a quantity of a network.

    Attributes:
        columns: `LayerState -> [length]`, recorded at every site; `networks.backward`'s record of
            tangent kernels.
        of_block: `[seeds, layers, length] -> Controls`, float64.
        centre: [layers, entries], infinite width.
    """

    columns: Callable[..., Any]
    of_block: Callable[[np.ndarray], Controls]
    centre: np.ndarray


class _Part(NamedTuple):
    """A part of the record of a site: moments of columns for a group of inputs."""

    request: Any
    inputs: tuple[int, ...]


def control_of(spec: Any, quantity: Quantity, inputs: Inputs) -> Control:
    """Control variates of exact mean 0 at every width.

    Averages over a layer's neurons have known means given the layer before. Their differences,
    weighted by the derivatives of the value at infinite width, follow its fluctuations.

    Raises:
        SpecError: a quantity that is no function of products of rows; a layer without a rule of
            order 1/width, by its path; more than 8 rows (inputs x positions) of one value.

    Reference: deepinit.theory.layers.controls.
    """
    from deepinit.theory.layers import check, controls, taylor
    from deepinit.theory.layers.precision import host_float64

    if quantity.control is not None:
        return quantity.control(spec, inputs)
    if quantity.target is None:
        given = f"control variates of {quantity.name}"
        allowed = "functions of products of rows: nngp, log_norm, log_sin2_angle, token_cosine"
        raise SpecError(given, allowed, 'Write control="none".')
    net = outline(spec, shape_of(inputs)).program
    check_raw(net)
    target = quantity.target(spec, inputs)
    functions, groups = grouped(target, inputs, together=mixes_batch(net.body))
    check(net, len(groups[0]), fixed=False)
    positions = net.shape.num_positions
    rows = rows_of(inputs)[np.array(groups)].reshape(len(groups), len(groups[0]) * positions, -1)
    grams, means = np.einsum("gan,gbn->gab", rows, rows) / rows.shape[2], rows.mean(axis=2)
    with host_float64():
        places = controls.plan(net, rows.shape[1])
        around = [
            taylor.expand(net, functions, *group, _HALF) for group in zip(grams, means, strict=True)
        ]
    centre = _chosen(
        np.array([[site.functions.after for site in group] for group in around]), target
    )
    first = net.embedding is not None
    _check(spec, inputs, places[:first], centre[first:])
    body = places[first:]
    start: list[dict[Any, np.ndarray]] = [{}] * first
    layout = _layout(body, groups)
    length = max(sum(part.request.length for part in parts) for parts in layout.values())

    columns = Columns(tuple(layout.items()), length)

    def of_chunk(seen: np.ndarray) -> list[np.ndarray]:
        """[sites, networks, entries] of `Controls`."""
        found = []
        for group, own in zip(groups, around, strict=True):
            records = [
                _read(seen[:, site], layout[place.layer], group) for site, place in enumerate(body)
            ]
            arguments = net, places, own, functions, start + records, len(seen)
            with host_float64():
                found.append(controls.control_variates(*arguments))
        return [_chosen(np.stack(part)[:, first:], target) for part in zip(*found, strict=True)]

    def of_block(seen: np.ndarray) -> Controls:
        every = np.asarray(seen, np.float64)
        every = np.concatenate([every, np.repeat(every[-1:], -len(every) % _CHUNK, axis=0)])
        chunks = [of_chunk(every[at : at + _CHUNK]) for at in range(0, len(every), _CHUNK)]
        parts = (np.concatenate(part, axis=1)[:, : len(seen)] for part in zip(*chunks, strict=True))
        return Controls(*(np.moveaxis(part, 1, 0) for part in parts))

    return Control(columns, of_block, centre[first:] + target.offset)


def _chosen(found: np.ndarray, target: Target) -> np.ndarray:
    """[groups, sites, ..., m] -> [sites, ..., entries]."""
    found = np.moveaxis(found, 0, -2)
    return target.chosen(found.reshape(*found.shape[:-2], len(target.groups), -1))


def _layout(places: Any, groups: tuple[tuple[int, ...], ...]) -> dict[Layer, tuple[_Part, ...]]:
    """What the record of a site holds, by its layer."""
    found: dict[Layer, tuple[_Part, ...]] = {}
    for place in places:
        requests = (*place.requests, *place.after)
        parts = [_Part(request, group) for group in groups for request in requests]
        found[place.layer] = tuple(dict.fromkeys((*found.get(place.layer, ()), *parts)))
    return found


def _record(watch: Any, parts: tuple[_Part, ...], length: int) -> Any:
    """[length], padded by zeros."""
    import jax.numpy as jnp

    if not parts:
        return jnp.zeros(length)
    found = [watch.moments(part.request.columns, part.inputs) for part in parts]
    return jnp.pad(jnp.concatenate(found), (0, length - sum(map(len, found))))


def _read(
    record: np.ndarray, parts: tuple[_Part, ...], group: tuple[int, ...]
) -> dict[Any, np.ndarray]:
    """Records [networks, length] of one group."""
    ends = np.cumsum([part.request.length for part in parts])
    return {
        part.request: record[:, end - part.request.length : end]
        for part, end in zip(parts, ends, strict=True)
        if part.inputs == group
    }


def _check(spec: Any, inputs: Any, embedding: Any, centre: np.ndarray) -> None:
    if any(place.requests or place.after for place in embedding):
        given = "control variates of an embedding with functions of neurons"
        raise SpecError(given, "Dense, Embed or Conv", 'Write control="none".')
    if not np.isfinite(centre).all():
        paths = outline(spec, shape_of(inputs)).paths
        site = int(np.flatnonzero(~np.isfinite(centre).all(axis=1))[0])
        place = f"layer {site + 1}" if paths is None else paths[site]
        given = f"{place}: control variates of a value that is not finite at infinite width"
        allowed = "rows that are not zero, equal or parallel"
        raise SpecError(given, allowed, 'Write control="none".')
