"""Residual networks trained in all layers: Figures 6 and 7 of the paper.

As in the paper: completed tanh networks, sigma_w^2 = 1, sigma_b^2 = .01, one-hot targets, mean
square, NTK parametrization, 120 epochs, minibatches of 200. Learning rates, which the paper does
not report, have the best accuracy of one network, D = L = 15, on a thousand held-out images:
    descent    of 1, 2, 4, 8, 16: 16 diverges; 8 is best but diverges in minibatches at D = L = 50;
               4 is taken for both (59 % on all images, 76 % in minibatches; 8 on all images 67 %)
    Adam       .01, .03, .1 on all images: 74, 81.5, 82 %; .03 is taken
               .003, .01, .03, .1 in minibatches: 79, 83, 78, 79 %; .01 is taken
On coarse digits, 40 epochs, D = L = 8, among rates at which neither of two networks diverges:
convolutions by SGD .25 and .5 (1 diverged once), by Adam .03 and .1; fully connected networks by
SGD 1 and 2 (4 diverged once), by Adam .03 and .1. The sizes of the preset `paper` are not tuned.
On the loss sum |f - y|^2 / (2n) descent at 4 is beyond 2 / (largest eigenvalue of the tangent
kernel / n), 2.1 to 3.6: the networks leave the steep valley at the start. Convolutions have 3 x 3
filters, circular padding (neither is stated in the paper), maps of single pixels at both ends, and
digits averaged over squares.
"""

from typing import NamedTuple

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Case, CaseResult
from deepinit.theory import diffusion

from .config import Config
from .data import BIAS_VAR, accuracy, digits

RECORDED = (0.0, 0.0625, 0.25, 0.5, 1.0)  # of the epochs
SIDE = 28  # of an image


class Optimizer(NamedTuple):
    """An optimizer, and its rates on digits and, for two networks, on coarse digits."""

    name: str
    mode: str
    in_batches: bool
    rate: float
    conv_rate: float | None = None
    coarse_rate: float | None = None


OPTIMIZERS = {
    "gd": Optimizer("gradient descent", "gd", False, 4.0),
    "sgd": Optimizer("SGD", "sgd", True, 4.0, 0.5, 2.0),
    "full-adam": Optimizer("Adam, full batch", "adam", False, 0.03),
    "adam": Optimizer("Adam, minibatches", "adam", True, 0.01, 0.03, 0.1),
}
PAPER = {"gd": (0.790, 0.836, 0.847, 0.850), "sgd": (0.915, 0.859, 0.859, 0.857)}
PAPER |= {
    "full-adam": (0.894, 0.855, 0.859, 0.850),
    "adam": (0.932, 0.941, 0.951, 0.945),
}  # D = L = 15, 50, 150, 500
PAPER_CONV = {"sgd": (0.707, 0.900, 0.939), "adam": (0.986, 0.993, 0.988)}  # D = L = 15, 50, 150


def chosen(config: Config, *, convolutions: bool = False) -> dict[str, Optimizer]:
    """The optimizers of the config, or of its convolutions; SpecError for an unknown name."""
    for name in config.optimizers:
        if name not in OPTIMIZERS:
            raise SpecError(f"the optimizer {name!r}", ", ".join(OPTIMIZERS), "Check the spelling.")
    found = {name: OPTIMIZERS[name] for name in config.optimizers}
    return {
        name: one for name, one in found.items() if one.conv_rate is not None or not convolutions
    }


def trained_cases(config: Config) -> list[Case]:
    """Connected networks by optimizer; convolutions and connected networks on coarse digits."""
    found = []
    for size in config.trained_sizes:
        for name, one in chosen(config).items():
            run = _training(config, one, one.rate, config.trained_epochs, SIDE)
            found.append(
                _case(
                    config, f"trained-{size}-{name}", connected(size), run, config.trained_networks
                )
            )
    for size in config.conv_sizes:
        for name, one in chosen(config, convolutions=True).items():
            for kind, spec, rate in (
                ("conv", convolutional(size, config.conv_side), one.conv_rate),
                ("coarse", connected(size), one.coarse_rate),
            ):
                run = _training(config, one, rate, config.conv_epochs, config.conv_side)
                found.append(
                    _case(config, f"{kind}-{size}-{name}", spec, run, config.conv_networks)
                )
    return found


