"""Config and presets of resnet_diffusion."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    size: int = 64
    """Width and depth of random functions and of the moments of x_T."""
    num_inputs: int = 7
    """Inputs z in [-2, 2] of the random functions."""
    num_draws: int = 1000
    """Networks per case of these."""
    drawn_widths: tuple[int, ...] = (8, 64)
    """Other widths of random functions of residual networks; at most eight pairs with depths."""
    drawn_depths: tuple[int, ...] = (8, 64)
    """Other depths of random functions."""
    num_paths: int = 1000
    """Paths of the equation for the moments of x_T, with `size` steps."""
    table_widths: tuple[int, ...] = (8, 32)
    """Widths of the table of kernels."""
    table_depths: tuple[int, ...] = (16, 64)
    """Depths of the table of kernels."""
    table_networks: int = 500
    """Networks per entry of the table."""
    linear_depths: tuple[int, ...] = (64,)
    """Depths of linear networks of the first width."""
    squares: tuple[int, ...] = (15, 50)
    """Widths D = L of tangent kernels."""
    crossed: tuple[int, ...] = ()
    """(15, 850): also a network with D = 15, L = 850 and one with D = 850, L = 15."""
    square_networks: int = 400
    """Networks per case of these."""
    gradient_width: int = 8
    """Width of the networks with measured gradients and determinants."""
    gradient_depth: int = 200
    """Depth of these networks."""
    gradient_networks: int = 2000
    """Number of these networks."""
    exploding_depths: tuple[int, ...] = (32, 128)
    """Depths of swish networks beyond the explosion time of their limit."""
    strong_depths: tuple[int, ...] = (32, 128)
    """Depths of the networks driven by the noise of their limit."""
    strong_networks: int = 128
    """Number of these networks."""
    channels: int = 16
    """Channels of the convolutional network."""
    convolution_depth: int = 64
    """Depth of the convolutional network."""
    convolution_networks: int = 600
    """Number of convolutional networks."""
    map_points: int = 13
    """Points per side of the correlation maps."""
    map_depth: int = 32
    """Depth of feed-forward networks in the maps."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(
        size=500,
        num_inputs=17,
        num_draws=10_000,
        drawn_widths=(15, 50, 150, 500),
        drawn_depths=(15, 500),
        num_paths=10_000,
        table_widths=(8, 32, 128),
        table_depths=(16, 64, 256),
        table_networks=4000,
        linear_depths=(16, 256),
        squares=(15, 50, 150, 300, 850),
        crossed=(15, 850),
        square_networks=1000,
        gradient_depth=400,
        gradient_networks=4000,
        exploding_depths=(32, 128, 512),
        strong_depths=(32, 64, 128, 256, 512),
        strong_networks=512,
        channels=32,
        convolution_depth=400,
        convolution_networks=1000,
        map_points=81,
        map_depth=500,
    ),
    "full": Config(
        size=500,
        num_inputs=41,
        num_draws=10_000,
        drawn_widths=(15, 50, 150, 500),
        drawn_depths=(15, 500),
        num_paths=10_000,
        table_widths=(8, 32, 128, 512),
        table_depths=(16, 64, 256, 1024),
        table_networks=10_000,
        linear_depths=(16, 256),
        squares=(15, 50, 150, 300, 850),
        crossed=(15, 850),
        square_networks=4000,
        gradient_depth=1000,
        gradient_networks=20_000,
        exploding_depths=(32, 128, 512, 2048),
        strong_depths=(32, 64, 128, 256, 512, 1024),
        strong_networks=2048,
        channels=64,
        convolution_depth=1000,
        convolution_networks=4000,
        map_points=81,
        map_depth=500,
    ),
}
