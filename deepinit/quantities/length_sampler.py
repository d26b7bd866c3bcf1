"""ln |J u| from its exact law: O(1) per layer."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.by_kind import by_kind
from deepinit.core.errors import SpecError
from deepinit.core.frames import Frames
from deepinit.core.specs import MLP, ResNet, Spec
from deepinit.quantities.length_conditions import why_not_exact
from deepinit.quantities.length_theory import check_fit, network_of, residual_of


def log_volume_sampler(spec: Spec, inputs: Frames, dtype: str) -> Callable[[Any], Any]:
    """`key -> Measurement [layers, 1]`; SpecError without the law, or for several points."""
    given = "linear_map='chi_square' with"
    reason = why_not_exact(spec)
    if reason is not None:
        raise SpecError(f"{given} {reason}", "specs with an exact law", "Leave it out.")
    count = len(inputs.points)
    validate.require(count == 1, f"{given} {count} points", "one point", "Leave it out.")
    check_fit(spec, inputs)
    return _sampler(spec, inputs, dtype)


def _mlp_sampler(spec: MLP, inputs: Frames, dtype: str) -> Callable[[Any], Any]:
    import jax.numpy as jnp

    from deepinit.networks.factors import log_layer_factors, log_layer_scales
    from deepinit.observables.lengths import log_volume_of

    slopes = spec.activation.slopes
    assert slopes is not None
    network = network_of(spec, inputs.dimension)
    shared: dict[str, Any] = {
        "slopes": slopes,
        "output_width": spec.output_width,
        "d": inputs.frame_size,
    }
    assert network.hidden_var is not None
    scales = log_layer_scales(
        inputs.dimension,
        spec.widths,
        network.hidden_var / slopes[1] ** 2,
        output_var=network.output_var,
        **shared,
    )
    options: dict[str, Any] = {
        "law": network.law,
        "fan_in": inputs.dimension,
        "dtype": dtype,
        **shared,
    }

    def seed_fn(key: Any) -> Any:
        factors = log_layer_factors(key, spec.widths, **options)
        return log_volume_of(0.5 * jnp.cumsum(factors + jnp.asarray(scales, dtype))[:, None])

    return seed_fn


def _residual_sampler(spec: ResNet, inputs: Frames, dtype: str) -> Callable[[Any], Any]:
    import jax.numpy as jnp

    from deepinit.networks.residual_factors import log_residual_factors
    from deepinit.observables.lengths import log_volume_of

    if inputs.frame_size > 1 or spec.output_width is not None:
        given = "linear_map='chi_square' for volumes or outputs of residual networks"
        raise SpecError(given, "lengths, without an output layer", "Leave it out.")
    block = residual_of(spec)
    strengths = np.full(spec.depth, 0.5 * block["branch_var"] * block["hidden_var"])
    inner = (block["mid_width"],) * spec.depth
    options: dict[str, Any] = {"slopes": spec.activation.slopes, "dtype": dtype}

    def seed_fn(key: Any) -> Any:
        logs = log_residual_factors(key, spec.width, inner, strengths, **options)
        return log_volume_of(0.5 * jnp.cumsum(logs)[:, None])

    return seed_fn


_sampler = by_kind("the exact law of log_volume", {MLP: _mlp_sampler, ResNet: _residual_sampler})