def connected(size: int) -> di.ResNet:
    """The completed network of D = L = size."""
    bias = di.normal(BIAS_VAR, "depth")
    return di.ResNet(
        size, size, block="shallow", bias_law=bias, embedding_law=di.normal(1.0), output_width=10
    )


def convolutional(size: int, side: int) -> di.ConvResNet:
    """Convolutional network on side x side pixels; the readout sees the average over positions."""
    bias = di.normal(BIAS_VAR, "depth")
    return di.ConvResNet(
        (side, side), size, size, bias_law=bias, embedding_law=di.normal(1.0), output_width=10
    )


def coarse(images: np.ndarray, side: int) -> np.ndarray:
    """Means over squares: [num, 784] -> [num, side^2]."""
    if not 3 <= side <= SIDE or SIDE % side:
        remedy = "7 pixels can be recognized."
        raise SpecError(f"digits of {side} pixels a side", "4, 7, 14, 28", remedy)
    square = SIDE // side
    return images.reshape(-1, side, square, side, square).mean(axis=(2, 4)).reshape(len(images), -1)


def _training(
    config: Config, how: Optimizer, rate: float | None, epochs: int, side: int
) -> di.TrainingConfig:
    data = digits(config)
    images, targets = data.train(config.trained_on)
    test, labels = data.test
    batch = min(config.batch_size, config.trained_on) if how.in_batches else None
    steps = max(1, epochs * config.trained_on // (batch or config.trained_on))
    return di.TrainingConfig(
        di.targets.examples(coarse(images, side), targets, f"{config.trained_on} MNIST digits"),
        tuple(sorted({round(part * steps) for part in RECORDED})),
        mode=how.mode,
        rate=rate,
        batch_size=batch,
        test=di.targets.examples(
            coarse(test, side), np.eye(10)[labels], f"{config.num_test} others"
        ),
    )


def _case(
    config: Config,
    name: str,
    spec: di.ResNet | di.ConvResNet,
    run: di.TrainingConfig,
    networks: int,
) -> Case:
    net = di.network(spec, parametrization="ntk")
    return Case(name, net, di.quantities.accuracy, run, networks, key=config.key)


class Curve(NamedTuple):
    """Test accuracy of networks by epoch, with standard error.

    `seen`: training accuracy at the end. `diverged`: excluded networks.
    """

    epochs: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    seen: float
    diverged: int


def curve(result: CaseResult) -> Curve:
    """The accuracies of a case."""
    data, run = result.dataset, result.case.inputs
    tested, seen = (data.sel(component=name) for name in ("test set", "training set"))
    epochs = (
        np.array(run.record_steps)
        * (run.batch_size or len(run.examples.inputs))
        / len(run.examples.inputs)
    )
    mean, error = tested["mean"].values, tested["standard_error"].values
    return Curve(
        epochs,
        mean,
        error,
        float(seen["mean"].values[-1]),
        int(tested["num_excluded"].values.max()),
    )


def kernel_rates(config: Config) -> tuple[float, float]:
    """Test accuracies of the tangent kernel of both limits: of regression with noise 1 / n,
    and of gradient flow for as long as gradient descent.
    """
    data, num = digits(config), config.trained_on
    x, y = data.train(num)
    test, labels = data.test
    rows = np.concatenate([x, test])
    kernel = diffusion.network_kernels(
        "tanh", rows @ rows.T, 1.0, BIAS_VAR, embedding_var=1.0 / rows.shape[1]
    ).ntk
    train, cross = kernel[:num, :num], kernel[num:, :num]
    time = OPTIMIZERS["gd"].rate * config.trained_epochs / num  # the loss is a mean over examples
    ended = di.inference.trained(train, cross, y, noise=1.0 / num)
    early = di.inference.trained(train, cross, y, time=time)
    return accuracy(ended.mean, labels), accuracy(early.mean, labels)
