"""Perceptrons whose weights are to be trained: the network of a spec, with what experiments on early training add to it.

    h^0 = x,   h^l = phi(W^l h^{l-1} + b^l)  [+ h^{l-1}],   f = (W^{L+1} h^L  [+ b^{L+1}]) / alpha

Against `networks.network` of the same spec: no output bias unless asked for, skip connections between hidden layers of one
width, a law per layer, an output scale, and parameters without the axis of layers. The random draws are the same.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core import validate
from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.specs import MLP
from deepinit.core.training_options import is_positive, require_output_layer
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
    """The spec of a perceptron all of whose weights and biases are independent N(0, std^2), whatever the fan-in.

    Args:
        widths: of the hidden layers.
        activation: as for `MLP`.
        std: standard deviation of hidden weights and biases. Papers write the variance width^-gamma, which is
            std = width**(-gamma / 2); some public code takes std = width**-gamma.
        output_std: of the output weights; None for the same.
        output_width: number of outputs.

    Raises:
        SpecError: a standard deviation that is not a finite number > 0.
    """
    for name, value in (("std", std), ("output_std", output_std)):
        if value is not None and not (is_positive(value) and 0.0 < float(value) ** 2 < math.inf):
            allowed = "a finite number > 0 whose square is one too"
            raise SpecError(f"{name}={value!r}", allowed, "1e-5 is small for any activation.")
    law = normal(float(std) ** 2, "absolute")
    output_law = law if output_std is None else normal(float(output_std) ** 2, "absolute")
    return MLP(widths, activation, law, law, output_width, output_law)


def perceptron(
    spec: MLP,
    *,
    residual: bool = False,
    output_bias: bool = False,
    output_scale: float = 1.0,
    layer_laws: Sequence[Law] | None = None,
    dtype: Any = "float32",
    precision: str = "highest",
) -> Network:
    """The trainable network of a spec; formula in the module docstring.

    `init(key, input_width)` gives a tuple of one dict per layer, the output layer last: `weights` [fan_out, fan_in] and, with a
    bias law, `biases` [fan_out]. Layers are unrolled: compile time grows with depth. For biases in the first layer only, leave out the bias
    law and append a 1 to the inputs.

    Args:
        spec: a perceptron with an output layer.
        residual: add h^{l-1} to h^l, l >= 2, where their widths agree.
        output_bias: the output layer has a bias of the spec's bias law.
        output_scale: alpha, by which the output is divided.
        layer_laws: a weight law for each of the depth + 1 matrices, instead of the spec's.
        dtype: of the parameters: float32, or float64 in JAX's 64-bit mode.
        precision: of the matrix products, as in `jax.lax.Precision`.

    Raises:
        SpecError: no output layer, another number of laws, an output bias without a bias law, float64 without 64-bit mode.
    """
    laws, output_width = _checked(spec, output_bias, output_scale, layer_laws, dtype)

    def init(key: Any, input_width: int) -> Parameters:
        fans = (input_width, *spec.widths, output_width)
        parameters = []
        for layer, law in enumerate(laws, start=1):
            layer_key = jax.random.fold_in(key, layer)
            shape = (fans[layer], fans[layer - 1])
            weights = law.sample(
                jax.random.fold_in(layer_key, 0), shape, depth=spec.depth, dtype=dtype
            )
            drawn = {"weights": weights}
            if spec.bias_law is not None and (layer <= spec.depth or output_bias):
                bias = spec.bias_law.sample(
                    jax.random.fold_in(layer_key, 1), (shape[0], 1), dtype=dtype
                )
                drawn["biases"] = bias[:, 0]
            parameters.append(drawn)
        return tuple(parameters)

    def affine(layer: dict[str, jax.Array], h: jax.Array) -> jax.Array:
        if "biases" not in layer:
            return jnp.matmul(layer["weights"], h, precision=precision)
        # [W, b] (h, 1): one product, so that the slopes of weights and biases are one product too, which halves the time of a step
        extended = jnp.concatenate([layer["weights"], layer["biases"][:, None]], axis=1)
        return jnp.matmul(extended, jnp.append(h, jnp.ones((), h.dtype)), precision=precision)

    def apply(parameters: Parameters, x: jax.Array) -> jax.Array:
        h = jnp.asarray(x, parameters[0]["weights"].dtype)
        for layer, matrix in enumerate(parameters[:-1], start=1):
            after = spec.activation(affine(matrix, h))
            h = after + h if residual and layer > 1 and after.shape == h.shape else after
        return affine(parameters[-1], h) / output_scale

    options = {
        "residual": residual,
        "output_bias": output_bias,
        "output_scale": output_scale,
        "layer_laws": layer_laws,
    }
    told = "".join(
        f", {name}={value}" for name, value in options.items() if value not in (None, False, 1.0)
    )
    return named(f"{spec!r}{told}, {dtype}, {precision}", init, apply)


def with_sign_outputs(network: Network, amplitude: float) -> Network:
    """The same network with output weights +-amplitude of random sign.

    For activations phi(s) ~ c s^2 near 0 all neurons of such a network then grow at one rate, and condense together under gradient
    flow, where Gaussian output weights let one neuron win.

    Args:
        network: a `perceptron`.
        amplitude: of the output weights, > 0.

    Raises:
        SpecError: what is no network, an amplitude that is not a finite number > 0.
    """
    if not isinstance(network, Network):
        given = f"a network of type {type(network).__name__}"
        raise SpecError(
            given, "a perceptron", "Write with_sign_outputs(training.perceptron(spec), 0.05)."
        )
    if not is_positive(amplitude):
        raise SpecError(
            f"amplitude={amplitude!r}", "a finite number > 0", "0.05 is small for most targets."
        )

    def init(key: Any, input_width: int) -> Parameters:
        *hidden, output = network.init(key, input_width)
        weights = jnp.where(output["weights"] < 0, -amplitude, amplitude).astype(
            output["weights"].dtype
        )
        return (*hidden, {**output, "weights": weights})

    return named(f"{network.label}, output weights +-{amplitude:g}", init, network.apply)


def _checked(
    spec: Any, output_bias: bool, output_scale: float, layer_laws: Sequence[Law] | None, dtype: Any
) -> tuple[tuple[Law, ...], int]:
    require_output_layer(spec)
    if output_bias and spec.bias_law is None:
        raise SpecError(
            "an output bias without a bias law", "both or neither", "Give the spec a bias_law."
        )
    if not is_positive(output_scale):
        raise SpecError(
            f"output_scale={output_scale!r}", "a finite number > 0", "Leave it out for 1."
        )
    assert spec.weight_law is not None
    assert spec.output_law is not None
    laws = (spec.weight_law,) * spec.depth + (spec.output_law,)
    if layer_laws is not None:
        laws = tuple(layer_laws) if isinstance(layer_laws, Sequence) else ()
    if len(laws) != spec.depth + 1 or not all(
        isinstance(law, Law) and law.is_symmetric for law in laws
    ):
        raise SpecError(
            f"layer_laws={layer_laws!r}",
            f"{spec.depth + 1} weight laws",
            "Give one to every matrix.",
        )
    validate.dtype(dtype)
    return laws, spec.output_width
