"""Models of other packages where a network of deepinit is expected: what to write instead."""

from typing import Any

_WRAPPED = {
    "flax.linen": "Write di.from_linen(module).",
    "flax.nnx": "Write di.from_nnx(lambda rngs: Model(rngs=rngs)).",
    "equinox": "Write di.from_equinox(lambda key: Model(key=key)).",
    "haiku": "Write di.from_haiku(hk.transform(f)).",
    "torch": "Write the model in di.layers, flax or equinox; PyTorch is not read.",
}


def network_remedy(value: Any, otherwise: str) -> str:
    """How a module of flax, equinox, haiku or PyTorch becomes a network; `otherwise` of others."""
    for kind in type(value).__mro__:
        for package, remedy in _WRAPPED.items():
            if f"{kind.__module__}.".startswith(f"{package}."):
                return remedy
    return otherwise
