"""Composed networks in plain JAX, from the parameters of a key: nothing of the row rules.

Parameters are standard (variance 1; gains 1, biases of norms 0): the sum of products of their
gradients is the tangent kernel.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import layers as kinds
from deepinit.core.inputs import Inputs
from deepinit.core.layers import output_shape
from deepinit.networks.backward import random_gradients
from deepinit.networks.forward import random_forward
from deepinit.networks.input_rows import rows_from_inputs
from deepinit.networks.interpreter import Draw, apply
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import frames_at, points_alone

SKIP = 1 << 20


def _law(law, key, shape, depth):
    """Standard normals and their standard deviation."""
    std = law.entry_std(shape[1], depth, "float64")
    return np.asarray(law.sample(key, shape, depth=depth, dtype="float64"), np.float64) / std, std


class Reference:
    """The function of a key: `(parameters, x [num, size]) -> [num, size']`, float64."""

    def __init__(self, net, shape, key, depth=1):
        self.net, self.shape, self.depth = net, shape, depth
        self.parameters, self.stds = {}, {}
        self._collect(net, shape, key, ())

    def __call__(self, parameters, x):
        image = x.reshape(len(x), *self.shape.positions, -1)
        return self._value(self.net, parameters, image, ()).reshape(len(x), -1)

    def _put(self, path, law, key, shape):
        self.parameters[path], self.stds[path] = _law(law, key, shape, self.depth)

    def _collect(self, layer, shape, key, path):
        if isinstance(layer, kinds.Sequential):
            for number, child in enumerate(layer.layers):
                self._collect(child, shape, jax.random.fold_in(key, number), (*path, number))
                shape = output_shape(child, shape)
        elif isinstance(layer, kinds.Residual):
            self._collect(layer.branch, shape, key, (*path, "branch"))
            if layer.skip is not None:
                self._collect(layer.skip, shape, jax.random.fold_in(key, SKIP), (*path, "skip"))
        elif isinstance(layer, kinds.Repeat):
            for time in range(layer.times):
                inside = jax.random.fold_in(key, layer.first + time)
                self._collect(layer.layer, shape, inside, (*path, time))
                shape = output_shape(layer.layer, shape)
        elif isinstance(layer, kinds.Tied):
            self._collect(layer.layer, shape, key, path)
        elif isinstance(layer, kinds.Dense | kinds.Conv):
            is_conv = isinstance(layer, kinds.Conv)
            patch = layer.size ** len(shape.positions) if is_conv else 1
            fan_out = layer.channels if is_conv else layer.width
            matrix = fan_out, shape.width * patch
            self._put((*path, "weights"), layer.law, jax.random.fold_in(key, 0), matrix)
            if layer.bias is not None:
                bias = layer.bias, jax.random.fold_in(key, 1), (fan_out, 1)
                self._put((*path, "biases"), *bias)
        elif isinstance(layer, kinds.Dropout):
            self.masks = getattr(self, "masks", {})
            self.masks[path] = key
        elif getattr(layer, "gain", False):
            ones = np.ones(shape.width)
            self.parameters[(*path, "gain")] = ones
            if not isinstance(layer, kinds.RMSNorm):
                self.parameters[(*path, "shift")] = 0 * ones

    def _value(self, layer, parameters, x, path):
        if isinstance(layer, kinds.Sequential):
            for number, child in enumerate(layer.layers):
                x = self._value(child, parameters, x, (*path, number))
            return x
        if isinstance(layer, kinds.Residual):
            stream = x
            if layer.skip is not None:
                stream = self._value(layer.skip, parameters, x, (*path, "skip"))
            branch = self._value(layer.branch, parameters, x, (*path, "branch"))
            return stream + layer.scale * branch
        if isinstance(layer, kinds.Repeat | kinds.Tied):
            for time in range(layer.times):
                inside = (*path, time) if isinstance(layer, kinds.Repeat) else path
                x = self._value(layer.layer, parameters, x, inside)
            return x
        if isinstance(layer, kinds.Dense | kinds.Conv):
            weights = self.stds[(*path, "weights")] * parameters[(*path, "weights")]
            z = _conv(layer, weights, x) if isinstance(layer, kinds.Conv) else x @ weights.T
            if layer.bias is not None:
                z = z + self.stds[(*path, "biases")] * parameters[(*path, "biases")][:, 0]
            return z
        if isinstance(layer, kinds.Activation):
            return layer.phi(x)
        if isinstance(layer, kinds.Gate):
            half = x.shape[-1] // 2
            return x[..., :half] * layer.phi(x[..., half:])
        if isinstance(layer, kinds.Dropout):
            return self.masks[path] * x
        if isinstance(layer, kinds.Flatten):
            return x.reshape(len(x), -1)
        if isinstance(layer, kinds.Pool):
            return _pool(layer, x)
        normed = _norm(layer, x)
        if not layer.gain:
            return normed
        shift = parameters.get((*path, "shift"), 0.0)
        return parameters[(*path, "gain")] * normed + shift


def _conv(layer, weights, x):
    dims = x.ndim - 2
    # patches are stored positions first, channels last
    kernel = weights.T.reshape(*(layer.size,) * dims, x.shape[-1], -1)
    padding = "VALID"
    if layer.padding == "zero":
        padding = [(layer.size // 2,) * 2] * dims
    if layer.padding == "circular":
        reach = layer.size // 2
        x = jnp.pad(x, ((0, 0), *((reach, reach),) * dims, (0, 0)), mode="wrap")
    names = ("NHWC", "HWIO", "NHWC") if dims == 2 else ("NHC", "HIO", "NHC")
    return jax.lax.conv_general_dilated(
        x, kernel, (layer.stride,) * dims, padding, dimension_numbers=names
    )


def _pool(layer, x):
    dims = x.ndim - 2
    if layer.size is None:
        axes = tuple(range(1, x.ndim - 1))
        return x.mean(axes) if layer.kind == "mean" else x.max(axes)
    window = (1, *(layer.size,) * dims, 1)
    strides = (1, *(layer.stride or layer.size,) * dims, 1)
    padding = ((0, 0), *((layer.padding,) * 2,) * dims, (0, 0))
    if layer.kind == "max":
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, padding)
    add = lambda values: jax.lax.reduce_window(values, 0.0, jax.lax.add, window, strides, padding)
    return add(x) / add(jnp.ones_like(x))


def _norm(layer, x):
    if isinstance(layer, kinds.RMSNorm):
        return x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + layer.eps)
    groups = None
    if isinstance(layer, kinds.BatchNorm):
        axes = tuple(range(x.ndim - 1))
    elif isinstance(layer, kinds.GroupNorm):
        groups = x.reshape(len(x), -1, layer.groups, x.shape[-1] // layer.groups)
        axes = 1, 3
    else:
        axes = -1
    values = x if groups is None else groups
    mean = values.mean(axes, keepdims=True)
    variance = ((values - mean) ** 2).mean(axes, keepdims=True)
    return ((values - mean) / jnp.sqrt(variance + layer.eps)).reshape(x.shape)


def explicit_matches(
    net, shape, num=3, seed=0, rtol=1e-9, prepare=lambda reference: None, linear_map="explicit"
):
    """Values, cotangents of inputs and tangent kernel are those of the reference, in float64.

    `prepare` may change the reference's parameters, once the network is drawn.
    """
    with jax.enable_x64(True):
        key, rng = jax.random.key(seed), np.random.default_rng(seed)
        x = rng.normal(size=(num, shape.size))
        reference = Reference(net, shape, key)
        points = (0, *range(num))  # two functions of one point
        functions = rng.normal(size=(len(points), output_shape(net, shape).size))
        gradients = lambda x, key: random_gradients(
            net, points_alone(x), key, functions, points, linear_map=linear_map, shape=shape
        )
        found, kernel = jax.jit(lambda x, key: ((g := gradients(x, key)), g.ntk))(x, key)
        jax.block_until_ready(kernel)
        jax.effects_barrier()
        prepare(reference)
        output = jax.jit(reference)(reference.parameters, jnp.asarray(x))
        values = np.exp(found.output_scales)[:, None] * found.outputs
        np.testing.assert_allclose(values, output, rtol=rtol, atol=1e-11)

        at = np.asarray(points)
        linear = lambda parameters, x: jnp.sum(functions * reference(parameters, x)[at], axis=1)
        jacobian = jax.jit(jax.jacrev(linear, (0, 1)))
        by_parameters, by_inputs = jacobian(reference.parameters, jnp.asarray(x))
        ours = np.exp(found.inputs.log_scales)[:, None] * np.asarray(found.inputs.vectors)
        every = np.array(by_inputs)
        if len(ours) == len(points):  # each by its own input
            wanted = every[np.arange(len(points)), at]
            every[np.arange(len(points)), at] = 0
            np.testing.assert_array_equal(every, 0)
        else:
            wanted = every.reshape(ours.shape)
        np.testing.assert_allclose(ours, wanted, rtol=rtol, atol=1e-11)
        leaves = jax.tree.leaves(by_parameters)
        flat = np.concatenate([leaf.reshape(len(points), -1) for leaf in leaves], axis=1)
        np.testing.assert_allclose(kernel, flat @ flat.T, rtol=rtol, atol=1e-11)
        return found


def tangents_match(net, shape, num=2, seed=1, rtol=1e-9, prepare=lambda reference: None):
    """Tangents of explicit maps are the jvp, in float64."""
    with jax.enable_x64(True):
        key, rng = jax.random.key(seed), np.random.default_rng(seed)
        x, t = rng.normal(size=(2, num, shape.size))
        t /= np.linalg.norm(t, axis=1, keepdims=True)
        reference = Reference(net, shape, key)
        prepare(reference)
        fn = lambda x: reference(reference.parameters, x)
        expected = jax.jit(lambda x, t: jax.jvp(fn, (x,), (t,))[1])(x, t)

        def pushed(x, t, key):
            rows = frames_at(x, t[:, None])
            _, last = random_forward(
                net, rows, key, lambda state: (), linear_map=FUNCTIONS["explicit"], shape=shape
            )
            return jnp.exp(last.log_norm_growths[:, 0])[:, None] * last.tangents[:, 0]

        found = jax.jit(pushed)(x, t, key)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-11)


def pair_rows(x, d, bases=None, dtype="float32"):
    """Rows of points x and partners x + d, displacements at their size."""
    bases = tuple(range(len(d))) if bases is None else bases
    return rows_from_inputs(Inputs(x, d, bases, ""), scale_invariant=False, dtype=dtype)


def displacements_match(layer, shape, tolerance, sizes=(1e-6, 1e-2, 0.1, 1.0), scale=0.0, num=4):
    """One layer's displacements in float32 against float64 differences, relative norms."""
    rng, worst = np.random.default_rng(5), []
    for size in sizes:
        x = np.float32(rng.normal(size=(num, shape.size)))
        d = np.float32(size * rng.normal(size=(num, shape.size)))
        rows = pair_rows(x, d)
        base = np.exp(np.float64(rows.displacement_scales))[:, None]
        exact_d = base * np.float64(rows.displacements)  # as the rule reads it
        scales = jnp.full(num, scale, "float32")
        scaled = dataclasses.replace(jax.tree.map(jnp.asarray, rows), point_scales=scales)
        step = lambda rows: apply(layer, rows, None, shape, Draw(None, None, None, 1)).rows
        after = jax.jit(step)(scaled)
        size = np.exp(np.float64(after.displacement_scales + after.point_scales))
        found = size[:, None] * np.float64(after.displacements)
        with jax.enable_x64(True):
            true_x = math.exp(scale) * np.float64(x)
            true_d = math.exp(scale) * exact_d
            reference = Reference(layer, shape, jax.random.key(0))
            each = jax.jit(jax.vmap(lambda v: reference(reference.parameters, v[None])[0]))  # noqa: B023
            expected = np.asarray(each(true_x + true_d)) - np.asarray(each(true_x))
        error = np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)
        worst.append(error.max())
    assert max(worst) < tolerance, worst
    return worst


