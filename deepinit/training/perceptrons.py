"""Trainable perceptrons of a spec.

    h^0 = x,   h^l = phi(W^l h^{l-1} + b^l)  [+ h^{l-1}],   f = (W^{L+1} h^L  [+ b^{L+1}]) / alpha

Draws of `networks.network`; an output bias only on request, no stacked layers.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.activations import Activation
from deepinit.core.compilation import in_one_loop
from deepinit.core.laws import Law, normal
from deepinit.core.specs import MLP
from deepinit.core.training_options import require_output_layer
from deepinit.networks.network import Network, named

Parameters = tuple[dict[str, jax.Array], ...]


def small_mlp(
    widths: tuple[int, ...],
    activation: Activation,
    *,
    std: float,
    output_std: float | None = None,
    output_width: int = 1,
) -> MLP:
    """Perceptron with all weights and biases independent N(0, std^2), at any fan-in.

    Args:
        widths: of the hidden layers.
        std: of hidden weights and biases, > 0. Papers write the variance width^-gamma; some code
            takes std = width**-gamma.
        output_std: of output weights; None for std.

    Raises SpecError: a standard deviation that is not finite and > 0.
    """
    output_std = std if output_std is None else output_std
    for name, value in (("std", std), ("output_std", output_std)):
        square = validate.positive(name, value, "1e-5 is small for any activation.") ** 2
        valid = 0.0 < square < math.inf
        validate.require(valid, f"{name}={value!r}", "a finite number > 0 whose square is one too")
    law, output_law = (normal(float(value) ** 2, "absolute") for value in (std, output_std))
    return MLP(widths, activation, law, law, output_width, output_law)


def perceptron(
    spec: MLP,
    *,
    residual: bool = False,
    output_bias: bool = False,
    output_scale: float = 1.0,
    layer_laws: Sequence[Law] | None = None,
    dtype: DTypeLike = "float32",
    precision: str = "highest",
) -> Network:
    """Trainable network of a spec (formula: module docstring).

    `init(key, input_width)` gives a tuple of dicts, output layer last: `weights` [fan_out, fan_in]
    and, with a bias law, `biases` [fan_out]. Compile time grows with depth. Biases in the first
    layer only: no bias law, and inputs with a 1 appended.

    Args:
        spec: with an output layer.
        residual: add h^{l-1} to h^l, l >= 2, of equal widths.
        output_bias: of the spec's bias law.
        output_scale: alpha.
        layer_laws: of the depth + 1 weight matrices.
        precision: as in `jax.lax.Precision`.

    Raises SpecError: no output layer, another number of laws, an output bias without a bias law,
        float64 without JAX's 64-bit mode.
    """
    laws, output_width = _laws(spec, output_bias, output_scale, layer_laws), spec.output_width
    assert output_width is not None
    validate.dtype(dtype)

    def init(key: jax.Array, input_width: int) -> Parameters:
        fans = (input_width, *spec.widths, output_width)
        parameters = []
        for layer, law in enumerate(laws, start=1):
            layer_key = jax.random.fold_in(key, layer)
            weight_key, bias_key = (jax.random.fold_in(layer_key, purpose) for purpose in (0, 1))
            fan_out, fan_in = fans[layer], fans[layer - 1]
            weights = law.sample(weight_key, (fan_out, fan_in), depth=spec.depth, dtype=dtype)
            matrices = {"weights": weights}
            if spec.bias_law is not None and (layer <= spec.depth or output_bias):
                bias = spec.bias_law.sample(bias_key, (fan_out, 1), dtype=dtype)
                matrices["biases"] = bias[:, 0]
            parameters.append(matrices)
        return tuple(parameters)

    def affine(layer: dict[str, jax.Array], h: jax.Array) -> jax.Array:
        if "biases" not in layer:
            return jnp.matmul(layer["weights"], h, precision=precision)
        # [W, b] (h, 1): the gradients are one product too, which halves the time of a step
        extended = jnp.concatenate([layer["weights"], layer["biases"][:, None]], axis=1)
        return jnp.matmul(extended, jnp.append(h, jnp.ones((), h.dtype)), precision=precision)

    def apply(parameters: Parameters, x: jax.Array) -> jax.Array:
        h = jnp.asarray(x, parameters[0]["weights"].dtype)
        for layer, matrix in enumerate(parameters[:-1], start=1):
            after = spec.activation(in_one_loop(affine(matrix, h)))
            h = after + h if residual and layer > 1 and after.shape == h.shape else after
        return affine(parameters[-1], h) / output_scale

    options = {
        "residual": residual,
        "output_bias": output_bias,
        "output_scale": output_scale,
        "layer_laws": layer_laws,
    }
    chosen = {name: value for name, value in options.items() if value not in (None, False, 1.0)}
    text = "".join(f", {name}={value}" for name, value in chosen.items())
    # later: inside a program the numbers of the spec have no text
    return named(lambda: f"{spec!r}{text}, {dtype}, {precision}", init, apply)


def with_sign_outputs(network: Network, amplitude: float) -> Network:
    """A `perceptron` with output weights +-amplitude of random sign.

    For phi(s) ~ c s^2 near 0 all neurons condense together under gradient flow; with Gaussian
    output weights one wins.
    Raises SpecError: an amplitude that is not finite and > 0.
    """
    remedy = "Write with_sign_outputs(training.perceptron(spec), 0.05)."
    validate.instance("network", network, Network, "a perceptron", remedy)
    validate.positive("amplitude", amplitude, "0.05 is small for most targets.")

    def init(key: jax.Array, input_width: int) -> Parameters:
        *hidden, output = network.init(key, input_width)
        weights = output["weights"]
        signs = jnp.where(weights < 0, -amplitude, amplitude).astype(weights.dtype)
        return (*hidden, {**output, "weights": signs})

    return named(f"{network.label}, output weights +-{amplitude:g}", init, network.apply)


def _laws(
    spec: Any, output_bias: bool, output_scale: float, layer_laws: Sequence[Law] | None
) -> tuple[Law, ...]:
    """One per matrix."""
    require_output_layer(spec)
    has_law = not output_bias or spec.bias_law is not None
    validate.require(has_law, "output_bias without a bias law", "a spec with a bias_law")
    validate.positive("output_scale", output_scale)
    laws = (spec.weight_law,) * spec.depth + (spec.output_law,)
    if layer_laws is not None:
        laws = tuple(layer_laws) if isinstance(layer_laws, Sequence) else ()
    valid = len(laws) == spec.depth + 1
    valid = valid and all(isinstance(law, Law) and law.is_symmetric for law in laws)
    allowed = f"{spec.depth + 1} weight laws, one per matrix"
    validate.require(valid, f"layer_laws={layer_laws!r}", allowed)
    return laws
