"""Products of random layers in their three orders.

    forward iterates            x_t = T_t ... T_1 x_0     layers appended at the output side: one more layer acts on x_{t-1}
    backward iterates           x_t = T_1 ... T_t x_0     layers inserted at the input side: everything is evaluated anew
    pulled-back functions       f_t = T_1^* ... T_t^* f,  f_t(x) = f(T_t ... T_1 x): the forward network, seen as a walk of functions

For independent layers x_t has one law in the first two orders, but only backward iterates settle where layers contract on average. Pulled-back
functions are in the order of the backward iterates (T_t^* acts first), and yet cost no more than a forward pass.

States are `Scaled` (mantissa and integer exponent), so that a signal of size e^-20000 keeps all its digits in float32, whatever the activation:
a homogeneous one acts on mantissas alone, any other by its power law at 0 once the preactivations are below rounding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
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
        states: `Scaled` with mantissa [T + 1, ..., n]; those of the zero vector once the network is dead.
        log_norms: [T + 1, ...], ln |x_t|; -inf once dead.
        increments: [T, ...], ln |x_t| - ln |x_{t-1}| to full precision; -inf at death, NaN after it. Their float64 sum is the log-norm
            without its rounding.
    """

    states: Scaled
    log_norms: jax.Array
    increments: jax.Array


def layer_image(weights: Any, bias: Any, activation: Any, x: Scaled) -> Scaled:
    """T(x) = sigma(W x + b) for a vector of any size."""
    return scaled_activation(activation, preactivation(weights, bias, x))


def forward_iterates(weights: Any, activation: Any, x: Any, *, biases: Any = None) -> Iterates:
    """x_t = T_t ... T_1 x_0 for every t <= T, T_t(x) = sigma(W_t x + b_t).

    Args:
        weights: [T, n, n], the layer nearest to the input first.
        activation: an `Activation`, a built-in's name or any JAX function.
        x: x_0, [..., n].
        biases: [T, n]; None for none.

    Returns:
        `Iterates`. One pass: T matrix-vector products.

    Raises:
        SpecError: for shapes that do not fit.

    Reference: arXiv:2104.10727, section 1.
    """
    weights, biases, activation = checked_layers(weights, biases, activation, x)
    draw = lambda t: (weights[t], None if biases is None else biases[t])
    return drawn_iterates(draw, weights.shape[0], activation, x)


def drawn_iterates(draw: Draw, depth: int, activation: Any, x: Any) -> Iterates:
    """Forward iterates of layers drawn on the way, so that no more than one layer's weights exist at a time.

    Args:
        draw: t = 0, ..., depth - 1 -> (weights [n, n], bias [n] or None), traceable; a network's layers come from a key folded with t.
        depth: T.
        activation, x: as for `forward_iterates`.
    """
    start = as_scaled(x)
    activation = checked_activation(activation)  # refused before anything is traced

    def step(state: Scaled, t: Any) -> tuple[Scaled, tuple[Scaled, jax.Array]]:
        after = layer_image(*draw(t), activation, state)
        return after, (after, log_norm_increment(state, after))

    _, (states, increments) = jax.lax.scan(step, start, jnp.arange(depth))
    states = Scaled(
        *(jnp.concatenate([first[None], rest]) for first, rest in zip(start, states, strict=True))
    )
    return Iterates(states, log_norm(states), increments)


