"""Three exponents of one random network, which need not agree: at 0, at typical inputs, and the largest over all inputs.

ln |D(T_n ... T_1)(x)| / n, with |.| the operator norm, at x = 0 is the exponent of the linear product sigma'(0)^n W_n ... W_1; at typical inputs,
after a burn-in, it says whether neighbouring inputs part; its supremum over the cube is the exponent of the Lipschitz constant. A network of
width 1 with weights uniform on (-4, 4) and tanh has +0.386 at 0 and -1.107 at typical inputs.

Jacobians travel as one mantissa with one integer exponent. The operator norm comes from repeated squaring of J^T J, not from LAPACK.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.gaussian import differences
from deepinit.core.generator import sequential_bits
from deepinit.core.power_laws import power_laws
from deepinit.random_maps.iterates import checked_layers, preactivation, tangent_iterates
from deepinit.random_maps.scaled import LN2, Scaled, as_scaled, normalized, to_array
from deepinit.random_maps.scaled_activations import (
    checked_activation,
    scaled_activation,
    scaled_derivative,
)

_SQUARINGS = 12  # singular values closer than 1e-3 are told apart no further, and need not be
_STEP_SIZES = (0.5, 0.1, 0.02, 0.004, 8e-4)


class Supremum(NamedTuple):
    """The largest exponent found.

    Attributes:
        value: sup over inputs, per layer; a lower bound.
        point: [n], where.
        at_zero: the exponent at x = 0, which is always among the starts.
    """

    value: jax.Array
    point: jax.Array
    at_zero: jax.Array


def log_lipschitz(weights: Any, activation: Any, x: Any, *, biases: Any = None) -> jax.Array:
    """ln |D(T_n ... T_1)(x)|, the operator norm in l^2 of the Jacobian at x: a scalar.

    Args:
        weights: [T, n, n].
        activation: an `Activation`, a built-in's name or any JAX function.
        x: [n], one input (more by vmap).
        biases: [T, n]; None for none.

    Returns:
        The logarithm, -inf where the Jacobian is 0; differentiable in x where the activation is twice.

    Raises:
        SpecError: for shapes that do not fit.

    Reference: arXiv:2104.10727, Theorem 6 (its supremum over x is ln Lip).
    """
    weights, biases, activation = checked_layers(weights, biases, activation, x)
    width = weights.shape[-1]

    def step(carry: tuple[Scaled, Scaled], t: Any) -> tuple[tuple[Scaled, Scaled], None]:
        state, jacobian = carry
        z = preactivation(weights[t], None if biases is None else biases[t], state)
        slopes = scaled_derivative(activation, z)
        product = jnp.matmul(
            weights[t], jacobian.mantissa.reshape(width, width), precision="highest"
        )
        moved = normalized(
            (slopes.mantissa[:, None] * product).reshape(-1), jacobian.exponent + slopes.exponent
        )
        return (scaled_activation(activation, z), moved), None

    identity = normalized(jnp.eye(width, dtype=weights.dtype).reshape(-1), jnp.zeros((), jnp.int32))
    start = as_scaled(jnp.asarray(x, weights.dtype))
    (_, jacobian), _ = jax.lax.scan(step, (start, identity), jnp.arange(weights.shape[0]))
    return _log_operator_norm(
        jacobian.mantissa.reshape(width, width)
    ) + jacobian.exponent * jnp.asarray(LN2, weights.dtype)


def exponent_at_zero(weights: Any, activation: Any) -> jax.Array:
    """ln |D(T_T ... T_1)(0)| / T of a network without bias: a scalar. For Gaussian entries N(0, A^2/n) and sigma'(0) = 1 its mean tends to
    ln A + (psi(n/2) + ln(2/n)) / 2.

    Raises:
        SpecError: for activations without a derivative at 0 or with sigma(0) other than 0, of whose layers 0 is no fixed point.
    """
    activation = checked_activation(activation)
    steps = np.array([-1e-8, 1e-8])
    left, right = differences(activation, 0.0 * steps, steps) / steps
    if power_laws(activation).values.near != (1, 1) or abs(left - right) > 1e-6 or right == 0:
        raise SpecError(
            f"the activation {activation!r}",
            "activations with sigma(0) = 0 and a derivative other than 0 there (tanh, erf, sin, linear, GELU)",
            "Use exponent_at_inputs for the others.",
        )
    weights = jnp.asarray(weights)
    return (
        log_lipschitz(weights, activation, jnp.zeros(weights.shape[-1], weights.dtype))
        / weights.shape[0]
    )


def exponent_at_inputs(
    weights: Any, activation: Any, x: Any, tangent: Any, *, burn_in: int, biases: Any = None
) -> jax.Array:
    """The mean growth of ln |v_t| over layers burn_in < t <= T of a tangent vector at an input: a scalar.

    Args:
        weights, activation, biases: as for `log_lipschitz`.
        x: [n], a typical input.
        tangent: [n], a random direction.
        burn_in: layers until x_t is stationary and v_t has turned into the fastest direction.

    Raises:
        SpecError: for shapes that do not fit, and burn_in outside [0, T).
    """
    total = len(weights)
    if not 0 <= burn_in < total:
        raise SpecError(f"burn_in={burn_in}", f"integers in [0, {total})", "Draw more layers.")
    return jnp.mean(tangent_iterates(weights, activation, x, tangent, biases=biases)[1][burn_in:])


def exponent_supremum(
    key: Any,
    weights: Any,
    activation: Any,
    *,
    biases: Any = None,
    num_starts: int = 16,
    num_steps: int = 20,
) -> Supremum:
    """The supremum over the cube [-1, 1]^n of ln |D(T_T ... T_1)(x)| / T, from below, by ascent from 0 and random starts.

    Each step tries five lengths along the gradient and five random directions, and takes the best if it is better.

    Args:
        key: for the starts and the random directions.
        weights, activation, biases: as for `log_lipschitz`.
        num_starts: besides x = 0.
        num_steps: of the ascent.

    Returns:
        `Supremum`.

    Valid for: smooth activations; at kinks the gradient misleads but the result stays a lower bound.
    """
    weights, biases, activation = checked_layers(
        weights, biases, activation, jnp.zeros(jnp.shape(weights)[-1])
    )
    depth, width = weights.shape[:2]
    value = lambda x: log_lipschitz(weights, activation, x, biases=biases)
    sizes = jnp.asarray(_STEP_SIZES, weights.dtype)[:, None]
    with sequential_bits():
        start_key, walk_key = jax.random.split(key)
        starts = jax.random.uniform(start_key, (num_starts, width), weights.dtype, -1.0, 1.0)
        turns = jax.random.normal(
            walk_key, (num_steps, num_starts + 1, len(_STEP_SIZES), width), weights.dtype
        )
    points = jnp.concatenate([jnp.zeros((1, width), weights.dtype), starts])

    def ascend(state: tuple[jax.Array, jax.Array], turn: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, best = state
        slope = jnp.nan_to_num(jax.grad(value)(x), posinf=0.0, neginf=0.0)
        slope = to_array(Scaled(as_scaled(slope).mantissa, jnp.zeros((), jnp.int32)))
        tries = jnp.clip(jnp.concatenate([x + sizes * slope, x + sizes * turn]), -1.0, 1.0)
        found = jax.vmap(value)(tries)
        found = jnp.where(jnp.isnan(found), -jnp.inf, found)
        index = jnp.argmax(found)
        better = found[index] > best
        return jnp.where(better, tries[index], x), jnp.where(better, found[index], best)

    first = jax.vmap(value)(points)
    step = lambda state, turn: (jax.vmap(ascend)(state, turn), None)
    (points, values), _ = jax.lax.scan(step, (points, first), turns)
    index = jnp.argmax(values)
    return Supremum(values[index] / depth, points[index], first[0] / depth)


def _log_operator_norm(matrix: jax.Array) -> jax.Array:
    """ln of the largest singular value: (J^T J)^(2^k) projects onto its direction, in which |J v| / |v| is taken."""
    gram = jax.lax.stop_gradient(jnp.matmul(matrix.T, matrix, precision="highest"))
    for _ in range(_SQUARINGS):
        gram = gram / jnp.maximum(jnp.max(jnp.abs(gram)), jnp.finfo(gram.dtype).tiny)
        gram = jnp.matmul(gram, gram, precision="highest")
    vector = gram[:, jnp.argmax(jnp.diagonal(gram))]
    largest = jnp.max(jnp.abs(vector))
    vector = vector / jnp.where(largest == 0, 1, largest)
    image = jnp.matmul(matrix, vector, precision="highest")
    return 0.5 * (
        jnp.log(jnp.sum(image * image)) - jnp.log(jnp.maximum(jnp.sum(vector * vector), 1))
    )
