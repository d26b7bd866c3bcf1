"""Networks as two pure functions of one key and one input."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.host import require_unforked
from deepinit.core.specs import Spec
from deepinit.networks.forward import forward, random_layer
from deepinit.networks.layers import (
    Layer,
    boundary_keys,
    embedding_layer,
    inner_layer,
    layer_keys,
    outer_layer,
    output_layer,
    segments,
)
from deepinit.networks.linear_maps import explicit
from deepinit.networks.parametrization import scaled_parameters, unit_parameters
from deepinit.networks.rows import Rows, points_alone


class Network(NamedTuple):
    """Two pure functions for `vmap`, with a label (`named`).

    `init(key, input_width) -> parameters`; `apply(parameters, x [input_width]) -> [width]`, of the
    output layer, else of the last activation.

    Parameters of a spec: embedding, segments of equal layers, output layer. A segment is
    `{"inner": matrix}`, of two-layer blocks also `"outer"`; a matrix a dict of `weights`
    [layers, fan_out, fan_in] and, with a bias law, `biases` [layers, fan_out]. Embedding and output
    layer are matrices without the axis of layers.
    """

    init: Callable[[Any, int], Any]
    apply: Callable[[Any, jax.Array], jax.Array]

    @property
    def label(self) -> str:
        """One line for tables and runs; may be empty."""
        return getattr(self.init, "label", "")

    @property
    def source(self) -> Any:
        """Spec, functions or objects, whose code identifies runs."""
        return getattr(self.init, "source", (self.init, self.apply))


def named(
    label: str,
    init: Callable[[Any, int], Any],
    apply: Callable[[Any, jax.Array], jax.Array],
    source: Any = None,
) -> Network:
    """Network with a label; `source` defaults to both functions."""

    def labelled(key: jax.Array, input_width: int) -> Any:
        require_unforked()
        return init(key, input_width)

    def guarded(parameters: Any, x: jax.Array) -> jax.Array:
        require_unforked()
        return apply(parameters, x)

    labelled.label = label  # type: ignore[attr-defined]
    labelled.source = (init, apply) if source is None else source  # type: ignore[attr-defined]
    return Network(labelled, guarded)


def network(
    spec: Spec,
    *,
    dtype: DTypeLike = "float32",
    precision: str = "highest",
    parametrization: str = "standard",
) -> Network:
    """Network of a spec; `init(key, ...)` equals simulation with explicit maps.

    Args:
        precision: as in `jax.lax.Precision`.
        parametrization: of the parameters: `standard`, matrices and biases; `ntk`, of variance 1,
            multiplied by standard deviations.
    """
    validate.choice("parametrization", parametrization, ("standard", "ntk"))
    is_standard = parametrization == "standard"

    def draw(key: jax.Array, width: int, layer: Layer) -> dict[str, jax.Array]:
        # the images of the unit vectors are the columns of the matrix
        fan_in = width if layer.view is None else layer.view.fan_in(width)
        basis = points_alone(jnp.eye(fan_in, dtype=dtype))
        images, biases = random_layer(explicit, precision)(key, basis, layer)
        drawn = {"weights": images.T} if biases is None else {"weights": images.T, "biases": biases}
        return drawn if is_standard else unit_parameters(key, drawn, layer)

    def draw_all(keys: Any, width: int, layer: Layer) -> dict[str, jax.Array]:
        return jax.vmap(lambda key: draw(key, width, layer))(keys)

    def init(key: jax.Array, input_width: int) -> Any:
        parameters: list[Any] = []
        outer, embedding, boundary = (
            outer_layer(spec),
            embedding_layer(spec),
            boundary_keys(spec, key),
        )
        if embedding is not None:
            parameters.append(draw(boundary["embedding"], input_width, embedding))
        for segment in segments(spec, input_width):
            keys, inner = layer_keys(spec, key, segment), inner_layer(spec, segment.fan_out)
            matrices = {"inner": draw_all(keys["inner"], segment.fan_in, inner)}
            if outer is not None:
                matrices["outer"] = draw_all(keys["outer"], inner.fan_out, outer)
            parameters.append(matrices)
        if spec.output_width is not None:
            parameters.append(draw(boundary["output"], spec.widths[-1], output_layer(spec)))
        return tuple(parameters)

    def given_layer(
        parameters: Any, rows: Rows, layer: Layer
    ) -> tuple[jax.Array, jax.Array | None]:
        matrices = parameters if is_standard else scaled_parameters(parameters, layer)
        images = jnp.matmul(rows.stacked, matrices["weights"].T, precision=precision)
        return images, matrices.get("biases")

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        rows, sources, boundary = points_alone(jnp.asarray(x, dtype)[None]), list(parameters), {}
        if embedding_layer(spec) is not None:
            boundary["embedding"] = sources.pop(0)
        if spec.output_width is not None:
            boundary["output"] = sources.pop()
        _, rows = forward(spec, rows, given_layer, tuple(sources), boundary, lambda state: ())
        return jnp.exp(rows.point_scales[0]) * rows.points[0]

    return named(repr(spec), init, apply, spec)
