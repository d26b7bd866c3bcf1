"""Measurements of a `Network`: a user's own code, its Gaussian matrices deferred."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.fingerprint import rounded_values, source_record
from deepinit.core.inputs import ArrayInputs, Inputs
from deepinit.quantities.kinds.axis import Axis, Settings

_MAPS = ("auto", "deferred", "explicit")
_ROUNDING = 16.0  # units in the last place of a row: smaller differences of two rows are noise


def linear_map(name: str) -> str:
    """Resolves `auto`."""
    allowed = "Of a Network, 'deferred' draws matrices as far as they act, 'explicit' whole."
    chosen = validate.choice("linear_map", name, _MAPS, allowed)
    return "deferred" if chosen == "auto" else chosen


class Place(NamedTuple):
    """A measured layer, or a layer of every step of loops.

    Attributes:
        loops: steps.
        columns: number of the last axes that are its neurons.
    """

    name: str
    loops: tuple[int, ...]
    columns: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of every step."""
        steps = itertools.product(*map(range, self.loops))
        return tuple("".join([self.name, *(f"[{number}]" for number in step)]) for step in steps)

    def stacked(self, value: Any) -> Any:
        """[*loops, batch, ...] as [steps, batch, *positions, neurons]."""
        rows = value.shape[len(self.loops) : value.ndim - self.columns]
        return value.reshape(math.prod(self.loops), *rows, -1)


def sites(network: Any, inputs: Inputs) -> tuple[Place, ...]:
    """The layers that match `network.layers`, with a row for every input.

    SpecError: none does.
    """
    return () if network.layers is None else _sites(network, inputs)


@functools.lru_cache(maxsize=64)
def _sites(network: Any, inputs: Inputs) -> tuple[Place, ...]:
    import jax

    from deepinit.deferral.taps import tap_sites

    arrays = batch_of(network, inputs)
    found = tap_sites(_function(network), network.layers, jax.random.key(0), *arrays)
    places = []
    for site in found:
        depth = len(site.path) - 1
        if site.shape[depth : depth + 1] == (inputs.num_rows,):
            places.append(Place(site.name, site.shape[:depth], site.columns))
    if not places:
        names = ", ".join(f"{site.name} {list(site.shape)}" for site in found)
        given = f"layers={network.layers!r} of a network: {names}"
        allowed = f"layers with a row for each of the {inputs.num_rows} inputs"
        raise SpecError(given, allowed, "Choose others, or measure at the output.")
    return tuple(places)


def _is_among(places: tuple[Place, ...]) -> Callable[[str], bool]:
    names = {place.name for place in places}
    return lambda name: name in names


def batch_of(network: Any, inputs: Inputs) -> tuple[Any, ...]:
    """Arrays of points, then partners."""
    if isinstance(inputs, ArrayInputs):
        return inputs.arrays
    return network.batch.arranged(np.concatenate([inputs.points, inputs.partners]))


def forward_fn(tap: Any, network: Any, inputs: Inputs, settings: Settings) -> Callable[[Any], Any]:
    """`key -> Measurement` [layers, entries] of a tap on rows."""
    places = sites(network, inputs)

    def measured(key: Any, *arrays: Any) -> Any:
        import jax
        import jax.numpy as jnp

        from deepinit.deferral.taps import taps

        if network.layers is None:
            outputs, values = _function(network)(key, *arrays), {}
        else:
            outputs, values = taps(_function(network), _is_among(places))(key, *arrays)
        stacks = [place.stacked(values[place.name]) for place in places]
        stacks.append(_checked(outputs, inputs.num_rows)[None])
        of_one = lambda value: tap(state_of(value, inputs), inputs)
        found = [jax.vmap(of_one)(stack) for stack in stacks]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)

    return _drawn(measured, network, inputs, settings)


def gradients_fn(
    tap: Any, network: Any, inputs: Inputs, settings: Settings, every: bool
) -> Callable[[Any], Any]:
    """`key -> Measurement` of a tap on `networks.backward.Gradients`.

    Args:
        every: output at one input; else the first, at the last position, at every input.
    """
    if every and not _has_slopes(network, inputs):
        given = f"the Jacobian by inputs of type {batch_of(network, inputs)[0].dtype}"
        raise SpecError(given, "floating point numbers", "Measure log_gradient_norm at layers.")

    def measured(key: Any, *arrays: Any) -> Any:
        return tap(_gradients(network, key, arrays, inputs.num_rows, every), inputs)

    return _drawn(measured, network, inputs, settings)