def backward_iterates(
    weights: Any, activation: Any, x: Any, *, biases: Any = None, depths: Any = None
) -> Scaled:
    """x_t = T_1 ... T_t x_0 at every t of `depths`.

    The last layer acts first, so nothing of x_{t-1} serves x_t: depth t costs t matrix-vector products, and all depths up to T cost
    T (T + 1) / 2 of them where forward iterates cost T; and all weights must exist at once, T n^2 numbers.

    Args:
        weights: [T, n, n], T_1 first.
        activation, x, biases: as for `forward_iterates`.
        depths: increasing or not, each in [0, T]; None for 0, 1, ..., T.

    Returns:
        `Scaled`, mantissa [len(depths), ..., n].

    Raises:
        SpecError: for shapes that do not fit and depths outside [0, T].

    Reference: arXiv:2104.10727, section 1.
    """
    weights, biases, activation = checked_layers(weights, biases, activation, x)
    total = weights.shape[0]
    depths = np.arange(total + 1) if depths is None else np.asarray(depths)
    if (
        depths.ndim != 1
        or depths.dtype.kind not in "iu"
        or (depths < 0).any()
        or (depths > total).any()
    ):
        raise SpecError(
            f"depths={depths.tolist()!r}",
            f"integers in [0, {total}]",
            "Draw more layers for a greater depth.",
        )
    start = as_scaled(x)

    def inward(t: Any) -> Scaled:
        def step(done: Any, state: Scaled) -> Scaled:
            index = t - 1 - done
            return layer_image(
                weights[index], None if biases is None else biases[index], activation, state
            )

        return jax.lax.fori_loop(0, t, step, start)

    return jax.lax.map(inward, jnp.asarray(depths))


def pulled_back_values(
    weights: Any, activation: Any, decision: Any, points: Any, *, biases: Any = None
) -> Scaled:
    """f_t(x) = f(T_t ... T_1 x) at points x, for every t <= T: the walk of the decision functions.

    Args:
        weights, activation, biases: as for `forward_iterates`.
        decision: f, a matrix [k, n] of readouts; f(x) = decision @ x.
        points: [..., n].

    Returns:
        `Scaled`, mantissa [T + 1, ..., k]: values of any size.

    Raises:
        SpecError: for shapes that do not fit.

    Reference: arXiv:2104.10727, section 1, (T^* f)(x) = f(T x).
    """
    decision = jnp.asarray(decision)
    if decision.ndim != 2 or decision.shape[1] != np.shape(points)[-1]:
        raise SpecError(
            f"a decision function of shape {decision.shape} for points in dimension {np.shape(points)[-1]}",
            "a matrix [k, n] of readouts",
            "Write f[None] for a single linear function f.",
        )
    return image(decision, forward_iterates(weights, activation, points, biases=biases).states)


def tangent_iterates(
    weights: Any, activation: Any, x: Any, tangent: Any, *, biases: Any = None
) -> tuple[Iterates, jax.Array]:
    """x_t and the growth of a tangent vector carried along, v_t = D T_t(x_{t-1}) v_{t-1}.

    Args:
        weights, activation, x, biases: as for `forward_iterates`, with x [n].
        tangent: v_0, [n] or [k, n] for k vectors.

    Returns:
        `Iterates` of x, and increments ln |v_t| - ln |v_{t-1}|: [T] or [T, k].

    Raises:
        SpecError: for shapes that do not fit.
    """
    weights, biases, activation = checked_layers(weights, biases, activation, x)

    def step(
        carry: tuple[Scaled, Scaled], t: Any
    ) -> tuple[tuple[Scaled, Scaled], tuple[jax.Array, jax.Array, Scaled]]:
        state, vectors = carry
        z = preactivation(weights[t], None if biases is None else biases[t], state)
        after, moved = (
            scaled_activation(activation, z),
            _times(scaled_derivative(activation, z), image(weights[t], vectors)),
        )
        return (after, moved), (
            log_norm_increment(state, after),
            log_norm_increment(vectors, moved),
            after,
        )

    start = as_scaled(x)
    _, (increments, growth, states) = jax.lax.scan(
        step, (start, as_scaled(tangent)), jnp.arange(weights.shape[0])
    )
    states = Scaled(
        *(jnp.concatenate([first[None], rest]) for first, rest in zip(start, states, strict=True))
    )
    return Iterates(states, log_norm(states), increments), growth


