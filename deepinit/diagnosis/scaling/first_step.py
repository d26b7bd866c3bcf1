"""The first step of training of one network, by layer, at learning rate 0.

Columns are inputs. With h^l = phi(z^l), delta^l = dLoss/dz^l of the batch and rates e:

    own_l(x) = -e_l sum_i delta^l_i <h^{l-1}_i, h^{l-1}(x)>        (SGD)
    own_l(x) = -e_l sign(sum_i delta^l_i h^{l-1}_i') h^{l-1}(x)    (Adam's first step)
    dz^l(x)  = own_l(x) + W^l dh^{l-1}(x),   dh^l = phi'(z^l) dz^l
    df(x)    = v . dh^L(x) - e_v (g or sign g) . h^L(x),   g = sum_i err_i h^L_i
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.diagnosis.scaling.maps import GaussianMap

_CHUNK = 2**23  # entries of a block of the sign of a gradient matrix


class Stack(NamedTuple):
    """A fully connected network with one output, at one width.

    Attributes:
        widths: of hidden layers.
        phi: `core` Activation.
        stds: of entries of the hidden matrices, first layer first.
        bias_stds: of hidden biases, which are drawn and not trained.
        readout_std: of v.
    """

    widths: tuple[int, ...]
    phi: Any
    stds: tuple[float, ...]
    bias_stds: tuple[float, ...]
    readout_std: float


class Step(NamedTuple):
    """First step of one network at the probes.

    Attributes:
        own, total: [layers, probes] mean square over neurons of own_l and dz^l.
        readout, change: [probes] squares of the readout's own part of df, and of df.
        sizes: [layers] mean square of z^l at the first probe before the step.
        output: square of f there.
    """

    own: np.ndarray
    total: np.ndarray
    readout: np.ndarray
    change: np.ndarray
    sizes: np.ndarray
    output: float


def first_step(
    stack: Stack,
    rng: Any,
    maps: GaussianMap,
    batch: np.ndarray,
    probes: np.ndarray,
    slopes: np.ndarray,
    rates: tuple[float, ...],
    is_sign: bool,
) -> Step:
    """The step of one network.

    Args:
        batch: [dimension, batch]; `probes`: [dimension, fresh]; the first training input is a probe
            too, the last one.
        slopes: [batch] dLoss/df.
        rates: of layers, then of the readout.
        is_sign: Adam.
    """
    size = batch.shape[1]
    at = [*range(size, size + probes.shape[1]), 0]
    h, states, memories = np.concatenate([batch, probes], axis=1), [], []
    for width, std, bias_std in zip(stack.widths, stack.stds, stack.bias_stds, strict=True):
        z, memory = maps.forward(rng, std, h, width)
        z = z + bias_std * rng.standard_normal((width, 1))
        states.append((h, z))
        memories.append(memory)
        h = _values(stack.phi, z)
    v = stack.readout_std * rng.standard_normal(len(h))

    deltas = [np.empty(0)] * len(states)
    back = v[:, None] * slopes
    for layer in reversed(range(len(states))):
        deltas[layer] = _slopes(stack.phi, states[layer][1][:, :size]) * back
        if layer:
            back, memories[layer] = maps.backward(rng, memories[layer], deltas[layer])

    own, total, dh = [], [], None
    for layer, (inputs, z) in enumerate(states):
        part = -rates[layer] * step_of(deltas[layer], inputs[:, :size], inputs[:, at], is_sign)
        dz = part if dh is None else part + maps.again(rng, memories[layer], dh)
        dh = _slopes(stack.phi, z[:, at]) * dz
        own.append(_mean_square(part))
        total.append(_mean_square(dz))
    gradient = h[:, :size] @ slopes
    readout = -rates[-1] * (np.sign(gradient) if is_sign else gradient) @ h[:, at]
    sizes = np.array([np.mean(z[:, size] ** 2) for _, z in states])
    output = float(v @ h[:, size]) ** 2
    change = (v @ dh + readout) ** 2
    return Step(np.array(own), np.array(total), readout**2, change, sizes, output)


def step_of(delta: np.ndarray, h: np.ndarray, probes: np.ndarray, is_sign: bool) -> np.ndarray:
    """(delta h') probes, or sign(delta h') probes: [rows, probes]; no matrix is kept.

    A batch of one needs none: the sign of a product is the product of signs.
    """
    if not is_sign:
        return delta @ (h.T @ probes)
    if delta.shape[1] == 1:
        return np.sign(delta) @ (np.sign(h).T @ probes)
    rows = max(1, _CHUNK // len(h))
    delta, h, probes = (each.astype(np.float32) for each in (delta, h, probes))
    blocks = [
        np.sign(delta[start : start + rows] @ h.T) @ probes for start in range(0, len(delta), rows)
    ]
    return np.concatenate(blocks).astype(np.float64)


def _mean_square(values: np.ndarray) -> np.ndarray:
    return np.mean(values**2, axis=0)


def _values(phi: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(phi(x), np.float64)


def _slopes(phi: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(phi.derivative(x), np.float64)
