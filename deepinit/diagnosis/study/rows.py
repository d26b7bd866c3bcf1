"""Networks of the study with their outcome, scores and baselines."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.diagnosis.features import WORST, features, score
from deepinit.diagnosis.stack_theory import stack_theory
from deepinit.diagnosis.study.activations import activation
from deepinit.diagnosis.study.blocks import Blocks
from deepinit.diagnosis.study.data import TOKENS
from deepinit.diagnosis.study.families import NUM_SEEDS, given
from deepinit.diagnosis.study.outcomes import THRESHOLD, performance
from deepinit.diagnosis.study.registered import configurations
from deepinit.diagnosis.study.repairs import repairs
from deepinit.diagnosis.study.run import reference_loss
from deepinit.diagnosis.study.training import LONG_STEPS, STEPS


class Row(NamedTuple):
    """A trained network.

    Attributes:
        network: configuration.
        performance: P; `early`, `early_one`: P after 50 steps, 3 seeds and 1 seed.
        scores: by name, worst values in place of events.
        theory: infinite-width slope and stretch, spread of order 1/width; empty without theory.
        repair: name of the intervention, "" for none.
    """

    network: dict[str, Any]
    performance: float
    early: float
    early_one: float
    scores: dict[str, float]
    theory: dict[str, float]
    repair: str = ""

    @property
    def fails(self) -> bool:
        """Whether P is below the threshold."""
        return self.performance < THRESHOLD

    @property
    def shape(self) -> tuple[Any, ...]:
        """What same-shape pairs share."""
        names = ("family", "norm", "width", "depth", "data")
        return tuple(self.network[name] for name in names)

    @property
    def ratio(self) -> float:
        """Depth / width."""
        return self.network["depth"] / self.network["width"]

    def features(self, labels: bool = False) -> np.ndarray:
        """What the verdict sees."""
        return features(self.scores, labels)

    def baseline(self) -> np.ndarray:
        """Depth, width and infinite width; 0 where it has no theory."""
        chi, stretch = (abs(self.theory.get(name, 0.0)) for name in ("slope", "stretch"))
        sizes = [np.log1p(self.network["depth"]), np.log(self.network["width"])]
        return np.array([*sizes, np.log1p(chi), np.log1p(stretch)])


def rows(blocks: Blocks) -> list[Row]:
    """Trained and scored networks, in order."""
    found = []
    for network in configurations()["networks"]:
        trained, scored = (blocks.get(f"{network['id']}-{stage}") for stage in ("train", "score"))
        if trained is not None and scored is not None:
            found.append(_row(blocks, network, trained, scored["scores"]))
    return found


def repaired_rows(blocks: Blocks) -> list[Row]:
    """Repaired networks; `network["id"]` is that of the failing one."""
    found = []
    for network in configurations()["networks"]:
        block = blocks.get(f"{network['id']}-repair")
        if block is not None:
            changed = repairs(network)
            for name, content in block.items():
                row = _row(blocks, changed[name], content, content["scores"])
                found.append(row._replace(repair=name))
    return found


def other_outcomes(blocks: Blocks, stage: str) -> dict[str, float]:
    """P by network id of the stages `sgd` and `long`, each beside its own reference."""
    found, steps = {}, {"sgd": STEPS, "long": LONG_STEPS}[stage]
    for network in configurations()["networks"]:
        block, data = blocks.get(f"{network['id']}-{stage}"), network["data"]
        if block is not None:
            own = reference_loss(blocks, data, stage == "sgd", steps)
            found[network["id"]] = performance(block["final"], given(data).trivial, own)
    return found


def _row(blocks: Blocks, network: dict[str, Any], trained: Any, scores: Any) -> Row:
    data, own = network["data"], reference_loss(blocks, network["data"])
    trivial, first = given(data).trivial, slice(0, 1)
    means = {name: values[0] for name, values in scores.items()}
    events = {name: values[3] for name, values in scores.items()}
    known = {name: score(means, events, name, NUM_SEEDS) for name in WORST if name in scores}
    return Row(
        network,
        performance(trained["final"], trivial, own),
        performance(trained["early"], trivial, own),
        performance(trained["early"], trivial, own, first),
        known,
        theory(network),
    )


def theory(network: dict[str, Any]) -> dict[str, float]:
    """Of stacks; large where a product over- or underflows."""
    if network["family"] in ("transformer", "gated"):
        return {}
    names = ("weight", "first", "bias", "skip", "alpha", "width", "depth")
    found = stack_theory(
        activation(network["activation"]),
        normalized=network["norm"] != "none",
        **{name: network[name] for name in names},
    )
    values = (found.gradient_slope, found.stretch, found.gradient_spread)
    cap = lambda value: float(np.nan_to_num(value, nan=200.0, posinf=200.0, neginf=-200.0))
    return dict(zip(("slope", "stretch", "spread"), map(cap, values), strict=True))


def parameters(network: dict[str, Any]) -> int:
    """Number of trained numbers."""
    width, depth, rows = network["width"], network["depth"], given(network["data"])
    if network["family"] == "transformer":
        block = 8 * width**2 + 3 * width
        return depth * block + (2 * rows.classes + TOKENS) * width + rows.classes
    size = given(network["data"], network["family"]).inputs.shape[-1]
    if network["family"] == "gated":
        layers, readout = (depth - 1) * 6 * width**2, width
    else:
        conv = network["family"] == "conv"
        layers = (depth - 1) * ((9 if conv else 1) * width**2 + width)
        readout = width * (16 if conv else 1)
    return (size + 1) * width + layers + (readout + 1) * rows.classes
