"""Euler's method for Ito equations by diffrax: a grid of equal steps, one Brownian increment for each, states at requested times."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import lineax
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.diffusions.equation import Equation, Noise

Brownian = Literal["layers", "tree"]


class Grid(NamedTuple):
    """Equal steps from 0 to the horizon, and those after which states are recorded.

    Attributes:
        horizon: T.
        num_steps: L.
        recorded: step numbers, 0 to L, increasing.
    """

    horizon: float
    num_steps: int
    recorded: tuple[int, ...]

    @property
    def duration(self) -> float:
        """dt."""
        return self.horizon / self.num_steps

    @property
    def times(self) -> np.ndarray:
        """[L + 1] float64."""
        return self.horizon * np.arange(self.num_steps + 1) / self.num_steps


def grid_of(horizon: Any, num_steps: Any, times: Any) -> Grid:
    """The grid; `times` None records the horizon alone.

    Raises:
        SpecError: a horizon that is no positive number, times that are no steps of the grid, in increasing order.
    """
    validate.integer("num_steps", num_steps, 1, "200 steps leave a bias of about half a per cent.")
    if not (validate.is_number(horizon) and 0.0 < horizon < float("inf")):
        raise SpecError(
            f"horizon={horizon!r}", "a finite number > 0", "1 is the limit of the network itself."
        )
    if times is None:
        return Grid(float(horizon), int(num_steps), (int(num_steps),))
    given = validate.real_numbers(times)
    with np.errstate(over="ignore"):
        positions = np.array([]) if given is None else np.atleast_1d(given) * (num_steps / horizon)
    numbers = np.round(positions)
    fine = positions.ndim == 1 and positions.size > 0 and np.isfinite(positions).all()
    if (
        not fine
        or np.abs(positions - numbers).max() > 1e-6 * num_steps
        or (np.diff(numbers) <= 0).any()
    ):
        raise SpecError(
            f"times={times!r}",
            f"increasing multiples of horizon / num_steps = {horizon / num_steps:.6g}",
            "Between two steps a path is not known; take another number of steps.",
        )
    if numbers[0] < 0 or numbers[-1] > num_steps:
        raise SpecError(f"times={times!r}", f"0 to horizon={horizon:g}", "Take a longer horizon.")
    return Grid(float(horizon), int(num_steps), tuple(int(number) for number in numbers))


def euler(
    drift: Callable[[Any], Any],
    noise: Callable[[Any, Noise], Any],
    start: Any,
    equation: Equation,
    grid: Grid,
    key: Any,
    brownian: Brownian = "layers",
) -> Any:
    """States at the recorded times [num_times, ...] of dy = drift(y) dt + noise(y, dB), dB the Brownian motions of `equation`.

    Args:
        drift: of the whole state, a pytree that may contain more than the equation's own.
        noise: of the whole state, linear in the increment.
        start: y at time 0.
        equation: whose increments are drawn.
        grid: steps and recorded times.
        key: of the path.
        brownian: `layers`: step l has the increment of key `fold_in(key, l)`, as layer l of the network does; `tree`: a virtual Brownian
            tree, whose path is the same for all numbers of steps that are powers of 2.
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
    solution = diffrax.diffeqsolve(
        diffrax.MultiTerm(
            diffrax.ODETerm(lambda time, state, args: drift(state)),
            diffrax.ControlTerm(diffusion, path),
        ),
        diffrax.Euler(),  # for stochastic terms it converges to the Ito solution
        t0=0.0,
        t1=clock[-1],
        dt0=None,
        y0=start,
        stepsize_controller=diffrax.StepTo(clock),
        saveat=diffrax.SaveAt(ts=clock[list(grid.recorded)]),
        max_steps=grid.num_steps,
        throw=False,  # a path beyond the floats is an event that is counted, and no error
    )
    return solution.ys
