"""Training sets of the literature on early training.

At small weights f(x) = sum_j a_j phi(w_j.z), z = (x, 1), phi(s) = c s^p + ..., depends on the
training set only through H(w) = (c / n) sum_i y_i (w.z_i)^p, for p = 1 v = (1/n) sum_i y_i z_i.
Targets nearly orthogonal to such polynomials (fast oscillations, few points) leave directions to
sampling noise.
"""

import dataclasses
import math

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import checked_seed, images
from deepinit.core.reproducible import cosine, sine
from deepinit.core.typing import Array, Plain, Real

_COORDINATES = "Give at least one coordinate."


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Training set: inputs [n, dimension]; targets [n, outputs], or integer classes [n] >= 0.

    Inputs and real targets are float64.
    """

    inputs: np.ndarray
    targets: np.ndarray
    label: str

    @property
    def dimension(self) -> int:
        """Input dimension."""
        return self.inputs.shape[1]

    @property
    def are_classes(self) -> bool:
        """Whether targets are classes."""
        return self.targets.ndim == 1


def examples(
    inputs: Real[Array, "n *dimension"] | Plain,
    targets: Real[Array, "n *outputs"] | Plain,
    label: str = "examples",
) -> Examples:
    """Training set from arrays.

    Args:
        inputs: [n, dimension] or [n].
        targets: reals [n] or [n, outputs]; integers [n] are classes.

    Raises SpecError: empty, unequal lengths, negative classes, not finite.
    """
    x, y = validate.real_numbers(inputs), validate.real_numbers(targets)
    if x is None or y is None:
        remedy = "Convert to floats."
        raise SpecError("examples that are not numbers", "arrays of real numbers", remedy)
    given = np.asarray(targets)
    y = given.astype(np.int64) if given.dtype.kind in "iu" and given.ndim == 1 else y
    x = x[:, None] if x.ndim == 1 else x
    if y.ndim == 1 and y.dtype.kind == "f":
        y = y[:, None]
    if x.ndim != 2 or y.ndim not in (1, 2) or len(x) != len(y) or not x.size or not y.size:
        shapes = f"inputs of shape {x.shape} and targets of shape {y.shape}"
        allowed = "[n, dimension] and [n] or [n, outputs], with the same n >= 1"
        raise SpecError(shapes, allowed, "Give one target to every input.")
    finite = np.isfinite(x).all() and np.isfinite(y).all()
    remedy = "Remove NaN and infinity."
    validate.require(finite, "examples that are not finite", "finite numbers", remedy)
    if y.ndim == 1 and y.min() < 0:
        raise SpecError(f"the class {y.min()}", "integers from 0 on", "Number the classes from 0.")
    return Examples(x, y, label)


def centred(given: Examples) -> Examples:
    """Examples with targets of mean 0."""
    remedy = "Write targets.examples(inputs, targets)."
    validate.instance("examples", given, Examples, "Examples", remedy)
    remedy = "Centre targets before a regression only."
    validate.require(not given.are_classes, "classes", "targets that are numbers", remedy)
    targets = given.targets - given.targets.mean(axis=0)
    return Examples(given.inputs, targets, f"{given.label}, centred")


def sum_of_sines(
    dimension: int = 5,
    num_examples: int = 80,
    *,
    amplitude: float = 3.5,
    frequency: float = 5.0,
    seed: int = 0,
) -> Examples:
    """y = sum_k amplitude sin(frequency x_k + 1), x_k uniform on [-4, 2].

    Deep experiments use (3, amplitude=4, frequency=12); frequency=2 has fewer orientations.
    Reference: arXiv 2105.11686, section 4.
    """
    validate.integer("dimension", dimension, 1, _COORDINATES)
    validate.integer("num_examples", num_examples, 1, "Give at least one example.")
    amplitude = validate.real("amplitude", amplitude)
    frequency = validate.real("frequency", frequency)
    rng = np.random.default_rng(checked_seed(seed))
    x = rng.uniform(-4.0, 2.0, (num_examples, dimension))
    y = amplitude * sine(frequency * x + 1.0).sum(axis=1)
    return examples(x, y, f"sum of {dimension} sines of frequency {frequency:g}")


def two_sines(num_examples: int = 40) -> Examples:
    """y = sin 3x + sin(6x) / 2, equally spaced on [-1, 1.5].

    Reference: arXiv 2105.11686, section 4.
    """
    validate.integer("num_examples", num_examples, 2)
    x = np.linspace(-1.0, 1.5, num_examples)
    return examples(x, sine(3.0 * x) + 0.5 * sine(6.0 * x), "two sines")


def simplex(dimension: int, targets: Real[Array, "n *outputs"] | Plain = 1.0) -> Examples:
    """Vertices of a regular simplex: x_k.x_l = -1, |x_k|^2 = dimension >= 1.

    dimension + 1 examples; z_k = (x_k, 1) are orthogonal. For p >= 3, H(u) = (c / n) sum_k y_k
    (u.z_k)^p has attractors +- z_k / |z_k|, more than 2 p if dimension >= p; for p = 2 and equal
    targets H is constant.
    `targets`: a number or [dimension + 1].
    """
    validate.integer("dimension", dimension, 1, _COORDINATES)
    count = dimension + 1
    y = validate.real_numbers(targets)
    if y is None or y.shape not in ((), (count,)):
        given = f"targets of {validate.shape_text(targets)}"
        raise SpecError(given, f"one number, or {count}", "Leave them out for 1.")
    # rows of the centred identity in Helmert's orthonormal basis, scaled to norm^2 = dimension
    basis = np.zeros((dimension, count))
    for k in range(1, count):
        basis[k - 1, :k] = 1.0 / math.sqrt(k * (k + 1))
        basis[k - 1, k] = -k / math.sqrt(k * (k + 1))
    x = math.sqrt(count) * basis.T
    return examples(x, np.broadcast_to(y, (count,)), f"simplex in dimension {dimension}")


def two_circles(num_examples: int = 100, *, inner: float = 0.5) -> Examples:
    """Two classes: equally spaced points of circles of radii 1 and `inner` in (0, 1).

    `num_examples`: in all, even.
    """
    validate.integer("num_examples", num_examples, 4, "Give at least two points to each circle.")
    radius = validate.fraction("inner", inner, "0.5 is half the size.")
    count = num_examples // 2
    angles = 2.0 * np.pi * np.arange(count) / count
    circle = np.stack([cosine(angles), sine(angles)], axis=1)
    x = np.concatenate([circle, radius * circle])
    return examples(x, np.repeat([0, 1], count), "two circles")


def digits(
    num_examples: int = 1000, *, classes: bool = True, seed: int = 0, skip: int = 0
) -> Examples:
    """1 to 5000 MNIST digits, pixels in [0, 1], drawn without replacement from 5000.

    Args:
        classes: class targets; else numbers, for regression.
        skip: digits that the same seed draws before these: `digits(500)` and
            `digits(500, skip=500)` have no image in common; sets of two seeds have.
    """
    validate.integer("skip", skip, 0, "Leave it out.", most=4999)
    remedy = f"Take at most {5000 - skip}: there are 5000 digits."
    validate.integer("num_examples", num_examples, 1, remedy, most=5000 - skip)
    rng = np.random.default_rng(checked_seed(seed))
    pixels, labels = images()
    chosen = rng.permutation(len(labels))[skip : skip + num_examples]
    y = labels[chosen] if classes else labels[chosen].astype(np.float64)
    return examples(pixels[chosen], y, f"{num_examples} MNIST digits")
