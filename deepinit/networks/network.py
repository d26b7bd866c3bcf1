"""A network as two pure functions for one key and one input; everything else is `vmap`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.core.host import require_unforked
from deepinit.core.specs import Spec
from deepinit.networks.forward import forward, random_layer
from deepinit.networks.layers import (
    Layer,
    embedding_layer,
    end_keys,
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
    """Two pure functions, and what they are called.

    `init(key, input_width) -> parameters` and `apply(parameters, x [input_width]) -> output [width]`.

    The output is that of the linear output layer, or of the last activation where the spec has none. Parameters are
    a tuple: the embedding, if there is one; runs of equal layers (leading axis: layers); the output layer, if there is one. A run is
    `{"inner": matrix}`, of two-layer blocks `{"inner": matrix, "outer": matrix}`; a matrix a dict of `weights` [layers, fan_out, fan_in]
    and, with a bias law, `biases` [layers, fan_out]; embedding and output layer are one matrix each, without the axis of layers.

    `init` carries the network's label (see `named`).
    """

    init: Callable[[Any, int], Any]
    apply: Callable[[Any, jax.Array], jax.Array]

    @property
    def label(self) -> str:
        """What the network is, in one line, for tables and for the identity of runs; empty if it has no name."""
        return getattr(self.init, "label", "")

    @property
    def source(self) -> Any:
        """What defines the network: a spec, or functions, classes and objects whose code identifies it in runs."""
        return getattr(self.init, "source", (self.init, self.apply))


def named(
    label: str,
    init: Callable[[Any, int], Any],
    apply: Callable[[Any, jax.Array], jax.Array],
    source: Any = None,
) -> Network:
    """The network of two functions, with a label. A pair of functions it stays: `init, apply = network`.

    `source` is what defines it (see `Network.source`); None takes the two functions.
    """

    def labelled(key: Any, input_width: int) -> Any:
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
    dtype: Any = "float32",
    precision: str = "highest",
    parametrization: str = "standard",
) -> Network:
    """The network of a spec; `init(key, ...)` draws the network that simulation with explicit maps draws from that key.

    Args:
        spec: description of the network.
        dtype: of the parameters.
        precision: of the matrix products, as in `jax.lax.Precision`.
        parametrization: `standard`, parameters are the matrices and biases themselves; `ntk`, parameters are the numbers of variance 1 that
            they are multiples of, which is what tangent kernels take gradients with respect to. The same network either way.

    Raises:
        SpecError: another parametrization.
    """
    if parametrization not in ("standard", "ntk"):
        raise SpecError(
            f"parametrization={parametrization!r}", "standard, ntk", "Check the spelling."
        )
    is_standard = parametrization == "standard"

    def draw(key: Any, width: int, layer: Layer) -> dict[str, jax.Array]:
        # the images of the unit vectors under the one way of drawing a layer are its matrix
        fan_in = width if layer.view is None else layer.view.fan_in(width)
        images, biases = random_layer(explicit, precision)(
            key, points_alone(jnp.eye(fan_in, dtype=dtype)), layer
        )
        drawn = {"weights": images.T} if biases is None else {"weights": images.T, "biases": biases}
        return drawn if is_standard else unit_parameters(key, drawn, layer)

    def init(key: Any, input_width: int) -> Any:
        parameters: list[Any] = []
        outer, embedding, ends = outer_layer(spec), embedding_layer(spec), end_keys(spec, key)
        if embedding is not None:
            parameters.append(draw(ends["embedding"], input_width, embedding))
        for segment in segments(spec, input_width):
            keys, inner = layer_keys(spec, key, segment), inner_layer(spec, segment.fan_out)
            drawn = {
                "inner": jax.vmap(lambda key, s=segment, layer=inner: draw(key, s.fan_in, layer))(
                    keys["inner"]
                )
            }
            if outer is not None:
                drawn["outer"] = jax.vmap(lambda key, layer=inner: draw(key, layer.fan_out, outer))(
                    keys["outer"]
                )
            parameters.append(drawn)
        if spec.output_width is not None:
            parameters.append(draw(ends["output"], spec.widths[-1], output_layer(spec)))
        return tuple(parameters)

    def given_layer(
        parameters: Any, rows: Rows, layer: Layer
    ) -> tuple[jax.Array, jax.Array | None]:
        matrices = parameters if is_standard else scaled_parameters(parameters, layer)
        return jnp.matmul(rows.stacked, matrices["weights"].T, precision=precision), matrices.get(
            "biases"
        )

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        rows, sources, ends = points_alone(jnp.asarray(x, dtype)[None]), list(parameters), {}
        if embedding_layer(spec) is not None:
            ends["embedding"] = sources.pop(0)
        if spec.output_width is not None:
            ends["output"] = sources.pop()
        _, rows = forward(spec, rows, given_layer, tuple(sources), ends, lambda state: ())
        return jnp.exp(rows.point_scales[0]) * rows.points[0]

    return named(repr(spec), init, apply, spec)
