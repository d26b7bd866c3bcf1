"""What is wrong with a training run, seen at one initialization."""

from collections.abc import Callable
from typing import Any

from deepinit.core.specs import NetworkSpec
from deepinit.core.structure import Unkeyed, key_of, split
from deepinit.core.training_config import TrainingConfig
from deepinit.quantities.kinds.trained import options_of


def check(network: Callable[[Any], Any], spec: Any, inputs: TrainingConfig) -> None:
    """SpecError: what does not fit, gradients that underflow, large outputs if not wanted.

    `network`: of a spec, perhaps with open numbers.
    """
    from deepinit.ensembles import blocks, keys
    from deepinit.ensembles.cuts import Blocks
    from deepinit.training.checks import check_initialization
    from deepinit.training.loop import check_training

    options = options_of(inputs)
    check_training(network(spec), inputs.examples, options, inputs.rate)
    one = blocks.compile_ensemble(_programs(network, spec, inputs), 1, blocks=Blocks(1, 1, 1))
    found = one.block_fn(keys.root_key(0), 0)
    check_initialization(_first(found), inputs.examples, inputs.initial_stage)


def _programs(network: Callable[[Any], Any], spec: Any, inputs: TrainingConfig) -> Any:
    """Of `key -> Probe`, one for all numbers and examples of one shape."""
    from deepinit.ensembles.programs import Program, Variants
    from deepinit.training.checks import probe_fn

    arrays = inputs.examples.inputs, inputs.examples.targets
    common = "probe", inputs.loss, network.keywords  # type: ignore[attr-defined]
    loss = options_of(inputs).objective_of
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


def _first(found: Any) -> Any:
    import jax

    return jax.tree.map(lambda leaf: leaf[0], found)
