import math

import pytest
from scipy.integrate import solve_ivp

from deepinit.theory.condensation import blow_up_time


@pytest.mark.parametrize("output", [None, 0.9, 0.2, 0.0, -0.3])
@pytest.mark.parametrize(("p", "value"), [(2, 0.7), (3, -1.3), (4, 0.5)])
def test_blow_up_time_against_the_flow(p, value, output):
    radius = 0.8
    signed = None if output is None else math.copysign(output, output * value)
    predicted = blow_up_time(p, value, radius, signed)
    a0 = math.copysign(radius / math.sqrt(p), value) if output is None else signed

    def velocity(_, state):
        a, r = state
        return [r**p * value, p * a * r ** (p - 1) * value]

    def large(_, state):
        return state[1] - 1e4

    large.terminal = True
    path = solve_ivp(
        velocity,
        (0, 2 * predicted),
        [a0, radius],
        rtol=1e-11,
        atol=1e-13,
        events=large,
        method="DOP853",
    )
    rest = blow_up_time(p, value, path.y[1, -1])  # balanced by then
    assert path.t[-1] + rest == pytest.approx(predicted, rel=1e-6)


def test_neurons_that_die_or_grow_exponentially_never_blow_up():
    assert blow_up_time(1, 1.0, 1.0) == math.inf
    assert blow_up_time(2, 1.0, 0.5, -1.0) == math.inf
    assert blow_up_time(2, 1.0, 1.5, -1.0) < math.inf
