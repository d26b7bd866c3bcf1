"""Regression on MNIST digits with infinite-width kernels: accuracies, affine parts, intervals."""

import functools
from typing import NamedTuple

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory import diffusion

from .config import Config

PARTS = {"NNGP": ("readout",), "NTK": ("readout", "blocks", "embedding")}
BIAS_VAR = 0.01
LEVELS = np.linspace(0.1, 0.95, 18)


class Digits(NamedTuple):
    """Shuffled images, one-hot targets, and the split."""

    images: np.ndarray
    labels: np.ndarray
    num_test: int

    @property
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """The last images, with labels."""
        return self.images[-self.num_test :], self.labels[-self.num_test :]

    def train(self, num: int) -> tuple[np.ndarray, np.ndarray]:
        """The first images, with one-hot targets."""
        left = len(self.images) - self.num_test
        if not 0 < num <= left:
            remedy = "Take fewer, or fewer test images."
            raise SpecError(f"{num} training images", f"1 to {left}", remedy)
        return self.images[:num], np.eye(10)[self.labels[:num]]


@functools.cache
def all_images() -> tuple[np.ndarray, np.ndarray]:
    """5000 digits, read once."""
    return di.inputs.images()


def digits(config: Config) -> Digits:
    """5000 digits in an order of the config's key."""
    images, labels = all_images()
    order = np.random.default_rng(config.key).permutation(len(labels))
    return Digits(images[order], labels[order], config.num_test)


def completed(kernel: str) -> tuple[float, float]:
    """Intercept and slope variance of the completed tanh ResNet,
    sigma_w^2 = 1, sigma_b^2 = .01, sigma_z^2 = 1 / 784.
    """
    return diffusion.linear_model(
        "tanh", 1.0, BIAS_VAR, embedding_var=1.0 / 784, trained=PARTS[kernel]
    )


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Fraction with the largest output at the label."""
    return float(np.mean(np.argmax(outputs, axis=1) == labels))


def standard_error(rate: float, num: int) -> float:
    """Standard error of a fraction."""
    return float(np.sqrt(rate * (1.0 - rate) / num))


@functools.lru_cache(maxsize=2)
def affine_accuracies(config: Config) -> dict[str, np.ndarray]:
    """Kernel -> [train sizes], test accuracy of regression in weight space, noise 1 / n."""
    data = digits(config)
    test, labels = data.test

    def rate(kernel: str, num: int) -> float:
        model = di.inference.linear_model(*data.train(num), test, *completed(kernel), 1.0 / num)
        return accuracy(model.mean, labels)

    return {kernel: np.array([rate(kernel, num) for num in config.train_sizes]) for kernel in PARTS}


class Expressivity(NamedTuple):
    """A kernel against its affine part.

    `whole`, `affine`: test accuracies by kernel size. `share`, `centred_share`: affine share of the
    squared norm at the largest training set.
    """

    whole: np.ndarray
    affine: np.ndarray
    share: float
    centred_share: float


def kernels(config: Config, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> [num, num]: an affine kernel, then kernels that are not affine."""
    shape = (512,) * config.mlp_depth
    bias, depth_bias = di.normal(BIAS_VAR, "absolute"), di.normal(BIAS_VAR, "depth")
    specs = {
        "MLP relu": di.MLP(shape, "relu", di.normal(2.0), bias, output_width=1),
        "MLP erf": di.MLP(shape, "erf", di.normal(2.0), bias, output_width=1),
        "ResNet psi = relu": di.ResNet(
            512,
            config.resnet_depth,
            block="shallow",
            activation="linear",
            inner_activation="relu",
            bias_law=depth_bias,
            embedding_law=di.normal(1.0),
            output_width=1,
        ),
    }
    found = {}
    for phi in ("tanh", "silu"):
        both = diffusion.network_kernels(
            phi, rows @ rows.T, 1.0, BIAS_VAR, embedding_var=1.0 / rows.shape[1]
        )
        found.update({f"ResNet phi = {phi}, NNGP": both.nngp, f"ResNet phi = {phi}, NTK": both.ntk})
    for name, spec in specs.items():
        blocks = di.inference.kernel_for(spec, rows[:-1], rows[-1:], engine="neural_tangents")
        for kernel, parts in zip(("NNGP", "NTK"), blocks, strict=True):
            found[f"{name}, {kernel}"] = np.block(
                [[parts.train, parts.cross.T], [parts.cross, parts.test]]
            )
    return found


