"""Products of random layers in their three orders (arXiv:2104.10727, section 1).

    forward iterates         x_t = T_t ... T_1 x_0
    backward iterates        x_t = T_1 ... T_t x_0
    pulled-back functions    f_t(x) = f(T_t ... T_1 x)

For independent layers the first two x_t have one law, but only backward iterates converge where
layers contract on average. Pulled-back functions are ordered like them, at a forward pass's cost.
States are `Scaled`: a signal of size e^-20000 keeps its float32 digits.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.random_maps.scaled import (
    Scaled,
    added,
    as_scaled,
    image,
    log_norm,
    log_norm_increment,
    normalized,
    to_array,
)
from deepinit.random_maps.scaled_activations import (
    checked_activation,
    scaled_activation,
    scaled_derivative,
)

Draw = Callable[[Any], tuple[Any, Any]]


class Iterates(NamedTuple):
    """x_0, ..., x_T of one network.

    Attributes:
        states: `Scaled` of mantissa [T + 1, ..., n]; 0 once the network is dead.
        log_norms: [T + 1, ...], ln |x_t|; -inf once dead.
        increments: [T, ...], ln |x_t| - ln |x_{t-1}| to full precision, unlike differences of
            `log_norms`; -inf at death, NaN after it.
    """

    states: Scaled
    log_norms: Float[jax.Array, "iterates *shape"]
    increments: Float[jax.Array, "layers *shape"]


def layer_image(
    weights: Real[Array, "n n"],
    bias: Real[Array, "n"] | None,
    activation: ActivationLike,
    x: Scaled,
) -> Scaled:
    """T(x) = sigma(W x + b) for a vector of any size."""
    return scaled_activation(activation, preactivation(weights, bias, x))


def forward_iterates(
    weights: Real[Array, "layers n n"] | Plain,
    activation: ActivationLike,
    x: Scaled | Real[Array, "*shape n"] | Plain,
    *,
    biases: Real[Array, "layers n"] | Plain | None = None,
) -> Iterates:
    """x_t = T_t ... T_1 x_0 for every t <= T, T_t(x) = sigma(W_t x + b_t).

    `weights`: [T, n, n], the layer nearest to the input first. `x`: x_0, [..., n]. `biases`:
    [T, n], or None.
    """
    weights, biases, activation = checked_layers(weights, biases, activation, x)
    draw = lambda t: (weights[t], None if biases is None else biases[t])
    return drawn_iterates(draw, weights.shape[0], activation, x)


def drawn_iterates(
    draw: Draw, depth: int, activation: ActivationLike, x: Scaled | Real[Array, "*shape n"] | Plain
) -> Iterates:
    """Forward iterates of layers drawn one at a time, with one layer's weights in memory.

    `draw`: t = 0, ..., depth - 1 -> (weights [n, n], bias [n] or None), traceable; use a key folded
    with t.
    """
    start = as_scaled(x)
    activation = checked_activation(activation)  # raises before tracing

    def step(state: Scaled, t: Any) -> tuple[Scaled, tuple[Scaled, jax.Array]]:
        after = layer_image(*draw(t), activation, state)
        return after, (after, log_norm_increment(state, after))

    _, (states, increments) = jax.lax.scan(step, start, jnp.arange(depth))
    return _iterates(start, states, increments)


def _iterates(start: Scaled, states: Scaled, increments: jax.Array) -> Iterates:
    prepend = lambda first, rest: jnp.concatenate([first[None], rest])
    states = Scaled(*map(prepend, start, states))
    return Iterates(states, log_norm(states), increments)


def backward_iterates(
    weights: Real[Array, "layers n n"] | Plain,
    activation: ActivationLike,
    x: Scaled | Real[Array, "*shape n"] | Plain,
    *,
    biases: Real[Array, "layers n"] | Plain | None = None,
    depths: Real[Array, "depths"] | Plain | None = None,
) -> Scaled:
    """x_t = T_1 ... T_t x_0 at every t of `depths`: mantissa [len(depths), ..., n].

    Depth t costs t matrix-vector products, all depths up to T cost T (T + 1) / 2. `weights`: T_1
    first. `depths`: each in [0, T], in any order; None for 0, 1, ..., T. Others:
    `forward_iterates`.
    Raises SpecError: depths outside [0, T].
    """
    weights, biases, activation = checked_layers(weights, biases, activation, x)
    total = weights.shape[0]
    depths = np.arange(total + 1) if depths is None else np.asarray(depths)
    valid = depths.ndim == 1 and depths.dtype.kind in "iu"
    valid = valid and bool(((depths >= 0) & (depths <= total)).all())
    validate.require(valid, f"depths={depths.tolist()!r}", f"integers in [0, {total}]")
    start = as_scaled(x)

    def inward(t: Any) -> Scaled:
        def step(done: Any, state: Scaled) -> Scaled:
            layer = t - 1 - done
            bias = None if biases is None else biases[layer]
            return layer_image(weights[layer], bias, activation, state)

        return jax.lax.fori_loop(0, t, step, start)

    return jax.lax.map(inward, jnp.asarray(depths))


def pulled_back_values(
    weights: Real[Array, "layers n n"] | Plain,
    activation: ActivationLike,
    decision: Real[Array, "k n"] | Plain,
    points: Scaled | Real[Array, "*shape n"] | Plain,
    *,
    biases: Real[Array, "layers n"] | Plain | None = None,
) -> Scaled:
    """f_t(x) = f(T_t ... T_1 x) for every t <= T: mantissa [T + 1, ..., k].

    f(x) = decision @ x; `points`: [..., n]. Others: `forward_iterates`.
    """
    decision, n = jnp.asarray(decision), np.shape(points)[-1]
    valid = decision.ndim == 2 and decision.shape[1] == n
    given = f"a decision function of shape {decision.shape} for points in dimension {n}"
    validate.require(valid, given, "a matrix [k, n] of readouts", "Write f[None] for one.")
    return image(decision, forward_iterates(weights, activation, points, biases=biases).states)


def tangent_iterates(
    weights: Real[Array, "layers n n"] | Plain,
    activation: ActivationLike,
    x: Real[Array, "n"] | Plain,
    tangent: Real[Array, "*k n"] | Plain,
    *,
    biases: Real[Array, "layers n"] | Plain | None = None,
) -> tuple[Iterates, Float[jax.Array, "layers *k"]]:
    """x_t and increments ln |v_t| - ln |v_{t-1}| of tangents v_t = D T_t(x_{t-1}) v_{t-1}.

    The mean growth after a burn-in is the top Lyapunov exponent at x [n]. `tangent`: v_0, [n] or
    [k, n], for increments [T] or [T, k]. Others: `forward_iterates`.
    """
    weights, biases, activation = checked_layers(weights, biases, activation, x)

    def step(
        carry: tuple[Scaled, Scaled], t: Any
    ) -> tuple[tuple[Scaled, Scaled], tuple[jax.Array, jax.Array, Scaled]]:
        state, vectors = carry
        z = preactivation(weights[t], None if biases is None else biases[t], state)
        after = scaled_activation(activation, z)
        moved = _times(scaled_derivative(activation, z), image(weights[t], vectors))
        growth = log_norm_increment(vectors, moved)
        return (after, moved), (log_norm_increment(state, after), growth, after)

    start = as_scaled(x), as_scaled(tangent)
    _, (increments, growth, states) = jax.lax.scan(step, start, jnp.arange(len(weights)))
    return _iterates(start[0], states, increments), growth


def log_jacobian_determinants(
    weights: Real[Array, "layers n n"] | Plain,
    activation: ActivationLike,
    points: Real[Array, "m n"] | Plain,
    *,
    biases: Real[Array, "layers n"] | Plain | None = None,
) -> Float[jax.Array, "iterates m"]:
    """ln |det D(T_t ... T_1)(x)| for every t <= T: [T + 1, m]; -inf where a derivative underflows.

    `weights`: concrete: determinants are taken on the host. Others: `forward_iterates`.
    Raises SpecError: singular weights.
    """
    weights, biases, activation = checked_layers(weights, biases, activation, points)
    check_invertible(weights)
    start = as_scaled(points)
    log_derivative = _log_derivative(activation)

    def step(state: Scaled, t: Any) -> tuple[Scaled, jax.Array]:
        z = preactivation(weights[t], None if biases is None else biases[t], state)
        return scaled_activation(activation, z), jnp.sum(log_derivative(z), axis=-1)

    _, gained = jax.lax.scan(step, start, jnp.arange(weights.shape[0]))
    volumes = jnp.asarray(np.linalg.slogdet(np.asarray(weights, np.float64))[1], gained.dtype)
    total = jnp.cumsum(gained + volumes[:, None], axis=0)
    return jnp.concatenate([jnp.zeros_like(total[:1]), total])


def check_invertible(weights: Real[Array, "layers n n"]) -> None:
    """Raise SpecError, naming the layer, for weights [T, n, n] singular to float32 rounding."""
    weights = np.asarray(weights, np.float64)
    singular_values = np.linalg.svd(weights, compute_uv=False)
    singular = np.flatnonzero(singular_values[:, -1] <= 1e-7 * singular_values[:, 0])
    if len(singular):
        given = f"weights of layer {singular[0] + 1} that are singular"
        remedy = "Draw them from a law with a density (normal, uniform, orthogonal)."
        raise SpecError(given, "invertible square matrices", remedy)


def _log_derivative(activation: Activation) -> Callable[[Scaled], jax.Array]:
    def of(z: Scaled) -> jax.Array:
        if activation.name == "tanh":  # ln(1 - tanh^2 z) = -2 ln cosh z, without cancellation
            size = jnp.abs(to_array(z))
            return -2.0 * (size + jnp.log1p(jnp.exp(-2.0 * size)) - np.log(2.0))
        derivative = scaled_derivative(activation, z)
        exponent = derivative.exponent[..., None]
        return jnp.log(jnp.abs(derivative.mantissa)) + exponent * np.log(2.0)

    return of


def preactivation(weights: Real[Array, "n n"], bias: Real[Array, "n"] | None, x: Scaled) -> Scaled:
    """W x + b for a vector of any size."""
    z = image(weights, x)
    return z if bias is None else added(z, as_scaled(jnp.broadcast_to(bias, z.mantissa.shape)))


def _times(factors: Scaled, vectors: Scaled) -> Scaled:
    return normalized(factors.mantissa * vectors.mantissa, factors.exponent + vectors.exponent)


def checked_layers(
    weights: Real[Array, "layers n n"] | Plain,
    biases: Real[Array, "layers n"] | Plain | None,
    activation: ActivationLike,
    x: Scaled | Real[Array, "*shape n"] | Plain,
) -> tuple[jax.Array, jax.Array | None, Activation]:
    """Weights [T, n, n], biases [T, n] or None, and the activation, for x [..., n]."""
    weights = jnp.asarray(weights)
    biases = None if biases is None else jnp.asarray(biases)
    width = (x.mantissa if isinstance(x, Scaled) else jnp.asarray(x)).shape[-1:]
    shape = None if biases is None else biases.shape
    fits = weights.ndim == 3 and weights.shape[1:] == 2 * width
    fits = fits and shape in (None, weights.shape[:2])
    given = f"weights {weights.shape}, biases {shape} and an input of width {width}"
    allowed = "weights [T, n, n], biases [T, n] or None, inputs [..., n]: all of one width"
    validate.require(fits, given, allowed, "Project the inputs to the width first.")
    return weights, biases, checked_activation(activation)
