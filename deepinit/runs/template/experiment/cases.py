"""What is simulated, and which theories it is compared with."""

import dataclasses

import deepinit as di
from deepinit.runs.experiment import Case


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run; every field is an option of the command (--config.num-seeds 500)."""

    widths: tuple[int, ...] = (32, 128)
    """Hidden widths, one case each."""
    depth: int = 8
    """Hidden layers."""
    num_seeds: int = 2000
    """Networks per case."""


PRESETS = {
    "smoke": Config(),
    "full": Config(widths=(16, 32, 64, 128, 256), depth=32, num_seeds=20_000),
}


def cases(config: Config) -> tuple[Case, ...]:
    """One ensemble for every width."""
    return tuple(
        Case(
            name=f"relu-w{width}",
            spec=di.MLP((width,) * config.depth, di.relu),  # or any network of di.layers
            quantity=di.quantities.log_norm,  # `di.coverage()` prints the others
            inputs=di.inputs.ones(64),
            num_seeds=config.num_seeds,
            # theories that must agree within 5 standard errors: else the command ends with code 6
            checked=("exact",),
        )
        for width in config.widths
    )
