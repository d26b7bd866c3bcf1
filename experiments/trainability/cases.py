"""Config, presets and cases of trainability."""

import dataclasses
import math

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Case

ANGLE, ACCURACY = di.quantities.log_sin2_angle, di.quantities.accuracy
PIXELS = 784
# MNIST test accuracies of two runs each, printed in the public notebooks of the paper
NOTEBOOKS = {
    "85x2": (0.957, 0.952),
    "100x10": (0.951, 0.951),
    "30x15": (0.908, 0.919),
    "75x35": (0.908, 0.806),
    "50x50": (0.382, 0.202),
    "15x30": (0.459, 0.195),
}
THEORIES = {
    "tapered": "finite width",
    "paper": "finite width, the paper's rho(n)",
    "infinite_width": "infinite width",
}
_GRID = [f"{width}x{depth}" for width in (15, 60, 120) for depth in (5, 10, 20, 40)]


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    nets: tuple[str, ...] = ("85x2", "30x15", "15x30")
    """Architectures: width x hidden layers."""
    num_seeds: int = 4
    """Trained networks per architecture."""
    steps: int = 300
    """Steps of Adam."""
    angle_seeds: int = 400
    """Networks per architecture whose angles are measured."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(nets=tuple(NOTEBOOKS), num_seeds=10, steps=600, angle_seeds=5000),
    "full": Config(nets=(*NOTEBOOKS, *_GRID), num_seeds=10, steps=600, angle_seeds=20_000),
}


def cases(config: Config) -> tuple[Case, ...]:
    """Per architecture: the angle of orthogonal inputs at initialization, the test accuracy."""
    digits = di.targets.digits(5000)
    images, right = digits.inputs, digits.targets
    train = di.targets.examples(images[:4000], right[:4000], "4000 MNIST digits")
    test = di.targets.examples(images[4000:], right[4000:], "1000 others")
    records = sorted({0, config.steps // 10, config.steps // 3, config.steps})
    run = di.TrainingConfig(
        train, records, mode="adam", rate=1e-3, loss="cross_entropy", batch_size=100, test=test
    )
    pair = di.inputs.pair(0.5 * math.pi, dimension=PIXELS)
    theories, result = ("tapered", "paper"), []
    for net in config.nets:
        spec, key = architecture(net), config.key
        angle = Case(f"angle-{net}", spec, ANGLE, pair, config.angle_seeds, theories, key=key)
        accuracy = Case(f"accuracy-{net}", spec, ACCURACY, run, config.num_seeds, key=key)
        result += [angle, accuracy]
    return tuple(result)


def architecture(net: str) -> di.MLP:
    """The spec of `30x15`."""
    width, _, depth = net.partition("x")
    if not (width.isdigit() and depth.isdigit()):
        remedy = "Write --config.nets 30x15 100x10."
        raise SpecError(f"the architecture {net!r}", "width x depth", remedy)
    he = di.truncated_normal(2.0)
    return di.MLP((int(width),) * int(depth), di.relu, he, output_width=10, output_law=he)
