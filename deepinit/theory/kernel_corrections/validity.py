"""Range of the expansion in 1/width.

First-order variances have relative error C r, r = sum of 1/width; C = 2.5 (critical ReLU), < 1
(critical tanh), about 20 (noncritical GELU, depth 10). About 30 % at a relative variance of 0.1.
"""

import numpy as np

_EDGE = 0.1  # relative variance at which the second order is about 30 % of the first


def relative_sizes(
    mean: np.ndarray, shift: np.ndarray, covariance: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[L] largest relative variance and shift of one input (entries `own`); 0 where mean is."""
    scale = np.abs(mean[:, own])
    variance, moved = covariance[:, own, own], np.abs(shift[:, own])
    some = scale > 0.0
    safe = np.where(some, scale, 1.0)
    relative = (variance / safe**2, moved / safe)
    return tuple(np.where(some, part, 0.0).max(axis=1) for part in relative)


def estimated_range(variances: np.ndarray, total: np.ndarray) -> float:
    """r at which the largest of `variances` [L], after `total` [L] = r, would be 0.1."""
    return float(min(0.5, _EDGE / max((variances / total).max(), 1e-300)))


def describe_range(
    class_name: str,
    largest: float,
    total: np.ndarray,
    variances: np.ndarray,
    shifts: np.ndarray,
    spread: float,
) -> str:
    """Hypotheses, and the number of layers within r <= largest; total: r of every layer."""
    r, variance, shift = float(total[-1]), float(variances.max()), float(shifts.max())
    num_valid = int(np.sum(total <= largest * (1.0 + 1e-9)))
    if num_valid == len(total) and max(variance, shift) < 1.0:
        result = "within its range"
    elif max(variance, shift) < 1.0:
        result = (
            f"beyond its range after {num_valid} of {len(total)} layers, "
            "variances off by more than 30 %"
        )
    else:
        result = f"meaningless above 1; in range for {num_valid} of {len(total)} layers"
    if num_valid < len(total):
        result += f", or all of them at widths {r / largest:.3g} times as large"
    text = (
        "independent Gaussian weights; error O(r^2), r = sum of 1/width, good up to about "
        f"r = {largest:.2g} (class {class_name}), here {r:.3g}. Largest relative variance "
        f"{variance:.3g}, largest relative shift {shift:.3g}: {result}"
    )
    if spread > _EDGE:
        text += (
            f". Nearly parallel inputs: their angle fluctuates by {spread:.2g} of itself; entries "
            "of two inputs are not to be trusted"
        )
    return text
