"""Changes of a network, each measured again."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.interventions import INTERVENTIONS
from deepinit.diagnosis.judgement import judgement
from deepinit.diagnosis.max_depth import max_depth
from deepinit.diagnosis.scores import Score, scores

MOST = 3
# In the pilot residual branches rescued 65 of 65 stacks, critical variances 17 of 48.
_ORDER = ("residual", "critical", "center", "norm", "width", "depth", "first_weight_var", "readout")


class Fix(NamedTuple):
    """A change, and the scores of the changed network.

    Attributes:
        id: name in `INTERVENTIONS`, for `apply`.
        change: what differs, in words.
        share, interval: of the changed network; None outside the range seen.
        label: its verdict.
        scores: its scores.
        network: the changed network.
    """

    id: str
    change: str
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
    """The first 3 changes that apply, re-measured; the largest share first."""
    found = []
    for name, changed in _changes(network, inputs):
        try:
            own = scores(changed, inputs, num_seeds=num_seeds, key=key, parts="states")
        except SpecError:  # a layer that cannot be measured
            continue
        judged = judgement(own, changed, inputs)
        words = _words(name, network, changed)
        found.append(
            Fix(name, words, judged.share, judged.interval, judged.label, own.scores, changed)
        )
        if len(found) == MOST:
            break
    return tuple(sorted(found, key=lambda fix: -1.0 if fix.share is None else -fix.share - 1))


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
