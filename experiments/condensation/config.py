"""Config and presets of condensation."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    multiplicities: tuple[int, ...] = (1, 2, 3)
    """p of the activations tanh, x tanh x, x^2 tanh x."""
    num_seeds: int = 8
    """Networks per case with counted orientations."""
    law_seeds: int = 100
    """Networks per case compared with exact laws; four times as many for losses."""
    width: int = 100
    """Hidden neurons of two-layer networks; three times as many for p = 3."""
    std: float = 1e-5
    """Standard deviation of all initial weights."""
    data_seeds: tuple[int, ...] = (1,)
    """Draws of the five-dimensional training set; one case each."""
    deep_activations: tuple[str, ...] = ("tanh",)
    """Activations of networks of five hidden layers, with and without residual connections."""
    deep_steps: int = 1400
    """Steps of Adam of these networks."""
    image_steps: int = 150
    """Steps of Adam of networks on images; 0 for no images."""
    residual_module: bool = False
    """Also train a residual network of flax, with condensed and with Glorot initialization."""
    phases: tuple[str, ...] = ("0.8,0.3", "1,0", "1.75,0", "1.5,-0.4")
    """Points gamma,gamma' of the phase diagram."""
    phase_widths: tuple[int, ...] = (100, 800)
    """The first and the last give the growth of the distance."""
    phase_seeds: int = 8
    """Networks per point and width."""
    scales: tuple[float, ...] = (0.5, 1.0, 1.5, 2.0)
    """gamma of the variances width^-gamma; training is compared with its linearization."""
    scale_width: int = 200
    """Hidden neurons of those networks."""
    key: int = 0
    """Root key of the ensembles."""


PAPER_PHASES = (
    *("0.75,0", "0.8,-0.3", "0.8,0.3", "1,0", "1.2,-0.4"),
    *("1.5,-0.4", "1.5,0.3", "1.5,0.7", "1.75,0", "2.5,0"),
)
PRESETS = {
    "smoke": Config(),
    "paper": Config(
        num_seeds=24,
        law_seeds=400,
        data_seeds=(1, 2, 3),
        deep_activations=("tanh", "x_tanh", "x2_tanh"),
        image_steps=400,
        residual_module=True,
        phases=PAPER_PHASES,
        phase_widths=(300, 3000),
    ),
    "full": Config(
        num_seeds=100,
        law_seeds=2000,
        data_seeds=tuple(range(1, 11)),
        deep_activations=("tanh", "x_tanh", "x2_tanh", "sigmoid", "softplus"),
        image_steps=1000,
        residual_module=True,
        phases=tuple(
            f"{g:g},{h:g}" for g in (0.75, 1.0, 1.25, 1.5, 1.75, 2.5) for h in (-0.4, 0.0, 0.3, 0.7)
        ),
        phase_widths=(300, 10_000),
        phase_seeds=16,
        scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5),
        scale_width=1000,
    ),
}
