"""ln |J u| of every layer from the exact law of its factor, without neurons: O(1) a layer at every width."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.frames import Frames
from deepinit.core.specs import ResNet, Spec
from deepinit.quantities.length_setup import network_of, residual_of, why_not_exact


def log_volume_sampler(spec: Spec, inputs: Frames, dtype: str) -> Callable[[Any], Any]:
    """`key -> Measurement [layers, 1]` of one network.

    Raises:
        SpecError: a spec without the exact law, inputs that do not fit it, or several points (which one network sees
            together: their joint law is not that of one point).
    """
    reason = why_not_exact(spec)
    if reason is not None:
        raise SpecError(
            f"linear_map='chi_square' with {reason}", "specs with an exact law", "Leave it out."
        )
    if len(inputs.points) > 1:
        raise SpecError(
            f"linear_map='chi_square' with {len(inputs.points)} points",
            "one point",
            "Leave it out, or take one point.",
        )
    import jax.numpy as jnp

    from deepinit.networks.factors import log_layer_factors, log_layer_scales
    from deepinit.networks.input_rows import refuse_narrow_layers
    from deepinit.networks.residual_factors import log_residual_factors
    from deepinit.observables.lengths import log_volume_of

    spec.matrix_shapes(inputs.dimension)  # refuses what does not fit
    refuse_narrow_layers(spec, inputs)
    d = inputs.frame_size
    assert spec.activation.slopes is not None
    slopes = spec.activation.slopes
    if isinstance(spec, ResNet):
        block = residual_of(spec)
        if d > 1 or spec.output_width is not None:
            raise SpecError(
                "linear_map='chi_square' for volumes or outputs of residual networks",
                "lengths, without an output layer",
                "Leave it out.",
            )
        strengths = np.full(spec.depth, 0.5 * block["branch_var"] * block["hidden_var"])
        inner = (block["mid_width"],) * spec.depth

        def residual_fn(key: Any) -> Any:
            logs = log_residual_factors(
                key, spec.width, inner, strengths, slopes=slopes, dtype=dtype
            )
            return log_volume_of(0.5 * jnp.cumsum(logs)[:, None])

        return residual_fn
    network = network_of(spec, inputs.dimension)
    law = network.options["law"]
    scales = log_layer_scales(
        inputs.dimension,
        spec.widths,
        network.options["hidden_var"] / slopes[1] ** 2,
        slopes=slopes,
        output_width=spec.output_width,
        output_var=network.options.get("output_var", 1.0),
        d=d,
    )

    def seed_fn(key: Any) -> Any:
        factors = log_layer_factors(
            key,
            spec.widths,
            slopes=slopes,
            output_width=spec.output_width,
            d=d,
            law=law,
            fan_in=inputs.dimension,
            dtype=dtype,
        )
        return log_volume_of(0.5 * jnp.cumsum(factors + jnp.asarray(scales, dtype))[:, None])

    return seed_fn
