"""Euler's method for Ito equations by diffrax, with equal steps."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import lineax
import numpy as np

from deepinit.core import validate
from deepinit.core.typing import Array, Float, Plain, PyTree, Real
from deepinit.diffusions.equation import Equation, Noise

Brownian = Literal["layers", "tree"]


class Grid(NamedTuple):
    """L = `num_steps` equal steps from 0 to the horizon T; `recorded` ones increase, 0 to L."""

    horizon: float
    num_steps: int
    recorded: tuple[int, ...]

    @property
    def duration(self) -> float:
        """dt."""
        return self.horizon / self.num_steps

    @property
    def times(self) -> Float[np.ndarray, "steps"]:
        """[L + 1] float64."""
        return self.horizon * np.arange(self.num_steps + 1) / self.num_steps


def grid_of(horizon: float, num_steps: int, times: Real[Array, "times"] | Plain | None) -> Grid:
    """The grid; `times` None records the horizon alone. SpecError for times off the grid."""
    num_steps = validate.integer("num_steps", num_steps, 1, "200 steps leave a bias of 0.5 %.")
    horizon = validate.positive("horizon", horizon, "1 is the limit of the network itself.")
    if times is None:
        return Grid(horizon, num_steps, (num_steps,))
    given = validate.real_numbers(times)
    with np.errstate(over="ignore"):
        positions = np.array([]) if given is None else np.atleast_1d(given) * (num_steps / horizon)
    numbers = np.round(positions)
    valid = positions.ndim == 1 and positions.size > 0 and np.isfinite(positions).all()
    valid = valid and np.abs(positions - numbers).max() <= 1e-6 * num_steps
    valid = valid and (np.diff(numbers) > 0).all()
    allowed = f"increasing multiples of horizon / num_steps = {horizon / num_steps:.6g}"
    validate.require(valid, f"times={times!r}", allowed, "Take another number of steps.")
    within = numbers[0] >= 0 and numbers[-1] <= num_steps
    validate.require(within, f"times={times!r}", f"0 to horizon={horizon:g}")
    return Grid(horizon, num_steps, tuple(int(number) for number in numbers))


def euler(
    drift: Callable[[Any], Any],
    noise: Callable[[Any, Noise], Any],
    start: PyTree,
    equation: Equation,
    grid: Grid,
    key: jax.Array,
    brownian: Brownian = "layers",
) -> PyTree:
    """States at recorded times [num_times, ...] of dy = drift(y) dt + noise(y, dB).

    y: a pytree, the equation's state and more; noise is linear in dB.
    `brownian`: `layers`: step l uses the key `fold_in(key, l)`, like layer l of the network;
    `tree`: a virtual Brownian tree, one path for all powers of 2 of steps.
    """
    duration, operand = grid.duration, equation.shapes
    if brownian == "tree":
        path = diffrax.VirtualBrownianTree(0.0, grid.horizon, 0.5 * duration, equation.shapes, key)
        act = lambda state, standard: noise(state, equation.coloured(standard))
    else:
        act = noise

        def path(begin: Any, end: Any) -> Noise:
            del end
            step = jnp.round(begin / duration).astype(jnp.uint32)
            return equation.increment(jax.random.fold_in(key, step + 1), duration)

    def diffusion(time: Any, state: Any, args: Any) -> Any:
        del time, args
        return lineax.FunctionLinearOperator(lambda increment: act(state, increment), operand)

    clock: Any = np.asarray(grid.times, jnp.result_type(float))
    drift_term = diffrax.ODETerm(lambda time, state, args: drift(state))
    solution = diffrax.diffeqsolve(
        diffrax.MultiTerm(drift_term, diffrax.ControlTerm(diffusion, path)),
        diffrax.Euler(),  # converges to the Ito solution
        t0=0.0,
        t1=clock[-1],
        dt0=None,
        y0=start,
        stepsize_controller=diffrax.StepTo(clock),
        saveat=diffrax.SaveAt(ts=clock[list(grid.recorded)]),
        max_steps=grid.num_steps,
        throw=False,  # a path that is not finite is counted, not an error
    )
    return solution.ys
