"""What the verdict sees: ln(1 + score) of four scores, and with labels a fifth."""

from collections.abc import Mapping
from typing import Any

import numpy as np

LABEL_FREE = ("gradient_spread", "gradient_slope", "collapse", "stretch")
WITH_LABELS = (*LABEL_FREE, "signal_efficiency")
# Where more than half of the networks have no finite value: overflow or underflow, the worst.
WORST = {
    "gradient_spread": 20.0,
    "gradient_slope": 200.0,
    "collapse": 27.6,
    "stretch": 200.0,
    "signal_efficiency": 0.0,
    "ntk_condition": 16.1,
    "ntk_centred": 0.0,
    "token_cosine": 1.0,
    "attention_entropy": 0.0,
    "first_step": 90.0,
    "forward_range": 90.0,
    "gradient_floor": -90.0,
}


def score(
    means: Mapping[str, float | None], events: Mapping[str, int], name: str, of: int
) -> float:
    """The mean over networks, or the worst value if half of the `of` networks had an event."""
    value = means.get(name)
    return WORST[name] if value is None or events.get(name, 0) > of / 2 else float(value)


def features(scores: Mapping[str, float], labels: bool = False) -> np.ndarray:
    """ln(1 + (spread, |slope|, max(collapse, 0), |stretch|)), and the efficiency as it is."""
    found = [np.log1p(max(size(name, scores[name]), 0.0)) for name in LABEL_FREE]
    return np.array([*found, scores["signal_efficiency"]] if labels else found)


def size(name: str, value: Any) -> Any:
    """The score as the verdict sees it: two-sided ones by their absolute value."""
    return abs(value) if name in ("gradient_slope", "stretch") else value
