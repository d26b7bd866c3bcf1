"""A diagnosis as JSON, schema 1: no NaN, null where a number does not exist."""

import math
from typing import Any

from deepinit.core.layers import Layer
from deepinit.diagnosis.layer_groups import MARKED

SCHEMA = 1


def record(found: Any, scaling: Any = None) -> dict[str, Any]:
    """JSON of a `Diagnosis`."""
    import deepinit

    own, layers = found.verdict, found.scores.layers
    calibration = {
        "table": own.table,
        "networks": own.networks,
        "family": own.family,
        "family_networks": own.family_networks,
        "auc": own.auc,
        "in_range": own.in_range,
    }
    verdict = {
        "label": own.label,
        "share": own.share,
        "interval": None if own.interval is None else list(own.interval),
        "reason": own.reason or None,
        "disagreement": found.disagreement or None,
        "calibration": calibration,
    }
    network = {
        "name": found.name,
        "spec": _spec(found.network),
        "source": found.source,
        "depth": found.depth,
        "width": list(found.widths),
        "parameters": found.parameters,
    }
    whole = {
        "schema": SCHEMA,
        "deepinit": deepinit.__version__,
        "network": network,
        "inputs": {"name": found.inputs, "rows": found.rows, "labels": found.labels},
        "verdict": verdict,
        "training": None if found.training is None else found.training._asdict(),
        "scores": {name: _score(name, score) for name, score in found.scores.scores.items()},
        "layers": [
            {
                "name": path,
                **{name: layers[name][at].mean for name in MARKED},
                "spread": {name: layers[name][at].spread for name in MARKED},
                "source": "simulated",
            }
            for at, path in enumerate(found.scores.paths)
        ],
        "causes": [_cause(cause) for cause in found.causes],
        "fixes": [_fix(fix) for fix in found.fixes],
        "precision": {name: limit._asdict() for name, limit in found.precision.items()},
        "remarks": list(found.remarks),
        "scaling": scaling,
        "time_s": found.seconds,
        "networks": found.scores.num_seeds,
        "key": found.key,
        "exit_code": found.exit_code,
    }
    return finite(whole)


def finite(value: Any) -> Any:
    """NaN and infinities as None; NumPy numbers as Python's."""
    if isinstance(value, dict):
        return {str(name): finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def _spec(network: Any) -> Any:
    """JSON of a spec that has one."""
    if isinstance(network, Layer) or not hasattr(network, "to_json"):
        return None
    found = network.to_json()
    return found if isinstance(found, dict) else str(found)


def _score(name: str, score: Any) -> dict[str, Any]:
    """`infinite`: at infinite width, where networks do not differ."""
    z = None
    if score.predicted is not None and score.standard_error > 0:
        z = (score.mean - score.predicted) / score.standard_error
    infinite = 0.0 if name == "gradient_spread" else score.predicted
    return {
        "mean": score.mean,
        "se": score.standard_error,
        "spread": score.spread,
        "predicted": score.predicted,
        "infinite": infinite,
        "z": z,
        "source": "theory"
        if math.isnan(score.standard_error) and not score.events
        else "simulated",
        "events": score.events,
    }


def _cause(cause: Any) -> dict[str, Any]:
    return {
        "id": cause.id,
        "score": cause.score,
        "size": cause.size,
        "layers": None if cause.layers is None else list(cause.layers),
        "share_without": cause.share_without,
        "text": cause.sentence,
    }


def _fix(fix: Any) -> dict[str, Any]:
    return {
        "id": fix.id,
        "change": {"text": fix.change},
        "source": fix.source or None,
        "label": fix.label,
        "share": fix.share,
        "interval": None if fix.interval is None else list(fix.interval),
        "scores": {name: _score(name, score) for name, score in fix.scores.items()},
    }
