"""Finite residual networks trained in all layers: Figures 6 and 7 of the paper, on the images that there are.

As in the paper: completed tanh networks with sigma_w^2 = 1 and sigma_b^2 = .01, one-hot targets and their mean square, gradients in NTK
parametrization, 120 epochs, minibatches of 200. Its learning rates are not reported. Those here were
chosen by the accuracy of one network of D = L = 15 (held out) on a thousand images that are neither trained on nor tested on. Descent, with and
without minibatches: of 1, 2, 4, 8, 16 the last diverges, 8 is best but diverges in minibatches at D = L = 50, so that both take 4 (held out 59 and
76 %; at 8 descent on all images has 67 %, and did not diverge). Adam: .01, .03 and .1 on all images have 74, 81.5 and 82 %, of which .03 is taken;
.003, .01, .03 and .1 in minibatches 79, 83, 78 and 79 %. On coarse digits, 40 epochs at D = L = 8, likewise among few rates at which none of two networks
diverges: convolutions by SGD .25 and .5 (1 lost a network), by Adam .03 and .1, which differ by less than their networks; fully connected ones by SGD 1
and 2 (4 lost a network), by Adam .03 and .1. At the sizes of the preset `paper` they are not tuned. On the loss sum |f - y|^2 / (2n) descent at 4 is beyond 2 / (largest
eigenvalue of the tangent kernel / n), 2.1 to 3.6: the networks leave the steep valley that they start in.

Convolutions have 3 x 3 filters with circular padding (the paper says neither), maps of single pixels at both ends, and see digits averaged over squares.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Case, CaseResult
from deepinit.theory import diffusion

from .cases import Config
from .data import BIAS_VAR, accuracy, digits, standard_error

RECORDED = (0.0, 0.0625, 0.25, 0.5, 1.0)  # of the epochs
SIDE = 28  # of an image


class Optimizer(NamedTuple):
    """How a network is trained; learning rates on digits, and on coarse digits of convolutions and of fully connected networks."""

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
    """The config's optimizers; those of them that convolutions are trained by.

    Raises:
        SpecError: another name.
    """
    for name in config.optimizers:
        if name not in OPTIMIZERS:
            raise SpecError(f"the optimizer {name!r}", ", ".join(OPTIMIZERS), "Check the spelling.")
    found = {name: OPTIMIZERS[name] for name in config.optimizers}
    return {
        name: one for name, one in found.items() if one.conv_rate is not None or not convolutions
    }


def trained_cases(config: Config) -> list[Case]:
    """Fully connected networks by four optimizers; convolutions, and as many fully connected ones, on coarse digits by two."""
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
    """The same with filters, on images of side x side pixels; the readout sees the average over positions."""
    bias = di.normal(BIAS_VAR, "depth")
    return di.ConvResNet(
        (side, side), size, size, bias_law=bias, embedding_law=di.normal(1.0), output_width=10
    )


def coarse(images: np.ndarray, side: int) -> np.ndarray:
    """Means over squares: [num, 784] -> [num, side^2]."""
    if not 3 <= side <= SIDE or SIDE % side:
        raise SpecError(
            f"digits of {side} pixels a side", "4, 7, 14, 28", "7 pixels can be recognized."
        )
    square = SIDE // side
    return images.reshape(-1, side, square, side, square).mean(axis=(2, 4)).reshape(len(images), -1)


def _training(
    config: Config, how: Optimizer, rate: float | None, epochs: int, side: int
) -> di.Training:
    data = digits(config)
    images, targets = data.train(config.trained_on)
    test, labels = data.test
    batch = min(config.batch_size, config.trained_on) if how.in_batches else None
    steps = max(1, epochs * config.trained_on // (batch or config.trained_on))
    return di.Training(
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
    config: Config, name: str, spec: di.ResNet | di.ConvResNet, run: di.Training, networks: int
) -> Case:
    net = di.network(spec, parametrization="ntk")
    return Case(name, net, di.quantities.accuracy, run, networks, key=config.key)


class Curve(NamedTuple):
    """Accuracy on the test images of the networks of a case, and on the training images at the end.

    Attributes:
        epochs, mean, error: [records]; the standard error is over networks.
        seen: at the end.
        diverged: networks that are left out.
    """

    epochs: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    seen: float
    diverged: int


def curve(result: CaseResult) -> Curve:
    """What a case has measured."""
    data, run = result.dataset, result.case.inputs
    tested, seen = (data.sel(pair=name) for name in ("test set", "training set"))
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
    """Test accuracy of regression with the tangent kernel of both limits and noise 1 / n; and of its gradient flow for as long as descent."""
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


def trained_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Accuracy of trained networks beside that of the kernel, and of convolutions beside fully connected networks."""
    found, how, conv = [], chosen(config), chosen(config, convolutions=True)
    if config.trained_sizes:
        ended, early = kernel_rates(config)
        found.append(
            f"Trained in all layers for {config.trained_epochs} epochs on {config.trained_on} images (one-hot targets, mean square), accuracy on "
            f"{config.num_test} test images: {_told(results, 'trained', config.trained_sizes, how)}. Regression with the tangent kernel of both limits, "
            f"noise 1 / n: {100 * ended:.1f} %; its gradient flow for as long as gradient descent: {100 * early:.1f} %. The paper, from 20 000 images, has "
            f"85.4 % for the kernel and, at D = L = 15, 50, 150, 500, {_paper(PAPER, how)}."
        )
        ends = {
            one.name: max(
                curve(results[f"trained-{size}-{name}"]).mean[-1] for size in config.trained_sizes
            )
            for name, one in how.items()
        }
        found.append(
            "The best size of each, against that regression and against that flow, which stops early: "
            f"{', '.join(f'{name} {100 * (rate - ended):+.1f} and {100 * (rate - early):+.1f}' for name, rate in ends.items())} points; a test set of "
            f"this size decides to {100 * standard_error(ended, config.num_test):.1f}."
        )
    if config.conv_sizes:
        found.append(
            f"On digits of {config.conv_side} x {config.conv_side} pixels, {config.conv_epochs} epochs: convolutions "
            f"{_told(results, 'conv', config.conv_sizes, conv)}; fully connected {_told(results, 'coarse', config.conv_sizes, conv)}. The paper's "
            f"convolutions have, at D = L = 15, 50, 150, {_paper(PAPER_CONV, conv)}."
        )
    return found


def _told(
    results: Mapping[str, CaseResult],
    kind: str,
    sizes: tuple[int, ...],
    how: Mapping[str, Optimizer],
) -> str:
    """Accuracies with standard errors in units of the last digit, and those on the training images."""
    lines = []
    for size in sizes:
        curves = {one.name: curve(results[f"{kind}-{size}-{name}"]) for name, one in how.items()}
        lines.append(
            f"D = L = {size}: {', '.join(f'{_rate(one)} by {name}' for name, one in curves.items())}"
        )
    return "; ".join(lines)


def _rate(found: Curve) -> str:
    error = f"{1000 * found.error[-1]:.0f}" if np.isfinite(found.error[-1]) else "?"
    diverged = f", {found.diverged} diverged" if found.diverged else ""
    return f"{100 * found.mean[-1]:.1f}({error}) % ({100 * found.seen:.0f} % in training{diverged})"


def _paper(rates: Mapping[str, tuple[float, ...]], how: Mapping[str, Optimizer]) -> str:
    return "; ".join(
        f"{', '.join(f'{100 * rate:.1f}' for rate in rates[name])} % by {one.name}"
        for name, one in how.items()
    )
