"""Where the expansion in 1/width holds: sizes of its first order, and what to say about them.

First-order variances are off by O(r) relative to themselves, r = sum of 1/width, with a constant
that depends on the class: 2.5 for critical ReLU, below 1 for critical tanh, about 20 for GELU off
criticality at depth 10. What bounds it is not r but the largest relative variance on the way, 0.1
for corrections of about 30 %.
"""

import numpy as np

_EDGE = 0.1  # relative variance at which the second order is about 30 % of the first


def relative_sizes(
    mean: np.ndarray, shift: np.ndarray, covariance: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[L] largest relative variance and [L] largest relative shift of one input with itself; 0
    where the mean is.

    Args:
        mean, shift: [L, p].
        covariance: [L, p, p].
        own: [k] the entries (a, a).
    """
    scale = np.abs(mean[:, own])
    variance, moved = covariance[:, own, own], np.abs(shift[:, own])
    some = scale > 0.0
    safe = np.where(some, scale, 1.0)
    return tuple(
        np.where(some, each, 0.0).max(axis=1) for each in (variance / safe**2, moved / safe)
    )


def estimated_range(variances: np.ndarray, total: np.ndarray) -> float:
    """r at which the largest relative variance on the way would be 0.1.

    Args:
        variances: [L], relative.
        total: [L] r after every layer.
    """
    return float(min(0.5, _EDGE / max((variances / total).max(), 1e-300)))


def range_in_words(
    class_name: str,
    largest: float,
    total: np.ndarray,
    variances: np.ndarray,
    shifts: np.ndarray,
    spread: float,
) -> str:
    """Hypotheses, and whether these widths and depths are within the range.

    Args:
        class_name: of `criticality_class`.
        largest: r up to which variances are good to 30 %.
        total: [L] r after every layer.
        variances, shifts: [L] `relative_sizes`.
        spread: largest `angle_spread` of kinked activations, 0 if there is none.
    """
    r, variance, shift = float(total[-1]), float(variances.max()), float(shifts.max())
    held = int(np.sum(total <= largest * (1.0 + 1e-9)))
    if held == len(total) and max(variance, shift) < 1.0:
        verdict = "within its range"
    elif max(variance, shift) < 1.0:
        verdict = (
            f"beyond its range after {held} of {len(total)} layers, variances off by more than 30 %"
        )
    else:
        verdict = f"meaningless where they exceed 1; in range for {held} of {len(total)} layers"
    if held < len(total):
        verdict += f", or all of them at widths {r / largest:.3g} times as large"
    words = (
        f"independent Gaussian weights; error O(r^2), r = sum of 1/width, good up to about r = {largest:.2g} (class {class_name}), here "
        f"{r:.3g}. Largest relative variance {variance:.3g}, largest relative shift {shift:.3g}: {verdict}"
    )
    if spread > _EDGE:
        words += f". Nearly parallel inputs: their angle fluctuates by {spread:.2g} of itself, and entries of two inputs are not to be trusted"
    return words
