"""Changes of a network: predicted, and the best one measured."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.features import LABEL_FREE
from deepinit.diagnosis.interventions import INTERVENTIONS
from deepinit.diagnosis.judgement import judged_scores, judgement
from deepinit.diagnosis.max_depth import max_depth
from deepinit.diagnosis.scores import Score, scores
from deepinit.diagnosis.theory_scores import predictions

MOST = 3
# In the pilot residual branches rescued 65 of 65 stacks, critical variances 17 of 48.
_ORDER = ("residual", "critical", "center", "norm", "width", "depth", "first_weight_var", "readout")


class Fix(NamedTuple):
    """A change, and what it does.

    Attributes:
        id: name in `INTERVENTIONS`, for `apply`.
        change: what differs, in words.
        source: of share and scores: "simulated" (measured on the changed network), "theory"
            (infinite width; spreads of order 1/width), "" (no theory; not measured).
        share, interval: of the changed network; None outside the range seen, or without a source.
        label: its verdict.
        scores: its scores.
        network: the changed network.
    """

    id: str
    change: str
    source: str
    share: float | None
    interval: tuple[float, float] | None
    label: str
    scores: dict[str, Score]
    network: NetworkSpec


def applied(name: str, network: NetworkSpec, inputs: Inputs) -> NetworkSpec:
    """The changed network. `width` doubles; `depth` goes to `di.max_depth`, or to half.

    Raises SpecError: unknown names; a change that does not apply.
    """
    chosen = validate.choice("apply", name, tuple(INTERVENTIONS))
    change = INTERVENTIONS[chosen].change
    if chosen == "depth":
        return change(network, inputs, _shorter(network, inputs))
    return change(network, inputs)


def fixes(network: NetworkSpec, inputs: Inputs, num_seeds: int, key: int) -> tuple[Fix, ...]:
    """The first 3 changes that apply. The best one by theory, else the first, is measured.

    The measured one first, then by share.
    """
    found = [
        _predicted(name, network, changed, inputs)
        for name, changed in itertools.islice(_changes(network, inputs), MOST)
    ]
    found.sort(key=lambda fix: (fix.share is None, -(fix.share or 0.0)))
    for at, fix in enumerate(found):
        try:
            best = _measured(fix, inputs, num_seeds, key)
        except SpecError:  # a layer that cannot be measured
            continue
        return best, *(other for number, other in enumerate(found) if number != at)
    return tuple(found)


def is_expected_to_fail(network: NetworkSpec, inputs: Inputs) -> bool:
    """By theory, where there is one."""
    theory = predictions(network, np.concatenate([inputs.points, inputs.partners]))
    return judged_scores(theory, network, inputs).label == "fails"


def _predicted(name: str, network: NetworkSpec, changed: NetworkSpec, inputs: Inputs) -> Fix:
    """By theory, where there is one."""
    rows = np.concatenate([inputs.points, inputs.partners])
    theory = predictions(changed, rows)
    none = Fix(name, _words(name, network, changed), "", None, None, "uncertain", {}, changed)
    if any(each not in theory for each in LABEL_FREE):
        return none
    judged = judged_scores(theory, changed, inputs)
    scores = {each: Score(np.nan, np.nan, np.nan, 0, value) for each, value in theory.items()}
    return none._replace(
        source="theory",
        share=judged.share,
        interval=judged.interval,
        label=judged.label,
        scores=scores,
    )


def _measured(fix: Fix, inputs: Inputs, num_seeds: int, key: int) -> Fix:
    own = scores(fix.network, inputs, num_seeds=num_seeds, key=key, parts="states")
    judged = judgement(own, fix.network, inputs)
    return fix._replace(
        source="simulated",
        share=judged.share,
        interval=judged.interval,
        label=judged.label,
        scores=own.scores,
    )


def _changes(network: NetworkSpec, inputs: Inputs) -> Iterator[tuple[str, NetworkSpec]]:
    """Names and changed networks, without refusals and repetitions."""
    seen = [network]
    for name in _ORDER:
        try:
            changed = applied(name, network, inputs)
        except SpecError:
            continue
        if changed not in seen:
            seen.append(changed)
            yield name, changed


def _shorter(network: NetworkSpec, inputs: Inputs) -> int:
    depth = int(getattr(network, "depth", 2))
    try:
        limit = max_depth(network, inputs).depth
    except SpecError:
        limit = None
    half = max(depth // 2, 1)
    return half if limit is None else max(min(limit, half), 1)


def _words(name: str, network: Any, changed: Any) -> str:
    """The change with its numbers."""
    if name == "depth" and hasattr(changed, "depth"):
        return f"{changed.depth} layers instead of {network.depth}"
    if name == "critical":
        law, bias = getattr(changed, "weight_law", None), getattr(changed, "bias_law", None)
        if law is not None:
            var = 0.0 if bias is None else bias.entry_variance(1)
            return f"critical weight var {law.variance:.6g}, bias var {var:.6g}"
    return _TEXTS[name]


_TEXTS = {
    "residual": "residual branches x 1/sqrt(depth)",
    "critical": "critical weight and bias variances",
    "center": "activation minus its value at 0",
    "norm": "LayerNorm before each activation",
    "width": "twice the width",
    "depth": "half the depth",
    "first_weight_var": "first layer's variance at the fixed point",
    "readout": "readout of variance 1/width^2",
}