def layers_fn(tap: Any, network: Any, inputs: Inputs, settings: Settings) -> Callable[[Any], Any]:
    """`key -> Measurement` of a tap on gradients of the first output by the measured layers, or by
    the inputs if there are none.

    Of networks whose layers couple inputs the gradient is that of the sum over inputs.
    """
    places = sites(network, inputs)
    if not places and not _has_slopes(network, inputs):
        given = f"gradients by inputs of type {batch_of(network, inputs)[0].dtype}"
        raise SpecError(given, "floating point numbers", "Measure at layers: net.at().")

    def measured(key: Any, *arrays: Any) -> Any:
        import jax
        import jax.numpy as jnp

        from deepinit.deferral.taps import taps
        from deepinit.networks.backward import Gradients

        def first(outputs: Any) -> Any:
            return jnp.sum(_first_outputs(_checked(outputs, inputs.num_rows)))

        f = _function(network)
        if places:
            outputs, values = taps(f, _is_among(places), gradients=first)(key, *arrays)
            stacks = [place.stacked(values[place.name].cotangent) for place in places]
        else:
            outputs, pull_back = jax.vjp(lambda x: f(key, x, *arrays[1:]), arrays[0])
            stacks = [pull_back(jax.grad(first)(outputs))[0][None]]
        layers = jnp.concatenate([_log_squares(stack) for stack in stacks])
        own = _first_outputs(outputs)
        none: Any = None
        return tap(Gradients(own, 0 * own, layers, none, none, none, none, none), inputs)

    return _drawn(measured, network, inputs, settings)


def layer_values(network: Any, inputs: Inputs) -> tuple[Callable[..., Any], tuple[Place, ...]]:
    """`(key, *arrays) -> [layers, 3]`: root mean square at the first input, cosine of the first two
    (NaN at one), norm of the gradient of the first output at the first input; and the layers.
    """
    places = sites(network, inputs)

    def values(key: Any, *arrays: Any) -> Any:
        import jax.numpy as jnp

        from deepinit.deferral.taps import taps

        first = lambda outputs: jnp.sum(_first_outputs(_checked(outputs, inputs.num_rows)))
        found = taps(_function(network), _is_among(places), gradients=first)(key, *arrays)[1]
        rows = []
        for place in places:
            value, slope = (place.stacked(part) for part in found[place.name])
            value = value.reshape(*value.shape[:2], -1)
            size = jnp.sqrt(jnp.mean(value**2, axis=2))
            cosine = jnp.full(len(value), jnp.nan)
            if inputs.num_rows > 1:
                cosine = jnp.mean(value[:, 0] * value[:, 1], axis=1) / (size[:, 0] * size[:, 1])
            gradient = jnp.exp(0.5 * _log_squares(slope)[:, 0])
            rows.append(jnp.stack([size[:, 0], cosine, gradient], axis=1))
        return jnp.concatenate(rows)

    return values, places


def _first_outputs(outputs: Any) -> Any:
    """The first output of every input, at the last position: [batch]."""
    rows, width = outputs.reshape(len(outputs), -1), outputs.shape[-1] if outputs.ndim > 1 else 1
    return rows[:, -width]


def _has_slopes(network: Any, inputs: Inputs) -> bool:
    import jax.numpy as jnp

    return bool(jnp.issubdtype(batch_of(network, inputs)[0].dtype, jnp.floating))


def _drawn(f: Any, network: Any, inputs: Inputs, settings: Settings) -> Callable[[Any], Any]:
    import jax

    from deepinit.deferral.function import deferred

    def precise(*arguments: Any) -> Any:
        with jax.default_matmul_precision(settings["precision"]):
            return f(*arguments)

    is_deferred = settings["linear_map"] == "deferred"
    run = deferred(precise, gaussianize=network.gaussianize) if is_deferred else precise
    arrays = batch_of(network, inputs)
    return lambda key: run(key, *arrays)


def _function(network: Any) -> Callable[..., Any]:
    """`(key, *arrays) -> outputs`."""
    import jax

    def f(key: Any, *arrays: Any) -> Any:
        parameters, others = network.batch.init(key, *arrays)
        return network.batch.apply(parameters, others, jax.random.fold_in(key, 1), *arrays)

    return f


def _checked(outputs: Any, num_rows: int) -> Any:
    shape = getattr(outputs, "shape", None)
    if not shape or shape[0] != num_rows or np.dtype(outputs.dtype).kind != "f":
        given = f"outputs of shape {shape}" if shape is not None else f"a {type(outputs).__name__}"
        allowed = f"one array of numbers [{num_rows}, ...], a row for every input"
        raise SpecError(given, allowed, "Return it from apply, or wrap the model in a function.")
    return outputs


def state_of(value: Any, inputs: Inputs) -> Any:
    """Values [batch, *positions, width] as a LayerState."""
    import jax.numpy as jnp

    from deepinit.core.layers import Shape
    from deepinit.networks.interpreter import LayerState
    from deepinit.networks.renormalization import detect_events, rescale
    from deepinit.networks.rows import Rows

    shape = Shape(value.shape[1:-1], value.shape[-1] if value.ndim > 1 else 1)
    rows = value.reshape(len(value), -1)
    rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    count, bases = len(inputs.points), list(inputs.bases)
    size = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    size = jnp.where((size > 0) & jnp.isfinite(size), size, 1)
    points = rows[:count] / size[:count]
    at = jnp.array(bases, int)
    moved = rows[count:] / size[at] - points[at]
    noise = _ROUNDING * float(jnp.finfo(rows.dtype).eps)
    largest = jnp.max(jnp.abs(moved), axis=1, keepdims=True, initial=0.0)
    moved = jnp.where(largest <= noise, 0, moved)
    zeros = jnp.zeros(len(bases), rows.dtype)
    found = Rows(
        points=points,
        displacements=moved,
        point_scales=jnp.log(size[:count, 0]),
        displacement_scales=zeros,
        partner_scales=zeros,
        events=jnp.zeros(len(bases), jnp.int8),
        bases=tuple(bases),
    )
    found = rescale(detect_events(found.with_inner_products(), absorbing=False))
    return LayerState(found, found, None, shape, None)


