"""Cases of kernel_inference."""

from deepinit.runs.experiment import Case

from .config import Config
from .readout import READOUT, inputs, network
from .trained_networks import trained_cases


def cases(config: Config) -> tuple[Case, ...]:
    """Networks with a trained readout by width; networks trained in all layers."""
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
