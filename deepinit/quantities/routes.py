"""Routes: simulation, finite-width prediction, infinite-width limit."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, overload

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import as_inputs
from deepinit.core.progress import bar, callback
from deepinit.core.results import Estimate, Prediction, heavy_tails
from deepinit.core.spec_text import format_spec
from deepinit.core.specs import NetworkSpec
from deepinit.core.sweep import Sweep
from deepinit.core.sweep_results import SweepResult
from deepinit.core.training_config import TrainingConfig
from deepinit.quantities import swept
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.measured import measure_block
from deepinit.quantities.programs import programs_of
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import INFINITE_WIDTH, Theory
from deepinit.quantities.validate import apply_statistic, check_answers, check_kinds


@overload
def simulate(
    spec: Sweep,
    quantity: Quantity,
    inputs: Any,
    *,
    num_seeds: int = ...,
    key: Any = ...,
    linear_map: str = ...,
    dtype: str = ...,
    precision: str = ...,
    progress: Callable[[float, float], None] | None = ...,
) -> SweepResult: ...
@overload
def simulate(
    spec: NetworkSpec,
    quantity: Quantity,
    inputs: Any,
    *,
    num_seeds: int = ...,
    key: Any = ...,
    linear_map: str = ...,
    dtype: str = ...,
    precision: str = ...,
    control: str = ...,
    keep_samples: bool = ...,
    block_size: int | None = ...,
    progress: Callable[[float, float], None] | None = ...,
) -> Estimate: ...
def simulate(
    spec: NetworkSpec | Sweep,
    quantity: Quantity,
    inputs: Any,
    *,
    num_seeds: int = 1000,
    key: Any = 0,
    linear_map: str = "auto",
    dtype: str = "float32",
    precision: str = "highest",
    control: str = "none",
    keep_samples: bool = False,
    block_size: int | None = None,
    progress: Callable[[float, float], None] | None = None,
) -> Estimate | SweepResult:
    """Monte Carlo estimate of a quantity over random networks; its `events` count undefined values.

    Args:
        spec: in training an MLP with an output layer, or a `Network` (`training.perceptron`, a flax
            module through `from_linen` or `from_nnx`). Of a `Sweep` every point, with the same
            keys: the result is a `SweepResult`.
        inputs: rows that every network sees, an array [points, dimension] or of `di.inputs`; in
            training a `TrainingConfig`.
        key: an integer or a threefry `jax.random.key`; network i has `fold_in(key, i)`.
        linear_map: `auto`, `explicit` (any law; always in training), `conditional` (Gaussian or
            orthogonal weights; same law, far faster), or `chi_square` (log_volume at one point:
            exact law without neurons).
        dtype: float32, or float64 inside `jax.enable_x64()`.
        precision: of matrix products: highest, high or default (TF32 or bfloat16 on accelerators).
        control: `theory` subtracts control variates of mean exactly 0 from the averages behind
            `mean` and `variance`; `auto` does where the network and the quantity have them. The
            plain Estimate stays in `plain`; `variance_saved` is what it saves. From 100 networks
            on one weight of the mean's control is fitted (`ensembles.fitted`).
        keep_samples: return all values, for exact quantiles.
        block_size: seeds per block; None fits it to memory.
        progress: `(seeds done, in total)` after every block; None shows a bar in long calls.

    Raises SpecError: an invalid argument, a linear map that the law excludes, or a control without
        a rule. Other errors of a custom quantity pass unchanged.
    """
    from deepinit.ensembles import blocks, controlled, keys, statistics

    inputs = as_inputs(inputs)
    if isinstance(spec, Sweep):
        swept.refuse_options(control, keep_samples, block_size)
        options = {"linear_map": linear_map, "dtype": dtype, "precision": precision}
        return swept.simulate(
            spec, quantity, inputs, num_seeds=num_seeds, key=key, progress=progress, **options
        )
    check_kinds(spec, quantity, inputs)
    validate.num_seeds(num_seeds)
    controls, chosen = choose_control(spec, quantity, inputs, control)
    programs, settings = programs_of(
        spec,
        quantity,
        inputs,
        linear_map=linear_map,
        dtype=dtype,
        precision=precision,
        control=controls,
    )
    root = keys.root_key(key)
    ensemble = blocks.compile_ensemble(
        programs,
        num_seeds,
        seed_bytes=quantity.measurement.bytes(spec, inputs, settings),
        batch_size_one=not isinstance(spec, NetworkSpec),
        block_size=block_size,
    )
    merged: Any = None
    samples, counts = [], statistics.Counts()
    with bar("networks") if progress is None else callback(progress) as report:
        for block in range(ensemble.blocks.num_blocks):
            measured = ensemble.block_fn(root, block)
            kept = None if keep_samples else ()
            part, saved = measure_block(quantity, measured, kept, control=controls, counts=counts)
            merged = part if merged is None else controlled.merge(merged, part)
            samples += [saved["samples"]] if keep_samples else []
            report(ensemble.blocks.seeds(block)[1], num_seeds)
    merged = controlled.with_histogram(merged, counts.histogram)
    every = np.concatenate(samples) if keep_samples else None
    return finished_estimate(spec, quantity, inputs, merged, every, {**settings, **chosen})


def finished_estimate(
    spec: Any,
    quantity: Quantity,
    inputs: Any,
    merged: Any,
    samples: np.ndarray | None,
    settings: dict[str, str],
) -> Estimate:
    """Estimate from merged statistics."""
    from deepinit.ensembles import controlled

    estimates = controlled.estimates(
        quantity.name, merged, quantity.events, samples=samples, settings=settings
    )
    return controlled.best(*(_finished(spec, quantity, inputs, each) for each in estimates))


def _finished(spec: Any, quantity: Quantity, inputs: Any, estimate: Estimate) -> Estimate:
    """With the quantity's own statistic, axes and names."""
    if (light := quantity.light_tailed) is not None:
        heavy = heavy_tails(estimate, second_moment=quantity.measurement.statistic is not None)
        estimate = dataclasses.replace(estimate, light_tailed=light, heavy_tails=heavy)
    axis = quantity.measurement.axis(spec, inputs)
    return dataclasses.replace(
        apply_statistic(quantity, spec, estimate),
        rounding=quantity.rounding,
        symbol=quantity.symbol,
        axis=axis.name,
        positions=axis.positions,
        paths=axis.paths,
        entries=axis.entries,
    )