def log_jacobian_determinants(
    weights: Any, activation: Any, points: Any, *, biases: Any = None
) -> jax.Array:
    """ln |det D(T_t ... T_1)(x)| at points x for every t <= T, for `jacobian_distortion`.

    sum_s (ln |det W_s| + sum_i ln |sigma'(z_{s,i})|). Determinants of weights do not depend on the point and drop out of distortions.

    Args:
        weights: [T, n, n], concrete: their determinants are taken on the host.
        activation, points, biases: as for `forward_iterates`, points [m, n].

    Returns:
        [T + 1, m]; -inf where a slope underflows.

    Raises:
        SpecError: for singular weights, which make every determinant 0, and for shapes that do not fit.

    Reference: arXiv:2104.10727, section on Jacobian distortion.
    """
    weights, biases, activation = checked_layers(weights, biases, activation, points)
    check_invertible(weights)
    start = as_scaled(points)
    log_slopes = _log_slopes(activation)

    def step(state: Scaled, t: Any) -> tuple[Scaled, jax.Array]:
        z = preactivation(weights[t], None if biases is None else biases[t], state)
        return scaled_activation(activation, z), jnp.sum(log_slopes(z), axis=-1)

    _, gained = jax.lax.scan(step, start, jnp.arange(weights.shape[0]))
    volumes = jnp.asarray(np.linalg.slogdet(np.asarray(weights, np.float64))[1], gained.dtype)
    total = jnp.cumsum(gained + volumes[:, None], axis=0)
    return jnp.concatenate([jnp.zeros_like(total[:1]), total])


def check_invertible(weights: Any) -> None:
    """Refuse a stack [T, n, n] of concrete weights in which one matrix is singular to float32 rounding.

    Raises:
        SpecError: naming the first such layer.
    """
    weights = np.asarray(weights, np.float64)
    singular_values = np.linalg.svd(weights, compute_uv=False)
    bad = np.flatnonzero(singular_values[:, -1] <= 1e-7 * singular_values[:, 0])
    if len(bad):
        raise SpecError(
            f"weights of layer {bad[0] + 1} that are singular",
            "invertible square matrices: an injective layer needs full column rank",
            "Draw them from a law with a density (normal, uniform, orthogonal), not sparse or of low rank.",
        )


def _log_slopes(activation: Activation) -> Callable[[Scaled], jax.Array]:
    def of(z: Scaled) -> jax.Array:
        if (
            activation.name == "tanh"
        ):  # ln(1 - tanh^2 z) = -2 ln cosh z without its cancellation at large z
            size = jnp.abs(to_array(z))
            return -2.0 * (size + jnp.log1p(jnp.exp(-2.0 * size)) - np.log(2.0))
        slopes = scaled_derivative(activation, z)
        return jnp.log(jnp.abs(slopes.mantissa)) + slopes.exponent[..., None] * np.log(2.0)

    return of


def preactivation(weights: Any, bias: Any, x: Scaled) -> Scaled:
    """W x + b for a vector of any size."""
    z = image(weights, x)
    return z if bias is None else added(z, as_scaled(jnp.broadcast_to(bias, z.mantissa.shape)))


def _times(factors: Scaled, vectors: Scaled) -> Scaled:
    return normalized(factors.mantissa * vectors.mantissa, factors.exponent + vectors.exponent)


def checked_layers(
    weights: Any, biases: Any, activation: Any, x: Any
) -> tuple[jax.Array, jax.Array | None, Activation]:
    """Weights [T, n, n], biases [T, n] or None and the activation, if they fit together and the input x [..., n]; else a SpecError."""
    weights = jnp.asarray(weights)
    biases = None if biases is None else jnp.asarray(biases)
    width = (x.mantissa if isinstance(x, Scaled) else jnp.asarray(x)).shape[-1:]
    fits = (
        weights.ndim == 3
        and weights.shape[1:] == 2 * width
        and (biases is None or biases.shape == weights.shape[:2])
    )
    if not fits:
        raise SpecError(
            f"weights {weights.shape}, biases {None if biases is None else biases.shape} and an input of width {width}",
            "weights [T, n, n], biases [T, n] or None, inputs [..., n]",
            "Deep limits compose maps of one space: all layers have one width; project other inputs to it first.",
        )
    return weights, biases, checked_activation(activation)
