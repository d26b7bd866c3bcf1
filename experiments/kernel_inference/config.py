"""Config and presets of kernel_inference."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    train_sizes: tuple[int, ...] = (500, 1000, 2000, 4000)
    """Training images of the affine kernels, at most 5000 minus the test images."""
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
    """Width and depth of networks whose evidence is compared with both limits; () for none."""
    calibration_size: int = 1000
    """Training images of posteriors with tested intervals."""
    widths: tuple[int, ...] = (64, 128, 256)
    """Widths of networks with a trained readout."""
    num_seeds: int = 20_000
    """Networks per width."""
    trained_sizes: tuple[int, ...] = (15, 50)
    """Width and depth of residual networks trained in all layers."""
    trained_on: int = 1000
    """Training images of networks."""
    trained_epochs: int = 120
    """Epochs."""
    trained_networks: int = 4
    """Networks per size and optimizer."""
    optimizers: tuple[str, ...] = ("gd", "sgd", "full-adam", "adam")
    """gd and full-adam take all images, sgd and adam minibatches; convolutions take the latter."""
    batch_size: int = 200
    """Images per minibatch."""
    conv_sizes: tuple[int, ...] = (8,)
    """Channels and depth of convolutional networks; width and depth of connected ones."""
    conv_side: int = 7
    """Pixels along a side of these images, a divisor of 28."""
    conv_epochs: int = 40
    """Epochs of these networks."""
    conv_networks: int = 2
    """Networks per kind and optimizer."""
    key: int = 0
    """Root key of the ensembles and of the choice of images."""


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
