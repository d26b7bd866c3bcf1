"""What a training run refuses before it starts: examples, losses and initializations that cannot show early training."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.core.targets import Examples
from deepinit.core.training_config import check_targets
from deepinit.networks.network import Network
from deepinit.training.losses import cross_entropy, mse
from deepinit.training.neurons import part_name

SMALL_OUTPUT = (
    0.01  # of the targets: with less, the residual is that of the zero network to one per cent
)
_FEW = 64  # examples that show the order of magnitude of a gradient


def check_examples(network: Network, examples: Any, loss: Any) -> None:
    """Refuses examples that the network or the loss cannot take, and targets that leave nothing to learn.

    Raises:
        SpecError: see above.
    """
    if not isinstance(examples, Examples):
        raise SpecError(
            f"examples of type {type(examples).__name__}",
            "Examples",
            "Write targets.examples(inputs, targets).",
        )
    width = _output_width(network, examples)
    if loss is cross_entropy:
        _check_classes(examples, width)
    if loss is mse:
        _check_numbers(examples, width)


def _check_classes(examples: Examples, width: int) -> None:
    check_targets(examples, "cross_entropy")
    largest = int(examples.targets.max())
    if largest >= width or width < 2:
        raise SpecError(
            f"classes up to {largest} for a network of {width} outputs",
            f"classes from 0 to {width - 1}, and at least two outputs",
            f"Take output_width={max(largest + 1, 2)}, or renumber the classes.",
        )


def _check_numbers(examples: Examples, width: int) -> None:
    check_targets(examples, "mse")
    if examples.targets.shape[1] != width:
        raise SpecError(
            f"targets of {examples.targets.shape[1]} numbers for a network of {width} outputs",
            "as many of the one as of the other",
            f"Take output_width={examples.targets.shape[1]}.",
        )
    if not examples.targets.any():
        raise SpecError(
            "targets that are all zero",
            "targets of which some are not zero",
            "A small network has learned zero already: nothing drives its weights.",
        )


def check_initialization(
    network: Network, examples: Examples, objective: Callable[..., jax.Array], initial_stage: bool
) -> None:
    """Refuses gradients that vanish in this precision and, if asked to, outputs that are not small.

    Args:
        network: whose initial weights, of one key, are looked at.
        examples: what it is to learn.
        objective: (parameters, inputs, targets) -> loss.
        initial_stage: the run is about the initial stage of training: the output has to be below SMALL_OUTPUT of the targets
            (of 1, for classes).

    Raises:
        SpecError: see above.
    """
    shapes = jax.eval_shape(lambda key: network.init(key, examples.dimension), jax.random.key(0))
    dtype = common_dtype(shapes)
    # spread over the set, which may be sorted by its targets
    few = np.unique(np.linspace(0, len(examples.inputs) - 1, _FEW).astype(int))
    x, y = (values[few] for values in as_arrays(examples, dtype))

    def look(key: Any) -> tuple[jax.Array, Any]:
        with sequential_bits():
            parameters = network.init(key, examples.dimension)
        outputs = jax.vmap(network.apply, (None, 0))(parameters, x)
        gradient = jax.grad(objective)(parameters, x, y)
        return jnp.abs(outputs).max(), jax.tree.map(lambda leaf: jnp.abs(leaf).max(), gradient)

    largest_output, sizes = jax.jit(look)(jax.random.key(0))
    smallest = 1e3 * float(jnp.finfo(dtype).tiny)
    for path, size in jax.tree_util.tree_leaves_with_path(sizes):
        if float(size) < smallest:
            raise SpecError(
                f"an initialization whose loss has a gradient of at most {float(size):.1g} in the parameters "
                f"{' '.join(part_name(part) for part in path)}, which underflows in {np.dtype(dtype).name}",
                f"gradients from {smallest:.0e} on (std^p for an activation like x^p near 0)",
                "Take a larger standard deviation, or float64; if weights are not small, all neurons are off or the "
                "targets are learned already.",
            )
    scale = 1.0 if examples.are_classes else math.sqrt(float(np.mean(examples.targets**2)))
    if initial_stage and not float(largest_output) <= SMALL_OUTPUT * scale:
        raise SpecError(
            f"an initialization too large for the initial stage: outputs up to {float(largest_output):.2g} for targets "
            f"of size {scale:.2g}",
            f"outputs below {SMALL_OUTPUT} of the targets, so that neurons do not feel each other",
            "Take a smaller standard deviation (the outputs shrink like its square or faster), or initial_stage=False.",
        )


def common_dtype(parameters: Any) -> Any:
    """The dtype of all parameters together."""
    return jnp.result_type(*jax.tree.leaves(parameters))


def as_arrays(examples: Examples, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Inputs and targets on the device; classes as int32."""
    targets = jnp.asarray(examples.targets, jnp.int32 if examples.are_classes else dtype)
    return jnp.asarray(examples.inputs, dtype), targets


def _output_width(network: Network, examples: Examples) -> int:
    def output(key: Any, x: jax.Array) -> jax.Array:
        return network.apply(network.init(key, examples.dimension), x)

    shape = jax.eval_shape(output, jax.random.key(0), jnp.zeros(examples.dimension)).shape
    if len(shape) != 1:
        raise SpecError(
            f"a network whose output for one input has the shape {shape}",
            "[outputs]",
            "Flatten the output.",
        )
    return int(shape[0])