def _gradients(network: Any, key: Any, arrays: Any, num_rows: int, every: bool) -> Any:
    import jax
    import jax.numpy as jnp

    from deepinit.networks.backward import Gradients
    from deepinit.networks.cotangents import Cotangents, Products

    parameters, others = network.batch.init(key, *arrays)
    own_key, (x, *rest) = jax.random.fold_in(key, 1), arrays
    leaves, tree = jax.tree.flatten(parameters)
    is_real = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def outputs(real: list[Any], x: Any) -> Any:
        """Of every input the first; or every one of one input."""
        given = iter(real)
        own = [next(given) if kind else leaf for leaf, kind in zip(leaves, is_real, strict=True)]
        own_tree = jax.tree.unflatten(tree, own)
        found = _checked(network.batch.apply(own_tree, others, own_key, x, *rest), num_rows)
        return found[0].reshape(-1) if every else _first_outputs(found)

    real = [leaf for leaf, kind in zip(leaves, is_real, strict=True) if kind]
    values = outputs(real, x)
    none: Any = None
    if every:
        jacobian = jax.jacrev(outputs, argnums=1)(real, x).reshape(len(values), -1)
        cotangents = Cotangents(jacobian, jnp.zeros(len(jacobian)))
        return Gradients(values, 0 * values, none, cotangents, none, none, none, none)
    zeros = Products(jnp.zeros((num_rows, num_rows)), jnp.zeros((num_rows, num_rows)))
    kernels = [_kernel(jacobian) for jacobian in jax.jacrev(outputs)(real, x)]
    products = zeros._replace(value=sum(kernels, zeros.value))
    return Gradients(values, 0 * values, none, none, products, zeros, zeros, zeros)


def _kernel(jacobian: Any) -> Any:
    """J J^T of [num, ...]."""
    import jax.numpy as jnp

    return jnp.einsum("i...,j...->ij", jacobian, jacobian, precision="highest")


def _log_squares(stack: Any) -> Any:
    """ln |row|^2 [steps, batch] of [steps, batch, ...]."""
    import jax.numpy as jnp

    rows = stack.reshape(*stack.shape[:2], -1)
    largest = jnp.max(jnp.abs(rows), axis=2)
    unit = rows / jnp.where(largest > 0, largest, 1)[..., None]
    return 2 * jnp.log(largest) + jnp.log(jnp.sum(unit * unit, axis=2))


def layer_axis(network: Any, inputs: Inputs, entries: tuple[str, ...]) -> Axis:
    """The measured layers by their names, or the input."""
    names = [name for each in sites(network, inputs) for name in each.names]
    paths = tuple(names or ["input"])
    return Axis("layer", len(paths), entries, paths=paths)


def output_axis(network: Any, inputs: Inputs, entries: tuple[str, ...], alone: bool) -> Axis:
    """The measured layers by their names, and the output; or that `alone`."""
    places = () if alone else sites(network, inputs)
    paths = (*(name for each in places for name in each.names), "output")
    return Axis("layer", len(paths), entries, paths=paths)


def output_size(network: Any, inputs: Inputs) -> int:
    """Numbers of one output."""
    return math.prod(_abstract_outputs(network, inputs).shape[1:])


def check(network: Any, inputs: Inputs) -> None:
    """SpecError: outputs that are no rows of a batch."""
    _checked(_abstract_outputs(network, inputs), inputs.num_rows)


def record(network: Any, inputs: Inputs) -> dict[str, str]:
    """Source, and outputs of the network of key 0, for the identity of a run."""
    values = _outputs(network, inputs.digest, *batch_of(network, inputs))
    return {**source_record(network.source), "values": rounded_values(values, 3)}


def _outputs(network: Any, digest: str, *arrays: Any) -> np.ndarray:
    key = network, digest
    if key not in _OUTPUTS:
        import jax

        from deepinit.deferral.function import deferred

        f = deferred(_function(network), gaussianize=network.gaussianize)
        found = np.asarray(f(jax.random.key(0), *arrays), np.float64)
        _OUTPUTS[key] = found.reshape(-1)[:: max(1, found.size // 8)][:8]
    return _OUTPUTS[key]


_OUTPUTS: dict[Any, np.ndarray] = {}  # a compilation each


@functools.lru_cache(maxsize=64)
def _abstract_outputs(network: Any, inputs: Inputs) -> Any:
    import jax

    return jax.eval_shape(_function(network), jax.random.key(0), *batch_of(network, inputs))
