"""Measurements in training."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import reason_against
from deepinit.core.specs import NetworkSpec, Spec
from deepinit.core.structure import Unkeyed, key_of, split
from deepinit.core.targets import Examples
from deepinit.core.training_config import TrainingConfig
from deepinit.core.training_options import require_output_layer
from deepinit.quantities.kinds.axis import Axis, Conditions, Entries, Parts, Settings
from deepinit.quantities.shells import is_shell, replaced

_PROGRESS = ("step", "time", "loss", "status")


def why_not_trained(spec: Any, inputs: Any) -> str | None:
    """Why a network cannot be trained, or None."""
    del inputs
    return (
        reason_against(lambda: require_output_layer(spec))
        if isinstance(spec, NetworkSpec)
        else None
    )


class Trained(NamedTuple):
    """A tap on the recorded steps of an MLP with an output layer, or a `Network`.

    `tap`: `(spec, Training) -> (Snapshot -> Measurement)` [entries]. `entries`:
    `(spec, Training) -> names`.
    """

    tap: Callable[[Any, Any], Callable[[Any], Any]]
    entries: Entries
    why_not: Conditions = why_not_trained
    accepts: type = TrainingConfig
    statistic: None = None

    def linear_map(self, spec: Any, inputs: TrainingConfig, name: str) -> str:
        """`explicit` only."""
        del spec, inputs
        remedy = "Training changes whole matrices: leave it out."
        validate.choice("linear_map", name, ("auto", "explicit"), remedy)
        return "explicit"

    def parts(
        self, spec: Any, inputs: TrainingConfig, settings: Settings, keep: bool = False
    ) -> Parts:
        """Of `key -> Measurement` [records, entries]; settings apply to an MLP alone.

        `keep` adds step, time, loss, status, input vectors and output weights.
        Raises SpecError: what does not fit, seen at one initialization.
        """
        numerics = {name: settings[name] for name in ("dtype", "precision")}
        network = partial(trained_network, **numerics)
        _check(network, spec, inputs, (*numerics.values(),))
        arrays = (*_arrays(inputs.examples), *_arrays(inputs.test)), _pace(inputs)
        return Parts(arrays, partial(self._seed_fn, network, keep))

    def _seed_fn(
        self, network: Callable[[Any], Any], keep: bool, spec: Any, arrays: Any, inputs: Any
    ) -> Callable[[Any], Any]:
        from deepinit import training
        from deepinit.training.loop import steps_fn

        data, pace = arrays
        tap = self.tap(spec, _with_examples(inputs, data))

        def record(snapshot: Any) -> Any:
            measured = tap(snapshot)
            if keep:
                measured = measured._replace(kept=training.layer_vectors(snapshot.parameters))
            return measured

        x, y = data[:2]
        run = steps_fn(network(spec), x, y, pace, _options(inputs), record)

        def seed_fn(key: Any) -> Any:
            records = run(key)
            if not keep:
                return records.values
            progress = {name: getattr(records, name) for name in _PROGRESS}
            return records.values._replace(kept={**records.values.kept, **progress})

        return seed_fn

    def axis(self, spec: Any, inputs: TrainingConfig) -> Axis:
        """The recorded steps."""
        steps = tuple(inputs.record_steps)
        return Axis("step", len(steps), self.entries(spec, inputs), steps)

    def cost(self, spec: Any, inputs: TrainingConfig, linear_map: str) -> float:
        """Work in random numbers (10 ns: some 300 operations)."""
        del linear_map
        shapes: Any = ((inputs.dimension, 100),)
        if isinstance(spec, Spec):
            shapes = spec.matrix_shapes(inputs.dimension)
        weights = sum(fan_in * fan_out for fan_in, fan_out in shapes)
        examples = inputs.batch_size or len(inputs.examples.inputs)
        return 6.0 * examples * weights * inputs.record_steps[-1] / 300.0

    def bytes(self, spec: Any, inputs: TrainingConfig, settings: Settings) -> int:
        """Working memory on all examples."""
        widest = max((*getattr(spec, "widths", ()), inputs.dimension))
        return np.dtype(settings["dtype"]).itemsize * len(inputs.examples.inputs) * widest


def trained_network(spec: Any, dtype: str = "float32", precision: str = "highest") -> Any:
    """A Network, or the perceptron of an MLP."""
    from deepinit import training

    if not isinstance(spec, NetworkSpec):
        return spec
    return training.perceptron(spec, dtype=dtype, precision=precision)  # type: ignore[arg-type]


def _options(inputs: TrainingConfig) -> Any:
    """Options of the training loop."""
    from deepinit.training.loop import Options
    from deepinit.training.losses import as_loss

    return Options(
        inputs.mode,
        tuple(inputs.record_steps),
        as_loss(inputs.loss),
        inputs.stop_drop,
        inputs.batch_size,
        inputs.tolerance,
        inputs.end_time,
    )


def _arrays(examples: Examples | None) -> tuple[np.ndarray, ...]:
    return () if examples is None else (examples.inputs, examples.targets)


def _pace(inputs: TrainingConfig) -> np.ndarray:
    from deepinit.training.options import pace_of

    return np.asarray(pace_of(inputs.mode, inputs.rate), np.float64)


def _with_examples(inputs: TrainingConfig, data: Any) -> TrainingConfig:
    """Inputs with traced examples, inside a program that is shared by examples."""
    if not is_shell(inputs):
        return inputs
    sets = {"examples": data[:2]} | ({"test": data[2:]} if data[2:] else {})
    examples = lambda name: replaced(
        getattr(inputs, name), dict(zip(("inputs", "targets"), sets[name], strict=True))
    )
    return replaced(inputs, {name: examples(name) for name in sets})


def _check(network: Callable[[Any], Any], spec: Any, inputs: TrainingConfig, key: Any) -> None:
    """SpecError: examples or options that do not fit; at one initialization: gradients that
    underflow, large outputs where small ones are required.

    `network`: of a spec, perhaps with open numbers. `key`: equal for equal functions `network`.
    """
    import jax

    from deepinit.ensembles import blocks, keys
    from deepinit.ensembles.cuts import Blocks
    from deepinit.training.checks import check_initialization
    from deepinit.training.loop import check_training

    options = _options(inputs)
    check_training(network(spec), inputs.examples, options, inputs.rate)
    one = blocks.compile_ensemble(_programs(network, spec, inputs, key), 1, blocks=Blocks(1, 1, 1))
    found = one.block_fn(keys.root_key(0), 0)
    found = jax.tree.map(lambda leaf: leaf[0], found)
    check_initialization(found, inputs.examples, inputs.initial_stage)


def _programs(network: Callable[[Any], Any], spec: Any, inputs: TrainingConfig, key: Any) -> Any:
    """Programs of `key -> Probe`; the first is shared by all numbers and examples of one shape."""
    from deepinit.ensembles.programs import Program, Variants
    from deepinit.training.checks import probe_fn

    arrays = inputs.examples.inputs, inputs.examples.targets
    common = "probe", inputs.loss, key
    loss = _options(inputs).objective_of
    probe = lambda spec, arrays: probe_fn(network(spec), loss, *arrays)

    def constant() -> Program:
        return Program(lambda _, arrays: probe(spec, arrays), None, (), arrays, _key(common, spec))

    def shared() -> Program:
        structure, numbers = split(spec)
        return Program(probe, structure, numbers, arrays, _key(common))

    return Variants(shared, constant) if isinstance(spec, NetworkSpec) else Variants(constant)


def _key(*parts: Any) -> Any:
    try:
        return key_of(parts)
    except Unkeyed:
        return None
