"""The verdict with its evidence, or the reason why there is none."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from deepinit.core.layers import (
    Attention,
    BatchNorm,
    Conv,
    Gate,
    GroupNorm,
    Layer,
    LayerNorm,
    Residual,
    RMSNorm,
)
from deepinit.core.layers.containers import children
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.features import LABEL_FREE, WITH_LABELS
from deepinit.diagnosis.scores import Score, Scores
from deepinit.diagnosis.stacks import composed
from deepinit.diagnosis.verdict import calibrated, model, verdict

_FAMILIES: tuple[tuple[tuple[type, ...], str], ...] = (  # first match
    ((Attention,), "transformer"),
    ((Gate,), "gated"),
    ((Conv,), "conv"),
    ((Residual,), "residual"),
    ((LayerNorm, RMSNorm, BatchNorm, GroupNorm), "layernorm"),
)


_FIXED = "not at initialization, or without random weights: parameters do not depend on the key"


class Judgement(NamedTuple):
    """Share of networks like this one that train.

    Attributes:
        label: trains (share >= 0.75), fails (<= 0.25), uncertain.
        share, interval: None without a share; the interval is of 95 %. The share is moved into it:
            a claim does not exceed what was observed among networks of a predicted share like this.
        in_range: whether trained networks with such scores and of this family exist.
        networks, family, family_networks: fitted ones, and those of its family.
        auc: area under the curve on this family when it is left out of the fit; None: too few.
        table: SHA-256 of the fitted model.
        reason: why there is no share; empty with one.
    """

    label: str
    share: float | None
    interval: tuple[float, float] | None
    in_range: bool
    networks: int
    family: str
    family_networks: int
    auc: float | None
    table: str
    reason: str = ""


def judgement(
    found: Scores, network: Any, inputs: Any, at_initialization: bool = True
) -> Judgement:
    """Of scores of a spec or of layers; of other networks there is no family."""
    none = _evidence(network, inputs)
    if not at_initialization:
        return none._replace(reason=_FIXED)
    return _judged(none, found.scores, found.num_seeds)


def is_decided(found: Scores, judge: Callable[[Scores], Judgement]) -> bool:
    """Whether the label stays when each score the verdict sees moves by 3 standard errors."""
    label = judge(found).label

    def moved(name: str, by: float) -> Scores:
        own = found.scores[name]
        other = own._replace(mean=own.mean + by * own.standard_error)
        return found._replace(scores={**found.scores, name: other})

    names = [name for name in WITH_LABELS if name in found.scores]
    return all(judge(moved(name, by)).label == label for name in names for by in (-3.0, 3.0))


def judged_scores(predicted: Mapping[str, float], network: Any, inputs: Any) -> Judgement:
    """Of scores by theory."""
    scores = {name: Score(value, 0.0, 0.0, 0, value) for name, value in predicted.items()}
    return _judged(_evidence(network, inputs), scores, 1)


def _evidence(network: Any, inputs: Any) -> Judgement:
    record = model()
    family = family_of(network, inputs) if isinstance(network, NetworkSpec) else "unknown"
    count = int(record["families"].get(family, 0))
    auc = record["label_free"]["auc_of_left_out_families"].get(family)
    return Judgement(
        "uncertain", None, None, False, record["networks"], family, count, auc, record["sha256"]
    )


def _judged(none: Judgement, scores: Mapping[str, Score], num_seeds: int) -> Judgement:
    if not none.family_networks:
        reason = "no trained network resembles this one: scores only"
        return none._replace(reason=f"{reason} (unknown family)")
    missing = [name for name in LABEL_FREE if name not in scores]
    if missing:
        return none._replace(reason=f"no share without {', '.join(missing)}: scores only")
    names = [name for name in WITH_LABELS if name in scores]
    own = verdict({name: scores[name] for name in names}, num_seeds)
    if WITH_LABELS[-1] in names:
        areas = model()["with_labels"]["auc_of_left_out_families"]
        none = none._replace(auc=areas.get(none.family))
    if not own.in_range:
        return none._replace(reason="no trained network resembles this one: scores only")
    share = calibrated(own)
    return none._replace(label=own.label, share=share, interval=own.interval, in_range=True)


def family_of(network: NetworkSpec, inputs: Any) -> str:
    """The study's family with such layers: transformer, gated, conv, residual, layernorm, mlp."""
    kinds = set(_kinds(composed(network, inputs)))
    for layers, name in _FAMILIES:
        if any(issubclass(kind, layers) for kind in kinds):
            return name
    return "mlp"


def _kinds(layer: Layer) -> Iterable[type]:
    yield type(layer)
    for child in children(layer):
        yield from _kinds(child)
