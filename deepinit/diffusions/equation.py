"""The Ito equation of a residual network of shallow blocks at infinite depth.

A block adds phi(W psi(x) + b), W = mu_W dt + dB_W, b = mu_b dt + dB_b, dt = 1 / depth. With
a = phi'(0), b'' = phi''(0)
    dx_i = a (mu_W psi(x_i) + mu_b) dt + (b''/2) diag V(x_i) dt + a (dB_W psi(x_i) + dB_b),
V(x) = Var[B_W psi(x) + B_b] per unit of time. All inputs, and all positions of a convolution (each
with a row psi of its patch), share the noise. Two draws of one law:
* `driving`: the matrix dB_W, for any law;
* `gram`: its images of the k rows H, k x fan_out normals times a factor of H H^T, for independent
neurons; cheaper by fan_in / k.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.generator import sequential_bits
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.taylor import Taylor, taylor_at_zero
from deepinit.core.typing import Float, Like
from deepinit.diffusions.unit_laws import UnitLaw, unit_law
from deepinit.networks.linear_maps import lower_factor
from deepinit.networks.network import inner_layer

Form = Literal["driving", "gram"]
FORMS = ("driving", "gram")


class Noise(NamedTuple):
    """Increments of the Brownian motions over one step.

    `weights`: [fan_out, fan_in], dB_W; for `gram` [rows, fan_out], of variance dt each. `biases`:
    dB_b, or None.
    """

    weights: Float[Like, "rows columns"]
    biases: Float[Like, "fan_out"] | None


class Equation(NamedTuple):
    """dx = drift(x) dt + noise(x, dB), x [num_inputs, width].

    Attributes:
        drift: x -> [num_inputs, width], per unit of time.
        noise: (x, `Noise`) -> [num_inputs, width], linear in the second.
        increment: (key, dt) -> `Noise`; for `driving` and layer l's key: the network's layer l
            without drift.
        coloured: standard Brownian increments -> `Noise`.
        shapes: of the Brownian motions.
        taylor: phi'(0) and phi''(0).
        weights: law per unit of time.
        form: `driving` or `gram`.
    """

    drift: Callable[[jax.Array], jax.Array]
    noise: Callable[[jax.Array, Noise], jax.Array]
    increment: Callable[[Any, float], Noise]
    coloured: Callable[[Noise], Noise]
    shapes: Noise
    taylor: Taylor
    weights: UnitLaw
    form: Form


def drift_and_noise(
    spec: ResNet | ConvResNet,
    num_inputs: int,
    *,
    form: Form | None = None,
    dtype: DTypeLike = "float32",
    brownian: bool = True,
) -> Equation:
    """Ito equation of the infinite-depth limit of a residual network of shallow blocks.

    sigma_w^2 is the variance of `weight_law` (times fan_in), sigma_b^2 of `bias_law`, both with
    scaling `depth`.

    Args:
        spec: shallow blocks, phi(0) = 0 and phi smooth at 0; depth and output layer are ignored.
        num_inputs: inputs that share the noise.
        form: None for the cheaper one.
        dtype: float32, or float64 inside a `jax.enable_x64()` context.
        brownian: Gaussian increments for any law; else increments of the network's law.

    Raises SpecError: other blocks, phi or dtypes; an MLP; laws that do not shrink with depth;
        `gram` for a general covariance.
    Valid for: psi with second derivatives almost everywhere. Solutions may explode if phi''(0) is
        not 0 and psi grows linearly.
    Reference: arXiv:2007.03253, section 3 (assumptions 4 to 7) and section 5.6 (convolutions).
    """
    check_shallow(spec)
    validate.dtype(dtype)
    validate.flag("brownian", brownian)
    validate.integer("num_inputs", num_inputs, 1)
    layer, taylor = inner_layer(spec), taylor_at_zero(spec.activation)
    slope, curvature = taylor.slope, taylor.curvature
    fan_in = spec.width if layer.view is None else layer.view.fan_in(spec.width)
    fan_out, as_unit = layer.fan_out, partial(unit_law, dtype=dtype, brownian=brownian)
    law, bias_law = as_unit(layer.weight_law, (fan_out, fan_in), "weight_law"), None
    if layer.bias_law is not None:
        bias_law = as_unit(layer.bias_law, (fan_out, 1), "bias_law")
    num_rows = num_inputs * spec.positions
    form = _chosen(form, law, num_rows)

    def rows_of(x: jax.Array) -> jax.Array:
        inner = spec.inner_activation(x)
        return inner if layer.view is None else layer.view.extract(inner)

    def drift(x: jax.Array) -> jax.Array:
        rows = rows_of(x)
        total = slope * law.drifted(rows)
        if bias_law is not None and bias_law.mean is not None:
            total = total + slope * bias_law.mean[:, 0]
        if curvature:
            variances = law.variances(rows)
            if bias_law is not None:
                variances = variances + bias_law.variances(jnp.ones((1, 1), x.dtype))
            total = total + 0.5 * curvature * variances
        return total.reshape(x.shape)

    def noise(x: jax.Array, increment: Noise) -> jax.Array:
        rows = rows_of(x)
        if form == "driving":
            images = jnp.matmul(rows, increment.weights.T, precision="highest")
        else:
            # a path that is not finite must not affect others
            finite = jnp.isfinite(jnp.sum(rows, axis=1, keepdims=True))
            factor = lower_factor(law.extract(jnp.where(finite, rows, 0)))
            images = law.spread(jnp.matmul(factor, increment.weights, precision="highest"))
        if increment.biases is not None:
            images = images + increment.biases
        return slope * images.reshape(x.shape)

    def increment(key: jax.Array, duration: float) -> Noise:
        weight_key, biases = jax.random.fold_in(key, 0), None
        if bias_law is not None:
            biases = bias_law.increment(jax.random.fold_in(key, 1), duration, dtype)[:, 0]
        if form == "driving":
            return Noise(law.increment(weight_key, duration, dtype), biases)
        with sequential_bits():
            normals = jax.random.normal(weight_key, (num_rows, fan_out), dtype)
        return Noise(duration**0.5 * normals, biases)

    def coloured(standard: Noise) -> Noise:
        column = None if standard.biases is None else standard.biases[:, None]
        biases = None if bias_law is None or column is None else bias_law.coloured(column)[:, 0]
        weights = standard.weights
        return Noise(law.coloured(weights) if form == "driving" else weights, biases)

    shape = (fan_out, fan_in) if form == "driving" else (num_rows, fan_out)
    struct = lambda *sizes: jax.ShapeDtypeStruct(sizes, jnp.dtype(dtype))
    shapes = Noise(struct(*shape), None if bias_law is None else struct(fan_out))
    return Equation(drift, noise, increment, coloured, shapes, taylor, law, form)


def check_shallow(spec: ResNet | ConvResNet) -> None:
    """Raise SpecError for a network without a limit of infinite depth."""
    allowed = "di.ResNet(..., block='shallow') and di.ConvResNet"
    given = f"{getattr(spec, 'block', type(spec).__name__)} for a limit of infinite depth"
    shallow = isinstance(spec, ResNet | ConvResNet) and spec.branch_law is None
    validate.require(shallow, given, allowed)


def _chosen(form: Any, law: UnitLaw, num_rows: int) -> Form:
    if form is None:
        return "gram" if law.acts_on_rows and num_rows < law.shape[1] else "driving"
    form = validate.choice("form", form, FORMS)
    allowed = "independent entries or a product covariance"
    given = "form='gram' for weights of a general covariance"
    validate.require(form == "driving" or law.acts_on_rows, given, allowed, "Use form='driving'.")
    return "gram" if form == "gram" else "driving"
