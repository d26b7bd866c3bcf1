"""Networks of equal fully connected layers: what the formulas of depth over width need."""

from typing import Any, NamedTuple

from deepinit.core.activation import Activation as Phi
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers import Activation, Dense, Layer, LayerNorm, Residual, RMSNorm
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.laws import mean_square
from deepinit.diagnosis.stacks import composed, readout_of, unrolled
from deepinit.init.rewrite import input_shape, rows_or_size


class Uniform(NamedTuple):
    """A stack of equal layers, or of equal residual blocks z + alpha (b + W phi(z)).

    Attributes:
        depth: hidden layers, or blocks.
        first_variance: of the first preactivations, or of the stream before the first block.
        branch_scale: alpha, "1/sqrt(depth)", or None without a skip.
        norm: whether a norm precedes every activation.
        readout_std: of entries of the readout; None without one.
    """

    phi: Phi
    width: int
    depth: int
    weight_var: float
    bias_var: float
    first_variance: float
    branch_scale: float | str | None
    norm: bool
    readout_std: float | None

    def scale_at(self, depth: int) -> float | None:
        """alpha at another depth."""
        scale = self.branch_scale
        return depth**-0.5 if isinstance(scale, str) else scale


def uniform(network: NetworkSpec, inputs: Any) -> Uniform:
    """The network as one; SpecError names what is not uniform."""
    inputs = rows_or_size(inputs)
    net = composed(network, inputs)
    parts = unrolled(net)
    readout = parts.pop() if readout_of(net) is not None else None
    blocks = [part for part in parts if isinstance(part, Residual)]
    size = input_shape(inputs).size
    if blocks:
        first, rest = parts[: parts.index(blocks[0])], blocks[0]
        inside = unrolled(rest.branch)
        equal = all(block == rest for block in blocks) and rest.skip is None
        variance, size = _first(first, inputs, size)
    else:
        dense: list[Layer] = [part for part in parts if isinstance(part, Dense)]
        inside = [part for part in parts if not isinstance(part, Dense)] + dense[-1:]
        rest, equal = None, len(set(dense[1:])) <= 1
        variance, size = _first(dense[:1], inputs, size)
    phis = [part.phi for part in inside if isinstance(part, Activation)]
    norms = [part for part in inside if isinstance(part, LayerNorm | RMSNorm)]
    others = [p for p in inside if not isinstance(p, Activation | LayerNorm | RMSNorm | Dense)]
    maps: list[Any] = [part for part in inside if isinstance(part, Dense)]
    if others or len(set(phis)) != 1 or len(maps) != 1 or not equal or maps[0].width != size:
        given = "a network that is not a stack of equal dense layers or residual blocks"
        remedy = "Measure it: di.simulate(net, di.quantities.log_gradient_norm, inputs)."
        raise SpecError(given, "one activation, one width, one law", remedy)
    weight_var, bias_var = _variances(maps[0], size, len(blocks) or len(dense))
    return Uniform(
        phis[0],
        size,
        len(blocks) or len(dense),
        weight_var,
        bias_var,
        variance,
        rest.scale if rest is not None else None,
        bool(norms),
        None if readout is None else _variances(readout, 1, 1)[0] ** 0.5,
    )


def _first(layers: list[Layer], inputs: Any, size: int) -> tuple[float, int]:
    """Variance behind the layers before the first block, and their width."""
    variance = mean_square(inputs)
    for layer in layers:
        if not isinstance(layer, Dense):
            given = f"{type(layer).__name__} before the first block"
            raise SpecError(given, "a dense layer, or none", "Measure it by di.simulate.")
        weight_var, bias_var = _variances(layer, size, 1)
        variance, size = bias_var + weight_var * variance, layer.width
    return variance, size


def _variances(layer: Any, fan_in: int, depth: int) -> tuple[float, float]:
    if not isinstance(layer.law, Law):
        raise SpecError(f"the law {layer.law!r}", "laws of independent entries", "di.normal(2.0)")
    bias = 0.0 if layer.bias is None else layer.bias.entry_variance(fan_in, depth)
    return fan_in * layer.law.entry_variance(fan_in, depth), bias
