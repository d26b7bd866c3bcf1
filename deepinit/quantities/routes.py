"""The three routes to a quantity: simulate finite networks, predict at finite width, take the infinite-width limit."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepinit.core.curves import SampledCurve
from deepinit.core.errors import SpecError, refusal
from deepinit.core.frames import Frames
from deepinit.core.inputs import Inputs
from deepinit.core.results import Estimate, Prediction
from deepinit.core.specs import Spec, check_num_seeds, choose_linear_map
from deepinit.quantities.quantity import Quantity

DTYPES = ("float32", "float64")
PRECISIONS = ("highest", "high", "default")


def simulate(
    spec: Spec,
    quantity: Quantity,
    inputs: Any,
    *,
    num_seeds: int = 1000,
    key: Any = 0,
    linear_map: str = "auto",
    dtype: str = "float32",
    precision: str = "highest",
    keep_samples: bool = False,
    block_size: int | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Estimate:
    """Measures a quantity over an ensemble of random networks.

    Args:
        spec: the network.
        quantity: what to measure, for example `di.quantities.log_sin2_angle`.
        inputs: rows that every network sees.
        num_seeds: number of independent networks.
        key: an integer, or a threefry `jax.random.key`; seed i's network is `fold_in(key, i)`.
        linear_map: `auto`, `explicit` (any law), `conditional` (Gaussian or orthogonal weights; same law, far faster), or `chi_square` (layer
            factors from their exact law, without neurons: log_volume at one point).
        dtype: float32, or float64 inside a `jax.enable_x64()` context.
        precision: of matrix products: highest, high or default (TF32 or bfloat16 passes on accelerators).
        keep_samples: return every network's value too.
        block_size: seeds per block; chosen from the memory analysis if None.
        progress: called with (seeds done, seeds wanted) after every block; None shows a bar when it takes long.

    Returns:
        An Estimate; networks without a defined value are counted in `events`.

    Raises:
        SpecError: a linear map that the law does not allow, an unknown option, fewer than one seed, an argument of another kind.
    """
    from deepinit.ensembles import blocks, keys, statistics

    _check_kinds(spec, quantity, inputs)
    check_num_seeds(num_seeds)
    seed_fn, settings = forward_seed_fn(spec, quantity, inputs, linear_map=linear_map, dtype=dtype, precision=precision)
    root = keys.root_key(key)
    at_hand = seed_bytes(spec, inputs, settings)
    ensemble = blocks.compile_ensemble(seed_fn, num_seeds, seed_bytes=at_hand, block_size=block_size)
    merged: Any = None
    kept = []
    with _bar(progress) as report:
        for block in range(ensemble.blocks.num_blocks):
            measured = ensemble.block_fn(root, block)
            part, samples = measure_block(measured, None if keep_samples else ())
            merged = part if merged is None else statistics.merge(merged, part)
            kept.append(samples)
            report(ensemble.blocks.seeds(block)[1], num_seeds)
    return statistics.estimate(
        quantity.name,
        merged,
        event_names(),
        samples=np.concatenate([part for part in kept if part is not None]) if keep_samples else None,
        settings=settings,
    )


def predict(spec: Spec, quantity: Quantity, inputs: Any, form: str | None = None) -> Prediction:
    """What the finite-width theory says of a quantity.

    Args:
        spec: the network.
        quantity: what is predicted.
        inputs: as for `simulate`.
        form: one of `quantity.forms(spec)`; None takes the first, the most accurate that always applies.

    Raises:
        SpecError: an unknown form, or one that does not apply to this spec; an argument of another kind.
    """
    _check_kinds(spec, quantity, inputs)
    forms = quantity.forms(spec)
    if not forms:
        raise SpecError(
            refusal(
                f"a finite-width prediction of {quantity.name} for {_in_words(spec)}",
                f"specs with a theory, those for which di.quantities.{quantity.name}.forms(spec) is not empty",
                "Simulate, or take infinite width where it is defined.",
            )
        )
    if form is not None and form not in forms:
        raise SpecError(
            refusal(
                f"form={form!r} for {quantity.name} of {spec.activation}",
                ", ".join(forms),
                "Leave it out for the default.",
            )
        )
    return quantity.predict(spec, inputs, form or forms[0])


def infinite(spec: Spec, quantity: Quantity, inputs: Any) -> Prediction:
    """The infinite-width limit of a quantity, in float64."""
    _check_kinds(spec, quantity, inputs)
    return quantity.infinite(spec, inputs)


def forward_seed_fn(
    spec: Spec, quantity: Quantity, inputs: Any, *, linear_map: str, dtype: str, precision: str
) -> tuple[Callable[[Any], Any], dict[str, str]]:
    """The seed function of a quantity that taps the forward pass, and the settings its numbers depend on."""
    from deepinit.networks import forward, linear_maps
    from deepinit.networks.starting_rows import starting_rows

    for name, given, allowed in (("dtype", dtype, DTYPES), ("precision", precision, PRECISIONS)):
        if given not in allowed:
            raise SpecError(refusal(f"{name}={given!r}", ", ".join(allowed), f"{allowed[0]} is the default."))
    import jax

    if dtype == "float64" and not getattr(jax.config, "jax_enable_x64", False):
        raise SpecError(
            refusal(
                "dtype='float64' with JAX's 64-bit mode off",
                "float32, or float64 in 64-bit mode",
                "Call inside `with jax.enable_x64(True):`.",
            )
        )
    name = choose_linear_map(spec, linear_map, inputs.num_rows)
    settings = {"linear_map": name, "dtype": dtype, "precision": precision}
    if name == "chi_square":
        return _sampler(quantity)(spec, inputs, dtype), settings
    start, output = starting_rows(spec, inputs, dtype), quantity.at_output and spec.output_width is not None

    def seed_fn(key: Any) -> Any:
        measured, _ = forward.random_forward(
            spec,
            start(key),
            key,
            lambda state: quantity.measure(state, inputs),
            linear_map=linear_maps.FUNCTIONS[name],
            precision=precision,
            tap_output=output,
        )
        return measured

    return seed_fn, settings


def _sampler(quantity: Quantity) -> Callable[..., Any]:
    if quantity.sampler is None:
        raise SpecError(
            refusal(
                f"linear_map='chi_square' for {quantity.name}",
                "quantities at one point, whose layers have a law of their own (log_volume)",
                "Leave linear_map out.",
            )
        )
    return quantity.sampler


def seed_bytes(spec: Spec, inputs: Any, settings: Mapping[str, str]) -> int:
    """What one network keeps at hand at its widest layer: its rows, or the matrix that is drawn."""
    itemsize = np.dtype(settings["dtype"]).itemsize
    if settings["linear_map"] == "chi_square":
        return itemsize * spec.depth
    explicit = settings["linear_map"] == "explicit"
    return itemsize * max(
        max(fan_in, fan_out) * (min(fan_in, fan_out) if explicit else inputs.num_rows)
        for fan_in, fan_out in spec.matrix_shapes(inputs.dimension)
    )


def event_names() -> tuple[str, ...]:
    """Names of the reasons why a network has no value, in the order of their codes."""
    from deepinit.networks.rows import EVENTS

    return tuple(EVENTS)


def measure_block(measured: Any, keep: tuple[int, ...] | None) -> tuple[Any, np.ndarray | None]:
    """Statistics of one block of a Measurement, and its samples [seeds, layers, ...], NaN where there is no value.

    Args:
        measured: Measurement of NumPy arrays [seeds, layers, ...].
        keep: layers (from 1) whose samples are kept; None for all; () for none.
    """
    from deepinit.ensembles import statistics

    part = statistics.statistics(measured.value, measured.event, len(event_names()))
    if keep == ():
        return part, None
    layers = slice(None) if keep is None else [layer - 1 for layer in keep]
    return part, np.where(measured.event == 0, measured.value, np.nan)[:, layers]


_EXAMPLES = {
    Inputs: "di.inputs.pair(0.1)",
    Frames: "di.frames.random(dimension=3)",
    SampledCurve: "di.curves.sampled(di.curves.circle())",
}


def _check_kinds(spec: Any, quantity: Any, inputs: Any) -> None:
    """Refuses what is not a spec, a quantity and inputs of its kind, in this order."""
    kinds: tuple[tuple[str, Any, Any, str, str], ...] = (
        ("spec", spec, Spec, "a network", "di.MLP(widths=(256,) * 10)"),
        ("quantity", quantity, Quantity, "a quantity", "di.quantities.log_sin2_angle"),
    )
    if isinstance(quantity, Quantity):
        kind = quantity.accepts
        kinds += (("inputs", inputs, kind, f"{kind.__name__} for {quantity.name}", _EXAMPLES[kind]),)
    for name, given, kind, allowed, example in kinds:
        if not isinstance(given, kind):
            shown = repr(given) if isinstance(given, str | int | float) else f"an object of type {type(given).__name__}"
            raise SpecError(refusal(f"{name}={shown}", allowed, f"Write for example {example}."))


def _in_words(spec: Spec) -> str:
    """What decides whether a theory applies."""
    biases = spec.bias_law
    constant = f" and biases that are all {biases.value:g}" if biases is not None and biases.value is not None else ""
    return f"{type(spec).__name__} networks with the activation {spec.activation}{constant}"


def _bar(progress: Callable[[float, float], None] | None) -> Any:
    from deepinit.progress import bar, callback

    return callback(progress) if progress is not None else bar("networks")
