"""Control variates of tangent kernels of perceptrons."""

import dataclasses
from typing import Any

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.laws import Law
from deepinit.core.layers import program, shape_of
from deepinit.core.specs import MLP
from deepinit.quantities.controls import Control, Controls
from deepinit.quantities.row_functions import rows_of

_LARGEST_ROWS = 8
_LEAST_EIGENVALUE = 1e-4  # of R over its largest, at infinite width
_REMEDY = 'Write control="none", or control="auto", which takes it where it exists.'


@dataclasses.dataclass(frozen=True)
class Record:
    """`(layer, saved, cotangents) -> [length]` of a perceptron's layer: `tangents.Moments`."""

    phi: Activation

    def __call__(self, layer: Any, saved: Any, back: Any) -> Any:
        """Of preactivations and of cotangents of activations."""
        import jax.numpy as jnp

        del layer
        rows = saved[1][0]
        z = rows.points * jnp.exp(rows.point_scales)[:, None]
        h, slope = self.phi(z), self.phi.derivative(z)
        u = slope * back.vectors * jnp.exp(back.log_scales)[:, None]
        first, second = np.triu_indices(len(z))
        pairs = lambda x: x[first] * x[second]
        products = lambda x, y: jnp.matmul(x, y.T, precision="highest")
        size = z.shape[1]
        mean = lambda x: jnp.mean(pairs(x), axis=1)
        parts = (
            *(mean(h), mean(slope), (products(pairs(slope), pairs(h)) / size).ravel()),
            *(jnp.sum(pairs(u), axis=1), products(z, u).ravel()),
        )
        return jnp.concatenate(parts)


def control_of(spec: Any, inputs: Inputs) -> Control:
    """Control variates of `ntk`, of mean 0 at every width.

    Raises:
        SpecError: not `MLP` with an output layer and normal laws; an activation with kinks that is
            not x -> left x, right x; more than 8 inputs, or nearly parallel ones.

    Reference: deepinit.theory.layers.tangents.
    """
    from deepinit.theory.layers import tangents
    from deepinit.theory.layers.precision import host_float64

    _check(spec, inputs)
    phi, layers, rows = spec.activation, _layers(spec, inputs), rows_of(inputs)
    start = rows @ rows.T / rows.shape[1]
    with host_float64():
        kernels = tangents.infinite(phi, layers, start)
        for weight, bias, kernel in zip(layers.weights, layers.biases, kernels, strict=True):
            _check_rows(weight * kernel + bias)
        weights, centre = tangents.derivatives(phi, layers, start)
    if not np.isfinite(centre).all():
        given = f"control variates of ntk: Gaussian means of {phi!r} that are not resolved"
        raise SpecError(given, "functions that bend on scales of order 1", _REMEDY)
    first, second = np.triu_indices(len(rows))

    def of_block(columns: np.ndarray) -> Controls:
        drawn = _moments(np.asarray(columns, np.float64), len(rows))
        with host_float64():
            found = tangents.control_variates(phi, layers, start, weights, drawn)
        mean = found[:, None, first, second]
        return Controls(mean, np.zeros_like(mean))

    return Control(Record(phi), of_block, centre[None, first, second])


def _moments(columns: np.ndarray, rows: int) -> Any:
    """[networks, L, length] of `Record`."""
    from deepinit.theory.layers.tangents import Moments
    from deepinit.theory.numerics.entries import entries

    at = entries(rows).at
    p = len(np.triu_indices(rows)[0])
    ends = np.cumsum([p, p, p * p, p])
    kernel, slopes, fourth, square, crossed = np.split(columns, ends, axis=2)
    shape = fourth.shape[:2]
    fourth = fourth.reshape(*shape, p, p)[:, :, at][..., at]
    crossed = crossed.reshape(*shape, rows, rows)
    return Moments(kernel[..., at], slopes[..., at], fourth, square[..., at], crossed)


def _layers(spec: MLP, inputs: Inputs) -> Any:
    from deepinit.theory.layers.tangents import Layers

    net = program(spec, shape_of(inputs))
    fan_in = (inputs.dimension, *spec.widths)
    laws = _dense_layers(net)
    weights = (
        n * each.law.entry_variance(n, net.depth) for n, each in zip(fan_in, laws, strict=True)
    )
    variance = lambda law: 0.0 if law is None else law.entry_variance(1, net.depth)
    return Layers(tuple(weights), tuple(variance(each.bias) for each in laws), fan_in)


def _dense_layers(net: Any) -> list[Any]:
    """From the first to the output layer."""
    hidden = [run.layer.layers[0] for run in net.body.layers for _ in range(run.times)]
    return [*hidden, net.readout]


def _check(spec: Any, inputs: Inputs) -> None:
    def require(sound: bool, given: str, allowed: str) -> None:
        if not sound:
            raise SpecError(f"control variates of ntk: {given}", allowed, _REMEDY)

    require(isinstance(spec, MLP), type(spec).__name__, "di.MLP")
    require(spec.output_width is not None, "no output layer", "output_width=1")
    laws = (spec.weight_law, spec.bias_law)
    gaussian = all(law is None or (isinstance(law, Law) and law.is_gaussian) for law in laws)
    require(gaussian, "laws that are not normal", "normal weights and biases")
    phi = spec.activation
    smooth = phi.slopes is not None or not (phi.kinks or phi.jumps)
    require(smooth, f"{phi!r} with kinks", "smooth activations, relu, leaky_relu, absolute")
    few = inputs.num_rows <= _LARGEST_ROWS
    require(few, f"{inputs.num_rows} inputs", f"at most {_LARGEST_ROWS}")


def _check_rows(variance: np.ndarray) -> None:
    root = np.sqrt(np.diagonal(variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.linalg.eigvalsh(np.nan_to_num(variance / np.outer(root, root)))
    if not values[0] > _LEAST_EIGENVALUE * values[-1]:
        given = "control variates of ntk: inputs that are zero, or parallel up to 1e-2"
        raise SpecError(given, "inputs of different directions in every layer", _REMEDY)