@functools.lru_cache(maxsize=2)
def expressivity(config: Config) -> dict[str, Expressivity]:
    """Every kernel against its affine part."""
    data, largest = digits(config), max(config.kernel_sizes)
    train, _ = data.train(largest)
    test, labels = data.test
    found = {}
    for name, kernel in kernels(config, np.concatenate([train, test])).items():
        part = di.inference.affine_part(kernel[:largest, :largest], train @ train.T)
        whole, affine = [], []
        for num in config.kernel_sizes:
            x, y = data.train(num)
            cut = kernel[:num, :num], kernel[largest:, :num], kernel[largest:, largest:]
            whole.append(accuracy(di.inference.posterior(*cut, y, 1.0 / num).mean, labels))
            model = part.intercept_var, part.slope_var
            affine.append(
                accuracy(di.inference.linear_model(x, y, test, *model, 1.0 / num).mean, labels)
            )
        found[name] = Expressivity(
            np.array(whole), np.array(affine), part.share, part.centred_share
        )
    return found


class Calibration(NamedTuple):
    """Intervals of one posterior against the one-hot test targets.

    `coverage`: fraction of targets inside the central interval, by LEVELS. `by_margin`, `margins`:
    coverage at 90 % and mean margin by quartile of the margin, the largest output minus the second;
    uncertain images first. `accuracy`: of the posterior mean. `noise`: assumed variance.
    """

    coverage: np.ndarray
    by_margin: np.ndarray
    margins: np.ndarray
    accuracy: float
    noise: float


@functools.lru_cache(maxsize=2)
def calibration(config: Config) -> dict[str, Calibration]:
    """The affine kernel with noise 1 / n, the same by empirical Bayes, and an MLP."""
    data, num = digits(config), config.calibration_size
    x, y = data.train(num)
    test, labels = data.test
    centred = y - 0.1  # the mean of a one-hot target; the prior has mean 0
    fixed = di.inference.linear_model(x, centred, test, *completed("NNGP"), 1.0 / num)
    best = di.inference.empirical_bayes(x, centred)
    fitted = di.inference.linear_model(
        x, centred, test, best.intercept_var, best.slope_var, best.noise
    )
    spec = di.MLP(
        (512,) * config.mlp_depth,
        "relu",
        di.normal(2.0),
        di.normal(BIAS_VAR, "absolute"),
        output_width=1,
    )
    blocks = di.inference.kernel_for(spec, x, test, engine="neural_tangents").nngp
    deep = di.inference.posterior(*blocks, centred, 1.0 / num)
    judged = {
        "affine, noise 1 / n": (fixed.mean, fixed.variance, 1.0 / num),
        "affine, empirical Bayes": (fitted.mean, fitted.variance, best.noise),
        "MLP relu, noise 1 / n": (deep.mean, deep.deviation**2, 1.0 / num),
    }
    return {
        name: judge(mean, variance, noise, labels)
        for name, (mean, variance, noise) in judged.items()
    }


def judge(mean: np.ndarray, variance: np.ndarray, noise: float, labels: np.ndarray) -> Calibration:
    """Coverage of the targets by the posterior."""
    from scipy.stats import norm

    scores = np.abs(np.eye(10)[labels] - 0.1 - mean) / np.sqrt(variance + noise)[:, None]
    coverage = np.array([np.mean(scores < norm.ppf(0.5 + 0.5 * level)) for level in LEVELS])
    top = np.sort(mean, axis=1)
    margin = top[:, -1] - top[:, -2]
    inside = np.mean(scores < norm.ppf(0.95), axis=1)
    groups = np.array_split(np.argsort(margin), 4)
    by_margin, margins = (
        np.array([np.mean(values[group]) for group in groups]) for values in (inside, margin)
    )
    return Calibration(coverage, by_margin, margins, accuracy(mean, labels), noise)
