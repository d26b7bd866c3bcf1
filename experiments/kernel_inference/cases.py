"""What the experiment on inference measures: its config, its presets, its cases."""

import dataclasses

from deepinit.runs.experiment import Case

from .readout import READOUT, inputs, network


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    train_sizes: tuple[int, ...] = (500, 1000, 2000, 4000)
    """Training images of the affine kernels, at most 5000 less the test images."""
    kernel_sizes: tuple[int, ...] = (250, 500, 1000)
    """Training images of the other kernels."""
    num_test: int = 1000
    """Test images."""
    mlp_depth: int = 2
    """Hidden layers of the MLPs."""
    resnet_depth: int = 16
    """Blocks of the residual networks with an inner activation."""
    draws: int = 20
    """Samples of 100 images of 3 and 7, for empirical Bayes."""
    evidence_sizes: tuple[int, ...] = (25, 50, 100, 200)
    """Width, and depth, of networks whose evidence for these samples stands beside that of both limits; () for none."""
    calibration_size: int = 1000
    """Training images of the posteriors whose intervals are tested."""
    widths: tuple[int, ...] = (64, 128, 256)
    """Widths of the networks whose readout alone is trained."""
    num_seeds: int = 20_000
    """Networks of each width."""
    trained_sizes: tuple[int, ...] = (15, 50)
    """Width, and depth, of residual networks that are trained in all layers."""
    trained_on: int = 1000
    """Images that networks are trained on."""
    trained_epochs: int = 120
    """Passes through them."""
    trained_networks: int = 4
    """Networks of each size and optimizer."""
    optimizers: tuple[str, ...] = ("gd", "sgd", "full-adam", "adam")
    """How: by gradient descent, or by Adam, on all images or (sgd, adam) on minibatches; convolutions by the latter two."""
    batch_size: int = 200
    """Images of a minibatch."""
    conv_sizes: tuple[int, ...] = (8,)
    """Channels, and depth, of convolutional networks, and width and depth of fully connected ones on the same images."""
    conv_side: int = 7
    """Pixels along a side of these images, a divisor of 28."""
    conv_epochs: int = 40
    """Passes through the images."""
    conv_networks: int = 2
    """Networks of each kind and optimizer."""
    key: int = 0
    """Of the networks, and of the choice of images."""


PRESETS = {
    "default": Config(),
    "smoke": Config(
        train_sizes=(250, 500),
        kernel_sizes=(100, 200),
        num_test=200,
        resnet_depth=4,
        draws=3,
        evidence_sizes=(10, 20),
        calibration_size=200,
        widths=(32, 64),
        num_seeds=2000,
        trained_sizes=(6,),
        trained_on=250,
        trained_epochs=10,
        trained_networks=2,
        optimizers=("sgd", "adam"),
        batch_size=50,
        conv_sizes=(3,),
        conv_epochs=2,
    ),
    "paper": Config(
        evidence_sizes=(25, 50, 100, 200, 300),
        trained_sizes=(15, 50, 150),
        trained_on=4000,
        trained_networks=10,
        conv_sizes=(15, 50, 150),
        conv_side=28,
        conv_epochs=120,
        conv_networks=4,
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """Weakly trained networks: first order in 1 / width must hold, infinite width is rejected. Networks trained in all layers."""
    from .trained_networks import trained_cases

    weakly = tuple(
        Case(
            f"readout-w{width}",
            network(width),
            READOUT,
            inputs(),
            config.num_seeds,
            checked=("first_order",),
            rejected=("infinite_width",),
            key=config.key,
        )
        for width in config.widths
    )
    return (*weakly, *trained_cases(config))
