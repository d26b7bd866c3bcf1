"""The run: train, score, repair, SGD, long; every block once."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from deepinit.core.errors import ResourceError
from deepinit.diagnosis import estimates
from deepinit.diagnosis.study import training
from deepinit.diagnosis.study.blocks import Blocks
from deepinit.diagnosis.study.data import sha256
from deepinit.diagnosis.study.families import given, programs, reference, values_of
from deepinit.diagnosis.study.outcomes import THRESHOLD, is_short, performance, summary
from deepinit.diagnosis.study.registered import configurations
from deepinit.diagnosis.study.repairs import repairs

_TRAIN_KEY, _SCORE_KEY = 1, 2


def run(blocks: Blocks, log: Callable[[str], None] | None = None) -> None:
    """Every missing block, cheap shapes first; the same bytes however often it was killed."""
    require_data()
    say = log or (lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201
    networks = configurations()["networks"]
    plan = [network for network in networks if network["draw"] != "R"]
    work = [(network, stage) for network in ordered(plan) for stage in ("train", "score", "repair")]
    clock = _Clock(say)
    for name in sorted({network["data"] for network in networks}):
        for sgd, steps in ((False, training.STEPS), (True, training.STEPS)):
            _reference(blocks, name, sgd, steps)
    clock.follow(_missing(blocks, work), blocks)
    for family in sorted({network["family"] for network in networks}):
        for network in networks:
            if network["draw"] == "R" and network["family"] == family and _short(blocks, family):
                own = [(network, stage) for stage in ("train", "score", "repair")]
                clock.follow(_missing(blocks, own), blocks)
    clock.follow(_missing(blocks, [(n, "sgd") for n in ordered(plan) if n["sgd"]]), blocks)
    for name in sorted({network["data"] for network in plan if network["long"]}):
        _reference(blocks, name, False, training.LONG_STEPS)
    clock.follow(_missing(blocks, [(n, "long") for n in ordered(plan) if n["long"]]), blocks)


def require_data() -> None:
    """ResourceError if a data set is not the registered one."""
    found = configurations()
    for name, digest in found["data_sha256"].items():
        if sha256(name) != digest:
            given = f"the data set {name} with SHA-256 {sha256(name)[:16]}"
            remedy = f"Run with CPython {found['python']}: texts are its library's."
            raise ResourceError(given, f"the registered {digest[:16]}", remedy)


def ordered(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shape by shape; the cheapest of every family, then the next of every family."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for network in networks:
        groups.setdefault((network["family"], cost(network), network["data"]), []).append(network)
    rank: dict[tuple[Any, ...], tuple[int, Any]] = {}
    for family in {key[0] for key in groups}:
        own = sorted((key for key in groups if key[0] == family), key=lambda key: key[1:])
        rank |= {key: (place, key) for place, key in enumerate(own)}
    return [network for key in sorted(groups, key=rank.__getitem__) for network in groups[key]]


def cost(network: dict[str, Any]) -> int:
    """Multiplications of a row, in units."""
    each = {"transformer": 32, "conv": 9 * 16, "gated": 6}.get(network["family"], 1)
    return each * network["width"] ** 2 * network["depth"]


def performance_of(blocks: Blocks, network: dict[str, Any], block: Any, sgd: bool = False) -> float:
    """P of a training."""
    own = reference_loss(blocks, network["data"], sgd)
    return performance(block["final"], given(network["data"]).trivial, own)


def reference_loss(blocks: Blocks, name: str, sgd: bool = False, steps: int = 400) -> float:
    """Loss at P = 1."""
    from deepinit.diagnosis.study.outcomes import best

    return best(blocks.get(_reference_name(name, sgd, steps))["final"])


def _short(blocks: Blocks, family: str) -> bool:
    """Whether a family has fewer than 10 failing, or 10 training, networks."""
    fails = [
        performance_of(blocks, network, block) < THRESHOLD
        for network in configurations()["networks"]
        if network["family"] == family and (block := blocks.get(f"{network['id']}-train"))
    ]
    return is_short(fails)


def _missing(blocks: Blocks, work: list[Any]) -> Iterator[Any]:
    """(network, stage) without a block; repairs of failing networks only."""
    for number, (network, stage) in enumerate(work):
        if blocks.get(f"{network['id']}-{stage}") is not None:
            continue
        if stage == "repair":
            trained = blocks.get(f"{network['id']}-train")
            if performance_of(blocks, network, trained) >= THRESHOLD:
                continue
        yield network, stage, (len(work) - number) / len(work)


def compute(network: dict[str, Any], stage: str) -> Any:
    """Content of a block."""
    if stage == "score":
        return scored(network)
    if stage == "repair":
        changed = repairs(network)
        return {
            name: {**trained(each), "scores": scored(each)["scores"]}
            for name, each in sorted(changed.items())
        }
    steps = training.LONG_STEPS if stage == "long" else training.STEPS
    return trained(network, sgd=stage == "sgd", steps=steps)


def trained(
    network: dict[str, Any], *, sgd: bool = False, steps: int = training.STEPS
) -> dict[str, Any]:
    """Losses of the network at every rate and seed."""
    key = _key(network["number"], _TRAIN_KEY)
    trainer, values = programs(network).trainer, values_of(network)
    return summary(training.losses(trainer, values, key, sgd=sgd, steps=steps))


def scored(network: dict[str, Any]) -> dict[str, Any]:
    """Scores: name -> [mean, standard error, spread, events]; null where not finite."""
    own = programs(network)
    found = own.scores(values_of(network), own.batch, _key(network["number"], _SCORE_KEY))
    scores = estimates.estimates({name: np.asarray(value) for name, value in found.items()})
    return {"scores": {name: [_number(x) for x in value] for name, value in scores.items()}}


def _number(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    return float(f"{value:.5g}") if np.isfinite(value) else None


def _key(number: int, purpose: int) -> Any:
    root = jax.random.key(configurations()["seed"])
    return jax.random.fold_in(jax.random.fold_in(root, number), purpose)


def _reference_name(name: str, sgd: bool, steps: int) -> str:
    return f"reference-{name}-{'sgd' if sgd else 'adam'}-{steps}"


def _reference(blocks: Blocks, name: str, sgd: bool, steps: int) -> None:
    block = _reference_name(name, sgd, steps)
    if blocks.get(block) is None:
        rows = given(name)
        init, outputs = reference(rows)
        trainer = training.trainer(init, outputs, rows)
        losses = training.losses(trainer, None, _key(2**20, _TRAIN_KEY), sgd=sgd, steps=steps)
        blocks.put(block, summary(losses))


class _Clock:
    """Computes blocks and says how long the rest will take."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.start, self.left_at_start = say, time.monotonic(), None

    def follow(self, work: Iterator[Any], blocks: Blocks) -> None:
        start, first = time.monotonic(), None
        for network, stage, left in work:
            first = left if first is None else first
            since = time.monotonic()
            blocks.put(f"{network['id']}-{stage}", compute(network, stage))
            now = time.monotonic()
            done = first - left
            rest = (now - start) * left / done / 3600 if done > 0 else float("nan")
            spent = f"{network['id']} {stage} {now - since:.1f} s"
            self.say(f"{spent}; {left:.0%} of this part left, about {rest:.1f} h")