@overload
def predict(
    spec: Sweep, quantity: Quantity, inputs: Any, theory: str | None = None
) -> SweepResult: ...
@overload
def predict(
    spec: NetworkSpec, quantity: Quantity, inputs: Any, theory: str | None = None
) -> Prediction: ...
def predict(
    spec: NetworkSpec | Sweep, quantity: Quantity, inputs: Any, theory: str | None = None
) -> Prediction | SweepResult:
    """Finite-width prediction of a quantity, in float64.

    Networks of layers: the first call compiles, 10 to 40 seconds a kind of layer.

    Args:
        spec, inputs: as for `simulate`.
        theory: name; None takes the first finite-width one that applies.

    Raises SpecError: a theory that is unknown or does not apply. Other errors pass unchanged.
    """
    inputs = as_inputs(inputs)
    if isinstance(spec, Sweep):
        return swept.predict(spec, quantity, inputs, partial(predict, theory=theory))
    check_kinds(spec, quantity, inputs)
    check_answers(quantity, spec, inputs)
    finite = [one for one in quantity.theories if not one.is_limit]
    reasons = []
    for candidate in finite if theory is None else [quantity.theory(theory)]:
        result = _evaluate(quantity, candidate, spec, inputs)
        if isinstance(result, Prediction):
            return result
        reasons.append(f"{candidate.name}: {result}")
    why = "; ".join(reasons) or "no theory of it is known"
    names = quantity.applicable(spec, inputs)
    others = ", ".join(name for name in names if name != INFINITE_WIDTH)
    remedy = f"Theories that apply: {others}. " if others else ""
    remedy += f"Use di.simulate{', or di.infinite' if INFINITE_WIDTH in names else ''}."
    remedy += _layers_remedy(spec, inputs, "predict")
    subject = f"{quantity.name} has no finite-width prediction"
    if theory is not None:
        subject = f"{theory} does not predict {quantity.name}"
    raise SpecError(f"{subject} for {format_spec(spec)}. {why.rstrip('.')}. {remedy}")


@overload
def infinite(spec: Sweep, quantity: Quantity, inputs: Any) -> SweepResult: ...
@overload
def infinite(spec: NetworkSpec, quantity: Quantity, inputs: Any) -> Prediction: ...
def infinite(
    spec: NetworkSpec | Sweep, quantity: Quantity, inputs: Any
) -> Prediction | SweepResult:
    """Infinite-width limit in float64, of a `Sweep` at every point; SpecError without one."""
    inputs = as_inputs(inputs)
    if isinstance(spec, Sweep):
        return swept.predict(spec, quantity, inputs, infinite)
    check_kinds(spec, quantity, inputs)
    check_answers(quantity, spec, inputs)
    limits = [theory for theory in quantity.theories if theory.is_limit]
    result: Any = "no limit of it is known"
    if limits:
        result = _evaluate(quantity, limits[0], spec, inputs)
    if isinstance(result, Prediction):
        return result
    why = f"{quantity.name} has no infinite-width limit for {format_spec(spec)}: {result}"
    remedy = f"Use di.simulate.{_layers_remedy(spec, inputs, 'infinite')}"
    raise SpecError(f"{why.rstrip('.')}. {remedy}")


def evaluate(
    spec: Any, quantity: Quantity, inputs: Any, names: tuple[str, ...] | None = None
) -> tuple[tuple[Prediction, ...], dict[str, str]]:
    """Every prediction that applies, and theory -> reason for the others.

    `names` are finite-width theories, None for all; the infinite-width limit comes last.
    """
    theories = quantity.theories
    finite = (
        [t for t in theories if not t.is_limit] if names is None else map(quantity.theory, names)
    )
    results = {
        theory.name: _evaluate(quantity, theory, spec, inputs)
        for theory in (*finite, *(t for t in theories if t.is_limit))
    }
    predictions = tuple(value for value in results.values() if isinstance(value, Prediction))
    return predictions, {name: why for name, why in results.items() if isinstance(why, str)}


def _layers_remedy(spec: Any, inputs: Any, route: str) -> str:
    """How a Network of one's own gets theory: as the layers that it is."""
    if isinstance(spec, NetworkSpec) or isinstance(inputs, TrainingConfig):
        return ""
    return f" Or as layers: di.{route}(di.read_layers(network, inputs), quantity, inputs)."


def _evaluate(quantity: Quantity, theory: Theory, spec: Any, inputs: Any) -> Prediction | str:
    """`Theory.evaluate` under the quantity's name."""
    if not isinstance(spec, NetworkSpec) and not isinstance(inputs, TrainingConfig):
        return "no theory reads the code of a Network"
    result = theory.evaluate(spec, inputs, quantity.measurement.axis)
    if isinstance(result, str):
        return result
    return dataclasses.replace(result, quantity=quantity.name, symbol=quantity.symbol)
