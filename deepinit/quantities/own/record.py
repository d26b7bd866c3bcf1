"""Identity of a user's own network in a run."""

from typing import Any

import numpy as np

from deepinit.core.fingerprint import rounded_values, source_record
from deepinit.core.inputs import Inputs
from deepinit.quantities.own.functions import batch_of, function_of


def record(network: Any, inputs: Inputs) -> dict[str, str]:
    """Source, and outputs of the network of key 0, for the identity of a run."""
    values = _outputs(network, inputs.digest, *batch_of(network, inputs))
    return {**source_record(network.source), "values": rounded_values(values, 3)}


def _outputs(network: Any, digest: str, *arrays: Any) -> np.ndarray:
    key = network, digest
    if key not in _OUTPUTS:
        import jax

        from deepinit.deferral.function import deferred

        f = deferred(function_of(network), gaussianize=network.gaussianize)
        found = np.asarray(f(jax.random.key(0), *arrays), np.float64)
        _OUTPUTS[key] = found.reshape(-1)[:: max(1, found.size // 8)][:8]
    return _OUTPUTS[key]


_OUTPUTS: dict[Any, np.ndarray] = {}  # a compilation each
