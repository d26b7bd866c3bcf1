"""Excess kurtosis of a coordinate at finite width and infinite depth, exact.

For psi = id, phi''(0) = 0, dx_1 = sqrt(s) dB_1, s = a^2 (sigma_b^2 + sigma_w^2 q), mixes Gaussians
over the path of q. The fourth moment closes for coordinates that start at one number.
"""

import numpy as np
from scipy.linalg import expm

from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike
from deepinit.theory.diffusion.growth import vector
from deepinit.theory.diffusion.moments import checked_start


def coordinate_excess_kurtosis(
    activation: ActivationLike,
    width: int,
    start: float,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
) -> float:
    """Excess kurtosis E y^4 / (E y^2)^2 - 3 of a coordinate, y = x_T - x_0.

    With A = |y|^2 / D, B = <y, 1> / D and s = beta + kappa (A + 2 x_0 B + x_0^2):

        (E A)' = E s,             (E A^2)' = (2 + 4/D) E A s,    (E A B)' = (1 + 2/D) E B s,
        (E B^2)' = E s / D,       (E y_1^4)' = 6 E A s.

    About 5 / D at weight_var = bias_var = horizon = 1, start 0. `start`: x_0, every coordinate of
    the input; the rest as in `mean_square_moments`. SpecError also for a coordinate without
    variance. Valid for: depth -> infinity at fixed width.
    """
    growth, size, _ = checked_start(activation, width, 0.0, weight_var, bias_var, horizon)
    z = float(vector("start", start, 1)[0])
    k, beta, d = growth.rate, growth.bias_rate, float(size)
    # on (1, A, B, A^2, AB, B^2, y_1^4): about the start, so that nothing cancels
    rest = beta + k * z * z
    system = np.zeros((7, 7))

    def times_rate(row: int, factor: float, alone: int, with_a: int, with_b: int) -> None:
        system[row, [alone, with_a, with_b]] += factor * np.array([rest, k, 2.0 * k * z])

    # dA = s dt + (2/D) <y, dy>, dB = <1, dy> / D; in units of a^2
    # d[A,A] = 4 A s / D, d[A,B] = 2 B s / D, d[B,B] = s / D
    times_rate(1, 1.0, 0, 1, 2)
    times_rate(3, 2.0 + 4.0 / d, 1, 3, 4)
    times_rate(4, 1.0 + 2.0 / d, 2, 4, 5)
    times_rate(5, 1.0 / d, 0, 1, 2)
    times_rate(6, 6.0, 1, 3, 4)  # E y_1^2 s = E A s
    moments = expm(growth.horizon * system)[:, 0]
    if not moments[1] > 0.0:
        allowed = "a positive horizon, slope and variance"
        raise SpecError("a coordinate without variance", allowed, "Set bias_var > 0.")
    return float(moments[6] / moments[1] ** 2 - 3.0)
