"""A network's state with its fluctuations, pushed through one layer at a time.

The states are s + x + u: s of infinite width, x Gaussian of covariance `covariance`, u of mean
`shift`, quadratic in the noises. With y = (x, M), M the averages' noises of a layer, J and H the
Jacobian and Hessian of its map, Q = Cov y:

    shift'      = J shift + H : Q / 2 + J bias
    covariance' = J Q J^T
    third'_ibc  = J J J third + (J Q H_i Q J^T)_bc                       Cov(u_i, x_b x_c)
    second'_ij  = J second J^T + sym(J third : H) / 2 + tr(H_i Q H_j Q) / 2     Cov(u_i, u_j)

Every site then gives mean shift and variance of any of its functions, in one pass.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.theory.layers.state import Settled, State, settle
from deepinit.theory.layers.tape import Average, Tape

Step = Callable[[State, Tape], State]


class Flow(NamedTuple):
    """A state and its fluctuations, d coordinates (the leaves of the state in order).

    Attributes:
        state: of infinite width.
        shift: [d], mean to order 1/width.
        covariance: [d, d], to order 1/width.
        third, second: [d, d, d], [d, d], of the quadratic part, order 1/width^2.
        errors: [3], largest ones so far, `Tape.errors`.
    """

    state: State
    shift: Any
    covariance: Any
    third: Any
    second: Any
    errors: Any


class Moments(NamedTuple):
    """Of m functions, [m]: value at infinite width, order 1/width, second-order variance."""

    infinite: Any
    shift: Any
    variance: Any
    second: Any
    errors: Any


def start(state: State) -> Flow:
    """A state without fluctuations."""
    vector = flat(state)
    zeros = [jnp.zeros((len(vector),) * order, vector.dtype) for order in range(4)]
    return Flow(state, zeros[1], zeros[2], zeros[3], zeros[2], jnp.zeros(3, vector.dtype))


def push(step: Step, flow: Flow, half: int) -> Flow:
    """The flow after one layer."""
    tape = Tape(half)
    state = step(flow.state, tape)
    shift, covariance, third, second = _push(
        lambda y: flat(step(*inputs_of(y, flow.state, tape))), flow, tape.averages
    )
    errors = jnp.maximum(flow.errors, tape.errors())
    return Flow(state, shift, covariance, third, second, errors)


def moments(functions: Callable[[Settled], Any], flow: Flow, half: int) -> Moments:
    """Of functions [m] of the settled rows of a flow."""
    tape = Tape(half)
    infinite = functions(settle(flow.state, tape))
    of_vector = lambda y: functions(settle(*inputs_of(y, flow.state, tape)))
    shift, covariance, _, second = _push(of_vector, flow, tape.averages)
    errors = jnp.maximum(flow.errors, tape.errors())
    return Moments(infinite, shift, jnp.diagonal(covariance), jnp.diagonal(second), errors)


def inputs_of(y: Any, state: State, tape: Tape) -> tuple[State, Tape]:
    """State and tape of y = (coordinates, noises of the averages)."""
    at, noises = len(flat(state)), []
    start = unflat(y[:at], state)
    for average in tape.averages:
        noises.append(y[at : at + len(average.bias)])
        at += len(average.bias)
    return start, Tape(tape.half, noises, tape.jets)


def _push(function: Callable[[Any], Any], flow: Flow, averages: list[Average]) -> tuple[Any, ...]:
    """(shift, covariance, third, second) of function(y)."""
    size = len(flat(flow.state))
    jacobian, hessian = derivatives(function, flat(flow.state), averages)
    bias = jnp.concatenate([flow.shift, *(average.bias for average in averages)])
    noise = block_diagonal([flow.covariance, *(part.covariance for part in averages)])
    shifting = block_diagonal([flow.covariance, *(part.shift_covariance for part in averages)])
    along, curved = jacobian[:, :size], hessian[:, :size, :size]

    shift = jacobian @ bias + 0.5 * jnp.einsum("iab,ab->i", hessian, shifting)
    covariance = jacobian @ noise @ jacobian.T
    spread = noise @ hessian  # Q H_i
    third = jnp.tensordot(along, flow.third, 1)
    mixed = 0.5 * jnp.tensordot(third, curved, [[1, 2], [1, 2]])
    carry = jacobian @ noise
    third = along @ third @ along.T + carry @ hessian @ carry.T
    second = along @ flow.second @ along.T + mixed + mixed.T
    second = second + 0.5 * jnp.tensordot(spread, spread, [[1, 2], [2, 1]])
    return shift, covariance, third, second


def derivatives(
    function: Callable[[Any], Any], vector: Any, averages: list[Average]
) -> tuple[Any, Any]:
    """Jacobian [m, |y|] and Hessian [m, |y|, |y|] of function(y), y = (vector, no noise)."""
    noises = [jnp.zeros_like(average.bias) for average in averages]
    at = jnp.concatenate([vector, *noises])

    def twice(y: Any) -> tuple[Any, Any]:
        jacobian = jax.jacfwd(function)(y)
        return jacobian, jacobian

    hessian, jacobian = jax.jacfwd(twice, has_aux=True)(at)
    return jacobian, hessian


def flat(state: State) -> Any:
    """[d] coordinates."""
    return jnp.concatenate(jax.tree.leaves(state))


def unflat(vector: Any, state: State) -> Any:
    """A state of the structure of another one."""
    leaves, structure = jax.tree.flatten(state)
    parts, start = [], 0
    for leaf in leaves:
        parts.append(vector[start : start + len(leaf)])
        start += len(leaf)
    return jax.tree.unflatten(structure, parts)


def block_diagonal(blocks: list[Any]) -> Any:
    """Blocks along the diagonal."""
    return jax.scipy.linalg.block_diag(*blocks)
