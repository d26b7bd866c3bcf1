"""Measurements of a `Network`: a user's own code, its Gaussian matrices deferred."""

import functools
import math
from collections.abc import Callable
from typing import Any

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


def batch_of(network: Any, inputs: Inputs) -> tuple[Any, ...]:
    """Arrays of points, then partners."""
    if isinstance(inputs, ArrayInputs):
        return inputs.arrays
    return network.batch.arranged(np.concatenate([inputs.points, inputs.partners]))


def forward_fn(tap: Any, network: Any, inputs: Inputs, settings: Settings) -> Callable[[Any], Any]:
    """`key -> Measurement` [layers, entries] of a tap on rows."""

    def measured(key: Any, *arrays: Any) -> Any:
        import jax
        import jax.numpy as jnp

        values = _values(network, key, arrays, inputs.num_rows)
        found = [tap(state_of(value, inputs), inputs) for _, value in values]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)

    return _drawn(measured, network, inputs, settings)


def gradients_fn(
    tap: Any, network: Any, inputs: Inputs, settings: Settings, every: bool, by_inputs: bool
) -> Callable[[Any], Any]:
    """`key -> Measurement` of a tap on `networks.backward.Gradients`.

    Args:
        every: output at one input; else the first, at the last position, at every input.
        by_inputs: whether the tap reads derivatives by the inputs.
    """

    import jax.numpy as jnp

    if not jnp.issubdtype(batch_of(network, inputs)[0].dtype, jnp.floating) and by_inputs:
        given = f"gradients by inputs of type {batch_of(network, inputs)[0].dtype}"
        raise SpecError(given, "arrays of floating point numbers", "Measure at layers: net.at().")

    def measured(key: Any, *arrays: Any) -> Any:
        return tap(_gradients(network, key, arrays, inputs.num_rows, every), inputs)

    return _drawn(measured, network, inputs, settings)


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


def _values(network: Any, key: Any, arrays: Any, num_rows: int) -> list[tuple[str, Any]]:
    """Values [batch, ...] by names of layers, the output last."""
    return [("output", _checked(_function(network)(key, *arrays), num_rows))]


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
        """Of every input the first, at the last position; or every one of one input."""
        given = iter(real)
        own = [next(given) if kind else leaf for leaf, kind in zip(leaves, is_real, strict=True)]
        own_tree = jax.tree.unflatten(tree, own)
        found = _checked(network.batch.apply(own_tree, others, own_key, x, *rest), num_rows)
        rows, width = found.reshape(num_rows, -1), found.shape[-1] if found.ndim > 1 else 1
        return rows[0] if every else rows[:, -width]

    real = [leaf for leaf, kind in zip(leaves, is_real, strict=True) if kind]
    values = outputs(real, x)
    none = Products(jnp.zeros((num_rows, num_rows)), jnp.zeros((num_rows, num_rows)))
    products, by_inputs, layers = none, jnp.zeros((1, 1)), jnp.zeros((1, num_rows))
    moves = jnp.issubdtype(x.dtype, jnp.floating)
    if every and moves:
        by_inputs = jax.jacrev(outputs, argnums=1)(real, x).reshape(len(values), -1)
    elif not every:
        kernels = [_kernel(jacobian) for jacobian in jax.jacrev(outputs)(real, x)]
        products = Products(sum(kernels, none.value), none.log_scale)
        if moves:
            layers = _log_squares(jax.grad(lambda x: jnp.sum(outputs(real, x)))(x))[None]
    cotangents = Cotangents(by_inputs, jnp.zeros(len(by_inputs)))
    scales = jnp.zeros(len(values))
    return Gradients(values, scales, layers, cotangents, products, none, none, none)


def _kernel(jacobian: Any) -> Any:
    """J J^T of [num, ...]."""
    import jax.numpy as jnp

    return jnp.einsum("i...,j...->ij", jacobian, jacobian, precision="highest")


def _log_squares(rows: Any) -> Any:
    """ln |row|^2, [num]."""
    import jax.numpy as jnp

    rows = rows.reshape(len(rows), -1)
    largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    unit = rows / jnp.where(largest > 0, largest, 1)
    return 2 * jnp.log(largest[:, 0]) + jnp.log(jnp.sum(unit * unit, axis=1))


def axis(network: Any, inputs: Inputs, entries: tuple[str, ...], place: str) -> Axis:
    """The measured layers by their names, and the output; or the one `place`."""
    del network, inputs
    return Axis("layer", 1, entries, paths=(place,))


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
