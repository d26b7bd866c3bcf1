"""Layer-wise variances that keep forward norm and angles: from theory for layers, from simulation
for one's own networks.
"""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs, as_inputs
from deepinit.core.laws import Law, normal
from deepinit.core.layers import (
    Activation,
    Attention,
    Conv,
    Dense,
    Layer,
    Repeat,
    Residual,
    Sequential,
    Shape,
    output_shape,
    program,
)
from deepinit.core.layers.containers import kind_name, leaves
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.stacks import composed, folded, readout_of
from deepinit.infinite_width.interpreter import checked_inputs, equal_inputs, plain_refusals
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.rules.residual import summed
from deepinit.infinite_width.rules_table import apply
from deepinit.infinite_width.states import Kernel, State, each_block, start
from deepinit.init.rewrite import input_shape
from deepinit.networks.network import Network
from deepinit.theory.criticality import critical


class _Wanted(NamedTuple):
    """variance: of the output; spread: of the rows about their mean, relative to it; depth: L of
    the network.
    """

    variance: float
    spread: float
    depth: int


def calibrate(
    model: NetworkSpec | Network,
    inputs: Any,
    *,
    mean_square: float | None = None,
    num_networks: int = 20,
    key: int = 0,
) -> Any:
    """The network with variances at which norms and angles of these inputs stay, layer by layer.

    Networks of layers: behind rows of mean square q and mean squared distance 2 d,

        weight_var = K s / d,   bias_var = K - weight_var q,

    keeps mean square K and the inputs' share s of distances. Where that bias variance is negative
    (ReLU, whose layers can only reduce angles) there is none, weight_var = K / q: norms stay,
    angles do not. The last map of a residual branch gives the branch variance K / L. Moments are
    those of infinite width, exact at these inputs; no network is drawn. Readouts and the scores of
    attention keep their laws.

    Args:
        model: a spec or a network of `di.layers`: returns one of `di.layers`; a `di.Network`:
            returns {name of a layer: gain}, factors of its weights.
        inputs: `Inputs` or rows; two or more, for angles.
        mean_square: K; None for the critical point of the activation (GELU 3.56), 1 without one.
        num_networks, key: of a Network: gains are geometric means over these networks, each layer
            measured behind calibrated ones. Norms alone; K is 1 by default.

    Raises SpecError: a layer without an infinite-width limit (make it a Network: simulated);
        normalized means of one row.
    Valid for: errors of order 1/width. The rule for the variance alone is LSUV's, 1511.06422.
    """
    if mean_square is not None:
        mean_square = validate.positive("mean_square", mean_square, "1.0 is usual.")
    inputs = as_inputs(inputs)
    if isinstance(model, Network):
        return _gains(model, inputs, mean_square or 1.0, num_networks, key)
    net = composed(model, inputs)
    whole = program(net, input_shape(inputs))
    rows = checked_inputs(whole, inputs.points)
    if len(inputs.partners):
        rows = np.concatenate([rows, checked_inputs(whole, inputs.partners)])
    body = list(net.layers)
    last = [body.pop()] if readout_of(net) is not None else []
    with host_float64(), plain_refusals():
        same = equal_inputs(whole, rows, None)
        state = start(rows, None, same, ntk=False, engine=("series", 256))
        variance, spread = _moments(state)
        if not variance > 0.0:
            raise SpecError("inputs that are 0", "inputs with nonzero entries", "")
        target = _default_target(net) if mean_square is None else mean_square
        wanted = _Wanted(target, spread / variance, whole.depth)
        found, _, _ = _sequence(body, state, whole.shape, wanted, wanted.variance)
    return folded([*found, *last])


def _default_target(net: Layer) -> float:
    phis = {leaf.phi for leaf in leaves(net) if isinstance(leaf, Activation)}
    if len(phis) != 1:
        return 1.0
    try:
        point = critical(phis.pop())
    except SpecError:
        return 1.0
    return point.fixed_point if point.kind == "half_stable" else 1.0


def _sequence(
    layers: list[Layer], state: State, shape: Shape, wanted: _Wanted, last: float
) -> tuple[list[Layer], State, Shape]:
    """Calibrated layers; the last linear one gives the variance `last`."""
    found = []
    number = max((at for at, layer in enumerate(layers) if _is_linear(layer)), default=-1)
    for at, layer in enumerate(layers):
        own = last if at == number else wanted.variance
        parts, state = _calibrated(layer, state, shape, wanted, own)
        found += parts
        shape = output_shape(layer, shape)
    return found, state, shape