def outputs(net, rows, name, num, shape, key=0):
    """[num, rows, size]: points, then partners, of independent networks in float32."""

    def one(key):
        _, last = random_forward(
            net, rows, key, lambda state: (), linear_map=FUNCTIONS[name], shape=shape
        )
        points = jnp.exp(last.point_scales)[:, None] * last.points
        step = jnp.exp(last.displacement_scales + last.of_bases(last.point_scales))
        return jnp.concatenate([points, step[:, None] * last.displacements])

    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(jnp.arange(num))
    return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)


def assert_one_law(first, second, rival):
    """Means of bounded features of two samples agree to 5 standard errors; the rival's do not.

    Of the first 8 entries of every row, in units of the first sample's root mean squares.
    """
    size = np.sqrt((first[:, :, :8] ** 2).mean(0))
    one, other, wrong = (_features(values[:, :, :8] / size) for values in (first, second, rival))

    error = lambda a, b: np.sqrt(a.var(0) / len(a) + b.var(0) / len(b))
    distance = lambda a, b: np.max(np.abs(a.mean(0) - b.mean(0)) / np.maximum(error(a, b), 1e-9))
    assert distance(one, other) < 5, distance(one, other)
    assert distance(one, wrong) > 5, distance(one, wrong)


def _features(values):
    """tanh of entries and of their products."""
    flat = values.reshape(len(values), -1)
    products = (flat[:, :, None] * flat[:, None, :]).reshape(len(flat), -1)
    return np.tanh(np.concatenate([flat, products], axis=1))
