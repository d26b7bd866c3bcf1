"""Finite residual networks trained in all layers, beside regression with the kernels of their limit (Figure 6 of the paper, in small)."""

from collections.abc import Mapping

from kernel_inference_data import BIAS_VAR, affine_accuracies, digits

import deepinit as di
from deepinit.experiment import Case, CaseResult

RATE, STEPS = 3.0, 300  # of full-batch gradient descent in NTK parametrization: the training set is then nearly learned


def trained_cases(config) -> list[Case]:
    """Completed tanh networks with D = L, cross-entropy on the first digits, accuracy on the test digits."""
    found, data = [], digits(config)
    images, labels = data.images[: config.trained_on], data.labels[: config.trained_on]
    train = di.targets.examples(images, labels, f"{config.trained_on} MNIST digits")
    test = di.targets.examples(*data.test, f"{config.num_test} others")
    run = di.Training(train, (0, STEPS // 3, STEPS), rate=RATE, loss="cross_entropy", test=test)
    for size in config.trained_sizes:
        spec = di.ResNet(
            size,
            size,
            block="shallow",
            bias_law=di.normal(BIAS_VAR, "depth"),
            embedding_law=di.normal(1.0),
            output_width=10,
        )
        net = di.network(spec, parametrization="ntk")
        found.append(Case(f"trained-{size}", net, di.quantities.accuracy, run, config.trained_networks, key=config.key))
    return found


def trained_words(config, results: Mapping[str, CaseResult]) -> list[str]:
    """Accuracy of the trained networks, and of the kernel with as many images."""
    found, kernels = [], affine_accuracies(config)
    for size in config.trained_sizes:
        last = results[f"trained-{size}"].dataset.isel(step=-1)
        tested, seen = last.sel(pair="test set"), last.sel(pair="training set")
        beside = ""
        if config.trained_on in config.train_sizes:
            at = config.train_sizes.index(config.trained_on)
            beside = f"; regression with the NTK of both limits has {100 * kernels['NTK'][at]:.1f} %"
        found.append(
            f"Networks of width and depth {size}, trained in all layers by gradient descent (cross-entropy, {config.trained_on} images, {STEPS} steps): "
            f"test accuracy {100 * float(tested['mean']):.1f}({1000 * float(tested['standard_error']):.0f}) %, training {100 * float(seen['mean']):.1f} %{beside}: "
            "so far from both limits, networks learn features that the affine kernel has not."
        )
    return found
