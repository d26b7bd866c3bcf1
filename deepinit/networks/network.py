"""Networks as two pure functions of one key and one input."""

import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.host import require_unforked
from deepinit.core.layers import (
    Activation,
    Layer,
    Program,
    Repeat,
    Residual,
    Shape,
    output_shape,
    program,
)
from deepinit.core.specs import Spec
from deepinit.networks.forward import forward, key_parts
from deepinit.networks.interpreter import Draw, key_sources
from deepinit.networks.linear_layers import LinearLayer, drawn_layer, linear_layer
from deepinit.networks.linear_maps import explicit
from deepinit.networks.parametrization import scaled_parameters, unit_parameters
from deepinit.networks.rows import Rows, points_alone


class Batch(NamedTuple):
    """A network as functions of a whole batch, as its measurements see it.

    Attributes:
        init: `(key, *arrays) -> (parameters, others)`; tangent kernels are by the parameters, not
            by others (batch statistics).
        apply: `(parameters, others, key, *arrays) -> outputs [batch, ...]`; the key for dropout.
        arranged: rows [num, dimension] -> the arrays that they stand for.
    """

    init: Callable[..., tuple[Any, Any]]
    apply: Callable[..., Any]
    arranged: Callable[[Any], tuple[Any, ...]]


class Network(NamedTuple):
    """Two pure functions for `vmap`, with a label (`named`).

    `init(key, input_width) -> parameters`; `apply(parameters, x [input_width]) -> [width]`, of the
    output layer, else of the last activation.

    Parameters of a spec: embedding, segments of equal layers, output layer. A segment is
    `{"inner": matrix}`, of two-layer blocks also `"outer"`; a matrix a dict of `weights`
    [layers, fan_out, fan_in] and, with a bias law, `biases` [layers, fan_out]. Embedding and output
    layer have no axis of layers.

    Attributes:
        own_batch: how it takes a whole batch; None: `apply` on every input.
        layers: pattern of the names of layers that are measured; None for the output alone.
        gaussianize: whether measurements replace truncated normal and uniform weights by Gaussian
            ones of the same mean and variance.
    """

    init: Callable[[Any, int], Any]
    apply: Callable[[Any, jax.Array], jax.Array]
    own_batch: Batch | None = None
    layers: str | None = None
    gaussianize: bool = False

    def __repr__(self) -> str:
        pattern = [] if self.layers is None else [f"layers={self.layers!r}"]
        gaussian = ["gaussianize=True"] if self.gaussianize else []
        label = textwrap.shorten(self.label or "no label", 80, placeholder=" ...")
        return f"Network({', '.join([label, *pattern, *gaussian])})"

    @property
    def label(self) -> str:
        """One line for tables and runs; may be empty."""
        label = getattr(self.init, "label", "")
        return label if isinstance(label, str) else label()

    @property
    def source(self) -> Any:
        """Spec, functions or objects, whose code identifies runs."""
        return getattr(self.init, "source", (self.init, self.apply))

    @property
    def batch(self) -> Batch:
        """How it takes a whole batch."""
        if self.own_batch is not None:
            return self.own_batch
        return Batch(
            lambda key, x: (self.init(key, x.shape[1]), ()),
            lambda parameters, _, key, x: jax.vmap(lambda row: self.apply(parameters, row))(x),
            lambda rows: (jnp.asarray(rows, "float32"),),
        )

    def at(self, layers: str = "*") -> "Network":
        """Measured at the layers whose names match a pattern (`*`, `*/Block_*/query`), and at the
        output.
        """
        return self._replace(layers=layers)

    def with_gaussian_weights(self) -> "Network":
        """Measured with Gaussian weights of the mean and variance of its own.

        Means of smooth quantities move by a relative O(1/width) per layer (excess kurtosis of the
        weights over 3 times that of the 1/width correction); fluctuations of log-norms by a
        relative O(1/width). Its measurements then draw no weight matrix.
        """
        return self._replace(gaussianize=True)


