import math

import pytest

from deepinit.core.errors import SpecError
from deepinit.theory.angles.mixed_moments import mixed_moment, p_number, q_number


def test_rows_of_p_and_q():
    assert [p_number(8, k) for k in range(9)] == [105, 0, 420, 0, 210, 0, 28, 0, 1]
    assert [p_number(7, k) for k in range(8)] == [0, 105, 0, 105, 0, 21, 0, 1]
    assert [q_number(8, k) for k in range(8)] == [0, 279, 0, 185, 0, 27, 0, 1]
    assert [q_number(7, k) for k in range(7)] == [48, 0, 87, 0, 20, 0, 1]
    assert [q_number(a, 1) for a in (2, 4, 6)] == [1, 5, 33]
    assert p_number(3, 5) == p_number(3, -1) == q_number(0, 0) == q_number(4, 4) == 0


def test_both_triangles_obey_the_recursion_at_two_hundred():
    for number in (p_number, q_number):
        for a in (2, 3, 50, 199, 200):
            for k in (0, 1, 2, 7, a - 1, a):
                assert number(a, k) == (a - 1) * number(a - 2, k) + number(a - 1, k - 1)
    assert p_number(200, 0) == math.prod(range(1, 200, 2))


def test_expansion_of_the_moments_in_p_and_q():
    theta = 0.7
    c, s = math.cos(theta), math.sin(theta)

    def boundary(j):
        return (
            s**j
            * math.prod(range(j - 1, 0, -2))
            / (2 * math.pi if j % 2 else 2 * math.sqrt(2 * math.pi))
        )

    for a in range(7):
        for b in range(a, 10):
            falling = [math.factorial(b) // math.factorial(b - k) for k in range(a + 1)]
            total = sum(
                p_number(a, k) * falling[k] * c**k * mixed_moment(0, b - k, theta)
                for k in range(a + 1)
            )
            total += sum(q_number(a, k) * falling[k] * c**k * boundary(b - k) for k in range(a))
            assert mixed_moment(a, b, theta) == pytest.approx(total, rel=1e-13)


@pytest.mark.parametrize("number", [p_number, q_number])
def test_rows_that_do_not_exist_are_refused(number):
    with pytest.raises(SpecError, match="a >= 0"):
        number(-1, 0)
