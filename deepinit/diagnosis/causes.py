"""Causes of failing: scores that are large, by how much the share would rise without them."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from deepinit.diagnosis.features import LABEL_FREE, WITH_LABELS
from deepinit.diagnosis.scores import Score, Scores
from deepinit.diagnosis.verdict import calibrated, verdict

MOST = 3
LARGE = 2.0  # of ln |gradient|^2 from end to end, ln sin^2, ln relative length^2: a factor e^2
LARGE_SPREAD = 1.0  # standard deviation of ln |gradient|^2 between networks
ALIKE = 0.95  # mean cosine of tokens
PEAKED = 0.02  # attention entropy over that of uniform attention: failing transformers of the pilot


class Cause(NamedTuple):
    """One reason why networks like this fail.

    Attributes:
        id: collapse, chaos, vanishing, exploding, lottery, overflow, underflow, rank, entropy.
        score: its name; `size` its mean.
        layers: first and last layer concerned, from 1; None: all.
        share_without: share that trains if this score were 0; None without a share.
        sentence: what happens, with its numbers.
    """

    id: str
    score: str
    size: float
    layers: tuple[int, int] | None
    share_without: float | None
    sentence: str


def causes(found: Scores, share: float | None) -> tuple[Cause, ...]:
    """At most 3, the one whose removal raises the share most first; events before all."""
    candidates = [*_events(found), *_large(found)]
    complete = all(name in found.scores for name in LABEL_FREE)

    def judged(cause: Cause) -> Cause:
        if share is None or not complete or cause.score not in LABEL_FREE:
            return cause
        without = {**found.scores, cause.score: Score(0.0, 0.0, 0.0, 0, None)}
        own = verdict(_seen(without), found.num_seeds)
        return cause._replace(share_without=calibrated(own))

    own = [judged(cause) for cause in candidates]
    gain = lambda c: 0.0 if c.share_without is None or share is None else c.share_without - share
    is_event = lambda c: c.id in ("overflow", "underflow")
    return tuple(sorted(own, key=lambda c: (not is_event(c), -gain(c)))[:MOST])


def _seen(scores: Mapping[str, Score]) -> dict[str, Score]:
    """The scores that the verdict sees."""
    return {name: scores[name] for name in WITH_LABELS if name in scores}


def _events(found: Scores) -> list[Cause]:
    """Networks without a finite value: where, and whether signals or gradients are lost."""
    for name, what in (("log_norm", "signals"), ("log_gradient2", "gradients")):
        layers = found.layers[name]
        lost = [at for at, each in enumerate(layers) if each.events]
        if not lost:
            continue
        known = [each.mean for each in layers if math.isfinite(each.mean)]
        kind = "overflow" if known and max(known, key=abs) > 0 else "underflow"
        most = max(each.events for each in layers)
        verb = "overflow" if kind == "overflow" else "are 0"
        where = _range_text(lost[0] + 1, lost[-1] + 1, len(layers))
        score = "forward_range" if name == "log_norm" else "gradient_slope"
        text = f"{what} {verb} in {most} of {found.num_seeds} networks, {where}"
        size = float(most)
        return [Cause(kind, score, size, (lost[0] + 1, lost[-1] + 1), None, text)]
    return []


def _large(found: Scores) -> list[Cause]:
    means = {name: each.mean for name, each in found.scores.items() if math.isfinite(each.mean)}
    depth, causes = len(found.paths), []
    slope, spread = means.get("gradient_slope", 0.0), means.get("gradient_spread", 0.0)
    collapse, stretch = means.get("collapse", 0.0), means.get("stretch", 0.0)
    if abs(slope) > LARGE:
        last = _last_far(found.layers["log_gradient2"])
        kind, verb = ("exploding", "explode") if slope > 0 else ("vanishing", "vanish")
        theory = _theory(found.scores["gradient_slope"], "infinite width e^{:.2g}")
        text = f"gradients {verb}: |gradient|^2 x e^{slope:.2g}{_spread(found, 'gradient_slope')}"
        text += f" from last to first layer{theory}"
        causes.append(Cause(kind, "gradient_slope", slope, (1, last), None, text))
    if spread > LARGE_SPREAD:
        theory = _theory(found.scores["gradient_spread"], "1/width theory {:.2g} at one input")
        text = f"seed lottery: |gradient|^2 differs by e^+-{spread:.2g} between networks{theory}"
        causes.append(Cause("lottery", "gradient_spread", spread, None, None, text))
    if collapse > LARGE:
        first = _first_far(found.layers["log_sin2"])
        text = (
            f"inputs become alike: sin^2 of their angles x e^-{collapse:.2g}"
            f"{_spread(found, 'collapse')}, "
            f"{_range_text(first, depth, depth)}"
        )
        causes.append(Cause("collapse", "collapse", collapse, (first, depth), None, text))
    if abs(stretch) > LARGE:
        theory = _theory(found.scores["stretch"], "infinite width e^{:.2g}")
        kind = "chaos" if stretch > 0 else "collapse"
        how = "pulled apart" if stretch > 0 else "drawn together"
        text = f"{'chaos: ' * (stretch > 0)}neighbouring inputs are {how}, distance^2 x e^"
        text += f"{stretch:.2g}{_spread(found, 'stretch')} relative to their size{theory}"
        causes.append(Cause(kind, "stretch", stretch, None, None, text))
    cosine = means.get("token_cosine", 0.0)
    if cosine > ALIKE:
        text = f"rank collapse: mean cosine of the tokens of a sequence {cosine:.3f} at the end"
        causes.append(Cause("rank", "token_cosine", cosine, None, None, text))
    entropy = means.get("attention_entropy", 1.0)
    if entropy < PEAKED:
        text = f"entropy collapse: attention has {100 * entropy:.2g} % of the largest entropy"
        causes.append(Cause("entropy", "attention_entropy", entropy, None, None, text))
    return causes


def _spread(found: Scores, name: str) -> str:
    """Standard deviation between networks."""
    spread = found.scores[name].spread
    return f" +-{spread:.1g}" if math.isfinite(spread) and spread > 0 else ""


def _theory(score: Score, text: str) -> str:
    predicted = score.predicted
    if predicted is None or not math.isfinite(predicted):
        return ""
    return f" ({text.format(0.0 if abs(predicted) < 5e-3 else predicted)})"


def _last_far(layers: list[Any]) -> int:
    """Last layer whose gradient^2 differs from that of the end by e or more, from 1."""
    far = [at for at, each in enumerate(layers) if abs(each.mean - layers[-1].mean) >= 1]
    return (far[-1] if far else len(layers) - 1) + 1


def _first_far(layers: list[Any]) -> int:
    """First layer whose sin^2 is below that of layer 1 by e or more, from 1."""
    far = [at for at, each in enumerate(layers) if layers[0].mean - each.mean >= 1]
    return (far[0] if far else 0) + 1


def _range_text(first: int, last: int, depth: int) -> str:
    if first == last:
        return f"layer {first}"
    if last == depth:
        return "in every layer" if first == 1 else f"from layer {first} of {depth} on"
    return f"layers {first}-{last} of {depth}"
