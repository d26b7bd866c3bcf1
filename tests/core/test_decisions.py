"""Numbers of known value: arithmetic is recorded, decisions are remembered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.decisions import Deciding, holds
from deepinit.core.placeholders import CAPACITY


def traced(formula, number):
    """The recorder of a program of one number, and its values at other numbers."""
    seen = []

    def program(vector):
        seen.append(Deciding(vector, (number,)))
        return formula(seen[-1].number(0)) * jnp.ones(2)

    run = jax.jit(program)
    jax.eval_shape(run, np.zeros(CAPACITY, np.float32))
    return seen[-1], lambda other: run(seen[-1].recorded.vector((other,), np.float32))[0]


FORMULAS = {
    "arithmetic": lambda n: 1.0 + 3 * n // 2 - (n % 4) / n + abs(-n) ** 0.5,
    "array": lambda n: np.ones(2) * n + jnp.ones(2) / n,
    "branch": lambda n: n / 2 if n % 2 == 0 and n > 1 and bool(n) else 1.0 * n,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_a_program_holds_for_numbers_of_the_same_decisions(name):
    recorder, at = traced(FORMULAS[name], 64)
    for other in (64, 12, 7):
        held = holds(recorder.decisions, (other,))
        assert held == (name != "branch" or other != 7)
        if held:
            expected = FORMULAS[name](other) * jnp.ones(2)
            np.testing.assert_allclose(at(other), expected[0], rtol=1e-6)
    if name == "branch":  # what would be wrong
        assert at(7) != FORMULAS[name](7)


@pytest.mark.parametrize("ask", [float, int, lambda n: np.zeros(n).size, "{:d}".format])
def test_a_value_that_is_asked_for_holds_for_itself(ask):
    recorder, _ = traced(lambda n: float(ask(n)), 64)
    assert holds(recorder.decisions, (64,))
    assert not holds(recorder.decisions, (65,))