def _calibrated(
    layer: Layer, state: State, shape: Shape, wanted: _Wanted, variance: float
) -> tuple[list[Layer], State]:
    """The layer, or the copies of a Repeat, and the state behind."""
    if isinstance(layer, Sequential):
        parts, state, _ = _sequence(list(layer.layers), state, shape, wanted, variance)
        if len(parts) == len(layer.layers):
            return [type(layer)(*parts, name=layer.name, keys=layer.keys)], state
        return [folded(parts)], state
    if isinstance(layer, Repeat):
        copies = []
        for _ in range(layer.times):
            parts, state = _calibrated(layer.layer, state, shape, wanted, variance)
            copies += parts
        whole = folded(copies)
        return [whole.layers[0] if len(whole.layers) == 1 else whole], state
    if isinstance(layer, Residual):
        scale = wanted.depth**-0.5 if layer.scale == "1/sqrt(depth)" else float(layer.scale)
        share = wanted.variance / wanted.depth / scale**2 if scale else wanted.variance
        inside = state.replace(fresh=False)
        (branch,), behind = _calibrated(Sequential(layer.branch), inside, shape, wanted, share)
        skip = inside
        if layer.skip is not None:
            skip = _applied(layer.skip, inside, shape, wanted.depth)
        fresh = state.fresh or (behind.fresh and skip.fresh)
        new = dataclasses.replace(layer, branch=branch)
        return [new], summed(skip, behind, scale, fresh)
    if isinstance(layer, Dense | Conv):
        unit = dataclasses.replace(layer, law=_scaled(layer.law, 1.0), bias=None)
        state = _applied(unit, state, shape, wanted.depth)
        weight_var, bias_var = _variances(state, wanted, variance)
        bias = normal(bias_var, "absolute") if bias_var else None
        linear = dataclasses.replace(unit, law=_scaled(layer.law, weight_var), bias=bias)
        return [linear], _affine(state, weight_var, bias_var)
    if isinstance(layer, Attention):
        heads = dataclasses.replace(layer, output_law=_scaled(layer.output_law, 1.0))
        state = _applied(heads, state, shape, wanted.depth)
        factor = _rounded(variance / _moments(state)[0])
        heads = dataclasses.replace(heads, output_law=_scaled(layer.output_law, factor))
        return [heads], _affine(state, factor, 0.0)
    return [layer], _applied(layer, state, shape, wanted.depth)


def _variances(unit: State, wanted: _Wanted, variance: float) -> tuple[float, float]:
    """weight_var and bias_var behind rows whose images under unit variance are given."""
    square, spread = _moments(unit)
    if spread > 0.0 and math.isfinite(spread):
        weight_var = _rounded(variance * wanted.spread / spread)
        bias_var = _rounded(variance - weight_var * square)
        if bias_var > 1e-9 * variance:
            return weight_var, bias_var
    return _rounded(variance / square), 0.0


def _rounded(value: float) -> float:
    """7 digits: equal layers have equal laws."""
    return float(f"{value:.7g}")


@functools.partial(jax.jit, static_argnums=(0, 2, 3))
def _applied(layer: Layer, state: State, shape: Shape, depth: int) -> State:
    """The rule of a layer, compiled once for equal layers."""
    return apply(layer, state, shape, depth, kind_name(layer))


@jax.jit
def _affine(state: State, factor: Any, shift: Any) -> State:
    """sqrt(factor) z + an independent bias."""
    return each_block(state, lambda kernel: Kernel(factor * kernel.cov + shift, kernel.ntk))


def _scaled(law: Any, weight_var: float) -> Law:
    if not isinstance(law, Law):
        raise SpecError(f"the law {law!r}", "laws of independent entries", "Take di.normal.")
    return dataclasses.replace(law, variance=weight_var, scaling="fan_in")


def _is_linear(layer: Layer) -> bool:
    return any(isinstance(leaf, Dense | Conv | Attention) for leaf in leaves(layer))


def _moments(state: State) -> tuple[float, float]:
    """Mean square of rows (inputs x positions), and their variance about the mean row."""
    cov = np.asarray(state.cross.cov)
    rows = cov.shape[0] * cov.shape[2]
    matrix = cov.transpose(0, 2, 1, 3).reshape(rows, rows)
    square = float(np.trace(matrix)) / rows
    if rows == 1:
        return square, math.nan
    others = (float(matrix.sum()) - rows * square) / (rows * (rows - 1))
    return square, square - others


def _gains(
    network: Network, inputs: Inputs, mean_square: float, num_networks: int, key: int
) -> dict[str, float]:
    """Gains of one's own layers, each behind calibrated ones."""
    from deepinit.deferral.function import deferred
    from deepinit.deferral.taps import taps
    from deepinit.quantities.own.functions import batch_of, function_of
    from deepinit.quantities.own.places import is_among, sites

    places = sites(network if network.layers else network.at("*"), inputs)
    arrays = batch_of(network, inputs)
    edit = lambda value: value * _gain(value, mean_square)
    tapped = taps(function_of(network), is_among(places), edit=edit)

    def logs(key: Any) -> Any:
        _, values = tapped(key, *arrays)
        stacks = [place.stacked(values[place.name]) for place in places]
        gains = [jax.vmap(lambda value: _gain(value, mean_square))(stack) for stack in stacks]
        return jnp.log(jnp.concatenate(gains))

    run, root = deferred(logs, gaussianize=network.gaussianize), jax.random.key(key)
    rows = [run(jax.random.fold_in(root, number)) for number in range(num_networks)]
    means = np.exp(np.mean([np.asarray(row, np.float64) for row in rows], axis=0))
    names = [name for place in places for name in place.names]
    return dict(zip(names, (float(mean) for mean in means), strict=True))


def _gain(value: Any, mean_square: float) -> Any:
    return jnp.sqrt(mean_square / jnp.mean(value**2))