def named(
    label: str | Callable[[], str],
    init: Callable[[Any, int], Any],
    apply: Callable[[Any, jax.Array], jax.Array],
    source: Any = None,
    own_batch: Batch | None = None,
) -> Network:
    """Network with a label, or a function that gives it; `source` defaults to both functions."""

    def labelled(key: jax.Array, input_width: int) -> Any:
        require_unforked()
        return init(key, input_width)

    def guarded(parameters: Any, x: jax.Array) -> jax.Array:
        require_unforked()
        return apply(parameters, x)

    labelled.label = label  # type: ignore[attr-defined]
    labelled.source = (init, apply) if source is None else source  # type: ignore[attr-defined]
    return Network(labelled, guarded, own_batch)


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
        parametrization: `standard`, matrices and biases; `ntk`, parameters of variance 1,
            multiplied by standard deviations.
    """
    if isinstance(spec, Layer):
        given = "a network of di.layers, as functions of parameters"
        raise SpecError(given, "di.MLP, di.ResNet, di.ConvResNet", "Simulate it, or use flax.")
    remedy = "Write di.MLP((64,) * 3); of functions di.Network(init, apply)."
    validate.instance("spec", spec, Spec, "di.MLP, di.ResNet, di.ConvResNet", remedy)
    validate.choice("parametrization", parametrization, ("standard", "ntk"))
    is_standard = parametrization == "standard"

    def draw(key: jax.Array, layer: Any, shape: Shape, depth: int) -> dict[str, jax.Array]:
        # the images of the unit vectors are the columns of the matrix
        resolved = linear_layer(layer, shape, depth)
        view = resolved.view
        fan_in = shape.size if view is None else view.fan_in(shape.size)
        basis = points_alone(jnp.eye(fan_in, dtype=dtype))
        images, biases = drawn_layer(explicit, precision)(key, basis, resolved)
        drawn = {"weights": images.T} if biases is None else {"weights": images.T, "biases": biases}
        return drawn if is_standard else unit_parameters(key, drawn, resolved)

    def init(key: jax.Array, input_width: int) -> Any:
        net = program(spec, Shape((), input_width))
        embedding, body, readout = key_parts(net, key)
        parameters: list[Any] = []
        if net.embedding is not None:
            parameters.append(draw(embedding, net.embedding, net.shape, net.depth))
        shape = net.body_shape
        for repeat in repeats(net.body):
            maps = dense_parts(repeat.layer, shape)

            def matrices(key: jax.Array, maps: Any = maps) -> dict[str, Any]:
                keys = {"inner": key, "outer": jax.random.fold_in(key, 2)}
                return {
                    name: draw(keys[name], layer, shape, net.depth)
                    for name, (layer, shape) in maps.items()
                }

            parameters.append(jax.vmap(matrices)(key_sources(body, repeat.first, repeat.times)))
            shape = output_shape(repeat.layer, shape)
        if net.readout is not None:
            parameters.append(draw(readout, net.readout, net.last_shape, net.depth))
        return tuple(parameters)

    def given_layer(
        parameters: Any, rows: Rows, layer: LinearLayer
    ) -> tuple[jax.Array, jax.Array | None, Any]:
        matrices = parameters if is_standard else scaled_parameters(parameters, layer)
        images = jnp.matmul(rows.stacked, matrices["weights"].T, precision=precision)
        return images, matrices.get("biases"), ()

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        rows = points_alone(jnp.asarray(x, dtype)[None])
        net = program(spec, Shape((), rows.points.shape[1]))
        draw = given_draw(given_layer, net.depth)
        _, rows = forward(net, rows, parameter_parts(net, parameters), draw, lambda state: ())
        return jnp.exp(rows.point_scales[0]) * rows.points[0]

    return named(repr(spec), init, apply, spec)


def repeats(body: Any) -> tuple[Any, ...]:
    """The segments of an architecture's body."""
    return (body,) if isinstance(body, Repeat) else body.layers


def dense_parts(block: Any, shape: Shape) -> dict[str, tuple[Any, Shape]]:
    """The matrices `inner` and `outer` of a hidden layer or block, and their inputs."""
    branch: Any = block.branch if isinstance(block, Residual) else block
    found = []
    for layer in branch.layers:
        if not isinstance(layer, Activation):
            found.append((layer, shape))
        shape = output_shape(layer, shape)
    return dict(zip(("inner", "outer"), found, strict=False))


def parameter_parts(net: Program, parameters: Any) -> tuple[Any, Any, Any]:
    """Parameters of embedding, body and readout, nested as the layers are."""
    parts, embedding, readout = list(parameters), None, None
    if net.embedding is not None:
        embedding = parts.pop(0)
    if net.readout is not None:
        readout = parts.pop()
    nested = []
    for repeat, part in zip(repeats(net.body), parts, strict=True):
        block: Any = repeat.layer
        branch: Any = block.branch if isinstance(block, Residual) else block
        matrices = [part[name] for name in ("inner", "outer") if name in part]
        is_matrix = [not isinstance(layer, Activation) for layer in branch.layers]
        nested.append(tuple(matrices.pop(0) if dense else None for dense in is_matrix))
    body = nested[0] if isinstance(net.body, Repeat) else tuple(nested)
    return embedding, body, readout


def given_draw(layer_fn: Callable[..., Any], depth: int) -> Draw:
    """Layers of given parameters."""
    child = lambda source, number, index: source[index]
    return Draw(layer_fn, child, lambda source, first, times: source, depth)


def inner_layer(spec: Any) -> LinearLayer:
    """The first matrix of a residual block."""
    net = program(spec, Shape((), spec.width))
    layer, shape = dense_parts(repeats(net.body)[0].layer, net.body_shape)["inner"]
    return linear_layer(layer, shape, net.depth)
