"""Softmax attention in plain NumPy and JAX; networks of tokens on given rows."""

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers import Shape
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone


def numpy_attention(columns, layer, head_width, scales=(1.0, 1.0, 1.0)):
    """Outputs [T, H d] and weights [H, T, T] of columns [T, 3 H d], by loops."""
    length, heads, d = len(columns), layer.heads, head_width
    outputs, weights = np.zeros((length, heads * d)), np.zeros((heads, length, length))
    c = {"sqrt": layer.beta / np.sqrt(d), "mup": layer.beta / d}.get(layer.scores)
    c = layer.beta * layer.scores if c is None else c

    def row(part, head, t):
        first = part * heads * d + head * d
        x = scales[part] * columns[t, first : first + d]
        if part < 2 and layer.qk_norm:
            x = x / np.sqrt(np.mean(x**2))
        if part < 2 and layer.rotary is not None:
            pairs = x[: d // 2] + 1j * x[d // 2 :]
            pairs = pairs * np.exp(1j * t * layer.rotary ** (-2.0 * np.arange(d // 2) / d))
            x = np.concatenate([pairs.real, pairs.imag])
        return x

    for head in range(heads):
        for t in range(length):
            seen = range(t + 1) if layer.mask else range(length)
            scores = np.array([c * row(0, head, t) @ row(1, head, s) for s in seen])
            share = np.exp(scores - scores.max())
            share /= share.sum()
            weights[head, t, : len(share)] = share
            outputs[t, head * d : (head + 1) * d] = sum(
                a * row(2, head, s) for a, s in zip(share, seen, strict=True)
            )
    return outputs, weights


def rows_of_gram(gram, width):
    """[k, width] of Gram matrix G = H H^T / width."""
    return np.sqrt(width) * np.linalg.cholesky(np.asarray(gram)) @ np.eye(len(gram), width)


def sampled(net, tokens, statistic, num, *, linear_map, key=0, dtype="float32"):
    """[num, ...]: statistic(output rows [T, width]) of independent networks at one sequence."""
    length, width = tokens.shape
    start = points_alone(jnp.asarray(tokens.reshape(1, -1), dtype))

    def one(key):
        _, rows = random_forward(
            net,
            start,
            key,
            lambda state: (),
            linear_map=FUNCTIONS[linear_map],
            shape=Shape((length,), width),
        )
        return statistic((jnp.exp(rows.point_scales[0]) * rows.points[0]).reshape(length, -1))

    keys = jax.random.split(jax.random.key(key), num)
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=1000))(keys), float)
