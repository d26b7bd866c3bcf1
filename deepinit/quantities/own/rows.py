"""Values of a user's own network as rows of layers."""

from collections.abc import Callable, Mapping
from typing import Any

from deepinit.core.inputs import Inputs
from deepinit.quantities.own.functions import checked, drawn, function_of
from deepinit.quantities.own.places import is_among, sites

_ROUNDING = 16.0  # units in the last place of a row: smaller differences of two rows are noise


def forward_fn(
    tap: Any, network: Any, inputs: Inputs, settings: Mapping[str, str]
) -> Callable[[Any], Any]:
    """`key -> Measurement` [layers, entries] of a tap on rows."""
    places = sites(network, inputs)

    def measured(key: Any, *arrays: Any) -> Any:
        import jax
        import jax.numpy as jnp

        from deepinit.deferral.taps import taps

        if network.layers is None:
            outputs, values = function_of(network)(key, *arrays), {}
        else:
            outputs, values = taps(function_of(network), is_among(places))(key, *arrays)
        stacks = [place.stacked(values[place.name]) for place in places]
        stacks.append(checked(outputs, inputs.num_rows)[None])
        of_one = lambda value: tap(state_of(value, inputs), inputs)
        found = [jax.vmap(of_one)(stack) for stack in stacks]
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)

    return drawn(measured, network, inputs, settings)


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
